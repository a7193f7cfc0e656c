package token_test

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"testing"
	"time"

	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/token"
)

// countingKey counts what it signs.
type countingKey struct {
	token.SigningKey
	signed *int
}

func (k countingKey) SignDigest(ctx context.Context, by *rsa.PublicKey, digest [sha256.Size]byte) ([]byte, error) {
	*k.signed++
	return k.SigningKey.SignDigest(ctx, by, digest)
}

// TestSameTokenAgain: an earlier signature makes the same token as long as that would say the same, whether it is known
// from memory or was stored.
func TestSameTokenAgain(t *testing.T) {
	healthy, key := newAuthorizer(t)
	l := licensetest.Issue(t)
	first, signature, err := healthy.Authorize(t.Context(), l, now, token.Signature{})
	if err != nil {
		t.Fatal(err)
	}
	stored := token.Signature{SignedAt: signature.SignedAt, Bytes: signature.Bytes}
	otherKey := newRSAKey(t)
	for name, test := range map[string]struct {
		change    func(*token.Authorizer, *license.License)
		isTheSame bool
	}{
		"nothing": {func(*token.Authorizer, *license.License) {}, true},
		// No token says the notes.
		"notes":         {func(_ *token.Authorizer, l *license.License) { l.Notes += "." }, true},
		"customer name": {func(_ *token.Authorizer, l *license.License) { l.CustomerName += "." }, false},
		"services":      {func(_ *token.Authorizer, l *license.License) { l.Services = "[]" }, false},
		"URLs":          {func(_ *token.Authorizer, l *license.License) { l.AppURLs = "[]" }, false},
		"another one":   {func(_ *token.Authorizer, l *license.License) { l.ID = "another" }, false},
		"expiration": {
			func(_ *token.Authorizer, l *license.License) { l.ExpirationDate = l.ExpirationDate.AddDate(1, 0, 0) },
			false,
		},
		"earlier end": {
			func(_ *token.Authorizer, l *license.License) { l.ExpirationDate = now.Add(time.Hour) }, false,
		},
		"token lifetime": {func(a *token.Authorizer, _ *license.License) { a.Lifetime -= 24 * time.Hour }, false},
		"issuer":         {func(a *token.Authorizer, _ *license.License) { a.Issuer += "." }, false},
		"signing key": {
			func(a *token.Authorizer, _ *license.License) { a.Key = rsaKey{key: otherKey, signsWith: otherKey} }, false,
		},
	} {
		for kind, earlier := range map[string]token.Signature{"from memory": signature, "stored": stored} {
			t.Run(name+" "+kind, func(t *testing.T) {
				authorizer, changed := healthy, l
				test.change(&authorizer, &changed)
				var signed int
				authorizer.Key = countingKey{authorizer.Key, &signed}
				text, again, err := authorizer.Authorize(t.Context(), changed, now.Add(time.Hour), earlier)
				if err != nil {
					t.Fatal(err)
				}
				if test.isTheSame != (text == first) || test.isTheSame != (signed == 0) {
					t.Errorf("signed %d times; the same token: %v", signed, text == first)
				}
				if _, _, err := authorizer.Authorize(t.Context(), changed, now.Add(2*time.Hour), again); err != nil {
					t.Fatal(err)
				}
				if signed > 1 {
					t.Error("what Authorize answers does not serve again")
				}
				verifier := &key.PublicKey
				if name == "signing key" {
					verifier = &otherKey.PublicKey
				}
				_, claims := read(t, text, verifier)
				if exp := time.Unix(int64(claims["exp"].(float64)), 0); exp.After(changed.EndsAt()) ||
					exp.After(now.Add(time.Hour+authorizer.Lifetime)) {
					t.Errorf("the token ends at %v", exp)
				}
			})
		}
	}
}

// TestForeignSignature: what stands in the table is believed as far as the key says it.
func TestForeignSignature(t *testing.T) {
	authorizer, key := newAuthorizer(t)
	l := licensetest.Issue(t)
	for name, bytes := range map[string][]byte{
		"short": {1}, "none of it": make([]byte, 256), "long": make([]byte, 1024),
	} {
		earlier := token.Signature{SignedAt: now.Truncate(time.Second), Bytes: bytes}
		text, _, err := authorizer.Authorize(t.Context(), l, now, earlier)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		read(t, text, &key.PublicKey)
	}
}

func TestReusePeriod(t *testing.T) {
	const day = 24 * time.Hour
	for days, want := range map[string]time.Duration{"": 9 * day, "0": 0, "1": day, "89": 89 * day} {
		if got, err := token.ReusePeriod(days, 90*day); got != want || err != nil {
			t.Errorf("%q: %v, %v", days, got, err)
		}
	}
	for _, days := range []string{"90", "-1", "x", "1.5", "65536", " 1"} {
		if got, err := token.ReusePeriod(days, 90*day); err == nil {
			t.Errorf("%q: %v", days, got)
		}
	}
}
