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

// TestAuthorizeDevice: the token says the device, and expires with the lease or with the license. But for these two
// claims it says what that without a device says.
func TestAuthorizeDevice(t *testing.T) {
	authorizer, key := newAuthorizer(t)
	l := licensetest.Issue(t)
	plain, _, err := authorizer.Authorize(t.Context(), l, now, token.Signature{})
	if err != nil {
		t.Fatal(err)
	}
	if again, _, err := authorizer.AuthorizeDevice(t.Context(), l, token.Lease{}, now, token.Signature{}); err != nil ||
		again != plain {
		t.Errorf("without a device: %s, %v; want %s", again, err, plain)
	}
	_, want := read(t, plain, &key.PublicKey)
	if _, names := want["device"]; names {
		t.Error("the token without a device names one")
	}
	l.ExpirationDate, l.GraceDays = now.Add(300*24*time.Hour), 7
	for name, test := range map[string]struct{ lease, want time.Duration }{
		"shorter than a token":    {time.Hour, time.Hour},
		"longer than a token":     {200 * 24 * time.Hour, 200 * 24 * time.Hour},
		"longer than the license": {400 * 24 * time.Hour, 307 * 24 * time.Hour},
	} {
		lease := token.Lease{Device: "q0fXo2JyTmCq1s9u7Zb3Zw", Expires: now.Add(test.lease).Truncate(time.Second)}
		text, signature, err := authorizer.AuthorizeDevice(t.Context(), l, lease, now, token.Signature{})
		if err != nil {
			t.Fatal(err)
		}
		_, claims := read(t, text, &key.PublicKey)
		exp := time.Unix(int64(claims["exp"].(float64)), 0)
		if claims["device"] != lease.Device || !exp.Equal(now.Add(test.want).Truncate(time.Second)) {
			t.Errorf("%s: device %v, exp %v", name, claims["device"], exp)
		}
		if !signature.Expires.Equal(lease.Expires) {
			t.Errorf("%s: the signature is of a lease until %v", name, signature.Expires)
		}
		for _, same := range []string{"iss", "sub", "iat", "licenseid", "services", "appurls", "customername"} {
			if claims[same] != want[same] {
				t.Errorf("%s: %s is %v, want %v", name, same, claims[same], want[same])
			}
		}
	}
}

// TestSameDeviceTokenAgain: the signature of a device's token is that of no other device's, nor of another end.
func TestSameDeviceTokenAgain(t *testing.T) {
	authorizer, _ := newAuthorizer(t)
	l := licensetest.Issue(t)
	lease := token.Lease{Device: "A", Expires: now.Add(time.Hour).Truncate(time.Second)}
	first, signature, err := authorizer.AuthorizeDevice(t.Context(), l, lease, now, token.Signature{})
	if err != nil {
		t.Fatal(err)
	}
	stored := token.Signature{SignedAt: signature.SignedAt, Expires: signature.Expires, Bytes: signature.Bytes}
	otherEnd := stored
	otherEnd.Expires = stored.Expires.Add(time.Second)
	for name, test := range map[string]struct {
		device string
		kept   token.Signature
		again  bool
	}{
		"as it is": {"A", stored, true}, "another device": {"B", stored, false}, "no device": {"", stored, false},
		"another end": {"A", otherEnd, false},
	} {
		longer := token.Lease{Device: test.device, Expires: lease.Expires.Add(time.Minute)}
		text, _, err := authorizer.AuthorizeDevice(t.Context(), l, longer, now.Add(time.Minute), test.kept)
		if err != nil || (text == first) != test.again {
			t.Errorf("%s: the same token: %v, %v", name, text == first, err)
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
