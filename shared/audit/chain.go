package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Head is the end of a chain: what an entry must follow. The zero Head is that of a chain without entries.
type Head struct {
	Sequence       int64
	Hash           string
	SequenceNumber string // of the stream, of the last event that was recorded
	RecordHash     string // of the record after that event, see HashRecord; empty where it was deleted
}

// HeadOf is the head of a chain that ends with e.
func HeadOf(e Entry) Head {
	return Head{Sequence: e.Sequence, Hash: e.Hash, SequenceNumber: e.SequenceNumber, RecordHash: e.RecordHash}
}

// ErrConflict says that the chain has moved on since its head was read; nothing was written.
var ErrConflict = errors.New("the audit chain has moved on")

// ErrSuppressed says that an event is not later than the head of its chain, and yet the chain has no entry of it: the
// head was moved by another hand, or the event comes after later ones were recorded. It cannot be recorded any more, and
// must be kept elsewhere.
var ErrSuppressed = errors.New("an event is missing in the audit chain, which has gone on without it")

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

	// Gap, where it is set, is told of every entry with Gap just before it is appended, so that none is lost with an
	// invocation that ends there; the same one may come again.
	Gap func(context.Context, Entry)
}

// maxAttempts bounds how often Record begins anew when another invocation moves the same chain.
const maxAttempts = 5

// Record appends the event's entry, unless the chain holds it already: events of one license come in the
// order of their sequence numbers, so one that is not later than the head's is a repetition, or ErrSuppressed. After any
// other error the event can be recorded again, whatever became of the first try. A new event takes two calls of the store.
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
		if head != (Head{}) && !isDecimal(head.SequenceNumber) {
			return fmt.Errorf("head of %s: sequence number %q is not decimal", v.LicenseID, head.SequenceNumber)
		}
		if head != (Head{}) && !laterThan(v.SequenceNumber, head.SequenceNumber) {
			return r.wantRecorded(ctx, v, head)
		}
		e, err := v.entry(head)
		if err != nil {
			return err
		}
		if e.Gap && r.Gap != nil {
			r.Gap(ctx, e)
		}
		if err := r.Store.Append(ctx, head, e); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("%w %d times: license %s", ErrConflict, maxAttempts, v.LicenseID)
}

// wantRecorded answers ErrSuppressed for an event without an entry. The head's own event, the usual repetition, needs no
// look at the entries: a head that was planted for one event is a gap at the next. An older one is looked for by halves,
// because the stream's sequence numbers grow along the chain; that happens when a shard is read anew.
func (r Recorder) wantRecorded(ctx context.Context, v Event, head Head) error {
	if !laterThan(head.SequenceNumber, v.SequenceNumber) {
		return nil
	}
	for low, high := int64(1), head.Sequence; low <= high; {
		middle := low + (high-low)/2
		entries, err := r.Store.Entries(ctx, v.LicenseID, middle-1, 1)
		switch {
		case err != nil:
			return fmt.Errorf("entry %d of %s: %w", middle, v.LicenseID, err)
		case len(entries) == 0 || laterThan(entries[0].SequenceNumber, v.SequenceNumber):
			high = middle - 1
		case laterThan(v.SequenceNumber, entries[0].SequenceNumber):
			low = middle + 1
		case entries[0].EventID != v.ID:
			return fmt.Errorf("%w: event %s has the sequence number of event %s", ErrSuppressed, v.ID, entries[0].EventID)
		default:
			return nil
		}
	}
	return fmt.Errorf("%w: event %s, sequence number %s", ErrSuppressed, v.ID, v.SequenceNumber)
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
