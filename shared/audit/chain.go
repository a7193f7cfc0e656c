package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Head is the end of a chain: what an entry must follow. The zero Head is that of a chain without entries.
type Head struct {
	Sequence       int64
	Hash           string
	SequenceNumber string // of the stream, of the last event that was recorded
	RecordHash     string // of the record after that event, see HashRecord; empty where it was deleted
}

// After is the head of the chain when e has followed h. A late entry moves neither the stream's number nor the record back.
func (h Head) After(e Entry) Head {
	after := Head{Sequence: e.Sequence, Hash: e.Hash, SequenceNumber: e.SequenceNumber, RecordHash: e.RecordHash}
	if e.Late {
		after.SequenceNumber, after.RecordHash = h.SequenceNumber, h.RecordHash
	}
	return after
}

// ErrConflict says that the chain has moved on since its head was read; nothing was written.
var ErrConflict = errors.New("the audit chain has moved on")

// ErrHead says that a head does not lead to the last entry of its chain: another hand has moved it. Nothing can be recorded
// until it is mended.
var ErrHead = errors.New("the head does not lead to the last entry of its chain")

// ErrNoSequence says that an entry has no place in a chain: the first is entry 1.
var ErrNoSequence = errors.New("the sequence of an audit entry begins with 1")

// Store keeps chains. Nothing that was appended is ever changed or removed.
type Store interface {
	// Head answers the zero Head where there is no chain. It is strongly consistent.
	Head(ctx context.Context, licenseID string) (Head, error)

	// Append adds the entry and moves the chain's head from `from` to it, both or neither, or answers
	// ErrConflict, or ErrNoSequence for an entry before the first. Any other error leaves the outcome unknown.
	Append(ctx context.Context, from Head, e Entry) error

	// Entries answers up to limit entries with a Sequence greater than after, in order.
	Entries(ctx context.Context, licenseID string, after int64, limit int) ([]Entry, error)
}

// Recorder appends an entry for each event, exactly once.
type Recorder struct {
	Store Store

	// Gap, where it is set, is told of every entry with Gap or Late just before it is appended, so that none is lost with
	// an invocation that ends there; the same one may come again.
	Gap func(context.Context, Entry)
}

// maxAttempts bounds how often Record begins anew when another invocation moves the same chain.
const maxAttempts = 5

// Record appends the event's entry, unless the chain holds it already. Events of one license come in the order of their
// sequence numbers. One that is not later than the head's and yet has no entry was held back, or the head was moved by another
// hand: its entry is Late. After an error the event can be recorded again, whatever became of the first try. A new event takes
// two calls of the store.
func (r Recorder) Record(ctx context.Context, v Event) error {
	if !isDecimal(v.SequenceNumber) {
		return fmt.Errorf("event %s: sequence number %q is not decimal", v.ID, v.SequenceNumber)
	}
	if v.Old == nil && v.New == nil {
		return fmt.Errorf("event %s: neither an old nor a new record", v.ID)
	}
	for range maxAttempts {
		head, err := r.Store.Head(ctx, v.LicenseID)
		if err != nil {
			return fmt.Errorf("head of %s: %w", v.LicenseID, err)
		}
		if head != (Head{}) && (head.Sequence < 1 || !isDecimal(head.SequenceNumber)) {
			return fmt.Errorf("%w: license %s, entry %d, sequence number %q", ErrHead, v.LicenseID, head.Sequence, head.SequenceNumber)
		}
		isLate := head != (Head{}) && !laterThan(v.SequenceNumber, head.SequenceNumber)
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
		if (e.Gap || e.Late) && r.Gap != nil {
			r.Gap(ctx, e)
		}
		if err := r.Store.Append(ctx, head, e); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("%w %d times: license %s", ErrConflict, maxAttempts, v.LicenseID)
}

// isRecorded looks for the event's entry: at the end of the chain, where the usual repetition is, then by halves, because the
// stream's numbers grow along the chain, and at last everywhere, because late entries stand apart.
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
		case laterThan(e.SequenceNumber, v.SequenceNumber):
			high = middle - 1
		default:
			low = middle + 1
		}
	}
	for after := int64(0); ; {
		entries, err := r.Store.Entries(ctx, v.LicenseID, after, pageSize)
		if err != nil || len(entries) == 0 {
			return false, err
		}
		if slices.ContainsFunc(entries, v.isOf) {
			return true, nil
		}
		after = entries[len(entries)-1].Sequence
	}
}

// entry answers the zero Entry where there is none.
func (r Recorder) entry(ctx context.Context, licenseID string, sequence int64) (Entry, error) {
	entries, err := r.Store.Entries(ctx, licenseID, sequence-1, 1)
	if err != nil || len(entries) == 0 {
		return Entry{}, err
	}
	return entries[0], nil
}

// pageSize is the number of entries that are read at once.
const pageSize = 100

func (v Event) isOf(e Entry) bool {
	return e.EventID == v.ID && !laterThan(e.SequenceNumber, v.SequenceNumber) && !laterThan(v.SequenceNumber, e.SequenceNumber)
}

func isDecimal(number string) bool {
	return number != "" && strings.Trim(number, "0123456789") == ""
}

// laterThan compares the stream's sequence numbers, decimal numbers of up to 40 digits.
func laterThan(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) > len(b)
	}
	return a > b
}
