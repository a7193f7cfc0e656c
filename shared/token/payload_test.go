package token_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/license"
	"openlicenser/shared/token"
)

// FuzzPayload: whatever a license says, the payload of its token is in neither - nor _, so that the original Java
// client reads it with the standard alphabet, and it says the same.
func FuzzPayload(f *testing.F) {
	f.Add("Example Ltd", `[{"serviceName":"A","serviceValue":"b"}]`, `[{"URL":"https://app.example.com/?q=~>"}]`,
		"869b100f-06b7-44cc-80df-b4c4bf728461", "Open Licenser", int64(1900000000000))
	f.Add("Müller & Söhne 🎉 >?~\x7f", `[]`, `[{"URL":"re:^(.+\\.)?example\\.com$"}]`, "é", "<Issuer>", int64(-1))
	f.Add("\u2028\ufffd\xff", "", "\x00\x1f", "", "", int64(253402300799999))
	key, err := rsa.GenerateKey(rand.Reader, 1024) // a short one, because signing is what takes the time
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, customer, services, urls, id, issuer string, expires int64) {
		authorizer := token.Authorizer{Key: rsaKey{key: key, signsWith: key}, Issuer: issuer, Lifetime: lifetime}
		l := license.License{
			ID: id, CustomerName: customer, Services: license.JSONList(services), AppURLs: license.JSONList(urls),
			ExpirationDate: time.UnixMilli(expires % 253402300800000).UTC(),
		}
		text, _, err := authorizer.Authorize(t.Context(), l, now, token.Signature{})
		if err != nil {
			t.Fatal(err)
		}
		payload := strings.Split(text, ".")[1]
		if strings.ContainsAny(payload, "-_=") {
			t.Fatalf("%+v: the payload %s is in the URL alphabet", l, payload)
		}
		decoded, err := base64.RawStdEncoding.Strict().DecodeString(payload)
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]any
		if err := json.Unmarshal(decoded, &claims); err != nil {
			t.Fatalf("%s: %v", decoded, err)
		}
		want := map[string]any{
			"iss": issuer, "customername": customer, "services": services, "appurls": urls, "licenseid": id,
			"expirationDate": license.FormatDate(l.ExpirationDate),
		}
		got := map[string]any{}
		for name, text := range want {
			want[name] = inUTF8(text.(string))
			got[name] = claims[name]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-license +token):\n%s", diff)
		}
		if int64(claims["expirationdate"].(float64)) != l.ExpirationDate.Unix() {
			t.Errorf("the token says %v, the license %d", claims["expirationdate"], l.ExpirationDate.Unix())
		}
	})
}

// inUTF8 returns a text with U+FFFD for each byte that is none of UTF-8, as JSON has it.
func inUTF8(text string) string { return string([]rune(text)) }
