package issuance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"openlicenser/shared/api"
	"openlicenser/shared/license"
)

// maxBody is the longest body in bytes that is read.
const maxBody = 256 << 10

var errNotJSON = errors.New("the body is not a JSON object")

// wantEnd is what to tell a caller who sent no text for the end of a license.
const wantEnd = "must be a string: an ISO 8601 date, or never"

// readDraft reads a license as the vendor asks for it, and reports all fields that cannot be read at once.
func readDraft(r api.Request) (license.Draft, error) {
	var d license.Draft
	err := readObject(r, map[string]field{
		"customerid":     {&d.CustomerID, "must be a string"},
		"customername":   {&d.CustomerName, "must be a string"},
		"expirationdate": {&d.ExpirationDate, wantEnd},
		"services":       {&d.Services, `must be a list of {"serviceName": "…", "serviceValue": "…"}`},
		"appurls":        {&d.AppURLs, `must be a list of {"URL": "…"}`},
		"notes":          {&d.Notes, "must be a string"},
		"gracedays":      {&d.GraceDays, "must be a whole number"},
	})
	return d, err
}

// The fields of a patch that can be removed by null (RFC 7396), and what they are then.
var removable = map[string]jsontext.Value{
	"services":   jsontext.Value("[]"),
	"appurls":    jsontext.Value("[]"),
	"notes":      jsontext.Value(`""`),
	"gracedays":  jsontext.Value("0"),
	"tokenkeyid": jsontext.Value(`""`),
}

// readPatch reads a JSON merge patch (RFC 7396) of a license, and the reason for it.
func readPatch(r api.Request) (p license.Patch, reason string, err error) {
	object, err := readMembers(r)
	if err != nil {
		return p, "", err
	}
	for name, empty := range removable {
		if isNull(object[name]) {
			object[name] = empty
		}
	}
	if isNull(object["reason"]) {
		delete(object, "reason")
	}
	err = decodeMembers(object, map[string]field{
		"customername":   {&p.CustomerName, "must be a string"},
		"expirationdate": {&p.ExpirationDate, wantEnd},
		"services":       {&p.Services, `must be a list of {"serviceName": "…", "serviceValue": "…"}, or null`},
		"appurls":        {&p.AppURLs, `must be a list of {"URL": "…"}, or null`},
		"notes":          {&p.Notes, "must be a string, or null"},
		"gracedays":      {&p.GraceDays, "must be a whole number, or null"},
		"tokenkeyid":     {&p.TokenKeyID, "must be a string, or null"},
		"reason":         {&reason, "must be a string"},
	})
	if err != nil {
		return p, "", err
	}
	return p, reason, license.CheckReason(reason)
}

func readRenewal(r api.Request) (expirationDate, reason string, err error) {
	err = readObject(r, map[string]field{
		"expirationdate": {&expirationDate, wantEnd},
		"reason":         {&reason, "must be a string"},
	})
	if err != nil {
		return "", "", err
	}
	return expirationDate, reason, license.CheckReason(reason)
}

func isInvalid(err error) bool {
	var invalid *license.InvalidError
	return errors.As(err, &invalid)
}

// mergeInvalid reports what could not be read together with what the domain refused, and of a field that could
// not be read nothing more.
func mergeInvalid(read, refused error) error {
	var unread, wrong *license.InvalidError
	if !errors.As(read, &unread) || !errors.As(refused, &wrong) {
		return cmp.Or(read, refused)
	}
	merged := slices.Clone(unread.Fields)
	for _, f := range wrong.Fields {
		if !slices.ContainsFunc(unread.Fields, func(u license.FieldError) bool { return u.Field == f.Field }) {
			merged = append(merged, f)
		}
	}
	return &license.InvalidError{Fields: merged}
}

// readReason reads the body of a change of status. It may be absent.
func readReason(r api.Request) (string, error) {
	if body, err := r.Body(maxBody); err == nil && len(body) == 0 {
		return "", nil
	}
	var reason string
	if err := readObject(r, map[string]field{"reason": {&reason, "must be a string"}}); err != nil {
		return "", err
	}
	return reason, license.CheckReason(reason)
}

// readRequiredReason reads the body of a removal.
func readRequiredReason(r api.Request) (string, error) {
	reason, err := readReason(r)
	if err == nil && license.IsBlank(reason) {
		return "", &license.InvalidError{Fields: []license.FieldError{{Field: "reason", Message: "is required: the audit trail keeps it"}}}
	}
	return reason, err
}

// field says where a member goes, and what to tell a caller who sent something else.
type field struct {
	target any
	want   string
}

// readObject reads a body that is a JSON object of the given fields only. A null counts as absent: generated clients send
// one for each field that was not set.
func readObject(r api.Request, fields map[string]field) error {
	object, err := readMembers(r)
	if err != nil {
		return err
	}
	maps.DeleteFunc(object, func(name string, value jsontext.Value) bool { return isNull(value) && fields[name].target != nil })
	return decodeMembers(object, fields)
}

// readMembers reads as RFC 7493 asks for: UTF-8, no halves of surrogate pairs, and no member twice, at any depth.
func readMembers(r api.Request) (object map[string]jsontext.Value, err error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(body, &object) != nil || object == nil {
		return nil, errNotJSON
	}
	return object, nil
}

// readBody answers api.ErrBodyTooLarge or errNotJSON for a body that cannot be read.
func readBody(r api.Request) ([]byte, error) {
	body, err := r.Body(maxBody)
	if err != nil && !errors.Is(err, api.ErrBodyTooLarge) {
		err = errNotJSON
	}
	return body, err
}

func decodeMembers(object map[string]jsontext.Value, fields map[string]field) error {
	var wrong []license.FieldError
	for _, name := range slices.Sorted(maps.Keys(object)) {
		f, known := fields[name]
		switch {
		case !known:
			names := strings.Join(slices.Sorted(maps.Keys(fields)), ", ")
			wrong = append(wrong, license.FieldError{Field: name, Message: "is unknown; known are " + names})
		case decodeStrictly(object[name], f.target) != nil:
			wrong = append(wrong, license.FieldError{Field: name, Message: f.want})
		}
	}
	if len(wrong) > 0 {
		return &license.InvalidError{Fields: wrong}
	}
	return nil
}

func isNull(value jsontext.Value) bool { return string(value) == "null" }

func decodeStrictly(raw jsontext.Value, target any) error {
	if isNull(raw) {
		return errors.New("null")
	}
	return json.Unmarshal(raw, target, json.RejectUnknownMembers(true), json.WithUnmarshalers(json.UnmarshalFunc(readWhole)))
}

// readWhole reads an integer as JSON Schema understands it: 14.0 and 1.4e1 are 14.
func readWhole(number []byte, whole *int) (err error) {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(string(number)), "e")
	integer, fraction, _ := strings.Cut(mantissa, ".")
	shift, err := strconv.Atoi(cmp.Or(exponent, "0"))
	if err != nil {
		return err
	}
	digits := strings.TrimRight(integer+fraction, "0")
	zeros := len(integer) - len(digits) + shift
	switch {
	case digits == "" || digits == "-":
		digits, zeros = "0", 0
	case zeros < 0:
		return errors.New("a fraction")
	case zeros > maxDigits:
		return errors.New("beyond all bounds")
	}
	*whole, err = strconv.Atoi(digits + strings.Repeat("0", zeros))
	return err
}

// maxDigits is more than an int has, and bounds what is written out.
const maxDigits = 20

// The number of elements on a page.
const (
	defaultLimit = 20
	maxLimit     = 100
)

// queryReader reads query parameters and collects what is wrong with them.
type queryReader struct {
	parameters map[string]string
	wrong      []license.FieldError
}

func (q *queryReader) refuse(name, message string) {
	q.wrong = append(q.wrong, license.FieldError{Field: name, Message: message})
}

func (q *queryReader) err(known ...string) error {
	for _, name := range slices.Sorted(maps.Keys(q.parameters)) {
		if !slices.Contains(known, name) {
			q.refuse(name, "is unknown; known are "+strings.Join(known, ", "))
		}
	}
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
	if err != nil || limit < 1 || limit > maxLimit {
		q.refuse("limit", fmt.Sprintf("must be a whole number from 1 to %d", maxLimit))
	}
	return limit
}

// position answers where the page begins, empty for the first.
func (q *queryReader) position(c cursors) string {
	cursor, present := q.parameters["cursor"]
	if !present {
		return ""
	}
	position, ok := c.decode(cursor)
	if !ok {
		q.refuse("cursor", "must be the cursor of an earlier answer to the same query")
		return ""
	}
	return position
}

var statuses = []license.Status{license.Active, license.Grace, license.Expired, license.Suspended, license.Revoked}

// readListQuery answers the cursors too, which go with the query's filters.
func (i Issuer) readListQuery(ctx context.Context, r api.Request) (license.Query, cursors, error) {
	q := queryReader{parameters: r.QueryParameters()}
	query := license.Query{Limit: q.limit(), Now: i.Now(), CustomerID: q.customerID(), Status: q.status(), ExpiringBefore: q.date("expiringbefore")}
	c, err := i.cursors(ctx, fmt.Sprintf("licenses of %q %q %s", query.CustomerID, query.Status, license.FormatDate(query.ExpiringBefore)))
	if err != nil {
		return query, c, err
	}
	query.Position = q.position(c)
	return query, c, q.err("cursor", "customerid", "expiringbefore", "limit", "status")
}

func (q *queryReader) customerID() string {
	id, present := q.parameters["customerid"]
	if present && !license.IsUUID(id) {
		q.refuse("customerid", "must be a UUID")
	}
	return strings.ToLower(id)
}

func (q *queryReader) status() license.Status {
	text, present := q.parameters["status"]
	status := license.Status(text)
	if present && !slices.Contains(statuses, status) {
		q.refuse("status", fmt.Sprintf("must be one of %s", statuses))
	}
	return status
}

func (q *queryReader) date(name string) time.Time {
	text, present := q.parameters[name]
	if !present {
		return time.Time{}
	}
	date, err := license.ParseDate(text)
	if err != nil {
		q.refuse(name, "must be an ISO 8601 date, as 2030-01-31 or 2030-01-31T00:00:00Z")
	}
	return date
}

type auditQuery struct {
	after int64
	limit int
}

func (i Issuer) readAuditQuery(ctx context.Context, r api.Request, licenseID string) (auditQuery, cursors, error) {
	q := queryReader{parameters: r.QueryParameters()}
	query := auditQuery{limit: q.limit()}
	c, err := i.cursors(ctx, "audit trail of "+licenseID)
	if err != nil {
		return query, c, err
	}
	if position := q.position(c); position != "" {
		if query.after, err = strconv.ParseInt(position, 10, 64); err != nil {
			return query, c, err // its MAC held, so we have made it
		}
	}
	return query, c, q.err("cursor", "limit")
}
