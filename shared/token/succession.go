package token

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"time"
)

// KeyState says what a published token key is for. A key goes from Next to Current to Previous.
type KeyState string

// The states. A KeyStore holds at most one key in each.
const (
	Current  KeyState = "current"  // signs
	Next     KeyState = "next"     // waits until every product knows it
	Previous KeyState = "previous" // until its last token has expired; signs for licenses that are pinned to it
)

// StoredKey is a token key in a KeyStore.
type StoredKey struct {
	Name  string    // of the key in its store
	KeyID string    // the kid of its tokens
	Since time.Time // when it came into its state

	Public *rsa.PublicKey
}

// StoredKeys holds the key in each state. A state without a key is absent.
type StoredKeys map[KeyState]StoredKey

func (k StoredKeys) has(state KeyState) bool { _, has := k[state]; return has }

// same reports whether one key is in both states, as a promotion leaves it that was cut off.
func (k StoredKeys) same(a, b KeyState) bool { return k.has(a) && k.has(b) && k[a].Name == k[b].Name }

// KeyStore is the port to the token keys and their states. A call takes effect wholly or not at all. An error leaves
// open which.
type KeyStore interface {
	// Keys returns the keys. There always is a current one.
	Keys(ctx context.Context) (StoredKeys, error)
	// Create makes a key in the state Next, which has none. Called again after an error, it takes the key that the call
	// before has made.
	Create(ctx context.Context) error
	// Put gives a state to a key that has another one, which it keeps. The key that was in the state loses it.
	Put(ctx context.Context, state KeyState, key StoredKey) error
	// Clear takes a state from the key that has it.
	Clear(ctx context.Context, state KeyState) error
}

const (
	// DefaultLead is how long a key is published before it signs. Products are told to fetch the keys once a day.
	DefaultLead = 48 * time.Hour
	// MinLead is the shortest lead. HTTP lets caches keep the published keys for an hour, and those of a process are
	// minutes old. A process that cannot read the keys may publish old ones for a day; an alarm comes long before.
	MinLead = 2 * time.Hour
	// settling is how long a key may go on signing after it was replaced: clocks differ, and a store may take a moment
	// until all of its machines know.
	settling = time.Hour
)

// Succession replaces the token key, in three steps. A step is refused if it would strand a token: leave one that no
// published key verifies. A step may be cut off anywhere; taken again, it is completed.
type Succession struct {
	Store KeyStore
	Now   func() time.Time

	// Leases returns until when tokens of devices may be valid that were signed until an instant and outlive the
	// lifetime of tokens. Retire waits for them. Nil: it waits for none.
	Leases func(ctx context.Context, signedUntil time.Time) (time.Time, error)
}

// RefusedError reports that a step would strand a token, or has nothing to do. Nothing was changed. The message says
// why, and what to do instead.
type RefusedError struct{ Message string }

func (e *RefusedError) Error() string { return e.Message }

func refused(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

var errCutOff = &RefusedError{"a promotion was cut off; complete it first, by promoting again"}

// Prepare makes a new key and publishes it. Where a successor is published already, it does nothing.
func (s Succession) Prepare(ctx context.Context) error {
	keys, err := s.Store.Keys(ctx)
	switch {
	case err != nil:
		return err
	case keys.same(Next, Current):
		return errCutOff
	case keys.has(Next):
		return nil
	}
	return s.Store.Create(ctx)
}

// Promote lets the successor sign, when it has been published for the lead. The order of its calls keeps each key that
// has signed in some state, whatever happens. A SigningKey reads the states in the opposite order, so it misses none.
func (s Succession) Promote(ctx context.Context, lead time.Duration) error {
	keys, err := s.Store.Keys(ctx)
	switch {
	case err != nil:
		return err
	case lead < MinLead:
		return refused("a lead of %v is too short: caches may keep the published keys for an hour; the least is %v",
			lead, MinLead)
	case !keys.has(Next):
		return refused("there is no successor; prepare one first")
	case keys.same(Next, Current): // a promotion was cut off here
		return s.Store.Clear(ctx, Next)
	case keys.has(Previous) && !keys.same(Previous, Current):
		return refused("the key before this one is still published; retire it first")
	}
	if from := keys[Next].Since.Add(lead); s.Now().Before(from) {
		return refused("products may not know the successor yet; it can be promoted from %s on", instant(from))
	}
	if !keys.has(Previous) {
		if err := s.Store.Put(ctx, Previous, keys[Current]); err != nil {
			return err
		}
	}
	// A crash here leaves one key current and previous, which publishes nothing new. The next try goes on from here.
	if err := s.Store.Put(ctx, Current, keys[Next]); err != nil {
		return err
	}
	// A crash here leaves the successor current and next: it signs. The next try goes on from here.
	return s.Store.Clear(ctx, Next)
}

// Pins returns the ids of the licenses that are pinned to a key, or were at any time since an instant.
type Pins func(ctx context.Context, kid string, since time.Time) (licenseIDs []string, err error)

// Retire ends the publication of the predecessor, when its last token has expired, and returns what it was.
func (s Succession) Retire(ctx context.Context, lifetime time.Duration, pins Pins) (StoredKey, error) {
	keys, err := s.Store.Keys(ctx)
	switch {
	case err != nil:
		return StoredKey{}, err
	case !keys.has(Previous):
		return StoredKey{}, refused("there is no predecessor to retire")
	case keys.same(Previous, Current), keys.same(Next, Current):
		return StoredKey{}, errCutOff
	}
	retired := keys[Previous]
	if from := keys[Current].Since.Add(lifetime + settling); s.Now().Before(from) {
		return StoredKey{}, refused("tokens of the key %s may still be valid; it can be retired from %s on",
			retired.KeyID, instant(from))
	}
	if s.Leases != nil {
		until, err := s.Leases(ctx, keys[Current].Since.Add(settling))
		if err != nil {
			return StoredKey{}, errors.Join(errors.New("until when devices hold tokens of the key cannot be told"), err)
		}
		if s.Now().Before(until) {
			return StoredKey{}, refused("devices may hold tokens of the key %s until %s; wait for them, or strand them",
				retired.KeyID, instant(until))
		}
	}
	pinned, err := pins(ctx, retired.KeyID, s.Now().Add(-lifetime-settling))
	if err != nil {
		return StoredKey{}, errors.Join(errors.New("which licenses are pinned to the key cannot be told"), err)
	}
	if len(pinned) > 0 {
		const text = "licenses are pinned to the key %s, or were so recently that their tokens may still be valid: %s"
		return StoredKey{}, refused(text, retired.KeyID, strings.Join(pinned, ", "))
	}
	return retired, s.Store.Clear(ctx, Previous)
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }
