package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"openlicenser/shared/license"
)

// Head is the end of a chain, which the next entry must follow. The zero Head is that of a chain without entries.
type Head struct {
	Sequence       int64  // of the last entry
	Hash           string // of the last entry
	Stream         string // of the latest event that was recorded, see Position
	SequenceNumber string // of the latest event that was recorded
	RecordHash     string // of the record after that event, see HashRecord; empty where it was deleted

	// The latest erasure: its entry, before which nothing is disclosed, and its event. Zero where there was none.
	ErasedSequence int64
	ErasedStream   string
	ErasedNumber   string

	GapSequence int64 // of the latest entry that has Gap or Late; 0 where none has
}

func (h Head) position() Position { return Position{h.Stream, h.SequenceNumber} }
func (h Head) erased() Position   { return Position{h.ErasedStream, h.ErasedNumber} }

// After returns the head of the chain when e has followed h. A late entry tells of an older event, so it changes
// neither the position nor RecordHash.
func (h Head) After(e Entry) Head {
	after := h
	after.Sequence, after.Hash = e.Sequence, e.Hash
	if !e.Late {
		after.Stream, after.SequenceNumber, after.RecordHash = e.Stream, e.SequenceNumber, e.RecordHash
	}
	if e.Gap || e.Late {
		after.GapSequence = e.Sequence
	}
	if e.Action == Erased {
		after.ErasedSequence = e.Sequence
		if h.ErasedSequence == 0 || e.Position().IsLater(h.erased()) {
			after.ErasedStream, after.ErasedNumber = e.Stream, e.SequenceNumber
		}
	}
	return after
}

// State is what is stored of the end of a chain: the head, and what no entry tells.
type State struct {
	Head

	// Nonces are those of the record after the latest event that was recorded. No list and no route shows them.
	Nonces Nonces

	StoredHash string // of that record, see HashStored
}

// Errors of a chain, to be tested with errors.Is.
var (
	// ErrConflict reports that the chain has grown since its head was read. Nothing was written.
	ErrConflict = errors.New("the audit chain has grown meanwhile")

	// ErrHead reports that the stored head is not that of the chain's last entry: someone else has written it.
	// Nothing can be recorded until it is repaired.
	ErrHead = errors.New("the stored head is not that of the last entry of its chain")

	// ErrUnreadable reports what is stored of one chain and is no head or entry: someone else has written it.
	ErrUnreadable = errors.New("the stored chain cannot be read")

	// ErrPlanted reports an entry behind the end of a chain, which no head names: someone else has written it. Nothing
	// can be recorded until it is removed.
	ErrPlanted = errors.New("an entry stands behind the end of its chain")

	// ErrNoSequence reports an entry whose sequence is less than 1, which is that of the first.
	ErrNoSequence = errors.New("the sequence of an audit entry begins with 1")
)

// Store keeps chains. No entry that was appended is ever changed or removed.
type Store interface {
	// State returns what is stored of the chain's end, and the zero State where there is no chain. It is strongly
	// consistent. It returns ErrUnreadable for what is no head.
	State(ctx context.Context, licenseID string) (State, error)

	// Append adds the entry, as it is stored, its Disclosure where there is any, and replaces the state, if its Head
	// still is from; all or nothing. It returns ErrConflict for another head, and ErrNoSequence for an entry before the
	// first. Any other error leaves the outcome unknown.
	Append(ctx context.Context, from Head, e Entry, to State) error

	// Disclosures returns the disclosures of the entries from first to last, as far as they were not forgotten, in the
	// order of their sequences. It returns ErrUnreadable where one of them is none.
	Disclosures(ctx context.Context, licenseID string, first, last int64) ([]Disclosure, error)

	Erasures
}

// Recorder appends an entry for each event, exactly once.
type Recorder struct {
	Store Store

	// OnGap, where it is set, is called with every entry that has Gap or Late. The call comes just before the entry is
	// appended, so that no crash loses it; the same entry may come again.
	OnGap func(context.Context, Entry)

	// OnReturn, where it is set, is called in the same way with every entry of a license whose customer was forgotten,
	// and whose record has a personal value again.
	OnReturn func(context.Context, Entry)

	// Nonce returns the nonce of a value that an event tells of: a random one unless it is set.
	Nonce func(v Event, value string) string
}

// maxAttempts bounds how often Record begins again because another process appended to the same chain.
const maxAttempts = 5

// Record appends the event's entry, unless the chain holds it already. A change of index attributes alone has none.
// Events of one license come in the order of their positions. An event that comes behind a later one gets an entry that
// is Late: it was held back, or someone else has written the head. After an error the event can be recorded again,
// whatever became of the first attempt. A new event takes two calls of the store.
//
// An erasure makes the store forget what the entries before it disclose. Where that was interrupted, it is done when
// the event comes again.
func (r Recorder) Record(ctx context.Context, v Event) error {
	if !isDecimal(v.SequenceNumber) {
		return fmt.Errorf("event %s: sequence number %q is not decimal", v.ID, v.SequenceNumber)
	}
	if v.Old == nil && v.New == nil {
		return fmt.Errorf("event %s: neither an old nor a new record", v.ID)
	}
	if v.isIndexOnly() {
		return nil
	}
	if r.Nonce == nil {
		r.Nonce = newNonce
	}
	for range maxAttempts {
		from, err := r.Store.State(ctx, v.LicenseID)
		if err != nil {
			return fmt.Errorf("head of %s: %w", v.LicenseID, err)
		}
		if from.Head != (Head{}) && (from.Sequence < 1 || !isDecimal(from.SequenceNumber)) {
			return fmt.Errorf("%w: license %s, entry %d, sequence number %q",
				ErrHead, v.LicenseID, from.Sequence, from.SequenceNumber)
		}
		isLate := from.Head != (Head{}) && !v.position().IsLater(from.position())
		if isLate {
			recorded, err := r.isRecorded(ctx, v, from.Head)
			if recorded && err == nil && from.ErasedSequence > 0 {
				err = CompleteErasure(ctx, r.Store, v.LicenseID, from.ErasedSequence)
			}
			if recorded || err != nil {
				return err
			}
		}
		e, to, err := v.entry(from, isLate, r.Nonce)
		if err != nil {
			return err
		}
		r.tell(ctx, v, e, to.Head)
		switch err := r.Store.Append(ctx, from.Head, e, to); {
		case err == nil && e.Action == Erased:
			return CompleteErasure(ctx, r.Store, v.LicenseID, e.Sequence)
		case !errors.Is(err, ErrConflict):
			return err
		}
		if err := r.checkBehind(ctx, v.LicenseID, from.Sequence); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w %d times: license %s", ErrConflict, maxAttempts, v.LicenseID)
}

// tell calls who wants to know of the entry.
func (r Recorder) tell(ctx context.Context, v Event, e Entry, after Head) {
	if (e.Gap || e.Late) && r.OnGap != nil {
		r.OnGap(ctx, e)
	}
	wasErased := after.ErasedSequence > 0 || v.New[license.AttrErased] != nil
	if wasErased && !e.Late && license.HoldsPersonal(v.New) && r.OnReturn != nil {
		r.OnReturn(ctx, e)
	}
}

// checkBehind returns ErrPlanted where an entry stands behind the head. Entries come with their head, so that one that
// is read first and is behind the head after that was put there by itself.
func (r Recorder) checkBehind(ctx context.Context, licenseID string, sequence int64) error {
	e, err := r.entry(ctx, licenseID, sequence+1)
	if err != nil || e.Sequence <= sequence {
		return err
	}
	state, err := r.Store.State(ctx, licenseID)
	if err != nil || state.Sequence > sequence {
		return err
	}
	return fmt.Errorf("%w: license %s, entry %d", ErrPlanted, licenseID, e.Sequence)
}

// isRecorded reports whether the chain holds the event's entry. It looks at the end of the chain first, where the
// entry of an event that came twice usually is. Then it searches by halves, because the stream's numbers grow along
// the chain. At last it reads the whole chain, because late entries stand out of that order.
func (r Recorder) isRecorded(ctx context.Context, v Event, head Head) (bool, error) {
	last, err := r.entry(ctx, v.LicenseID, head.Sequence)
	switch {
	case err != nil:
		return false, err
	case last.Sequence != head.Sequence || last.Hash != head.Hash:
		return false, fmt.Errorf("%w: license %s, entry %d", ErrHead, v.LicenseID, head.Sequence)
	case v.isOf(last):
		return true, nil
	}
	for low, high := int64(1), head.Sequence-1; low <= high; {
		middle := low + (high-low)/2
		e, err := r.entry(ctx, v.LicenseID, middle)
		switch {
		case err != nil:
			return false, err
		case v.isOf(e):
			return true, nil
		case e.Position().IsLater(v.position()):
			high = middle - 1
		default:
			low = middle + 1
		}
	}
	return Contains(ctx, r.Store, v.LicenseID, v.isOf)
}

// Contains reports whether a chain has an entry that is as wanted. It reads the chain from its start.
func Contains(ctx context.Context, store Store, licenseID string, isWanted func(Entry) bool) (bool, error) {
	for after := int64(0); ; {
		entries, err := store.Entries(ctx, licenseID, after, pageSize)
		if err != nil || len(entries) == 0 {
			return false, err
		}
		if slices.ContainsFunc(entries, isWanted) {
			return true, nil
		}
		after = entries[len(entries)-1].Sequence
	}
}

// entry returns the entry with a sequence, and the zero Entry where there is none.
func (r Recorder) entry(ctx context.Context, licenseID string, sequence int64) (Entry, error) {
	entries, err := r.Store.Entries(ctx, licenseID, sequence-1, 1)
	if err != nil || len(entries) == 0 {
		return Entry{}, err
	}
	return entries[0], nil
}

// pageSize is the number of entries that are read at once.
const pageSize = 100

// isOf reports whether e is the event's entry.
func (v Event) isOf(e Entry) bool {
	return e.Position().Compare(v.position()) == 0 && e.EventID == v.ID
}

func isDecimal(number string) bool {
	return number != "" && strings.Trim(number, "0123456789") == ""
}
