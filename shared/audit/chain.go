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
}

// HeadOf is the head of a chain that ends with e.
func HeadOf(e Entry) Head {
	return Head{Sequence: e.Sequence, Hash: e.Hash, SequenceNumber: e.SequenceNumber}
}

// ErrConflict says that the chain has moved on since its head was read; nothing was written.
var ErrConflict = errors.New("the audit chain has moved on")

// Store keeps chains. Nothing that was appended is ever changed or removed.
type Store interface {
	// Head answers the zero Head where there is no chain. It is strongly consistent.
	Head(ctx context.Context, licenseID string) (Head, error)

	// Append adds the entry and moves the chain's head from `from` to it, both or neither, or answers
	// ErrConflict. Any other error leaves the outcome unknown.
	Append(ctx context.Context, from Head, e Entry) error

	// Entries answers up to limit entries with a Sequence greater than after, in order.
	Entries(ctx context.Context, licenseID string, after int64, limit int) ([]Entry, error)
}

// Recorder appends an entry for each event, exactly once.
type Recorder struct{ Store Store }

// maxAttempts bounds how often Record begins anew when another invocation moves the same chain.
const maxAttempts = 5

// Record appends the event's entry, unless the chain holds it already: events of one license come in the
// order of their sequence numbers, so one that is not later than the head's is a repetition. After an
// error the event can be recorded again, whatever became of the first try.
func (r Recorder) Record(ctx context.Context, v Event) error {
	if !isDecimal(v.SequenceNumber) {
		return fmt.Errorf("event %s: sequence number %q is not decimal", v.ID, v.SequenceNumber)
	}
	for range maxAttempts {
		head, err := r.Store.Head(ctx, v.LicenseID)
		if err != nil {
			return fmt.Errorf("head of %s: %w", v.LicenseID, err)
		}
		if !laterThan(v.SequenceNumber, head.SequenceNumber) {
			return nil
		}
		e, err := v.entry(head)
		if err != nil {
			return err
		}
		if err := r.Store.Append(ctx, head, e); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("%w %d times: license %s", ErrConflict, maxAttempts, v.LicenseID)
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

// Verify checks that the entries are of the license, follow head without a gap, and that every hash holds. The
// error names the first entry that does not fit. It answers the head that the entries lead to.
func Verify(licenseID string, head Head, entries []Entry) (Head, error) {
	for _, e := range entries {
		computed, err := e.ComputeHash()
		switch {
		case err != nil:
			return head, fmt.Errorf("entry %d: %w", e.Sequence, err)
		case e.LicenseID != licenseID:
			return head, fmt.Errorf("entry %d is of license %s", e.Sequence, e.LicenseID)
		case e.Sequence != head.Sequence+1:
			return head, fmt.Errorf("entry %d stands where entry %d should", e.Sequence, head.Sequence+1)
		case e.Previous != head.Hash:
			return head, fmt.Errorf("entry %d does not follow the entry before it", e.Sequence)
		case e.Hash != computed:
			return head, fmt.Errorf("entry %d was changed: its hash does not hold", e.Sequence)
		}
		head = HeadOf(e)
	}
	return head, nil
}
