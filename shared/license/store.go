package license

import (
	"context"
	"errors"
)

// What a Store answers, to be tested with errors.Is. Any other error is a fault of the store: the outcome
// of a write is then unknown.
var (
	ErrNotFound   = errors.New("no such license")
	ErrExists     = errors.New("a license with this id exists")
	ErrConflict   = errors.New("the license was changed in the meantime")
	ErrUnreadable = errors.New("the stored record cannot be understood")
)

// Reader reads single licenses. Reads are strongly consistent: they see every change acknowledged before.
type Reader interface {
	// Get answers ErrNotFound, or ErrUnreadable with the attribute that was not understood.
	Get(ctx context.Context, id string) (License, error)
}

// Store keeps licenses. A change that was acknowledged is durable.
type Store interface {
	Reader

	// Create adds a license, or answers ErrExists and changes nothing.
	Create(ctx context.Context, l License) error

	// Update writes what differs between before, as read from this store, and after. Attributes that
	// the domain does not know stay. It answers ErrConflict, and changes nothing, when the stored
	// record no longer meets before's Expectation, or is gone.
	Update(ctx context.Context, before, after License) error

	// Remove removes the record of l, as read from this store or written to it. It answers ErrConflict, and
	// changes nothing, when the stored record does not meet l's Expectation, or is gone.
	Remove(ctx context.Context, l License) error

	// List answers a page of licenses, newest first. It may miss the changes of the last moments.
	List(ctx context.Context, q Query) (Page, error)
}

// Query selects a page. Before is the id after which, in the order of the list, the page begins.
type Query struct {
	CustomerID string // empty: of every customer
	Before     string // empty: from the newest
	Limit      int    // 1 to 100
}

// Page is a part of a list. Next is the Query.Before of the page that follows, empty at the end.
type Page struct {
	Licenses []License
	Next     string
}
