package token

import (
	"context"
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

// Secret signs license keys with HS256. Its bytes are the key, as they are: nothing is decoded.
type Secret string

// NewSecret makes a secret of 260 random bits.
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

// KeyID is the kid of the license keys that the secret signs: the thumbprint of RFC 7638 of the symmetric JWK. It is a
// hash of the secret, so the id of a short one belongs in no log (RFC 7638 section 7): it can be guessed at. A license
// key gives away no less, but only to the customer who has it.
func (s Secret) KeyID() string {
	sum := sha256.Sum256(fmt.Appendf(nil, `{"k":%q,"kty":"oct"}`, base64.RawURLEncoding.EncodeToString([]byte(s))))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// minSecret is the length of the digest, the least that RFC 7518 section 3.2 allows for HS256. New secrets have it.
const minSecret = 32

// IsShort tells whether the secret has fewer bytes than a new one must have. The original Open Licenser took any
// secret, and customers keep the license keys that it signed, so a short one is read and signs until it is rotated
// away. Whoever has one license key may guess it.
func (s Secret) IsShort() bool { return len(s) < minSecret }

// nameInLog is the KeyID where a log may hold it.
func (s Secret) nameInLog() string {
	if s.IsShort() {
		return "(a short one)"
	}
	return s.KeyID()
}

// maxEarlier bounds the ring: a key that none of its secrets has signed costs a HMAC for each.
const maxEarlier = 50

// Ring is what is stored as the license-key secret: the secret that signs, and those that signed before it, because
// customers keep their license keys for years. It is a JSON object, in which the tools of the original Open Licenser read and need
// nothing but key:
//
//	{"key":"…","created":"2027-01-31T00:00:00Z","earlier":[
//	  {"kid":"…","key":"…","created":"2026-01-31T00:00:00Z","replaced":"2027-01-31T00:00:00Z","refusedfrom":"2028-01-31T00:00:00Z"}]}
type Ring struct {
	Current Secret          `json:"key"`
	Created time.Time       `json:"created,omitzero"`  // zero for a secret that others made
	Earlier []EarlierSecret `json:"earlier,omitempty"` // newest first
}

// EarlierSecret is one that signs no more.
type EarlierSecret struct {
	Secret      Secret    `json:"key"`
	Created     time.Time `json:"created,omitzero"`
	Replaced    time.Time `json:"replaced,omitzero"`
	RefusedFrom time.Time `json:"refusedfrom,omitzero"` // from when on its license keys are refused, inclusive; zero: never
}

// MarshalJSON adds the id, for whoever looks at what is stored. It follows from the key, so nobody reads it.
func (e EarlierSecret) MarshalJSON() ([]byte, error) {
	type stored EarlierSecret
	return plainjson.Marshal(struct {
		KeyID string `json:"kid"`
		stored
	}{e.Secret.KeyID(), stored(e)})
}

// equal compares instants, whatever zone they are written in.
func (e EarlierSecret) equal(o EarlierSecret) bool {
	return e.Secret == o.Secret && e.Created.Equal(o.Created) && e.Replaced.Equal(o.Replaced) && e.RefusedFrom.Equal(o.RefusedFrom)
}

func (e EarlierSecret) isRefused(now time.Time) bool {
	return !e.RefusedFrom.IsZero() && !now.Before(e.RefusedFrom)
}

// ParseRing reads the stored secret, whose names are matched to the letter. Its errors hold nothing of it. An empty
// secret is an error, because anyone could sign with it. A short one is none, see IsShort.
func ParseRing(stored []byte) (Ring, error) {
	var r Ring
	if strictjson.Unmarshal(stored, &r, jsontext.AllowDuplicateNames(true)) != nil {
		return Ring{}, errors.New(`the license-key secret is not a JSON object with the string "key" and, where it was changed, the list "earlier"`)
	}
	if len(r.Earlier) > maxEarlier {
		return Ring{}, fmt.Errorf("the license-key secret holds more than %d earlier ones", maxEarlier)
	}
	if err := r.checkNotEmpty(); err != nil {
		return Ring{}, err
	}
	return r, nil
}

// checkNotEmpty wants every secret of the ring to be one.
func (r Ring) checkNotEmpty() error {
	if r.Current == "" {
		return errors.New(`the license-key secret has no "key", or an empty one`)
	}
	for i, earlier := range r.Earlier {
		if earlier.Secret == "" {
			return fmt.Errorf(`the license-key secret has no "key", or an empty one, in place %d of "earlier"`, i+1)
		}
	}
	return nil
}

// Marshal writes the ring as it is stored.
func (r Ring) Marshal() ([]byte, error) { return plainjson.Marshal(r) }

// All answers the current secret and then the earlier ones.
func (r Ring) All() []Secret {
	secrets := []Secret{r.Current}
	for _, earlier := range r.Earlier {
		secrets = append(secrets, earlier.Secret)
	}
	return secrets
}

// Short counts the short secrets whose license keys are accepted at now.
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

// Equal compares instants, whatever zone they are written in.
func (r Ring) Equal(o Ring) bool {
	return r.Current == o.Current && r.Created.Equal(o.Created) &&
		slices.EqualFunc(r.Earlier, o.Earlier, EarlierSecret.equal)
}

// SigningDelay is how long a new secret is only accepted before it signs. Every process that verifies has read it by then.
const SigningDelay = 10 * time.Minute

// Signing answers the secret that signs license keys at now: the newest one that has waited for its SigningDelay and was not
// retired. Where none has waited, the oldest is the one that most processes know.
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

// Rotate answers the ring in which next takes the place of the current secret, or an error where there is no room. Secrets whose
// license keys are refused go.
func (r Ring) Rotate(next Secret, now time.Time) (Ring, error) {
	switch {
	case next.IsShort():
		return Ring{}, fmt.Errorf("a secret must have at least %d bytes", minSecret)
	case slices.Contains(r.All(), next):
		return Ring{}, errors.New("the secret is in use already")
	}
	rotated := Ring{Current: next, Created: now, Earlier: []EarlierSecret{{Secret: r.Current, Created: r.Created, Replaced: now}}}
	rotated.Earlier = append(rotated.Earlier, r.inForce(now)...)
	if len(rotated.Earlier) > maxEarlier {
		return Ring{}, fmt.Errorf("there are %d earlier secrets already, the most that are kept; retire some (licenser keys retire): "+
			"those whose license keys are refused make room", maxEarlier)
	}
	return rotated, nil
}

// inForce answers the earlier secrets whose license keys are not refused at now.
func (r Ring) inForce(now time.Time) []EarlierSecret {
	return slices.DeleteFunc(slices.Clone(r.Earlier), func(e EarlierSecret) bool { return e.isRefused(now) })
}

// Retire answers the ring in which the license keys of an earlier secret are refused from a date on, inclusive. The error says what
// to do.
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

// SignedUntil answers an instant after which the secret has signed no license key; zero where it may sign still, or where
// nobody knows when it was replaced. A secret signs on while the next one waits, or is passed over because it was retired, and an
// hour more is for processes that could not read the ring anew.
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
		replaced = latest(replaced, next.Created) // which differ where Rotate has dropped a secret between the two
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

// Follows tells whether r is what Rotate made of before.
func (r Ring) Follows(before Ring) bool {
	replaced := EarlierSecret{Secret: before.Current, Created: before.Created, Replaced: r.Created}
	return slices.EqualFunc(r.Earlier, append([]EarlierSecret{replaced}, before.inForce(r.Created)...), EarlierSecret.equal)
}

// Secrets is the port to the ring. An error is a fault of ours, never of a license key.
type Secrets interface {
	// Ring answers the ring, which may be one from memory.
	Ring(ctx context.Context) (Ring, error)
	// Refresh answers a ring that is at most a minute old, for a key whose signature matches no secret.
	// Calling it often costs no more than calling it once a minute.
	Refresh(ctx context.Context) (Ring, error)
}

// ErrNoSecretValue says that a version has a stage, and no value yet.
var ErrNoSecretValue = errors.New("the version has no value")

// SecretVersions is the port to the versions of a stored ring, as Secrets Manager keeps them. Errors other than ErrNoSecretValue
// leave the outcome unknown.
type SecretVersions interface {
	// Stages answers the stages of each version, as AWSCURRENT.
	Stages(ctx context.Context, secretID string) (map[string][]string, error)
	// Get answers what a version holds, or ErrNoSecretValue.
	Get(ctx context.Context, secretID, version string) (Ring, error)
	// PutPending makes a version with the stage AWSPENDING, once: put again, it must hold the same.
	PutPending(ctx context.Context, secretID, version string, r Ring) error
	// DropPending takes the stage AWSPENDING from a version.
	DropPending(ctx context.Context, secretID, version string) error
	// MakeCurrent moves the stage AWSCURRENT from one version to another.
	MakeCurrent(ctx context.Context, secretID, from, to string) error
}
