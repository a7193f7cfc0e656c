package license

import (
	"context"
	"errors"
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
	ErrUnreadable = errors.New("the stored record cannot be understood")  // see also License.Problems
	ErrBusy       = errors.New("the store takes no change at the moment") // nothing was written
)

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

	// Create adds a license, or returns ErrExists and changes nothing.
	Create(ctx context.Context, l License) error

	// Update writes what differs between before, as read from this store, and after. Attributes that the domain does
	// not know stay. It returns ErrConflict, and changes nothing, if the stored record does not meet before's
	// Expectation any more, or is gone.
	Update(ctx context.Context, before, after License) error

	// Remove removes the record of l, as read from this store or written to it. It returns ErrConflict, and changes
	// nothing, if the stored record does not meet l's Expectation, or is gone.
	Remove(ctx context.Context, l License) error

	// List returns a page of licenses in the order of q.Index, backwards. It may miss the changes of the last
	// moments, and leaves out records that cannot be read at all.
	List(ctx context.Context, q Query) (Page, error)
}
