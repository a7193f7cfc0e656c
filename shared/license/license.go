// Package license is the domain: what a license is, when it may be used, how it may change, how it is
// read from and written to a stored record, and what a store of licenses promises. It knows no AWS, no
// HTTP and no cryptography.
package license

import (
	"time"

	"openlicenser/shared/attribute"
)

// License allows one customer the use of some services, at some URLs, until a date.
type License struct {
	ID             string // UUID
	CustomerID     string // UUID
	CustomerName   string
	Services       JSONList // of {"serviceName","serviceValue"}
	AppURLs        JSONList // of {"URL"}
	ExpirationDate time.Time
	GraceDays      int // days after ExpirationDate for which verification goes on
	Notes          string
	TokenKeyID     string // kid of the token key that the license is pinned to; empty: the one that signs now
	Revoked        bool
	Suspended      bool
	Deleted        bool // marked for removal, which says who removed it; see Delete

	// Version counts the changes, from 1. It is 0 in a record that another tool wrote.
	Version      int64
	Created      time.Time // zero where another tool made the record
	Changed      time.Time
	ChangedBy    string
	ChangeReason string
	RequestID    string

	stored attribute.Map // what Expectation answers for a license that was read from a store
}

// JSONList is the text of a JSON array of objects. A stored text is kept to the byte, because products
// read it from their token.
type JSONList string

// MarshalJSON writes the array itself, not a string that holds it.
func (l JSONList) MarshalJSON() ([]byte, error) { return []byte(l), nil }

// Status says whether a license may be used.
type Status string

// The statuses, in order of precedence: a license that is both revoked and expired is Revoked.
const (
	Revoked   Status = "revoked"
	Suspended Status = "suspended"
	Expired   Status = "expired" // from EndsAt on, inclusive
	Grace     Status = "grace"   // from ExpirationDate on, inclusive
	Active    Status = "active"
)

// Status computes the status at an instant.
func (l License) Status(now time.Time) Status {
	switch {
	case l.Revoked:
		return Revoked
	case l.Suspended:
		return Suspended
	case !now.Before(l.EndsAt()):
		return Expired
	case !now.Before(l.ExpirationDate):
		return Grace
	default:
		return Active
	}
}

// IsEndless tells whether the license has no end.
func (l License) IsEndless() bool { return !l.ExpirationDate.Before(Never) }

// EndsAt is the first instant at which the license is expired, grace included.
func (l License) EndsAt() time.Time { return l.ExpirationDate.AddDate(0, 0, l.GraceDays) }
