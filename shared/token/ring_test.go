package token_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/license/licensetest"
	"openlicenser/shared/token"
)

const next = token.Secret("the secret that comes after the first")

func rotate(t *testing.T, r token.Ring, to token.Secret, at time.Time) token.Ring {
	t.Helper()
	rotated, err := r.Rotate(to, at)
	if err != nil {
		t.Fatal(err)
	}
	return rotated
}

func signedWith(t *testing.T, s token.Secret) string {
	t.Helper()
	key, err := token.SignLicenseKey(s, "Test Issuer", licensetest.Issue(t))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestSecretKeyID: the kids are the thumbprints of RFC 7638, made with Python's json and hashlib.
func TestSecretKeyID(t *testing.T) {
	for s, want := range map[token.Secret]string{
		"a secret of more than thirty-two bytes": "mRJgqACReuXX3w4nW-2ZrHMLcvlpzPldXd7OwpgSk9c",
		"ümlaut < & > \" and 0123456789abcdef":   "p5KzZ1pBNOrP0IlhRyy3KSnMZJtbwnTz7bWxjXV4HuU",
	} {
		if got := s.KeyID(); got != want {
			t.Errorf("kid %s, want %s", got, want)
		}
	}
}

// TestRotate: a license key lasts through every change of the secret, and one whose secret was retired until its date.
func TestRotate(t *testing.T) {
	first, second := signedWith(t, secret), signedWith(t, next)
	without := sign(goodHeader, goodClaims) // as the original signs, without a kid
	rotated := rotate(t, rotate(t, ring, next, now.Add(-time.Hour)), token.NewSecret(), now)
	for name, key := range map[string]string{"first": first, "second": second, "without a kid": without} {
		if _, err := token.ReadLicenseKey(rotated, key, now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := token.ReadLicenseKey(ring, second, now); !errors.Is(err, token.ErrSignature) {
		t.Errorf("a ring that does not hold the secret yet: %v", err)
	}

	rotated.Earlier[1].RefusedFrom = now
	if _, err := token.ReadLicenseKey(rotated, first, now.Add(-1)); err != nil {
		t.Errorf("retired, the moment before: %v", err)
	}
	for name, key := range map[string]string{"first": first, "without a kid": without} {
		if _, err := token.ReadLicenseKey(rotated, key, now); !errors.Is(err, token.ErrInvalidLicenseKey) || errors.Is(err, token.ErrSignature) {
			t.Errorf("%s, retired: %v", name, err)
		}
	}
	if _, err := token.ReadLicenseKey(rotated, second, now); err != nil {
		t.Errorf("the one that is not retired: %v", err)
	}
}

// TestSigning: a new secret is accepted before it signs, unless the one before it must no longer.
func TestSigning(t *testing.T) {
	rotated := rotate(t, ring, next, now)
	for at, want := range map[time.Duration]token.Secret{0: secret, token.SigningDelay - 1: secret, token.SigningDelay: next} {
		if got := rotated.Signing(now.Add(at)); got != want {
			t.Errorf("after %s the secret %s signs, want %s", at, got.KeyID(), want.KeyID())
		}
	}
	again := rotate(t, rotated, token.NewSecret(), now.Add(time.Minute))
	for at, want := range map[time.Duration]token.Secret{time.Minute: secret, token.SigningDelay: next, token.SigningDelay + time.Minute: again.Current} {
		if got := again.Signing(now.Add(at)); got != want {
			t.Errorf("changed twice, after %s the secret %s signs, want %s", at, got.KeyID(), want.KeyID())
		}
	}
	if ring.Signing(now) != secret {
		t.Error("a secret that was never changed does not sign")
	}
	rotated.Earlier[0].RefusedFrom = now.Add(time.Hour)
	if rotated.Signing(now) != next {
		t.Error("a retired secret signs")
	}
}

func TestRetire(t *testing.T) {
	rotated := rotate(t, ring, next, now)
	retired, err := rotated.Retire(secret.KeyID(), now.Add(time.Hour))
	if err != nil || !retired.Earlier[0].RefusedFrom.Equal(now.Add(time.Hour)) || !rotated.Earlier[0].RefusedFrom.IsZero() {
		t.Errorf("refused from %s, %v", retired.Earlier[0].RefusedFrom, err)
	}
	for _, kid := range []string{next.KeyID(), token.NewSecret().KeyID(), ""} {
		if _, err := rotated.Retire(kid, now); err == nil {
			t.Errorf("retired %q", kid)
		}
	}
	until, err := rotated.SignedUntil(secret.KeyID())
	if err != nil || !until.Equal(now.Add(token.SigningDelay+time.Hour)) {
		t.Errorf("signed until %s, %v", until, err)
	}
	if until, err = rotated.SignedUntil(next.KeyID()); err != nil || !until.IsZero() {
		t.Errorf("the newest signed until %s, %v", until, err)
	}
	if _, err := rotated.SignedUntil("unknown"); err == nil {
		t.Error("an unknown secret has signed")
	}
}

// TestSignedUntil: as long as Signing can answer the secret, and an hour.
func TestSignedUntil(t *testing.T) {
	hasty := rotate(t, rotate(t, ring, next, now), token.NewSecret(), now.Add(5*time.Minute))
	year := now.AddDate(1, 0, 0)
	passedOver, err := rotate(t, rotate(t, ring, next, now), token.NewSecret(), year).Retire(next.KeyID(), year.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	unknown := rotate(t, ring, next, now)
	unknown.Earlier[0].Replaced = time.Time{}
	for name, test := range map[string]struct {
		ring token.Ring
		want time.Time
	}{
		"rotated once":             {rotate(t, ring, next, now), now.Add(token.SigningDelay + time.Hour)},
		"twice in a row":           {hasty, now.Add(5*time.Minute + token.SigningDelay + time.Hour)},
		"again a year later":       {rotate(t, rotate(t, ring, next, now), token.NewSecret(), year), now.Add(token.SigningDelay + time.Hour)},
		"the next one was retired": {passedOver, year.Add(token.SigningDelay + time.Hour)},
		"nobody knows when":        {unknown, time.Time{}},
	} {
		if got, err := test.ring.SignedUntil(secret.KeyID()); err != nil || !got.Equal(test.want) {
			t.Errorf("%s: %s, %v, want %s", name, got, err, test.want)
		}
	}
	if passedOver.Signing(year) != secret {
		t.Error("the secret before a retired one does not sign while the newest waits")
	}
}

// TestFollows: dates are compared as instants, whatever zone they are written in.
func TestFollows(t *testing.T) {
	const stored = `{"key":"0123456789abcdef0123456789abcdef","earlier":[
		{"key":"abcdef0123456789abcdef0123456789","refusedfrom":"2030-01-01T00:00:00+03:30"}]}`
	before, err := token.ParseRing([]byte(stored))
	if err != nil {
		t.Fatal(err)
	}
	again, err := token.ParseRing([]byte(stored))
	if err != nil {
		t.Fatal(err)
	}
	if after := rotate(t, before, next, now); !after.Follows(again) || again.Follows(after) || after.Follows(ring) {
		t.Error("does not follow, or follows another")
	}
	again.Earlier[0].RefusedFrom = now
	if rotate(t, before, next, now).Follows(again) {
		t.Error("follows a ring that was changed meanwhile")
	}
}

func TestRotateRefused(t *testing.T) {
	full := ring
	for range 50 {
		full = rotate(t, full, token.NewSecret(), now)
	}
	for name, test := range map[string]struct {
		ring token.Ring
		next token.Secret
	}{
		"too short": {ring, "shorter than thirty-two bytes"}, "the same": {ring, secret},
		"an earlier one": {rotate(t, ring, next, now), secret}, "full": {full, token.NewSecret()},
	} {
		if _, err := test.ring.Rotate(test.next, now); err == nil || strings.Contains(err.Error(), "thirty-two") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseRing(t *testing.T) {
	const long = "0123456789abcdef0123456789abcdef"
	want := rotate(t, rotate(t, ring, next, now), token.NewSecret(), now.Add(time.Hour))
	want.Earlier[1].RefusedFrom = now.Add(24 * time.Hour)
	text, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := token.ParseRing(text)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if got, err := token.ParseRing([]byte(`{"key":"` + long + `","more":1}`)); err != nil || !slices.Equal(got.All(), []token.Secret{long}) {
		t.Errorf("as the original has it: %v", err)
	}
	for name, stored := range map[string]string{
		"empty": "", "no object": `"` + long + `"`, "no key": `{}`, "null": `{"key":null}`, "a number": `{"key":7}`,
		"empty key": `{"key":""}`, "31 bytes": `{"key":"` + long[1:] + `"}`,
		"31 bytes earlier": `{"key":"` + long + `","earlier":[{"key":"` + long[1:] + `"}]}`,
		"no date":          `{"key":"` + long + `","earlier":[{"key":"` + long + `","refusedfrom":"soon ` + long + `"}]}`,
		"too many earlier": `{"key":"` + long + `","earlier":[` + strings.Repeat(`{"key":"`+long+`"},`, 50) + `{"key":"` + long + `"}]}`,
	} {
		got, err := token.ParseRing([]byte(stored))
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), long[1:]) || len(got.Current) > 0 {
			t.Errorf("%s: the error holds the secret: %v", name, err)
		}
	}
}

func TestRingDoesNotPrint(t *testing.T) {
	r := rotate(t, ring, next, now)
	if text := fmt.Sprintf("%v %+v %s %q", r, r, r, r); strings.Contains(text, "thirty-two") || strings.Contains(text, "comes after") {
		t.Errorf("printed as %s", text)
	}
}

// BenchmarkReadLicenseKey: a forged key is tried against every secret of a ring.
func BenchmarkReadLicenseKey(b *testing.B) {
	full := ring
	for range 50 {
		full, _ = full.Rotate(token.NewSecret(), now)
	}
	good, err := token.SignLicenseKey(secret, "Test Issuer", licensetest.Issue(b))
	if err != nil {
		b.Fatal(err)
	}
	for name, test := range map[string]struct {
		ring token.Ring
		key  string
	}{"one secret": {ring, good}, "the oldest of 51": {full, good}, "forged": {full, good[:len(good)-4] + "AAAA"}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = token.ReadLicenseKey(test.ring, test.key, now)
			}
		})
	}
}
