package license

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"openlicenser/shared/attribute"
	"openlicenser/shared/plainjson"
)

// The attributes of a record. The first group is shared with the original Open Licenser and its tools, so it keeps
// names and types. The second group is ours, and may be absent.
const (
	AttrID             = "licenseid"        // S, UUID
	attrAppURLs        = "appurls"          // S, JSON
	attrServices       = "services"         // S, JSON
	attrChanged        = "changedtimestamp" // N, Unix milliseconds
	AttrCustomerID     = "customerid"       // S, UUID
	AttrCustomerName   = "customername"     // S
	AttrExpirationDate = "expirationdate"   // S, ISO 8601
	attrRevoked        = "isrevoked"        // BOOL
	attrNotes          = "notes"            // S

	attrVersion      = "version"          // N
	attrCreated      = "createdtimestamp" // N, Unix milliseconds
	attrSuspended    = "issuspended"      // BOOL
	attrDeleted      = "isdeleted"        // BOOL
	AttrGraceDays    = "gracedays"        // N
	AttrTokenKeyID   = "tokenkeyid"       // S
	attrReference    = "reference"        // S
	attrEmail        = "email"            // S
	AttrMaxDevices   = "maxdevices"       // N
	attrLease        = "leaseminutes"     // N
	attrMaxLease     = "maxleaseminutes"  // N
	attrSeatsEpoch   = "seatsepoch"       // N, Unix milliseconds, or the number after the last one
	attrChangedBy    = "changedby"        // S
	attrChangeReason = "changereason"     // S
	AttrRequestID    = "requestid"        // S
	attrPutBack      = "putback"          // S, see PutBack
)

// The bounds of what a record may say. More must be a mistake.
const (
	maxStoredGraceDays = 36500
	maxStoredDevices   = MaxDevices
	maxStoredLease     = MaxLeaseMinutes
)

// Record returns the license as a record, in the strict form, with its index attributes.
func (l License) Record() attribute.Map {
	record := l.record()
	maps.Copy(record, indexOf(l, l.Changed))
	return record
}

// record returns the record without its index attributes.
func (l License) record() attribute.Map {
	record := attribute.Map{
		AttrID:             l.ID,
		attrAppURLs:        string(l.AppURLs),
		attrServices:       string(l.Services),
		attrChanged:        millis(l.Changed),
		AttrCustomerID:     l.CustomerID,
		AttrCustomerName:   l.CustomerName,
		AttrExpirationDate: FormatDate(l.ExpirationDate),
		attrRevoked:        l.Revoked,
		attrNotes:          l.Notes,
		attrVersion:        versionNumber(l.Version),
	}
	if !l.Created.IsZero() {
		record[attrCreated] = millis(l.Created)
	}
	if l.Suspended {
		record[attrSuspended] = true
	}
	if l.Deleted {
		record[attrDeleted] = true
	}
	for name, number := range map[string]int64{
		AttrGraceDays:  int64(l.GraceDays),
		AttrMaxDevices: int64(l.MaxDevices),
		attrLease:      int64(l.LeaseMinutes),
		attrMaxLease:   int64(l.MaxLeaseMinutes),
		attrSeatsEpoch: l.SeatsEpoch,
	} {
		if number != 0 {
			record[name] = attribute.Number(strconv.FormatInt(number, 10))
		}
	}
	for name, text := range map[string]string{
		AttrTokenKeyID:   l.TokenKeyID,
		attrReference:    l.Reference,
		attrEmail:        l.Email,
		attrChangedBy:    l.ChangedBy,
		attrChangeReason: l.ChangeReason,
		AttrRequestID:    l.RequestID,
	} {
		if text != "" {
			record[name] = text
		}
	}
	return record
}

// Delta returns the attributes that an update from before to after sets, and those that it removes. An attribute that
// could not be understood stays as it is stored until after has a value for it. The index attributes are among them.
func Delta(before, after License) (set attribute.Map, remove []string) {
	set, remove = delta(before, after)
	index := indexOf(after, after.Changed)
	stored := before.stored
	if stored == nil { // it was written and not read
		stored = indexOf(before, before.Changed)
	}
	setIndex, removeIndex := difference(stored, index, IndexAttributes)
	maps.Copy(set, setIndex)
	return set, append(remove, removeIndex...)
}

// difference returns what of the named attributes has to be set and removed to make a record as wanted.
func difference(stored, wanted attribute.Map, names []string) (set attribute.Map, remove []string) {
	set = attribute.Map{}
	for _, name := range names {
		old, isStored := stored[name]
		value, isWanted := wanted[name]
		switch {
		case isWanted && !(isStored && reflect.DeepEqual(old, value)):
			set[name] = value
		case isStored && !isWanted:
			remove = append(remove, name)
		}
	}
	return set, remove
}

// WithoutIndex returns the record without its index attributes, and nil for nil.
func WithoutIndex(record attribute.Map) attribute.Map {
	rest := maps.Clone(record)
	maps.DeleteFunc(rest, func(name string, _ any) bool { return slices.Contains(IndexAttributes, name) })
	return rest
}

// delta returns a Delta without index attributes.
func delta(before, after License) (set attribute.Map, remove []string) {
	old, set := before.record(), after.record()
	for _, p := range before.Problems {
		delete(old, p.Field)
		if _, written := set[p.Field]; after.HasProblem(p.Field) {
			delete(set, p.Field)
		} else if !written {
			remove = append(remove, p.Field)
		}
	}
	for name, value := range old {
		switch written, kept := set[name]; {
		case !kept:
			remove = append(remove, name)
		case reflect.DeepEqual(written, value):
			delete(set, name)
		}
	}
	return set, remove
}

// Expectation returns the stored values by which an update recognizes the record that was read as l. A nil stands for
// an attribute that is absent or NULL.
func (l License) Expectation() attribute.Map {
	if l.stored != nil {
		return attribute.Map{attrVersion: l.stored[attrVersion], attrChanged: l.stored[attrChanged]}
	}
	return attribute.Map{attrVersion: versionNumber(l.Version), attrChanged: millis(l.Changed)}
}

// FromRecord reads a record, whoever wrote it. The error is ErrUnreadable if the record has no id. An attribute must be
// absent, or have its exact name and type. What cannot be understood is in Problems, and License.Status says whether it
// matters. The license keeps the record, which must not be changed any more.
func FromRecord(record attribute.Map) (License, error) {
	r := recordReader{record: record}
	l := License{
		ID:              r.text(AttrID),
		CustomerName:    r.text(AttrCustomerName),
		Services:        r.list(attrServices),
		AppURLs:         r.list(attrAppURLs),
		ExpirationDate:  r.date(AttrExpirationDate),
		GraceDays:       r.count(AttrGraceDays, maxStoredGraceDays),
		MaxDevices:      r.count(AttrMaxDevices, maxStoredDevices),
		LeaseMinutes:    r.count(attrLease, maxStoredLease),
		MaxLeaseMinutes: r.count(attrMaxLease, maxStoredLease),
		Revoked:         r.flag(attrRevoked),
		Suspended:       r.flag(attrSuspended),
		Deleted:         r.flag(attrDeleted),

		CustomerID:   r.optionalText(AttrCustomerID),
		Notes:        r.optionalText(attrNotes),
		TokenKeyID:   r.optionalText(AttrTokenKeyID),
		Reference:    r.optionalText(attrReference),
		Email:        r.optionalText(attrEmail),
		SeatsEpoch:   r.optionalInteger(attrSeatsEpoch),
		Version:      r.optionalInteger(attrVersion),
		Created:      r.optionalInstant(attrCreated),
		Changed:      r.optionalInstant(attrChanged),
		ChangedBy:    r.optionalText(attrChangedBy),
		ChangeReason: r.optionalText(attrChangeReason),
		RequestID:    r.optionalText(AttrRequestID),

		stored: record,
	}
	l.issued, _ = record[AttrIndexIssued].(string)
	l.Problems = r.problems
	if l.ID == "" {
		return License{}, fmt.Errorf("%w: it has no %s", ErrUnreadable, AttrID)
	}
	return l, nil
}

// Damaged returns what is known of a license whose record cannot be read at all: nothing but its id.
func Damaged(id string) License {
	l := License{ID: id}
	for _, name := range []string{
		AttrCustomerName, attrServices, attrAppURLs, AttrExpirationDate, AttrGraceDays, attrRevoked, attrSuspended,
	} {
		l.Problems = append(l.Problems, FieldError{name, "cannot be read, as the whole record; the log says why"})
	}
	return l
}

// RecordVersion returns the version of a record, or 0 if it has none. It also serves records that FromRecord
// refuses.
func RecordVersion(record attribute.Map) int64 {
	version, _ := wholeNumber(record[attrVersion])
	return version
}

// recordReader reads attributes, and collects what it cannot understand. It names types and never values, because
// problems are logged.
type recordReader struct {
	record   attribute.Map
	problems []FieldError
}

func (r *recordReader) refuse(name, why string) {
	r.problems = append(r.problems, FieldError{name, why})
}

func (r *recordReader) refuseType(name, want string) {
	r.refuse(name, fmt.Sprintf("is of the type %s, and must be %s", attribute.TypeOf(r.record[name]), want))
}

func (r *recordReader) text(name string) string {
	value, present := r.record[name]
	text, isText := value.(string)
	if present && !isText {
		r.refuseType(name, "a text (S)")
	}
	return text
}

// optionalText takes NULL for absent.
func (r *recordReader) optionalText(name string) string {
	if r.record[name] == nil {
		return ""
	}
	return r.text(name)
}

func (r *recordReader) optionalInteger(name string) int64 {
	whole, ok := wholeNumber(r.record[name])
	if !ok && r.record[name] != nil {
		r.refuse(name, "must be a whole number (N) from -2^53 to 2^53")
	}
	return whole
}

func (r *recordReader) optionalInstant(name string) time.Time {
	milliseconds, ok := number(r.record[name])
	switch {
	case ok:
		return time.UnixMilli(int64(milliseconds)).UTC()
	case r.record[name] != nil:
		r.refuse(name, "must be a number (N) of milliseconds since 1970, from -2^53 to 2^53")
	}
	return time.Time{}
}

func (r *recordReader) flag(name string) bool {
	value, present := r.record[name]
	flag, isFlag := value.(bool)
	if present && !isFlag {
		r.refuseType(name, "a truth value (BOOL)")
	}
	return flag
}

func (r *recordReader) date(name string) time.Time {
	text, isText := r.record[name].(string)
	if _, present := r.record[name]; present && !isText {
		r.refuseType(name, "a text (S) that holds an ISO 8601 date")
		return time.Time{}
	}
	date, err := ParseDate(text)
	if err != nil {
		r.refuse(name, "must be an ISO 8601 date, as 2030-01-31T00:00:00.000Z")
	}
	return date
}

func (r *recordReader) count(name string, most int64) int {
	value, present := r.record[name]
	if !present {
		return 0
	}
	count, ok := wholeNumber(value)
	if !ok || count < 0 || count > most {
		r.refuse(name, fmt.Sprintf("must be a whole number (N) from 0 to %d", most))
		return 0
	}
	return int(count)
}

// list returns an empty text for what is no list.
func (r *recordReader) list(name string) JSONList {
	switch value := r.record[name].(type) {
	case []any:
		text, err := plainjson.Marshal(plain(value))
		if err != nil {
			r.refuse(name, "must be a list that JSON can express")
			return ""
		}
		return r.checkedList(name, string(text))
	case string:
		if strings.TrimSpace(value) == "" {
			return "[]"
		}
		return r.checkedList(name, value)
	default:
		if _, present := r.record[name]; present {
			r.refuseType(name, "a JSON array of objects as a text (S), or a list (L) of maps")
			return ""
		}
		return "[]"
	}
}

func (r *recordReader) checkedList(name, text string) JSONList {
	var elements []map[string]json.RawMessage
	err := json.Unmarshal([]byte(text), &elements)
	isNull := func(element map[string]json.RawMessage) bool { return element == nil }
	if err != nil || elements == nil || slices.ContainsFunc(elements, isNull) {
		r.refuse(name, "must be a JSON array of objects")
		return ""
	}
	return JSONList(text)
}

// plain returns an attribute's value as encoding/json writes it without type tags.
func plain(value any) any {
	switch v := value.(type) {
	case attribute.Number:
		return json.Number(v)
	case attribute.Map:
		members := make(map[string]any, len(v))
		for name, member := range v {
			members[name] = plain(member)
		}
		return members
	case []any:
		elements := make([]any, len(v))
		for i, element := range v {
			elements[i] = plain(element)
		}
		return elements
	default:
		return value
	}
}

// number reads an N from -2^53 to 2^53, between which a float64 holds every whole number exactly.
func number(value any) (float64, bool) {
	text, isNumber := value.(attribute.Number)
	parsed, err := strconv.ParseFloat(string(text), 64)
	return parsed, isNumber && err == nil && math.Abs(parsed) <= 1<<53
}

func wholeNumber(value any) (int64, bool) {
	parsed, ok := number(value)
	if !ok || parsed != math.Trunc(parsed) {
		return 0, false
	}
	return int64(parsed), true
}

func versionNumber(version int64) attribute.Number {
	return attribute.Number(strconv.FormatInt(version, 10))
}

func millis(t time.Time) attribute.Number {
	if t.IsZero() {
		return "0"
	}
	return attribute.Number(strconv.FormatInt(t.UnixMilli(), 10))
}
