package token_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"pgregory.net/rapid"

	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/token"
)

// rsaKey signs as KMS does. Where another key is given, it signs with that one: a key that has moved.
type rsaKey struct {
	key, signsWith *rsa.PrivateKey
	err            error
}

func (k rsaKey) PublicKey(context.Context) (*rsa.PublicKey, error) { return &k.key.PublicKey, nil }

func (k rsaKey) Published(context.Context) ([]token.PublishedKey, error) {
	return []token.PublishedKey{{Public: &k.key.PublicKey, Signs: true}}, nil
}

func (k rsaKey) SignDigest(_ context.Context, _ *rsa.PublicKey, digest [sha256.Size]byte) ([]byte, error) {
	if k.err != nil {
		return nil, k.err
	}
	return rsa.SignPKCS1v15(rand.Reader, k.signsWith, crypto.SHA256, digest[:])
}

const lifetime = 90 * 24 * time.Hour

func newAuthorizer(t testing.TB) (token.Authorizer, *rsa.PrivateKey) {
	t.Helper()
	key := newRSAKey(t)
	return token.Authorizer{Key: rsaKey{key: key, signsWith: key}, Issuer: "Test Issuer", Lifetime: lifetime}, key
}

// read verifies a token with an independent library.
func read(t rapid.TB, text string, key *rsa.PublicKey) (header jose.Header, claims map[string]any) {
	t.Helper()
	parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	if err := parsed.Claims(key, &claims); err != nil {
		t.Fatal(err)
	}
	return parsed.Headers[0], claims
}

func TestAuthorize(t *testing.T) {
	authorizer, key := newAuthorizer(t)
	l := licensetest.Issue(t)
	text, _, err := authorizer.Authorize(t.Context(), l, now, token.Signature{})
	if err != nil {
		t.Fatal(err)
	}
	header, claims := read(t, text, &key.PublicKey)
	want := map[string]any{
		"iss":            "Test Issuer",
		"sub":            "authorization_token",
		"iat":            float64(now.Add(-5 * time.Minute).Unix()), // see clockSkew
		"exp":            float64(now.Add(lifetime).Unix()),
		"services":       `[{"serviceName":"TEST","serviceValue":"EmbeddedPowerBI"}]`,
		"appurls":        `[{"URL":"https://app.example.com/?a=1&b=<2>"}]`,
		"customername":   "Test Customer",
		"expirationdate": float64(l.ExpirationDate.Unix()),
		"expirationDate": "2027-11-01T12:00:00.000Z",
		"licenseid":      l.ID,
	}
	if !maps.Equal(want, claims) {
		t.Errorf("claims %v, want %v", claims, want)
	}
	if header.ExtraHeaders["typ"] != "JWT" || header.KeyID != token.KeyID(&key.PublicKey) {
		t.Errorf("header %+v", header)
	}
}

// TestUpdatesUntil: the claim is there where updates have an end, in the one form, whether that has passed or not. What
// the license says otherwise is as it was, to the byte.
func TestUpdatesUntil(t *testing.T) {
	authorizer, key := newAuthorizer(t)
	l := licensetest.Issue(t)
	sign := func() (payload string, claims map[string]any) {
		text, _, err := authorizer.Authorize(t.Context(), l, now, token.Signature{})
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := base64.StdEncoding.WithPadding(base64.NoPadding).DecodeString(strings.Split(text, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		_, claims = read(t, text, &key.PublicKey)
		return string(decoded), claims
	}
	without, claims := sign()
	if _, isThere := claims["updatesuntil"]; isThere {
		t.Errorf("claims %v", claims)
	}
	for _, until := range []time.Time{now.AddDate(-1, 0, 0), now, now.AddDate(10, 0, 0).Add(999 * time.Millisecond)} {
		l.UpdatesUntil = until
		with, claims := sign()
		want := license.FormatDate(until)
		if claims["updatesuntil"] != want || len(want) != len("2027-01-31T23:59:59.999Z") {
			t.Errorf("the claim is %v, want %s", claims["updatesuntil"], want)
		}
		if rest := strings.Replace(with, `,"updatesuntil":"`+want+`"`, "", 1); rest != without {
			t.Errorf("got %s, want %s", rest, without)
		}
	}
}

// TestAuthorizeEnds: with the lifetime or with the license, whichever comes first.
func TestAuthorizeEnds(t *testing.T) {
	authorizer, key := newAuthorizer(t)
	for name, test := range map[string]struct {
		expires time.Time
		grace   int
		want    time.Time
	}{
		"lifetime first":          {now.Add(lifetime + time.Second), 0, now.Add(lifetime)},
		"at the same time":        {now.Add(lifetime), 0, now.Add(lifetime)},
		"license first":           {now.Add(time.Hour), 0, now.Add(time.Hour)},
		"grace included":          {now.Add(time.Hour), 7, now.Add(time.Hour).AddDate(0, 0, 7)},
		"expired, in its grace":   {now.Add(-time.Hour), 7, now.Add(-time.Hour).AddDate(0, 0, 7)},
		"grace beyond lifetime":   {now, 365, now.Add(lifetime)},
		"a fraction is cut off":   {now.Add(1500 * time.Millisecond), 0, now.Add(time.Second)},
		"never":                   {license.Never, 0, now.Add(lifetime)},
		"never, of another tool":  {license.Never, 36500, now.Add(lifetime)},
		"the end of the calendar": {time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), 365, now.Add(lifetime)},
	} {
		t.Run(name, func(t *testing.T) {
			l := licensetest.Issue(t)
			l.ExpirationDate, l.GraceDays = test.expires, test.grace
			text, _, err := authorizer.Authorize(t.Context(), l, now, token.Signature{})
			if err != nil {
				t.Fatal(err)
			}
			_, claims := read(t, text, &key.PublicKey)
			if got := int64(claims["exp"].(float64)); got != test.want.Unix() {
				t.Errorf("exp %s, want %s", time.Unix(got, 0).UTC(), test.want)
			}
		})
	}
}

// TestStandardBase64DecodesThePayload: for every text, as the original Java client needs it.
func TestStandardBase64DecodesThePayload(t *testing.T) {
	authorizer, key := newAuthorizer(t)
	rapid.Check(t, func(t *rapid.T) {
		l := license.License{
			ID:           rapid.String().Draw(t, "id"),
			CustomerName: rapid.OneOf(rapid.String(), rapid.StringMatching(`[>?~\x7fé🎉\\"<&]*`)).Draw(t, "name"),
			Services:     "[]",
			AppURLs:      license.JSONList(rapid.StringMatching(`\[\{"URL":"[ -~]*"\}\]`).Draw(t, "urls")),
		}
		l.ExpirationDate = now.Add(time.Duration(rapid.Int64Range(1, 1<<55).Draw(t, "expires")))
		text, _, err := authorizer.Authorize(context.Background(), l, now, token.Signature{})
		if err != nil {
			t.Fatal(err)
		}
		payload := strings.Split(text, ".")[1]
		if strings.ContainsAny(payload, "-_") {
			t.Fatalf("payload %s", payload)
		}
		if _, err := base64.RawStdEncoding.DecodeString(payload); err != nil {
			t.Fatal(err)
		}
		_, claims := read(t, text, &key.PublicKey)
		if claims["customername"] != l.CustomerName || claims["appurls"] != string(l.AppURLs) ||
			claims["licenseid"] != l.ID {
			t.Fatalf("claims %v of %+v", claims, l)
		}
	})
}

// TestHundredsOfURLs: more than the 4,096 bytes that KMS takes as a message.
func TestHundredsOfURLs(t *testing.T) {
	authorizer, key := newAuthorizer(t)
	var elements []string
	for i := range 500 {
		elements = append(elements, fmt.Sprintf(`{"URL":"https://tenant-%d.example.com/path"}`, i))
	}
	l := licensetest.Issue(t)
	l.AppURLs = license.JSONList("[" + strings.Join(elements, ",") + "]")
	text, _, err := authorizer.Authorize(t.Context(), l, now, token.Signature{})
	if err != nil {
		t.Fatal(err)
	}
	if _, claims := read(t, text, &key.PublicKey); claims["appurls"] != string(l.AppURLs) {
		t.Error("the URLs did not arrive")
	}
}

// TestMovedKey: no token leaves that would fail in the field.
func TestMovedKey(t *testing.T) {
	authorizer, key := newAuthorizer(t)
	authorizer.Key = rsaKey{key: key, signsWith: newRSAKey(t)}
	if text, _, err := authorizer.Authorize(t.Context(), licensetest.Issue(t), now, token.Signature{}); err == nil {
		t.Errorf("got %s", text)
	}
}

func TestSigningFails(t *testing.T) {
	authorizer, key := newAuthorizer(t)
	want := errors.New("throttled")
	authorizer.Key = rsaKey{key: key, err: want}
	if text, _, err := authorizer.Authorize(t.Context(), licensetest.Issue(t), now, token.Signature{}); text != "" ||
		!errors.Is(err, want) {
		t.Errorf("got %q, %v", text, err)
	}
}

// TestPublicKeyForms: the JWK, its thumbprint and the PEM are those of the key, as an independent library sees it.
func TestPublicKeyForms(t *testing.T) {
	key := newRSAKey(t)
	text, err := json.Marshal(token.NewJSONWebKey(&key.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	var jwk jose.JSONWebKey
	if err := json.Unmarshal(text, &jwk); err != nil {
		t.Fatal(err)
	}
	if !key.PublicKey.Equal(jwk.Key) || jwk.Use != "sig" || jwk.Algorithm != "RS256" {
		t.Errorf("JWK %s", text)
	}
	thumbprint, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if want := base64.RawURLEncoding.EncodeToString(thumbprint); jwk.KeyID != want {
		t.Errorf("kid %s, want %s", jwk.KeyID, want)
	}
	encoded, err := token.PublicKeyPEM(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(encoded)
	if block == nil || len(rest) > 0 || block.Type != "PUBLIC KEY" {
		t.Fatalf("PEM %s", encoded)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil || !key.PublicKey.Equal(parsed) {
		t.Errorf("PEM %s: %v", encoded, err)
	}
	if !slices.Equal(encoded[len(encoded)-1:], []byte("\n")) {
		t.Error("the PEM does not end with a line break")
	}
}
