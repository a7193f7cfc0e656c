package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"openlicenser/shared/plainjson"
	"openlicenser/shared/strictjson"
)

// Secret signs license keys with HS256. Its bytes are the HMAC key as they are: nothing is decoded.
type Secret string

// NewSecret returns a secret of 260 random bits.
func NewSecret() Secret { return Secret(rand.Text() + rand.Text()) }

// Format keeps the secret out of errors, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, secretText) }

// LogValue keeps the secret out of logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(secretText) }

// LogValue keeps the secrets out of logs, whose JSON would be the one that is stored.
func (Ring) LogValue() slog.Value { return slog.StringValue(secretText) }

// LogValue keeps the secret out of logs.
func (EarlierSecret) LogValue() slog.Value { return slog.StringValue(secretText) }

const secretText = "[license-key secret]"

// KeyID returns the kid of the license keys that the secret signs: the RFC 7638 thumbprint of the symmetric JWK. It is
// a hash of the secret. A short secret can be guessed from it, so such an id belongs in no log (RFC 7638 section 7). A
// license key gives away as much, but only to the customer who has it.
func (s Secret) KeyID() string {
	sum := sha256.Sum256(fmt.Appendf(nil, `{"k":%q,"kty":"oct"}`, base64.RawURLEncoding.EncodeToString([]byte(s))))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// minSecret is the length of the digest, which RFC 7518 section 3.2 demands for HS256. New secrets have at least that.
const minSecret = 32

// IsShort reports whether the secret has fewer bytes than a new one must have. The original Open Licenser took any
// secret, and customers keep the license keys that it signed. So a short one is accepted, and signs until it is rotated
// away. Whoever has a license key of it may guess it.
func (s Secret) IsShort() bool { return len(s) < minSecret }

// nameInLog returns the KeyID where a log may hold it.
func (s Secret) nameInLog() string {
	if s.IsShort() {
		return "(a short one)"
	}
	return s.KeyID()
}

// maxEarlier bounds the ring. A license key that none of the secrets has signed costs an HMAC for each.
const maxEarlier = 50

// Ring is the key ring that is stored as the license-key secret: the secret that signs, and those that signed before
// it. Customers keep their license keys for years. It is stored as a JSON object, of which the tools of the original
// Open Licenser need and read the member key alone:
//
//	{"key":"…","created":"2027-01-31T00:00:00Z","earlier":[
//	  {"kid":"…","key":"…","created":"2026-01-31T00:00:00Z","replaced":"2027-01-31T00:00:00Z",
//	   "refusedfrom":"2028-01-31T00:00:00Z"}]}
type Ring struct {
	Current Secret          `json:"key"`
	Created time.Time       `json:"created,omitzero"`  // zero for a secret that others made
	Earlier []EarlierSecret `json:"earlier,omitempty"` // newest first
}

// EarlierSecret is a secret that another one has replaced. Its license keys are accepted until it is retired.
type EarlierSecret struct {
	Secret      Secret    `json:"key"`
	Created     time.Time `json:"created,omitzero"`
	Replaced    time.Time `json:"replaced,omitzero"`
	RefusedFrom time.Time `json:"refusedfrom,omitzero"` // license keys are refused from then on, inclusive; zero: never
}

// MarshalJSON implements json.Marshaler. It adds the KeyID for people; ParseRing ignores it.
func (e EarlierSecret) MarshalJSON() ([]byte, error) {
	type stored EarlierSecret
	return plainjson.Marshal(struct {
		KeyID string `json:"kid"`
		stored
	}{e.Secret.KeyID(), stored(e)})
}

// equal reports whether e and o are the same secret, with the same instants in whatever zone.
func (e EarlierSecret) equal(o EarlierSecret) bool {
	return e.Secret == o.Secret && e.Created.Equal(o.Created) && e.Replaced.Equal(o.Replaced) &&
		e.RefusedFrom.Equal(o.RefusedFrom)
}

func (e EarlierSecret) isRefused(now time.Time) bool {
	return !e.RefusedFrom.IsZero() && !now.Before(e.RefusedFrom)
}

// ParseRing parses a stored ring. Names are matched to the letter. Its errors hold nothing of a secret. An empty
// secret is an error, because anyone could sign with it. A short one is no error, see IsShort.
func ParseRing(stored []byte) (Ring, error) {
	var r Ring
	if strictjson.Unmarshal(stored, &r, jsontext.AllowDuplicateNames(true)) != nil {
		return Ring{}, errors.New(`the license-key secret is not a JSON object with the string "key"` +
			` and, where it was changed, the list "earlier"`)
	}
	if len(r.Earlier) > maxEarlier {
		return Ring{}, fmt.Errorf("the license-key secret holds more than %d earlier ones", maxEarlier)
	}
	if err := r.checkNotEmpty(); err != nil {
		return Ring{}, err
	}
	return r, nil
}

// checkNotEmpty returns an error if a secret of the ring is empty.
func (r Ring) checkNotEmpty() error {
	if r.Current == "" {
		return errors.New(`the license-key secret has no "key", or an empty one`)
	}
	for i, earlier := range r.Earlier {
		if earlier.Secret == "" {
			const text = `the license-key secret has no "key", or an empty one, in place %d of "earlier"`
			return fmt.Errorf(text, i+1)
		}
	}
	return nil
}

// accept returns nil if hasSigned reports true for a secret that is in force, and else ErrSignature. An empty secret is
// an error, because anyone could sign with it.
func (r Ring) accept(hasSigned func(Secret) bool, now time.Time) error {
	if err := r.checkNotEmpty(); err != nil {
		return err // the fault is ours, so this is no ErrInvalidLicenseKey
	}
	if hasSigned(r.Current) {
		return nil
	}
	for _, earlier := range r.Earlier {
		if !hasSigned(earlier.Secret) {
			continue
		}
		if earlier.isRefused(now) {
			return fmt.Errorf("%w; the secret %s was retired", ErrSignature, earlier.Secret.nameInLog())
		}
		return nil
	}
	return ErrSignature
}

// Marshal returns the ring as it is stored.
func (r Ring) Marshal() ([]byte, error) { return plainjson.Marshal(r) }

// All returns the current secret and then the earlier ones.
func (r Ring) All() []Secret {
	secrets := []Secret{r.Current}
	for _, earlier := range r.Earlier {
		secrets = append(secrets, earlier.Secret)
	}
	return secrets
}

// ShortWarning is what a log says of a ring with short secrets.
const ShortWarning = "license-key secrets of less than 32 bytes are accepted: rotate the secret, and retire them"

// Short returns the number of short secrets whose license keys are accepted at now.
func (r Ring) Short(now time.Time) int {
	short := 0
	if r.Current.IsShort() {
		short++
	}
	for _, earlier := range r.Earlier {
		if earlier.Secret.IsShort() && !earlier.isRefused(now) {
			short++
		}
	}
	return short
}

// Equal reports whether r and o hold the same secrets, with the same instants in whatever zone.
func (r Ring) Equal(o Ring) bool {
	return r.Current == o.Current && r.Created.Equal(o.Created) &&
		slices.EqualFunc(r.Earlier, o.Earlier, EarlierSecret.equal)
}

// SigningDelay is how long a new secret is accepted before it signs. By then every process that verifies has read it.
const SigningDelay = 10 * time.Minute

// Signing returns the secret that signs license keys at now: the newest one that is past its SigningDelay and was not
// retired. Where none is past it, that is the oldest one that was not retired, which most processes know.
func (r Ring) Signing(now time.Time) Secret {
	signing := r.Current
	if !now.Before(r.Created.Add(SigningDelay)) {
		return signing
	}
	for _, earlier := range r.Earlier {
		if !earlier.RefusedFrom.IsZero() {
			continue
		}
		if signing = earlier.Secret; !now.Before(earlier.Created.Add(SigningDelay)) {
			break
		}
	}
	return signing
}

// ErrRingFull reports that a ring holds as many earlier secrets as it can. Retiring some makes room, as soon as their
// license keys are refused.
var ErrRingFull = fmt.Errorf("there are %d earlier secrets already, the most that are kept; retire some: "+
	"those whose license keys are refused make room", maxEarlier)

// Rotate returns the ring in which next has replaced the current secret. Earlier secrets whose license keys are refused
// are dropped. Where that makes too little room, the error is ErrRingFull.
func (r Ring) Rotate(next Secret, now time.Time) (Ring, error) {
	switch {
	case next.IsShort():
		return Ring{}, fmt.Errorf("a secret must have at least %d bytes", minSecret)
	case slices.Contains(r.All(), next):
		return Ring{}, errors.New("the secret is in use already")
	}
	rotated := Ring{Current: next, Created: now, Earlier: r.replaced(now)}
	if len(rotated.Earlier) > maxEarlier {
		return Ring{}, ErrRingFull
	}
	return rotated, nil
}

// inForce returns the earlier secrets whose license keys are not refused at now.
func (r Ring) inForce(now time.Time) []EarlierSecret {
	return slices.DeleteFunc(slices.Clone(r.Earlier), func(e EarlierSecret) bool { return e.isRefused(now) })
}

// Retire returns the ring in which the license keys of an earlier secret are refused from an instant on, inclusive.
// The current secret cannot be retired.
func (r Ring) Retire(kid string, from time.Time) (Ring, error) {
	if kid == r.Current.KeyID() {
		return Ring{}, errors.New("the secret is the newest one; rotate first, and retire it then")
	}
	retired := Ring{Current: r.Current, Created: r.Created, Earlier: slices.Clone(r.Earlier)}
	for i := range retired.Earlier {
		if retired.Earlier[i].Secret.KeyID() == kid {
			retired.Earlier[i].RefusedFrom = from
			return retired, nil
		}
	}
	return Ring{}, fmt.Errorf("no secret has the id %s", kid)
}

// SignedUntil returns an instant after which the secret has signed no license key. It is zero if the secret may
// still sign, or if nobody knows when it was replaced. A secret signs on while the next one waits, and if the next one
// was retired. An hour is added for processes that could not read the ring anew.
func (r Ring) SignedUntil(kid string) (time.Time, error) {
	if kid == r.Current.KeyID() {
		return time.Time{}, nil
	}
	i := slices.IndexFunc(r.Earlier, func(e EarlierSecret) bool { return e.Secret.KeyID() == kid })
	if i < 0 {
		return time.Time{}, fmt.Errorf("no secret has the id %s", kid)
	}
	replaced := r.Earlier[i].Replaced
	if replaced.IsZero() {
		return time.Time{}, nil
	}
	newer := append([]EarlierSecret{{Secret: r.Current, Created: r.Created}}, r.Earlier[:i]...)
	for _, next := range slices.Backward(newer) {
		// next.Created is later than replaced if Rotate dropped a secret between the two.
		replaced = latest(replaced, next.Created)
		if next.RefusedFrom.IsZero() && !next.Replaced.Before(replaced.Add(SigningDelay)) {
			break
		}
		replaced = latest(replaced, next.Replaced)
	}
	return replaced.Add(SigningDelay + time.Hour), nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Follows reports whether r is what Rotate made of before.
func (r Ring) Follows(before Ring) bool {
	return slices.EqualFunc(r.Earlier, before.replaced(r.Created), EarlierSecret.equal)
}

// replaced returns the earlier secrets of the ring in which another secret replaces the current one at now.
func (r Ring) replaced(now time.Time) []EarlierSecret {
	return append([]EarlierSecret{{Secret: r.Current, Created: r.Created, Replaced: now}}, r.inForce(now)...)
}
