package issuance

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"openlicenser/shared/api"
	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

// queryParameters holds the parameters of the routes that take some.
var queryParameters = map[string][]string{
	"GET /licenses": {
		"cursor", "customerid", "customername", "email", "expiringafter", "expiringbefore", "limit", "order",
		"reference", "status",
	},
	"GET /licenses/{licenseid}/audit": {"cursor", "limit"},
	"GET /plans":                      {"cursor", "limit"},
}

// withoutStrayQueries has the other routes refuse query parameters. A caller who sends some expects an effect.
func withoutStrayQueries(routes api.Routes) api.Routes {
	for route, handler := range routes {
		if queryParameters[route] != nil {
			continue
		}
		routes[route] = func(ctx context.Context, r api.Request) (api.Response, error) {
			if err := readQuery(r).err(); err != nil {
				return api.Response{}, err
			}
			return handler(ctx, r)
		}
	}
	return routes
}

// The number of elements on a page, unless the caller asks for another one.
const defaultLimit = 20

// queryReader reads query parameters and collects what is wrong with them.
type queryReader struct {
	parameters map[string]string // those that are sent and fine so far
	wrong      []license.FieldError
}

// unknownName begins what is said of a name that the caller has made up.
const unknownName = "is unknown"

// readQuery reads query parameters. It refuses one that is not known, is empty, or has two values. To ignore it would
// be to list what the caller did not ask for.
func readQuery(r api.Request, known ...string) *queryReader {
	q := &queryReader{parameters: map[string]string{}}
	sent, err := r.QueryValues()
	if err != nil {
		q.refuse("query", "cannot be parsed; write % as %25 and ; as %3B")
	}
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		values := sent[name]
		switch {
		case len(known) == 0:
			q.refuse(name, unknownName+"; this route takes no query parameters")
		case !slices.Contains(known, name):
			q.refuse(name, unknownName+"; known are "+strings.Join(known, ", "))
		case len(slices.Compact(slices.Clone(values))) > 1:
			q.refuse(name, "is sent with several values; send one")
		case values[0] == "":
			q.refuse(name, "is empty; send a value, or leave the parameter out")
		default:
			q.parameters[name] = values[0]
		}
	}
	return q
}

func (q *queryReader) refuse(name, message string) {
	q.wrong = append(q.wrong, license.FieldError{Field: name, Message: message})
}

func (q *queryReader) err() error {
	if len(q.wrong) > 0 {
		return &license.InvalidError{Fields: q.wrong}
	}
	return nil
}

func (q *queryReader) limit() int {
	text, present := q.parameters["limit"]
	if !present {
		return defaultLimit
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > vendorapi.MaxLimit || strconv.Itoa(limit) != text {
		q.refuse("limit", fmt.Sprintf("must be a whole number from 1 to %d", vendorapi.MaxLimit))
	}
	return limit
}

// position returns where the page begins, empty for the first.
func (q *queryReader) position(c cursors) string {
	cursor, present := q.parameters["cursor"]
	if !present {
		return ""
	}
	position, ok := c.decode(cursor)
	if !ok {
		q.refuse("cursor", "must be the cursor of an earlier response to the same query")
		return ""
	}
	return position
}

var (
	statuses = []license.Status{
		license.Active, license.Grace, license.Expired, license.Suspended, license.Revoked, license.Unreadable,
	}
	orders = []license.Order{license.Ascending, license.Descending}
)

// listQuery selects a page of licenses. A reference leads to one license, without any index.
type listQuery struct {
	license.Query
	reference string
}

// readListQuery returns the query, and the cursors of its list.
func (s Licenses) readListQuery(ctx context.Context, r api.Request) (listQuery, cursors, error) {
	q, now := readQuery(r, queryParameters["GET /licenses"]...), s.Now()
	query := listQuery{
		Query: license.Query{
			Limit: q.limit(), Now: now,
			CustomerID: q.customerID(), CustomerName: q.text("customername", license.MaxCustomerName),
			Email: q.text("email", license.MaxEmail), Status: oneOf(q, "status", statuses),
			ExpiringAfter: q.date("expiringafter"), ExpiringBefore: q.date("expiringbefore"),
			Order: oneOf(q, "order", orders),
		},
		reference: q.text("reference", license.MaxReference),
	}
	list := fmt.Sprintf("licenses of %q %q %q %q %s %s %s %q", strings.ToLower(query.CustomerID),
		license.Fold(query.CustomerName), license.Fold(query.Email), query.Status,
		license.FormatDate(query.ExpiringAfter), license.FormatDate(query.ExpiringBefore), query.Order, query.reference)
	c, err := newCursors(ctx, s.Secrets, now, list)
	if err != nil {
		return query, c, err
	}
	query.Position = q.position(c)
	return query, c, q.err()
}

func (q *queryReader) customerID() string {
	id, present := q.parameters["customerid"]
	if present && !license.IsUUID(id) {
		q.refuse("customerid", "must be a UUID")
	}
	return id
}

// text returns a text to search for. One that is longer than a field can be is refused, because it finds nothing.
func (q *queryReader) text(name string, longest int) string {
	text := q.parameters[name]
	switch {
	case !utf8.ValidString(text):
		q.refuse(name, "must be UTF-8, percent-encoded")
	case utf8.RuneCountInString(text) > longest:
		q.refuse(name, fmt.Sprintf("must be at most %d characters", longest))
	}
	return text
}

// oneOf returns a value that is one of those that there are.
func oneOf[T ~string](q *queryReader, name string, all []T) T {
	text, present := q.parameters[name]
	if present && !slices.Contains(all, T(text)) {
		q.refuse(name, fmt.Sprintf("must be one of %s", all))
	}
	return T(text)
}

func (q *queryReader) date(name string) time.Time {
	text, present := q.parameters[name]
	if !present {
		return time.Time{}
	}
	date, err := license.ParseDate(text)
	switch {
	case err != nil:
		q.refuse(name, "must be an ISO 8601 date, as 2030-01-31 or 2030-01-31T00:00:00Z")
	case date.IsZero():
		q.refuse(name, "must lie after the first of all instants") // which stands for no date
	}
	return date
}

// chainQuery selects a page of a chain.
type chainQuery struct {
	after int64 // sequence of the entry before the first
	limit int
}

// readQuery returns the query, and the cursors of the license's chain.
func (t Trail) readQuery(ctx context.Context, r api.Request, licenseID string) (chainQuery, cursors, error) {
	q := readQuery(r, queryParameters["GET /licenses/{licenseid}/audit"]...)
	query := chainQuery{limit: q.limit()}
	c, err := newCursors(ctx, t.Secrets, t.Now(), "audit trail of "+strings.ToLower(licenseID))
	if err != nil {
		return query, c, err
	}
	if position := q.position(c); position != "" {
		if query.after, err = strconv.ParseInt(position, 10, 64); err != nil {
			return query, c, err // our own fault: the MAC holds, so the cursor is ours
		}
	}
	return query, c, q.err()
}
