package token_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/token"
)

// shortKeyVectors is the published file. Another program has made it from the documented format.
type shortKeyVectors struct {
	Text string
	Keys []struct {
		Secret    token.Secret
		LicenseID string
		ShortKey  string
		Spellings []string
	}
	NoShortKey []string
	Refusing   token.Secret
	Refused    []struct{ Name, Text string }
}

func readShortKeyVectors(t testing.TB) (v shortKeyVectors) {
	t.Helper()
	text, err := os.ReadFile("testdata/shortkeys.json")
	if err := errors.Join(err, json.Unmarshal(text, &v)); err != nil {
		t.Fatal(err)
	}
	if len(v.Keys) == 0 || len(v.NoShortKey) == 0 || len(v.Refused) == 0 {
		t.Fatal("no vectors")
	}
	return v
}

// asDocumented makes a short key as docs/keys-and-tokens.md describes it, with other means than the service: the
// digits of one large number.
func asDocumented(t testing.TB, secret token.Secret, licenseID string) string {
	t.Helper()
	id, err := hex.DecodeString(strings.ReplaceAll(licenseID, "-", ""))
	if err != nil || len(id) != 16 {
		t.Fatal(licenseID, err)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("Open Licenser short license key " + licenseID))
	number := new(big.Int).SetBytes(append(id, mac.Sum(nil)[:10]...))
	digits := number.Lsh(number, 2).Text(32)
	digits = strings.Repeat("0", 42-len(digits)) + digits
	key := ""
	for i, digit := range digits {
		if i > 0 && i%6 == 0 {
			key += "-"
		}
		key += string("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[strings.IndexRune("0123456789abcdefghijklmnopqrstuv", digit)])
	}
	return key
}

// TestShortKeyVectors holds the published vectors, the service and an independent computation to each other.
func TestShortKeyVectors(t *testing.T) {
	v := readShortKeyVectors(t)
	for _, k := range v.Keys {
		if want := asDocumented(t, k.Secret, k.LicenseID); k.ShortKey != want {
			t.Errorf("the vector of %s is %s, want %s", k.LicenseID, k.ShortKey, want)
		}
		if got, ok := token.SignShortKey(k.Secret, k.LicenseID); !ok || got != k.ShortKey {
			t.Errorf("%s: signed %s, %v, want %s", k.LicenseID, got, ok, k.ShortKey)
		}
		for _, text := range append(k.Spellings, k.ShortKey) {
			id, err := token.ReadLicenseKey(token.Ring{Current: k.Secret}, text, now)
			if err != nil || id != k.LicenseID || token.UnverifiedLicenseID(text) != id {
				t.Errorf("%q reads as %q, %v, want %s", text, id, err, k.LicenseID)
			}
		}
	}
	for _, id := range v.NoShortKey {
		if key, ok := token.SignShortKey(secret, id); ok || key != "" {
			t.Errorf("the id %q has the short key %s", id, key)
		}
	}
	for _, refused := range v.Refused {
		id, err := token.ReadLicenseKey(token.Ring{Current: v.Refusing}, refused.Text, now)
		if !errors.Is(err, token.ErrInvalidLicenseKey) || id != "" {
			t.Errorf("%s: got %q, %v", refused.Name, id, err)
		}
	}
	if key, ok := token.SignShortKey("", shortID); ok {
		t.Errorf("the empty secret signed %s", key)
	}
}

const shortID = "0199d1a2-7c3e-7b5a-9d0e-3f2a1b4c5d6e"

// TestShortKeyTextIsApart: no license key and no cursor has a MAC over what a short key's tag is over.
func TestShortKeyTextIsApart(t *testing.T) {
	text := readShortKeyVectors(t).Text
	if strings.Trim(text, base64URL+".") == "" || !strings.Contains(text, " ") {
		t.Errorf("a license key may begin with %q", text)
	}
	if strings.HasPrefix(text, "cursor") || strings.HasPrefix("cursor", text) {
		t.Errorf("a cursor's MAC may be over %q", text)
	}
}

// TestShortKeyIsNoLongOne: neither form passes for the other, whatever is cut from it or put to it.
func TestShortKeyIsNoLongOne(t *testing.T) {
	short := asDocumented(t, secret, shortID)
	long := sign(goodHeader, `{"licenseid":"`+shortID+`"}`)
	segments := strings.Split(long, ".")
	for name, key := range map[string]string{
		"short, one dot":          short[:20] + "." + short[20:],
		"short, two dots":         short[:20] + "." + short[20:30] + "." + short[30:],
		"short, signed":           short + "." + short + "." + hs256(secret, short+"."+short),
		"short as the signature":  segments[0] + "." + segments[1] + "." + strings.ReplaceAll(short, "-", ""),
		"long, without its dots":  strings.ReplaceAll(long, ".", ""),
		"a long one's signature":  segments[2],
		"42 characters of a long": long[:42],
	} {
		if id, err := token.ReadLicenseKey(ring, key, now); !errors.Is(err, token.ErrInvalidLicenseKey) {
			t.Errorf("%s: got %q, %v", name, id, err)
		}
	}
}

// TestFlippedCharacter: whatever byte stands for another one, the key verifies only if it spells the same.
func TestFlippedCharacter(t *testing.T) {
	short := asDocumented(t, secret, shortID)
	for at := range len(short) {
		for c := range 256 {
			flipped := short[:at] + string([]byte{byte(c)}) + short[at+1:]
			_, err := token.ReadLicenseKey(ring, flipped, now)
			if accepted := err == nil; accepted != (spelled(flipped) == spelled(short)) {
				t.Errorf("%q: %v", flipped, err)
			}
			if err != nil && !errors.Is(err, token.ErrInvalidLicenseKey) {
				t.Errorf("%q: %v", flipped, err)
			}
		}
	}
}

// spelled evens out what the documented format lets people write.
func spelled(key string) string {
	return strings.NewReplacer(
		"-", "", " ", "", "O", "0", "o", "0", "I", "1", "i", "1", "L", "1", "l", "1",
		"a", "A", "b", "B", "c", "C", "d", "D", "e", "E", "f", "F", "g", "G", "h", "H", "j", "J", "k", "K", "m", "M",
		"n", "N", "p", "P", "q", "Q", "r", "R", "s", "S", "t", "T", "v", "V", "w", "W", "x", "X", "y", "Y", "z", "Z",
	).Replace(key)
}

// TestShortKeyAndRing: a short key lasts through every change of the secret, as a long one does.
func TestShortKeyAndRing(t *testing.T) {
	first, second := asDocumented(t, secret, shortID), asDocumented(t, next, shortID)
	rotated := rotate(t, rotate(t, ring, next, now.Add(-time.Hour)), token.NewSecret(), now)
	retired := rotate(t, rotate(t, ring, next, now.Add(-time.Hour)), token.NewSecret(), now)
	retired.Earlier[1].RefusedFrom = now
	for name, test := range map[string]struct {
		ring token.Ring
		key  string
		at   time.Time
		want error
	}{
		"of the current secret":           {ring, first, now, nil},
		"of an earlier one":               {rotated, second, now, nil},
		"of the earliest":                 {rotated, first, now, nil},
		"of one that is not known yet":    {ring, second, now, token.ErrSignature},
		"of a retired one, just before":   {retired, first, now.Add(-1), nil},
		"of a retired one, at the moment": {retired, first, now, token.ErrSignature},
		"beside a retired one":            {retired, second, now, nil},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := token.ReadLicenseKey(test.ring, test.key, test.at)
			if !errors.Is(err, test.want) || (err == nil) != (id == shortID) {
				t.Errorf("got %q, %v, want %v", id, err, test.want)
			}
		})
	}
	long := sign(goodHeader, goodClaims)
	_, errLong := token.ReadLicenseKey(retired, long, now)
	_, errShort := token.ReadLicenseKey(retired, first, now)
	if errLong == nil || errShort == nil || errLong.Error() != errShort.Error() {
		t.Errorf("retired: a long key gets %v, a short one %v", errLong, errShort)
	}
}

// TestBadSecretIsOurFaultForShortKeys: it must not look like an invalid key, which would make a product drop its
// license.
func TestBadSecretIsOurFaultForShortKeys(t *testing.T) {
	for _, bad := range []token.Ring{{}, {Current: secret, Earlier: []token.EarlierSecret{{}}}} {
		for _, s := range []token.Secret{"", secret} {
			_, err := token.ReadLicenseKey(bad, asDocumented(t, s, shortID), now)
			if err == nil || errors.Is(err, token.ErrInvalidLicenseKey) {
				t.Errorf("a ring of %d: %v", len(bad.All()), err)
			}
		}
	}
}

// FuzzReadShortKey: a text without dots that is accepted is signed, and spells the one short key of its license.
func FuzzReadShortKey(f *testing.F) {
	v := readShortKeyVectors(f)
	for _, k := range v.Keys {
		f.Add(string(k.Secret), k.ShortKey)
		f.Add(string(k.Secret), k.Spellings[len(k.Spellings)-1])
	}
	for _, refused := range v.Refused {
		f.Add(string(v.Refusing), refused.Text)
	}
	f.Fuzz(func(t *testing.T, secret, key string) {
		id, err := token.ReadLicenseKey(token.Ring{Current: token.Secret(secret)}, key, now)
		if err != nil {
			if secret != "" && !errors.Is(err, token.ErrInvalidLicenseKey) || id != "" {
				t.Fatal(id, err)
			}
			return
		}
		if token.UnverifiedLicenseID(key) != id {
			t.Fatalf("%q is for %s, and unverified for another", key, id)
		}
		if strings.Contains(key, ".") {
			return // see FuzzReadLicenseKey
		}
		want := asDocumented(t, token.Secret(secret), id)
		signed, ok := token.SignShortKey(token.Secret(secret), id)
		if !ok || signed != want || spelled(key) != spelled(want) {
			t.Fatalf("accepted %q, signed %q, want %q", key, signed, want)
		}
	})
}

// BenchmarkReadShortKey is BenchmarkReadLicenseKey for short keys.
func BenchmarkReadShortKey(b *testing.B) {
	full := ring
	for range 50 {
		full, _ = full.Rotate(token.NewSecret(), now)
	}
	key, ok := token.SignShortKey(secret, licensetest.Issue(b).ID)
	if !ok {
		b.Fatal("no short key")
	}
	for name, r := range map[string]token.Ring{"one secret": ring, "the oldest of 51": full} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := token.ReadLicenseKey(r, key, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
