package license

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	"openlicenser/shared/attribute"
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
	AttrRevoked        = "isrevoked"        // BOOL
	attrNotes          = "notes"            // S

	attrVersion      = "version"          // N
	attrCreated      = "createdtimestamp" // N, Unix milliseconds
	AttrSuspended    = "issuspended"      // BOOL
	attrDeleted      = "isdeleted"        // BOOL
	AttrGraceDays    = "gracedays"        // N
	AttrTokenKeyID   = "tokenkeyid"       // S
	AttrReference    = "reference"        // S
	attrEmail        = "email"            // S
	AttrMaxDevices   = "maxdevices"       // N
	attrLease        = "leaseminutes"     // N
	attrMaxLease     = "maxleaseminutes"  // N
	AttrPlan         = "plan"             // S
	attrUpdatesUntil = "updatesuntil"     // S, ISO 8601
	attrSeatsEpoch   = "seatsepoch"       // N, Unix milliseconds, or the number after the last one
	attrChangedBy    = "changedby"        // S
	attrChangeReason = "changereason"     // S
	AttrRequestID    = "requestid"        // S
	attrPutBack      = "putback"          // S, see PutBack
	AttrErased       = "erased"           // S, see License.Erase
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
		AttrRevoked:        l.Revoked,
		attrNotes:          l.Notes,
		attrVersion:        versionNumber(l.Version),
	}
	if !l.Created.IsZero() {
		record[attrCreated] = millis(l.Created)
	}
	if l.Suspended {
		record[AttrSuspended] = true
	}
	if l.Deleted {
		record[attrDeleted] = true
	}
	putNumbers(record, map[string]int64{
		AttrGraceDays:  int64(l.GraceDays),
		AttrMaxDevices: int64(l.MaxDevices),
		attrLease:      int64(l.LeaseMinutes),
		attrMaxLease:   int64(l.MaxLeaseMinutes),
		attrSeatsEpoch: l.SeatsEpoch,
	})
	if !l.UpdatesUntil.IsZero() {
		record[attrUpdatesUntil] = FormatDate(l.UpdatesUntil)
	}
	putTexts(record, map[string]string{
		AttrPlan:         l.Plan,
		AttrTokenKeyID:   l.TokenKeyID,
		AttrReference:    l.Reference,
		attrEmail:        l.Email,
		attrChangedBy:    l.ChangedBy,
		attrChangeReason: l.ChangeReason,
		AttrRequestID:    l.RequestID,
		AttrErased:       l.Erased,
	})
	return record
}

// putNumbers puts those that are not 0 into the record.
func putNumbers(record attribute.Map, numbers map[string]int64) {
	for name, number := range numbers {
		if number != 0 {
			record[name] = attribute.Number(strconv.FormatInt(number, 10))
		}
	}
}

// putTexts puts those that are not empty into the record.
func putTexts(record attribute.Map, texts map[string]string) {
	for name, text := range texts {
		if text != "" {
			record[name] = text
		}
	}
}

// Delta returns the attributes that an update from before to after sets, and those that it removes. An attribute that
// could not be understood stays as it is stored until after has a value for it. One that the domain does not know stays
// as well, but an erasure removes those that are personal. The index attributes are among the result.
func Delta(before, after License) (set attribute.Map, remove []string) {
	set, remove = delta(before, after)
	if after.IsErased() && after.Erased != before.Erased {
		remove = append(remove, before.unknownPersonal()...)
	}
	seen := after.Changed
	if isDate(before.Changed) && before.Changed.Before(seen) { // the update overwrites it
		seen = before.Changed
	}
	index := indexOf(after, seen)
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
		UpdatesUntil:    r.optionalDate(attrUpdatesUntil),
		MaxDevices:      r.count(AttrMaxDevices, maxStoredDevices),
		LeaseMinutes:    r.count(attrLease, maxStoredLease),
		MaxLeaseMinutes: r.count(attrMaxLease, maxStoredLease),
		Revoked:         r.flag(AttrRevoked),
		Suspended:       r.flag(AttrSuspended),
		Deleted:         r.flag(attrDeleted),

		CustomerID:   r.optionalText(AttrCustomerID),
		Notes:        r.optionalText(attrNotes),
		TokenKeyID:   r.optionalText(AttrTokenKeyID),
		Reference:    r.optionalText(AttrReference),
		Email:        r.optionalText(attrEmail),
		Plan:         r.optionalText(AttrPlan),
		SeatsEpoch:   r.optionalInteger(attrSeatsEpoch),
		Version:      r.optionalInteger(attrVersion),
		Created:      r.optionalInstant(attrCreated),
		Changed:      r.optionalInstant(attrChanged),
		ChangedBy:    r.optionalText(attrChangedBy),
		ChangeReason: r.optionalText(attrChangeReason),
		RequestID:    r.optionalText(AttrRequestID),
		Erased:       r.optionalText(AttrErased),

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
		AttrCustomerName, attrServices, attrAppURLs, AttrExpirationDate, AttrGraceDays, AttrRevoked, AttrSuspended,
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

func versionNumber(version int64) attribute.Number {
	return attribute.Number(strconv.FormatInt(version, 10))
}

func millis(t time.Time) attribute.Number {
	if t.IsZero() {
		return "0"
	}
	return attribute.Number(strconv.FormatInt(t.UnixMilli(), 10))
}
