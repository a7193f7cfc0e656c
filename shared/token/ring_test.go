package token_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/testing/licensetest"
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
		if _, err := token.ReadLicenseKey(rotated, key, now); !errors.Is(err, token.ErrSignature) ||
			!errors.Is(err, token.ErrInvalidLicenseKey) {
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
	for at, want := range map[time.Duration]token.Secret{
		0: secret, token.SigningDelay - 1: secret, token.SigningDelay: next,
	} {
		if got := rotated.Signing(now.Add(at)); got != want {
			t.Errorf("after %s the secret %s signs, want %s", at, got.KeyID(), want.KeyID())
		}
	}
	again := rotate(t, rotated, token.NewSecret(), now.Add(time.Minute))
	for at, want := range map[time.Duration]token.Secret{
		time.Minute: secret, token.SigningDelay: next, token.SigningDelay + time.Minute: again.Current,
	} {
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
	if err != nil || !retired.Earlier[0].RefusedFrom.Equal(now.Add(time.Hour)) ||
		!rotated.Earlier[0].RefusedFrom.IsZero() {
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

// TestSignedUntil: as long as Signing can return the secret, and an hour.
func TestSignedUntil(t *testing.T) {
	hasty := rotate(t, rotate(t, ring, next, now), token.NewSecret(), now.Add(5*time.Minute))
	year := now.AddDate(1, 0, 0)
	later := rotate(t, rotate(t, ring, next, now), token.NewSecret(), year)
	passedOver, err := later.Retire(next.KeyID(), year.Add(time.Hour))
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
		"again a year later":       {later, now.Add(token.SigningDelay + time.Hour)},
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

// TestSignedUntilHolds lets secrets be rotated, retired and dropped at random. None of them signs behind the instant
// that SignedUntil returns, but for the hour.
func TestSignedUntilHolds(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		r, signed := ring, map[token.Secret]time.Time{}
		for minute := range 300 {
			at := now.Add(time.Duration(minute) * time.Minute)
			switch random.IntN(20) {
			case 0, 1:
				r = rotate(t, r, token.NewSecret(), at)
			case 2:
				if all := r.All(); len(all) > 1 {
					from := at.Add(time.Duration(random.IntN(30)) * time.Minute)
					retired, err := r.Retire(all[1+random.IntN(len(all)-1)].KeyID(), from)
					if err != nil {
						t.Fatal(err)
					}
					r = retired
				}
			}
			signed[r.Signing(at)] = at
			for _, s := range r.All() {
				until, err := r.SignedUntil(s.KeyID())
				if err != nil || !until.IsZero() && signed[s].Add(time.Hour).After(until) {
					t.Fatalf("seed %d, minute %d: it signed at %s, and SignedUntil says %s, %v",
						seed, minute, signed[s], until, err)
				}
			}
		}
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
	again.Earlier[0].RefusedFrom = now.AddDate(5, 0, 0)
	if rotate(t, before, next, now).Follows(again) {
		t.Error("follows a ring that was changed meanwhile")
	}
	for name, change := range map[string]func(*token.EarlierSecret){
		"retired":            func(e *token.EarlierSecret) { e.RefusedFrom = now },
		"of another age":     func(e *token.EarlierSecret) { e.Created = now.Add(-time.Hour) },
		"replaced elsewhen":  func(e *token.EarlierSecret) { e.Replaced = now.Add(time.Hour) },
		"of another content": func(e *token.EarlierSecret) { e.Secret = token.NewSecret() },
	} {
		after := rotate(t, before, next, now)
		if change(&after.Earlier[0]); after.Follows(before) {
			t.Errorf("follows with the replaced secret %s", name)
		}
	}
}

// TestStoredIDs: each earlier secret stands beside its id.
func TestStoredIDs(t *testing.T) {
	text, err := rotate(t, ring, next, now).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var stored struct {
		Key     string
		Earlier []struct{ KID, Key, Replaced string }
	}
	if err := json.Unmarshal(text, &stored); err != nil {
		t.Fatal(err)
	}
	if stored.Key != string(next) || len(stored.Earlier) != 1 || stored.Earlier[0].KID != ring.Current.KeyID() ||
		stored.Earlier[0].Key != string(ring.Current) || stored.Earlier[0].Replaced == "" {
		t.Errorf("stored %s", text)
	}
}

// TestRefusedMakeRoom: a secret whose license keys are refused goes with the next rotation, and no other does.
func TestRefusedMakeRoom(t *testing.T) {
	full := ring
	for range 50 {
		full = rotate(t, full, token.NewSecret(), now)
	}
	full.Earlier[7].RefusedFrom, full.Earlier[8].RefusedFrom = now, now.Add(1)
	after := rotate(t, full, next, now)
	gone := full.Earlier[7].Secret
	if len(after.Earlier) != 50 || slices.Contains(after.All(), gone) ||
		!slices.Contains(after.All(), full.Earlier[8].Secret) {
		t.Errorf("%d earlier secrets", len(after.Earlier))
	}
	if !after.Follows(full) {
		t.Error("does not follow the full ring")
	}
	after.Earlier = slices.Delete(after.Earlier, 3, 4)
	if after.Follows(full) {
		t.Error("follows without a secret that is in force")
	}
	full.Earlier[7].RefusedFrom = time.Time{}
	if _, err := full.Rotate(next, now); !errors.Is(err, token.ErrRingFull) {
		t.Errorf("full: %v", err)
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

// TestShortSecret: a deployment of the original may have a secret that is shorter than we make them, and customers hold
// its keys.
func TestShortSecret(t *testing.T) {
	const short = token.Secret("9 bytes !")
	for _, length := range []int{1, 9, 31, 32} {
		s := token.Secret(strings.Repeat("s", length))
		read, err := token.ParseRing([]byte(`{"key":"` + string(s) + `"}`))
		if err != nil {
			t.Errorf("%d bytes: %v", length, err)
			continue
		}
		// signWith is not our own code, so what is signed stands for what the original has signed.
		if id, err := token.ReadLicenseKey(read, signWith(s, goodHeader, goodClaims), now); err != nil || id != "id-1" {
			t.Errorf("%d bytes: read %q, %v", length, id, err)
		}
		others := signWith(s+"s", goodHeader, goodClaims)
		if _, err := token.ReadLicenseKey(read, others, now); !errors.Is(err, token.ErrSignature) {
			t.Errorf("%d bytes: a key of another secret: %v", length, err)
		}
		if _, err := token.ReadLicenseKey(read, signedWith(t, read.Signing(now)), now); err != nil {
			t.Errorf("%d bytes: what is signed now: %v", length, err)
		}
		if got := read.Short(now); (got == 1) != (length < 32) || s.IsShort() != (length < 32) {
			t.Errorf("%d bytes: %d are short", length, got)
		}
	}

	rotated := rotate(t, token.Ring{Current: short}, token.NewSecret(), now)
	if got := rotated.Short(now); got != 1 {
		t.Errorf("rotated away: %d are short", got)
	}
	retired, err := rotated.Retire(short.KeyID(), now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Duration]int{time.Hour - 1: 1, time.Hour: 0} {
		if got := retired.Short(now.Add(at)); got != want {
			t.Errorf("retired in an hour, after %s: %d are short, want %d", at, got, want)
		}
	}
	// Whoever reads a log could guess a short secret by its hash, which the id is.
	_, err = token.ReadLicenseKey(retired, signWith(short, goodHeader, goodClaims), now.Add(time.Hour))
	if !errors.Is(err, token.ErrSignature) || strings.Contains(err.Error(), short.KeyID()) {
		t.Errorf("a retired one: %v", err)
	}
	again := rotate(t, retired, token.NewSecret(), now.Add(2*time.Hour))
	if slices.Contains(again.All(), short) {
		t.Error("it has stayed")
	}
}

// TestEmptySecretSignsNothing: a key that anyone can sign is none.
func TestEmptySecretSignsNothing(t *testing.T) {
	if key, err := token.SignLicenseKey("", "Test Issuer", licensetest.Issue(t)); err == nil {
		t.Errorf("signed %s", key)
	}
}

func TestEqual(t *testing.T) {
	rotated := rotate(t, ring, next, now)
	zone := now.In(time.FixedZone("elsewhere", 3600))
	for name, test := range map[string]struct {
		change func(*token.Ring)
		want   bool
	}{
		"the same":              {func(*token.Ring) {}, true},
		"in another zone":       {func(r *token.Ring) { r.Created = zone }, true},
		"another secret":        {func(r *token.Ring) { r.Current = secret }, false},
		"of another age":        {func(r *token.Ring) { r.Created = now.Add(1) }, false},
		"another earlier one":   {func(r *token.Ring) { r.Earlier[0].Secret = next }, false},
		"without the earlier":   {func(r *token.Ring) { r.Earlier = nil }, false},
		"an earlier is retired": {func(r *token.Ring) { r.Earlier[0].RefusedFrom = now }, false},
	} {
		other := rotated
		other.Earlier = slices.Clone(rotated.Earlier)
		if test.change(&other); rotated.Equal(other) != test.want || other.Equal(rotated) != test.want {
			t.Errorf("%s: want %t", name, test.want)
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
	for name, stored := range map[string]string{
		"as the original has it": `{"key":"` + long + `","more":1}`,
		"beside another case":    `{"key":"` + long + `","KEY":"another"}`,
		"twice":                  `{"key":"another","key":"` + long + `"}`, // the last one counts, as for the original
	} {
		if got, err := token.ParseRing([]byte(stored)); err != nil || !slices.Equal(got.All(), []token.Secret{long}) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, stored := range map[string]string{
		"empty": "", "no object": `"` + long + `"`, "no key": `{}`, "null": `{"key":null}`, "a number": `{"key":7}`,
		"empty key": `{"key":""}`, "empty earlier key": `{"key":"` + long + `","earlier":[{"key":""}]}`,
		"no earlier key": `{"key":"` + long + `","earlier":[null]}`, "in another case": `{"Key":"` + long + `"}`,
		"not UTF-8": "{\"key\":\"" + long + "\xff\"}", "half a character": `{"key":"` + long + `\ud800"}`,
		"no date": `{"key":"` + long + `","earlier":[{"key":"` + long + `","refusedfrom":"soon ` + long + `"}]}`,
		"too many earlier": `{"key":"` + long + `","earlier":[` + strings.Repeat(`{"key":"`+long+`"},`, 50) +
			`{"key":"` + long + `"}]}`,
	} {
		got, err := token.ParseRing([]byte(stored))
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), long[1:]) || len(got.Current) > 0 {
			t.Errorf("%s: the error holds the secret: %v", name, err)
		}
	}
}

// refusal matches all that ParseRing may say: it has no room for a secret.
var refusal = regexp.MustCompile(`^the license-key secret ` +
	`(is not a JSON object with the string "key" and, where it was changed, ` +
	`the list "earlier"|holds more than 50 earlier ones|` +
	`has no "key", or an empty one(, in place [0-9]{1,2} of "earlier")?)$`)

// FuzzParseRing: what is read is written and read again as the same ring, and an error holds nothing of what is stored.
func FuzzParseRing(f *testing.F) {
	rotated, err := ring.Rotate(next, now)
	if err != nil {
		f.Fatal(err)
	}
	if rotated, err = rotated.Retire(secret.KeyID(), now.Add(time.Hour)); err != nil {
		f.Fatal(err)
	}
	stored, err := rotated.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stored)
	f.Add([]byte(`{"key":"9 bytes !","earlier":[{"key":"<&>\u2028","created":"2027-01-31T00:00:00+03:30"}]}`))
	f.Add([]byte(`{"key":"a","key":"b","Key":"c","created":null,"earlier":null}`))
	f.Add([]byte(`{"key":"a","earlier":[{"key":"b"},{"key":""}]}`))
	f.Add([]byte(`{"key":7}`))
	f.Fuzz(func(t *testing.T, stored []byte) {
		read, err := token.ParseRing(stored)
		if err != nil {
			if !refusal.MatchString(err.Error()) || len(read.All()) != 1 || read.Current != "" {
				t.Fatalf("refused with a ring of %d: %v", len(read.All()), err)
			}
			return
		}
		if slices.Contains(read.All(), "") {
			t.Fatal("an empty secret was read")
		}
		again, err := read.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if reread, err := token.ParseRing(again); err != nil || !reread.Equal(read) {
			t.Fatalf("reads as another ring than it was written from: %v", err)
		}
		for _, s := range read.All() {
			signed, err := token.SignLicenseKey(s, "fuzz", licensetest.Issue(t))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := token.ReadLicenseKey(token.Ring{Current: s}, signed, now); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestRingDoesNotPrint(t *testing.T) {
	r := rotate(t, ring, next, now)
	var texts []string
	for _, verb := range "vsqxXdtT" {
		for _, flag := range []string{"", "+", "#", " "} {
			for _, value := range []any{r, &r, r.Current, r.Earlier, map[string]token.Secret{"key": r.Current}} {
				texts = append(texts, fmt.Sprintf("%"+flag+string(verb), value))
			}
		}
	}
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(handler).Info("ring", "ring", r, "secret", r.Current, "earlier", r.Earlier[0])
	}
	for _, text := range append(texts, log.String()) {
		for _, s := range r.All() {
			if strings.Contains(text, string(s)) || strings.Contains(text, hex.EncodeToString([]byte(s))) {
				t.Errorf("printed as %s", text)
			}
		}
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
