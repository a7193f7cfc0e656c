package token

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Slot is a place that a token key stands in. Whatever stands in one is published.
type Slot string

// The slots. A key goes from Next to Current to Previous.
const (
	Current  Slot = "current"  // signs
	Next     Slot = "next"     // waits until every product knows it
	Previous Slot = "previous" // until its last token has expired; signs for licenses that are pinned to it
)

// SlotKey is the key in a slot.
type SlotKey struct {
	Name  string    // the store's, of the key and not of the slot
	KeyID string    // the kid of its tokens
	Since time.Time // when it came into the slot
}

// Slots holds what stands in each slot; what is empty is absent.
type Slots map[Slot]SlotKey

func (s Slots) has(slot Slot) bool { _, has := s[slot]; return has }

// same tells whether one key stands in both slots.
func (s Slots) same(a, b Slot) bool { return s.has(a) && s.has(b) && s[a].Name == s[b].Name }

// KeySlots is the port to the slots. Each call that changes something does so wholly or not at all; an error leaves open
// which.
type KeySlots interface {
	// Slots answers what stands where. There always is a current key.
	Slots(ctx context.Context) (Slots, error)
	// Create makes a key and puts it into Next, which is empty. After an error it can be called again, and uses a key that
	// the call before has made.
	Create(ctx context.Context) error
	// Put puts a key that stands in another slot into this one too, in place of what is there.
	Put(ctx context.Context, slot Slot, key SlotKey) error
	// Clear empties a slot.
	Clear(ctx context.Context, slot Slot) error
}

const (
	// DefaultLead is how long a key is published before it signs. Products are told to ask for the keys once a day.
	DefaultLead = 48 * time.Hour
	// MinLead is the least: caches may keep the published keys for an hour, as HTTP tells them, and what a process answers is
	// minutes old. Where a process cannot read the keys it may be a day, and an alarm says so before.
	MinLead = 2 * time.Hour
	// settling is how long a predecessor may still have signed after it was replaced: KMS takes a moment to tell all of its
	// machines, and clocks differ.
	settling = time.Hour
)

// Succession gives the token key a successor, in three steps. Each refuses what would strand a token, can be cut off
// anywhere, and is then completed by taking it again.
type Succession struct {
	Keys KeySlots
	Now  func() time.Time
}

// RefusedError says why a step would strand a token or has nothing to do, and what to do instead. Nothing was changed.
type RefusedError struct{ Message string }

func (e *RefusedError) Error() string { return e.Message }

func refused(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

// Prepare publishes a new key. Where one is published already, it stays.
func (s Succession) Prepare(ctx context.Context) error {
	slots, err := s.Keys.Slots(ctx)
	switch {
	case err != nil:
		return err
	case slots.same(Next, Current):
		return refused("a promotion was cut off; complete it first, with promote")
	case slots.has(Next):
		return nil
	}
	return s.Keys.Create(ctx)
}

// Promote lets the successor sign when it has been published for the lead. The order matters: whatever happens, each key that
// has signed stands in a slot. See also the order in which awskeys.SigningKey reads them.
func (s Succession) Promote(ctx context.Context, lead time.Duration) error {
	slots, err := s.Keys.Slots(ctx)
	switch {
	case err != nil:
		return err
	case lead < MinLead:
		return refused("a lead of %v is too short: caches may keep the published keys for an hour; the least is %v", lead, MinLead)
	case !slots.has(Next):
		return refused("there is no successor; publish one first, with prepare")
	case slots.same(Next, Current): // an earlier try came this far
		return s.Keys.Clear(ctx, Next)
	case slots.has(Previous) && !slots.same(Previous, Current):
		return refused("the key before this one is still published; retire it first")
	}
	if from := slots[Next].Since.Add(lead); s.Now().Before(from) {
		return refused("products may not know the successor yet; it can be promoted from %s on", from.UTC().Format(time.RFC3339))
	}
	if !slots.has(Previous) {
		if err := s.Keys.Put(ctx, Previous, slots[Current]); err != nil {
			return err
		}
	}
	// A crash here leaves one key in two slots, which publishes nothing new. The next try goes on from here.
	if err := s.Keys.Put(ctx, Current, slots[Next]); err != nil {
		return err
	}
	// And here the successor signs, and stands in two slots.
	return s.Keys.Clear(ctx, Next)
}

// Pins answers the ids of the licenses that were pinned to a key at an instant or later, or are still.
type Pins func(ctx context.Context, kid string, since time.Time) (licenseIDs []string, err error)

// Retire stops the publication of the predecessor, when its last token has expired, and answers what it was.
func (s Succession) Retire(ctx context.Context, lifetime time.Duration, pins Pins) (SlotKey, error) {
	slots, err := s.Keys.Slots(ctx)
	switch {
	case err != nil:
		return SlotKey{}, err
	case !slots.has(Previous):
		return SlotKey{}, refused("there is no predecessor to retire")
	case slots.same(Previous, Current), slots.same(Next, Current):
		return SlotKey{}, refused("a promotion was cut off; complete it first, with promote")
	}
	retired := slots[Previous]
	if from := slots[Current].Since.Add(lifetime + settling); s.Now().Before(from) {
		return SlotKey{}, refused("tokens of the key %s may still be valid; it can be retired from %s on", retired.KeyID, from.UTC().Format(time.RFC3339))
	}
	pinned, err := pins(ctx, retired.KeyID, s.Now().Add(-lifetime-settling))
	if err != nil {
		return SlotKey{}, errors.Join(errors.New("which licenses are pinned to the key cannot be told"), err)
	}
	if len(pinned) > 0 {
		return SlotKey{}, refused("licenses are pinned to the key %s, or were so recently that their tokens may still be valid: %s",
			retired.KeyID, strings.Join(pinned, ", "))
	}
	return retired, s.Keys.Clear(ctx, Previous)
}
