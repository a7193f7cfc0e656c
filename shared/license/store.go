package license

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"openlicenser/shared/attribute"
)

// MaxIDBytes is the length of the longest id that a store need hold. DynamoDB takes no longer partition key
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html).
const MaxIDBytes = 2048

// The errors of a Store, for errors.Is. Any other error is a fault of the store: the outcome of a write is then
// unknown.
var (
	ErrNotFound   = errors.New("no such license")
	ErrExists     = errors.New("a license with this id exists")
	ErrConflict   = errors.New("the license was changed in the meantime")
	ErrUnreadable = errors.New("the stored record cannot be understood") // see also License.Problems
	ErrBusy       = errors.New("the store is too busy at the moment")    // nothing was written
)

// ReferenceTakenError reports that a reference names another license, or one that was removed.
type ReferenceTakenError struct{ Reference, LicenseID string }

func (e *ReferenceTakenError) Error() string {
	return fmt.Sprintf("the reference is that of license %s", e.LicenseID)
}

// Reader reads single licenses. Reads are strongly consistent: they see every change acknowledged before.
type Reader interface {
	// Get returns the license with the id. Its Problems are what of its record cannot be understood. The error is
	// ErrNotFound if the store is certain that there is no such license. It is ErrUnreadable if the record cannot be
	// read at all.
	Get(ctx context.Context, id string) (License, error)
}

// Store keeps licenses. A change that was acknowledged is durable.
type Store interface {
	Reader

	// Create adds a license, and its Reference where it has one: both or neither. It returns ErrExists or a
	// *ReferenceTakenError, and changes nothing. The license id in that error is the license's own where an earlier
	// Create has made it, whether or not it was removed since.
	Create(ctx context.Context, l License) error

	// Update writes what differs between before, as read from this store, and after. Attributes that the domain does
	// not know stay. It returns ErrConflict, and changes nothing, if the stored record does not meet before's
	// Expectation any more, or is gone. Where after has a Reference that before lacks, it is taken in the same moment.
	// A *ReferenceTakenError says that another license has it; nothing is changed then.
	Update(ctx context.Context, before, after License) error

	// Referenced returns the id of the license that has the reference, or had it until it was removed. The error is
	// ErrNotFound if no license ever had it. It is strongly consistent.
	Referenced(ctx context.Context, reference string) (id string, err error)

	// Erase writes an erasure: what differs between before, as read from this store, and after, as Update does. The
	// zero before stands for no record, and after's Tombstone is then put. In the same moment the references become
	// free, as far as they are this license's: all of it is done, or nothing. It returns ErrConflict, and changes
	// nothing, if the stored record does not meet before's Expectation any more, or is gone, or is there after all.
	Erase(ctx context.Context, before, after License, references []string) error

	// Remove removes the record of l, as read from this store or written to it. It returns ErrConflict, and changes
	// nothing, if the stored record does not meet l's Expectation, or is gone.
	Remove(ctx context.Context, l License) error

	// List returns a page of licenses in the order of q.Index. It may miss the changes of the last moments. A record
	// that cannot be read at all comes as Unreadable. The error is ErrBusy where more is listed than the store can
	// read at the moment.
	List(ctx context.Context, q Query) (Page, error)
}

// Records are the stored records of licenses, as whoever wrote them left them.
type Records interface {
	// Record returns the record with the id, or ErrNotFound. It is strongly consistent.
	Record(ctx context.Context, id string) (attribute.Map, error)

	// Amend writes an amendment. It returns ErrConflict, and changes nothing, if the stored record does not meet its
	// Expected any more, or is gone.
	Amend(ctx context.Context, id string, a Amendment) error

	// Segment returns the records in one of several parts of the store, from 0 on, in no order. Together the parts hold
	// all. A record that cannot be read comes with ErrUnreadable and its id alone. Any other error is the last.
	Segment(ctx context.Context, segment, segments int) iter.Seq2[attribute.Map, error]
}
