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
	SequenceNumber string // in the stream, of the latest event that was recorded
	RecordHash     string // of the record after that event, see HashRecord; empty where it was deleted
}

// After returns the head of the chain when e has followed h. A late entry tells of an older event, so it changes
// neither SequenceNumber nor RecordHash.
func (h Head) After(e Entry) Head {
	after := Head{Sequence: e.Sequence, Hash: e.Hash, SequenceNumber: e.SequenceNumber, RecordHash: e.RecordHash}
	if e.Late {
		after.SequenceNumber, after.RecordHash = h.SequenceNumber, h.RecordHash
	}
	return after
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

// Store keeps chains. Nothing that was appended is ever changed or removed.
type Store interface {
	// Head returns the chain's head, and the zero Head where there is no chain. It is strongly consistent. It returns
	// ErrUnreadable for what is no head.
	Head(ctx context.Context, licenseID string) (Head, error)

	// Append adds the entry and replaces the head, if that still is from; both or neither. It returns ErrConflict for
	// another head, and ErrNoSequence for an entry before the first. Any other error leaves the outcome unknown.
	Append(ctx context.Context, from Head, e Entry) error

	// Entries returns up to limit entries with a Sequence greater than after, in order. It returns ErrUnreadable where
	// one of them is none.
	Entries(ctx context.Context, licenseID string, after int64, limit int) ([]Entry, error)
}

// Recorder appends an entry for each event, exactly once.
type Recorder struct {
	Store Store

	// OnGap, where it is set, is called with every entry that has Gap or Late. The call comes just before the entry is
	// appended, so that no crash loses it; the same entry may come again.
	OnGap func(context.Context, Entry)
}

// maxAttempts bounds how often Record begins again because another process appended to the same chain.
const maxAttempts = 5

// Record appends the event's entry, unless the chain holds it already. A change of index attributes alone has none.
// Events of one license come in the order of their sequence numbers. An event that comes behind a later one gets an
// entry that is Late: it was held back, or someone else has written the head. After an error the event can be recorded
// again, whatever became of the first attempt. A new event takes two calls of the store.
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
	for range maxAttempts {
		head, err := r.Store.Head(ctx, v.LicenseID)
		if err != nil {
			return fmt.Errorf("head of %s: %w", v.LicenseID, err)
		}
		if head != (Head{}) && (head.Sequence < 1 || !isDecimal(head.SequenceNumber)) {
			return fmt.Errorf("%w: license %s, entry %d, sequence number %q",
				ErrHead, v.LicenseID, head.Sequence, head.SequenceNumber)
		}
		isLate := head != (Head{}) && !license.IsLater(v.SequenceNumber, head.SequenceNumber)
		if isLate {
			recorded, err := r.isRecorded(ctx, v, head)
			if recorded || err != nil {
				return err
			}
		}
		e, err := v.entry(head, isLate)
		if err != nil {
			return err
		}
		if (e.Gap || e.Late) && r.OnGap != nil {
			r.OnGap(ctx, e)
		}
		if err := r.Store.Append(ctx, head, e); !errors.Is(err, ErrConflict) {
			return err
		}
		if err := r.checkBehind(ctx, v.LicenseID, head.Sequence); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w %d times: license %s", ErrConflict, maxAttempts, v.LicenseID)
}

// checkBehind returns ErrPlanted where an entry stands behind the head. Entries come with their head, so that one that
// is read first and is behind the head after that was put there by itself.
func (r Recorder) checkBehind(ctx context.Context, licenseID string, sequence int64) error {
	e, err := r.entry(ctx, licenseID, sequence+1)
	if err != nil || e.Sequence <= sequence {
		return err
	}
	head, err := r.Store.Head(ctx, licenseID)
	if err != nil || head.Sequence > sequence {
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
		case license.IsLater(e.SequenceNumber, v.SequenceNumber):
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
	isSameNumber := !license.IsLater(e.SequenceNumber, v.SequenceNumber) &&
		!license.IsLater(v.SequenceNumber, e.SequenceNumber)
	return isSameNumber && e.EventID == v.ID
}

func isDecimal(number string) bool {
	return number != "" && strings.Trim(number, "0123456789") == ""
}
