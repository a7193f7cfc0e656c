package license

import "time"

// Query selects a page of a list. A filter that is zero passes every license.
type Query struct {
	CustomerID     string
	Status         Status
	ExpiringBefore time.Time // exclusive

	Now      time.Time // the instant to which Status refers
	Position string    // Page.Next of the page before, empty for the first page
	Limit    int       // 1 to 100
}

// Page is a part of a list. If the index does not serve all filters, a page that is not the last can hold fewer
// licenses than the Limit, or none.
type Page struct {
	Licenses []License
	Next     string // Query.Position of the page that follows, empty at the end
}

// MaxReads bounds the cost of a page. To fill it, a store reads at most MaxReads times the Limit of the Query.
const MaxReads = 10

// Index is an order of licenses. Every list is read from the end of its index to the beginning.
type Index string

// The indexes. Ids of ours sort by the instant of issue.
const (
	Newest     Index = "newest"   // all licenses, by id
	OfCustomer Index = "customer" // the licenses of a customer, by id
	ByExpiry   Index = "expiry"   // all licenses, by expiration date
	ByStanding Index = "standing" // the licenses of a Standing, by expiration date
)

// Index returns the index that serves the query. A customer has few licenses, so these are filtered as they are read:
//
//	filter                  index       what is read and left out
//	none                    Newest      nothing
//	customerid, and others  OfCustomer  what the others do not pass
//	status, and the date    ByStanding  grace: what expired in the last MaxGraceDays; expired: what is in its grace
//	the date alone          ByExpiry    nothing
func (q Query) Index() Index {
	switch {
	case q.CustomerID != "":
		return OfCustomer
	case q.Status != "":
		return ByStanding
	case !q.ExpiringBefore.IsZero():
		return ByExpiry
	default:
		return Newest
	}
}

// Standing returns the status of a license as far as it does not depend on the time: Revoked, Suspended or Active.
func (l License) Standing() Status {
	if status := l.Status(time.Time{}); status == Revoked || status == Suspended {
		return status
	}
	return Active // whatever its date, which may be the zero time too
}

// Standing returns the standing of the licenses that have the Status of the query.
func (q Query) Standing() Status {
	if q.Status == Revoked || q.Status == Suspended {
		return q.Status
	}
	return Active
}

// dateSlack bounds how far from its place a date can sort that another tool has written with a zone.
const dateSlack = 24 * time.Hour

// What sorts before and after every date that ParseDate reads. All of their forms begin with two digits.
const (
	beforeDates = "0"
	afterDates  = ":"
)

// Dates returns bounds, both inclusive, for the stored expiration dates of the licenses that Matches passes. If from is
// after to, it passes none.
func (q Query) Dates() (from, to string) {
	var first, last time.Time // zero: no bound
	switch q.Status {
	case Active:
		first = q.Now
	case Grace:
		first, last = q.Now.AddDate(0, 0, -MaxGraceDays), q.Now
	case Expired:
		last = q.Now
	}
	if !q.ExpiringBefore.IsZero() && (last.IsZero() || q.ExpiringBefore.Before(last)) {
		last = q.ExpiringBefore
	}
	from, to = beforeDates, afterDates
	if !first.IsZero() {
		from = FormatDate(first.Add(-dateSlack))
	}
	if end := last.Add(dateSlack); !last.IsZero() && end.UTC().Year() <= 9999 {
		to = FormatDate(end)
	}
	return from, to
}

// Matches reports whether a license passes the filters.
func (q Query) Matches(l License) bool {
	return (q.CustomerID == "" || q.CustomerID == l.CustomerID) &&
		(q.Status == "" || q.Status == l.Status(q.Now)) &&
		(q.ExpiringBefore.IsZero() || !l.HasProblem(AttrExpirationDate) && l.ExpirationDate.Before(q.ExpiringBefore))
}
