package license

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"openlicenser/shared/attribute"
	"openlicenser/shared/plainjson"
)

// The attributes of a record. The first group is shared with the original Open Licenser and its tools and
// keeps name and type; the second is ours, and may be absent.
const (
	attrID             = "licenseid"        // S, UUID
	attrAppURLs        = "appurls"          // S, JSON
	attrServices       = "services"         // S, JSON
	attrChanged        = "changedtimestamp" // N, Unix milliseconds
	attrCustomerID     = "customerid"       // S, UUID
	attrCustomerName   = "customername"     // S
	attrExpirationDate = "expirationdate"   // S, ISO 8601
	attrRevoked        = "isrevoked"        // BOOL
	attrNotes          = "notes"            // S

	attrVersion      = "version"          // N
	attrCreated      = "createdtimestamp" // N, Unix milliseconds
	attrSuspended    = "issuspended"      // BOOL
	attrDeleted      = "isdeleted"        // BOOL
	attrGraceDays    = "gracedays"        // N
	attrTokenKeyID   = "tokenkeyid"       // S
	attrChangedBy    = "changedby"        // S
	attrChangeReason = "changereason"     // S
	attrRequestID    = "requestid"        // S
)

// maxStoredGraceDays bounds what a record may say: more is taken for a mistake.
const maxStoredGraceDays = 36500

// Record writes the license as a record, in the strict form.
func (l License) Record() attribute.Map {
	record := attribute.Map{
		attrID:             l.ID,
		attrAppURLs:        string(l.AppURLs),
		attrServices:       string(l.Services),
		attrChanged:        millis(l.Changed),
		attrCustomerID:     l.CustomerID,
		attrCustomerName:   l.CustomerName,
		attrExpirationDate: FormatDate(l.ExpirationDate),
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
	if l.GraceDays != 0 {
		record[attrGraceDays] = attribute.Number(strconv.Itoa(l.GraceDays))
	}
	for name, text := range map[string]string{
		attrTokenKeyID: l.TokenKeyID, attrChangedBy: l.ChangedBy, attrChangeReason: l.ChangeReason, attrRequestID: l.RequestID,
	} {
		if text != "" {
			record[name] = text
		}
	}
	return record
}

// Delta says which attributes an update from before to after sets and which it removes.
func Delta(before, after License) (set attribute.Map, remove []string) {
	old, set := before.Record(), after.Record()
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

// Expectation gives the values, as they are stored, by which an update recognizes that the record is still
// the one that was read as l. A nil stands for an attribute that is absent or NULL.
func (l License) Expectation() attribute.Map {
	if l.stored != nil {
		return l.stored
	}
	return attribute.Map{attrVersion: versionNumber(l.Version), attrChanged: millis(l.Changed)}
}

// FromRecord reads a record, whoever wrote it. What decides whether the license may be used, and what is
// said in a token, must be absent or of its exact name and type, or the error is ErrUnreadable. The
// rest is bookkeeping, and counts as absent where it has another type.
func FromRecord(record attribute.Map) (License, error) {
	d := decider{record: record}
	l := License{
		ID:             d.text(attrID),
		CustomerName:   d.text(attrCustomerName),
		Services:       d.list(attrServices),
		AppURLs:        d.list(attrAppURLs),
		ExpirationDate: d.date(attrExpirationDate),
		GraceDays:      d.days(attrGraceDays),
		Revoked:        d.flag(attrRevoked),
		Suspended:      d.flag(attrSuspended),
		Deleted:        d.flag(attrDeleted),

		CustomerID:   textOrNone(record, attrCustomerID),
		Notes:        textOrNone(record, attrNotes),
		TokenKeyID:   textOrNone(record, attrTokenKeyID),
		Version:      integerOrNone(record, attrVersion),
		Created:      instantOrNone(record, attrCreated),
		Changed:      instantOrNone(record, attrChanged),
		ChangedBy:    textOrNone(record, attrChangedBy),
		ChangeReason: textOrNone(record, attrChangeReason),
		RequestID:    textOrNone(record, attrRequestID),

		stored: attribute.Map{attrVersion: record[attrVersion], attrChanged: record[attrChanged]},
	}
	if l.ID == "" {
		d.refuse(attrID, "absent or empty")
	}
	if len(d.refused) > 0 {
		return License{}, fmt.Errorf("%w: license %q: %s", ErrUnreadable, l.ID, strings.Join(d.refused, "; "))
	}
	return l, nil
}

// RecordVersion is the version of a record, also of one that cannot be read otherwise; 0 where there is none.
func RecordVersion(record attribute.Map) int64 { return integerOrNone(record, attrVersion) }

// decider reads the attributes that decide, and collects what it refused. It names types and never
// values: its errors are logged.
type decider struct {
	record  attribute.Map
	refused []string
}

func (d *decider) refuse(name, why string) { d.refused = append(d.refused, name+": "+why) }

func (d *decider) text(name string) string {
	value, present := d.record[name]
	text, isText := value.(string)
	if present && !isText {
		d.refuse(name, fmt.Sprintf("a %T, not a string", value))
	}
	return text
}

func (d *decider) flag(name string) bool {
	value, present := d.record[name]
	flag, isFlag := value.(bool)
	if present && !isFlag {
		d.refuse(name, fmt.Sprintf("a %T, not a BOOL", value))
	}
	return flag
}

func (d *decider) date(name string) time.Time {
	date, err := ParseDate(d.text(name))
	if err != nil {
		d.refuse(name, err.Error())
	}
	return date
}

func (d *decider) days(name string) int {
	value, present := d.record[name]
	if !present {
		return 0
	}
	days, ok := wholeNumber(value)
	if !ok || days < 0 || days > maxStoredGraceDays {
		d.refuse(name, "not a whole number of days that makes sense")
	}
	return int(days)
}

func (d *decider) list(name string) JSONList {
	switch value := d.record[name].(type) {
	case []any:
		text, err := plainjson.Marshal(plain(value))
		if err != nil {
			d.refuse(name, err.Error())
		}
		return d.checkedList(name, string(text))
	case nil:
		if _, present := d.record[name]; present {
			d.refuse(name, "NULL, not a list")
		}
		return "[]"
	default:
		text := d.text(name)
		if strings.TrimSpace(text) == "" {
			return "[]"
		}
		return d.checkedList(name, text)
	}
}

func (d *decider) checkedList(name, text string) JSONList {
	var elements []map[string]json.RawMessage
	err := json.Unmarshal([]byte(text), &elements)
	if err != nil || elements == nil {
		d.refuse(name, "not a JSON array of objects")
	}
	for _, element := range elements {
		if element == nil {
			d.refuse(name, "null in place of an object")
			break
		}
	}
	return JSONList(text)
}

// plain turns an attribute's value into what encoding/json writes without type tags.
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

func textOrNone(record attribute.Map, name string) string {
	text, _ := record[name].(string)
	return text
}

func integerOrNone(record attribute.Map, name string) int64 {
	if whole, ok := wholeNumber(record[name]); ok {
		return whole
	}
	return 0
}

func instantOrNone(record attribute.Map, name string) time.Time {
	if milliseconds, ok := number(record[name]); ok {
		return time.UnixMilli(int64(milliseconds)).UTC()
	}
	return time.Time{}
}

// number reads an N, as far as a float64 can hold it: exactly for whole numbers up to 2^53.
func number(value any) (float64, bool) {
	text, isNumber := value.(attribute.Number)
	parsed, err := strconv.ParseFloat(string(text), 64)
	return parsed, isNumber && err == nil && math.Abs(parsed) <= 1<<53
}

func wholeNumber(value any) (int64, bool) {
	parsed, ok := number(value)
	return int64(parsed), ok && parsed == math.Trunc(parsed)
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
