package license

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"openlicenser/shared/attribute"
	"openlicenser/shared/unicodetext"
)

// A customer may ask to be forgotten. An erasure takes all personal values out of the record of a license, which stays
// as usable as it was. What it leaves is impersonal, and the mark AttrErased tells the readers of the stream that what
// they hold of the license has to go too.

// ErasedName is the customer's name in a license that was erased.
const ErasedName = "erased"

// impersonal are the attributes that tell nothing about a person. All others count as personal: those that are not
// here, and those that other tools have made up.
var impersonal = slices.Concat([]string{
	AttrID, attrAppURLs, attrServices, attrChanged, AttrCustomerID, AttrExpirationDate, AttrRevoked,
	attrVersion, attrCreated, AttrSuspended, attrDeleted, AttrGraceDays, AttrTokenKeyID, AttrMaxDevices, attrLease,
	attrMaxLease, AttrPlan, attrUpdatesUntil, attrSeatsEpoch, attrChangedBy, AttrRequestID, attrPutBack, AttrErased,
}, IndexAttributes)

// personal are those of the others that the domain knows.
var personal = []string{AttrCustomerName, attrEmail, attrNotes, AttrReference, attrChangeReason}

// IsPersonal reports whether an attribute of a record may tell something about a person.
func IsPersonal(name string) bool { return !slices.Contains(impersonal, name) }

// HoldsPersonal reports whether a record holds a personal value that an erasure would take out. The reason of the last
// change is none: an erasure has one too.
func HoldsPersonal(record attribute.Map) bool {
	for name, value := range record {
		isNone := value == nil || value == "" || name == attrChangeReason ||
			name == AttrCustomerName && value == ErasedName
		if IsPersonal(name) && !isNone {
			return true
		}
	}
	return false
}

// IsErasure reports whether a change has forgotten the customer: it has set a new mark, and no personal value is left.
func IsErasure(before, after attribute.Map) bool {
	mark, _ := after[AttrErased].(string)
	return mark != "" && before[AttrErased] != after[AttrErased] && !HoldsPersonal(after)
}

// IsErased reports whether the license was erased, and takes no personal values any more.
func (l License) IsErased() bool { return l.Erased != "" }

// Erase takes the personal values out of the license: the customer's name, e-mail address, notes and reference. It also
// takes out the attributes that the domain does not know: see Delta. The mark is a text that no erasure had before. A
// license that was erased is erased again, because another tool may have written to it. The error is an *InvalidError
// about the reason, which stays, and so must not tell what goes.
func (l License) Erase(c Change, mark string) (License, error) {
	if err := CheckErasureReason(c.Reason, l.CustomerName, l.Email, l.Reference); err != nil {
		return l, err
	}
	l = l.mended(AttrCustomerName, attrEmail, attrNotes, AttrReference, AttrErased)
	l.CustomerName, l.Email, l.Notes, l.Reference = ErasedName, "", "", ""
	l.Erased = mark
	return l.stamped(c), nil
}

// leastTelling is how many characters a personal value must have to be looked for in a reason. A shorter one is a part
// of many words.
const leastTelling = 4

// CheckErasureReason returns an *InvalidError for a reason that is blank, or contains one of the values that the
// erasure takes out, in whatever case.
func CheckErasureReason(reason string, values ...string) error {
	refuse := func(message string) error { return &InvalidError{[]FieldError{{"reason", message}}} }
	if unicodetext.IsBlank(reason) {
		return refuse("is required: the audit trail keeps it")
	}
	for _, value := range values {
		value = Fold(strings.TrimSpace(value))
		isTold := utf8.RuneCountInString(value) >= leastTelling && strings.Contains(Fold(reason), value)
		if isTold && value != ErasedName {
			return refuse("must not tell the customer's name, e-mail address or reference: the audit trail keeps it, " +
				"and the erasure takes these out")
		}
	}
	return nil
}

// EraseRemoved returns what has to be put and removed again, so that the stream tells of the erasure of a license that
// was removed before. It is revoked. The error is that of Erase.
func EraseRemoved(id string, c Change, mark string) (License, error) {
	l, err := License{ID: id}.Erase(c, mark)
	l.Revoked, l.Deleted = true, true
	return l, err
}

// tombstone are the attributes of a Tombstone.
var tombstone = []string{
	AttrID, AttrRevoked, attrDeleted, AttrErased, attrVersion, attrChanged, attrChangedBy, attrChangeReason,
	AttrRequestID,
}

// Tombstone returns the record of what EraseRemoved returns. It has no index attributes, so that no list shows it.
func (l License) Tombstone() attribute.Map {
	record := l.record()
	maps.DeleteFunc(record, func(name string, _ any) bool { return !slices.Contains(tombstone, name) })
	return record
}

// unknownPersonal returns the personal attributes of the record that the license was read from, as far as the domain
// does not know them.
func (l License) unknownPersonal() (names []string) {
	for name := range l.stored {
		if IsPersonal(name) && !slices.Contains(personal, name) {
			names = append(names, name)
		}
	}
	return names
}

// withoutPersonal returns the patch without the personal values that a license which was erased does not take, and says
// so of each. It can lose what another tool has given it since, and keep it.
func (p Patch) withoutPersonal(l License) (rest Patch, refused []FieldError) {
	if !l.IsErased() {
		return p, nil
	}
	for _, f := range []struct {
		name         string
		value        **string
		stored, none string
	}{
		{AttrCustomerName, &p.CustomerName, l.CustomerName, ErasedName},
		{attrEmail, &p.Email, l.Email, ""},
		{attrNotes, &p.Notes, l.Notes, ""},
		{AttrReference, &p.Reference, l.Reference, ""},
	} {
		if given := *f.value; given != nil && *given != "" && *given != f.stored && *given != f.none {
			*f.value = nil
			refused = append(refused, FieldError{f.name,
				"must be left out: the license was erased, and takes no personal values any more"})
		}
	}
	return p, refused
}
