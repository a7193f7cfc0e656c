// Package license is the domain: what a license is, when it may be used, and how it may change. It also says how a
// license is read from and written to a stored record, and what a store of licenses promises. It must not know AWS,
// HTTP, the command line or cryptography.
package license

import (
	"fmt"
	"slices"
	"time"

	"openlicenser/shared/attribute"
)

// License allows one customer the use of some services, at some URLs, until a date.
type License struct {
	ID              string // UUID
	CustomerID      string // UUID
	CustomerName    string
	Services        JSONList // of {"serviceName","serviceValue"}
	AppURLs         JSONList // of {"URL"}
	ExpirationDate  time.Time
	GraceDays       int       // days after ExpirationDate for which verification goes on
	UpdatesUntil    time.Time // versions that were released later do not run with the license; zero: all do
	Notes           string
	Reference       string // the vendor's own name for the license, which no other one ever has; empty: none
	Email           string // of the customer; in no license key and no token
	TokenKeyID      string // kid of the token key that the license is pinned to; empty: the one that signs now
	MaxDevices      int    // how many devices may use the license at the same time; 0: as many as like
	LeaseMinutes    int    // how long a device holds its seat without asking again; 0: as long as a token is valid
	MaxLeaseMinutes int    // the longest that a product may ask for; 0: LeaseMinutes
	Plan            string // the name of the plan that it was issued from; decides nothing
	SeatsEpoch      int64  // changes where all seats are taken back; what was granted in another epoch does not count
	Revoked         bool
	Suspended       bool
	Deleted         bool   // marked for removal, which says who removed it; see Delete
	Erased          string // the mark of the last erasure, which is new with each; empty: there was none; see Erase

	// Version counts the changes, from 1. It is 0 in a record that another tool wrote.
	Version      int64
	Created      time.Time // zero if another tool made the record
	Changed      time.Time
	ChangedBy    string
	ChangeReason string
	RequestID    string

	// Problems lists the attributes of the stored record that cannot be understood. The fields above that they belong
	// to are zero.
	Problems []FieldError

	stored attribute.Map // the record that the license was read from; nil for one that has changed since
	issued string        // AttrIndexIssued of the record that it was first read from
}

// JSONList is the text of a JSON array of objects. A stored text is kept to the byte, because products read it from
// their token.
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

	// Unreadable takes the place of a status that the record does not tell. See License.Status.
	Unreadable Status = "unreadable"
)

// Status returns the status at an instant. It looks at the attributes in the order of precedence. The first one that
// says no decides, however odd the rest of the record is. The status is Unreadable if an attribute cannot be understood
// before anything has said no.
func (l License) Status(now time.Time) Status {
	switch {
	case !l.RevocationIsKnown():
		return Unreadable
	case l.Revoked:
		return Revoked
	case !l.SuspensionIsKnown():
		return Unreadable
	case l.Suspended:
		return Suspended
	case !l.EndIsKnown():
		return Unreadable
	case !now.Before(l.EndsAt()):
		return Expired
	case !l.IsReadable():
		return Unreadable
	case !now.Before(l.ExpirationDate):
		return Grace
	default:
		return Active
	}
}

// IsEndless reports whether the license has no end.
func (l License) IsEndless() bool { return !l.ExpirationDate.Before(Never) }

// EndsAt returns the first instant at which the license is expired, grace included. It means nothing unless EndIsKnown.
func (l License) EndsAt() time.Time { return l.ExpirationDate.AddDate(0, 0, l.GraceDays) }

// EndIsKnown reports whether EndsAt follows from the record.
func (l License) EndIsKnown() bool { return !l.HasProblem(AttrExpirationDate, AttrGraceDays) }

// RevocationIsKnown reports whether Revoked follows from the record.
func (l License) RevocationIsKnown() bool { return !l.HasProblem(AttrRevoked) }

// SuspensionIsKnown reports whether Suspended follows from the record.
func (l License) SuspensionIsKnown() bool { return !l.HasProblem(AttrSuspended) }

// DevicesAreKnown reports whether MaxDevices and SeatsEpoch follow from the record.
func (l License) DevicesAreKnown() bool { return !l.HasProblem(AttrMaxDevices, attrSeatsEpoch) }

// IsReadable reports whether an authorization token can be made: all that decides about it, or that it says, has been
// understood.
func (l License) IsReadable() bool {
	return l.EndIsKnown() && l.DevicesAreKnown() && !l.HasProblem(
		AttrRevoked, AttrSuspended, AttrCustomerName, attrServices, attrAppURLs, attrLease, attrMaxLease,
		attrUpdatesUntil)
}

// HasProblem reports whether the stored value of one of the attributes cannot be understood.
func (l License) HasProblem(attributes ...string) bool {
	return slices.ContainsFunc(l.Problems, func(p FieldError) bool { return slices.Contains(attributes, p.Field) })
}

// mended returns the license without the problems of attributes that get a new value.
func (l License) mended(attributes ...string) License {
	if !l.HasProblem(attributes...) {
		return l
	}
	l.Problems = slices.DeleteFunc(slices.Clone(l.Problems), func(p FieldError) bool {
		return slices.Contains(attributes, p.Field)
	})
	return l
}

// UnreadableError returns an ErrUnreadable that names what cannot be understood, for a log.
func (l License) UnreadableError() error {
	return fmt.Errorf("%w: license %q: %s", ErrUnreadable, l.ID, joinFields(l.Problems))
}
