package verification_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"openlicenser/functions/verify/verification"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/apitest"
	"openlicenser/shared/token"
)

// The conformance file's licenses, by what they are there for.
const (
	activeID  = "00000000-0000-4000-8000-000000000001"
	revokedID = "00000000-0000-4000-8000-000000000002"
	expiredID = "00000000-0000-4000-8000-000000000003"
	unknownID = "00000000-0000-4000-8000-000000000999"
)

func shortKey(t testing.TB, secret token.Secret, id string) string {
	t.Helper()
	key, ok := token.SignShortKey(secret, id)
	if !ok {
		t.Fatalf("%s has no short key", id)
	}
	return key
}

// TestShortKeys: a short key gets what the long one of its license would get.
func TestShortKeys(t *testing.T) {
	c := readConformance(t)
	v := newVerifier(t, c)
	secret := token.Secret(c.Secret)
	key := shortKey(t, secret, activeID)
	for name, test := range map[string]struct{ key, want string }{
		"as it is":                  {key, ""},
		"in small letters":          {strings.ToLower(key), ""},
		"without hyphens":           {strings.ReplaceAll(key, "-", ""), ""},
		"typographic hyphens":       {strings.ReplaceAll(key, "-", "\u2011"), ""},
		"line breaks and quotes":    {"\u201c" + key[:20] + "\r\n> " + key[20:] + "\u201d", ""},
		"letters for digits":        {strings.NewReplacer("0", "O", "1", "l").Replace(key), ""},
		"revoked":                   {shortKey(t, secret, revokedID), "LICENSE_REVOKED"},
		"expired":                   {shortKey(t, secret, expiredID), "LICENSE_EXPIRED"},
		"of a license that is gone": {shortKey(t, secret, unknownID), "INVALID_LICENSE"},
		"of another secret":         {shortKey(t, secret+"x", activeID), "INVALID_LICENSE"},
		"another license's tag":     {key[:30] + shortKey(t, secret, revokedID)[30:], "INVALID_LICENSE"},
		"cut":                       {key[:len(key)-1], "INVALID_LICENSE"},
		"a full stop behind it":     {key + ".", "INVALID_LICENSE"},
		"a word before it":          {"Key: " + key, "INVALID_LICENSE"},
	} {
		t.Run(name, func(t *testing.T) { wantVerified(t, v, test.key, test.want) })
	}
	_, body := handle(t, v, verifyEvent(`{"licensekey":"`+key+`"}`, false))
	if id := readToken(t, v, body["message"])["licenseid"]; id != activeID {
		t.Errorf("the token is for %v", id)
	}
}

// wantVerified wants an error, or a token if that is empty.
func wantVerified(t *testing.T, v verification.Verifier, key, want string) {
	t.Helper()
	text, err := json.Marshal(map[string]string{"licensekey": key})
	if err != nil {
		t.Fatal(err)
	}
	response, body := handle(t, v, verifyEvent(string(text), false))
	if isOK := response.StatusCode == http.StatusOK; body["error"] != want || isOK != (want == "") {
		t.Errorf("got %d %s, want %q", response.StatusCode, response.Body, want)
	}
}

// fixedRing is a ring that never changes.
type fixedRing token.Ring

func (r fixedRing) Ring(context.Context) (token.Ring, error)    { return token.Ring(r), nil }
func (r fixedRing) Refresh(context.Context) (token.Ring, error) { return token.Ring(r), nil }

// TestShortKeysOfChangedSecrets: a short key lives and ends with its secret.
func TestShortKeysOfChangedSecrets(t *testing.T) {
	c := readConformance(t)
	v := newVerifier(t, c)
	const old = token.Secret("the secret that was in force before")
	retired := token.Ring{Current: token.Secret(c.Secret), Earlier: []token.EarlierSecret{{Secret: old}}}
	for name, test := range map[string]struct {
		secrets token.Secrets
		key     string
		want    string
	}{
		"an earlier secret": {fixedRing(retired), shortKey(t, old, activeID), ""},
		"a retired secret":  {fixedRing(retire(retired)), shortKey(t, old, activeID), "INVALID_LICENSE"},
		"beside a retired":  {fixedRing(retire(retired)), shortKey(t, retired.Current, activeID), ""},
		"one that is not read yet": {
			changingSecrets{cached: old, current: retired.Current}, shortKey(t, retired.Current, activeID), "",
		},
		"a short secret": {fixedSecret("9 bytes !"), shortKey(t, "9 bytes !", activeID), ""},
		"an empty secret": {
			fixedSecret(""), shortKey(t, old, activeID), "INTERNAL_LICENSE_SERVER_ERROR",
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := v
			v.Secrets = test.secrets
			wantVerified(t, v, test.key, test.want)
		})
	}
}

// retire returns the ring in which the earlier secret was retired an hour ago.
func retire(r token.Ring) token.Ring {
	r.Earlier = []token.EarlierSecret{{Secret: r.Earlier[0].Secret, RefusedFrom: time.Now().Add(-time.Hour)}}
	return r
}

// awaited holds the ring back until a license was read.
type awaited struct {
	token.Secrets
	read <-chan struct{}
}

func (a awaited) Ring(ctx context.Context) (token.Ring, error) {
	select {
	case <-a.read:
		return a.Secrets.Ring(ctx)
	case <-ctx.Done():
		return token.Ring{}, ctx.Err()
	}
}

// signalingReader tells when the license with an id was read.
type signalingReader struct {
	license.Reader
	id   string
	read chan<- struct{}
}

func (r signalingReader) Get(ctx context.Context, id string) (license.License, error) {
	if id == r.id {
		defer close(r.read)
	}
	return r.Reader.Get(ctx, id)
}

// TestShortKeyIsReadAhead: the license of a short key is read while the secret is still being fetched. Here the secret
// does not come before.
func TestShortKeyIsReadAhead(t *testing.T) {
	c := readConformance(t)
	v := newVerifier(t, c)
	read := make(chan struct{})
	v.Licenses = signalingReader{v.Licenses, activeID, read}
	v.Secrets = awaited{v.Secrets, read}
	router, done := v.Prefetch(t.Context())
	body := `{"licensekey":"` + shortKey(t, token.Secret(c.Secret), activeID) + `"}`
	response, err := router.Invoke(t.Context(), apitest.Event(verifyEvent(body, false)))
	if err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("got %d %s, %v", response.StatusCode, response.Body, err)
	}
	<-done
}
