package license

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Query selects a page of a list. A filter that is zero passes every license.
type Query struct {
	CustomerID     string
	CustomerName   string // its beginning, in any form that Fold makes equal
	Email          string // in any form that Fold makes equal
	Status         Status
	ExpiringAfter  time.Time // inclusive
	ExpiringBefore time.Time // exclusive

	Order    Order
	Now      time.Time // the instant to which Status refers
	Position string    // Page.Next of the page before, empty for the first page
	Limit    int       // 1 to 100
}

// Order is the direction in which an index is read. Empty: the names of customers from A on, and everything else from
// its end, the latest first.
type Order string

// The orders.
const (
	Ascending  Order = "asc"
	Descending Order = "desc"
)

// Page is a part of a list. If the index does not serve all filters, a page that is not the last can hold fewer
// licenses than the Limit, or none.
type Page struct {
	Licenses []License
	Next     string // Query.Position of the page that follows, empty at the end
}

// MaxReads bounds the cost of a page. To fill it, a store reads at most MaxReads times the Limit of the Query, in each
// of its Ranges.
const MaxReads = 10

// Index is an order of the licenses of a partition: those whose index attribute Partition has a certain value, sorted
// by their index attribute Sort. A record without one of the two is not in it.
type Index struct{ Name, Partition, Sort string }

// The indexes.
var (
	Newest     = Index{"newest", AttrIndexCollection, AttrIndexIssued}
	OfCustomer = Index{"customer", AttrIndexOwner, AttrIndexIssued}
	ByExpiry   = Index{"expiry", AttrIndexCollection, AttrIndexEnds}
	ByStanding = Index{"standing", AttrIndexStanding, AttrIndexEnds}
	ByName     = Index{"name", AttrIndexCollection, AttrIndexName}
	ByEmail    = Index{"email", AttrIndexEmail, AttrIndexIssued}

	Indexes = []Index{Newest, OfCustomer, ByExpiry, ByStanding, ByName, ByEmail}
)

// Index returns the index that serves the query. An e-mail address, a customer and a name have few licenses, so these
// are filtered as they are read:
//
//	filter                    index       what is read and left out
//	none                      Newest      nothing
//	email, and others         ByEmail     what the others do not pass
//	customerid, and others    OfCustomer  what the others do not pass
//	customername, and others  ByName      what the others do not pass
//	status, and dates         ByStanding  grace: what expired in the last MaxGraceDays; expired: what is in its grace
//	dates alone               ByExpiry    nothing
func (q Query) Index() Index {
	switch {
	case q.Email != "":
		return ByEmail
	case q.CustomerID != "":
		return OfCustomer
	case q.CustomerName != "":
		return ByName
	case q.Status != "":
		return ByStanding
	case !q.ExpiringBefore.IsZero() || !q.ExpiringAfter.IsZero():
		return ByExpiry
	default:
		return Newest
	}
}

// Range is a part of an index: what of the Partition has a sort key from From to To, both inclusive.
type Range struct {
	Index      Index
	Partition  string
	From, To   string // never empty
	Descending bool
}

// What sorts before and after every date, and after every text that begins with another.
const (
	beforeDates = "0"
	afterDates  = ":"
	afterText   = "\U0010FFFF"
)

// Ranges returns what has to be read for the query, one after the other. It leaves nothing out that Matches passes, but
// for a Grace of more than MaxGraceDays, which only another tool gives: to find one, a list of Grace would read all
// that has ever expired. What has expired although it is unreadable comes behind what else has.
func (q Query) Ranges() []Range {
	r := Range{Index: q.Index(), Partition: Collection, From: beforeDates, To: afterDates}
	r.Descending = q.Order == Descending || q.Order == "" && r.Index != ByName
	switch r.Index {
	case ByEmail:
		if r.Partition = Fold(q.Email); len(r.Partition) > maxIndexText {
			return nil // no index has it, and a store need not take such a key
		}
	case OfCustomer:
		r.Partition = strings.ToLower(q.CustomerID)
	case ByName:
		r.From = cut(Fold(q.CustomerName))
		r.To = r.From + afterText
	case ByExpiry, ByStanding:
		r.From, r.To = q.ends()
	}
	if r.From > r.To {
		return nil
	}
	if r.Index != ByStanding {
		return []Range{r}
	}
	ranges := make([]Range, 0, 2)
	for _, standing := range q.standings() {
		r.Partition = string(standing)
		ranges = append(ranges, r)
	}
	return ranges
}

// standings returns the standings of the licenses that have the Status of the query.
func (q Query) standings() []Status {
	switch q.Status {
	case Expired:
		return []Status{Active, Unreadable}
	case Grace:
		return []Status{Active}
	default:
		return []Status{q.Status}
	}
}

// ends returns bounds, both inclusive, for AttrIndexEnds of the licenses that Matches passes.
func (q Query) ends() (from, to string) {
	var first, last time.Time // zero: no bound
	switch q.Status {
	case Active:
		first = q.Now
	case Grace:
		first, last = q.Now.AddDate(0, 0, -MaxGraceDays), q.Now
	case Expired:
		last = q.Now
	}
	if q.ExpiringAfter.After(first) {
		first = q.ExpiringAfter
	}
	if before := q.ExpiringBefore.Add(-1); !q.ExpiringBefore.IsZero() && (last.IsZero() || before.Before(last)) {
		last = before
	}
	from, to = beforeDates, afterDates
	if !first.IsZero() || !last.IsZero() {
		from = FormatDate(first) // of no bound, it is the first of all dates, and excludes noEnd
	}
	if !last.IsZero() {
		to = FormatDate(last)
	}
	return from, to
}

// Matches reports whether a license passes the filters.
func (q Query) Matches(l License) bool {
	isBetween := q.ExpiringAfter.IsZero() && q.ExpiringBefore.IsZero() ||
		!l.HasProblem(AttrExpirationDate) && !l.ExpirationDate.Before(q.ExpiringAfter) &&
			(q.ExpiringBefore.IsZero() || l.ExpirationDate.Before(q.ExpiringBefore))
	return isBetween &&
		(q.CustomerID == "" || strings.EqualFold(q.CustomerID, l.CustomerID)) &&
		(q.CustomerName == "" || strings.HasPrefix(Fold(l.CustomerName), Fold(q.CustomerName))) &&
		(q.Email == "" || Fold(q.Email) == Fold(l.Email)) &&
		(q.Status == "" || q.Status == l.Status(q.Now))
}

// ListRange lists a part of a range: up to limit licenses that match, behind the position. It returns the next
// position, empty at the end of the range.
type ListRange func(
	ctx context.Context, r Range, position string, limit int,
) (matching []License, next string, err error)

// List returns a page of the query, of its ranges one after the other. The position of a page says where: the number of
// the range, a colon, and the position in it.
func (q Query) List(ctx context.Context, list ListRange) (page Page, err error) {
	ranges, n, position := q.Ranges(), 0, ""
	if number, rest, positioned := strings.Cut(q.Position, ":"); positioned {
		if n, err = strconv.Atoi(number); err != nil || n < 0 {
			return Page{}, fmt.Errorf("%q is no position of a list", q.Position)
		}
		position = rest
	}
	for ; n < len(ranges); n++ {
		licenses, next, err := list(ctx, ranges[n], position, q.Limit-len(page.Licenses))
		if err != nil {
			return Page{}, err
		}
		page.Licenses, position = append(page.Licenses, licenses...), ""
		isLast := n == len(ranges)-1
		switch {
		case next != "":
			page.Next = fmt.Sprintf("%d:%s", n, next)
			return page, nil
		case len(page.Licenses) == q.Limit && !isLast:
			page.Next = fmt.Sprintf("%d:", n+1)
			return page, nil
		}
	}
	return page, nil
}
