package license

import (
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"openlicenser/shared/attribute"
)

// The index attributes, all of them S. They follow from the rest of a record, and lists read them. No other tool knows
// them, so no index is keyed by what others write: a store then takes every record of theirs. They are no part of what
// a license is, neither for its version nor for the audit trail.
const (
	AttrIndexCollection = "ixcollection" // always the same text
	AttrIndexIssued     = "ixissued"     // the earliest instant that is known of the license, and its id
	AttrIndexOwner      = "ixowner"      // customer id, in lower case
	AttrIndexEnds       = "ixends"       // expiration date in the strict form, or noEnd
	AttrIndexStanding   = "ixstanding"   // see Standing
	AttrIndexName       = "ixname"       // customer's name, as Fold returns it
	AttrIndexEmail      = "ixemail"      // e-mail address, as Fold returns it
)

// IndexAttributes are the names of the index attributes.
var IndexAttributes = []string{
	AttrIndexCollection, AttrIndexIssued, AttrIndexOwner, AttrIndexEnds, AttrIndexStanding, AttrIndexName,
	AttrIndexEmail,
}

// Collection is the value of AttrIndexCollection.
const Collection = "licenses"

// noEnd is the value of AttrIndexEnds where no date can be read. It sorts before all dates.
const noEnd = "0000"

// maxIndexText bounds the bytes of an index attribute. DynamoDB takes sort keys of up to 1,024 bytes
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html).
const maxIndexText = 1000

// indexOf returns the index attributes of the license. Its AttrIndexIssued is the earliest of what is stored, when the
// license was created, and the instant.
func indexOf(l License, seen time.Time) attribute.Map {
	index := attribute.Map{
		AttrIndexCollection: Collection,
		AttrIndexEnds:       noEnd,
		AttrIndexStanding:   string(l.Standing()),
	}
	if !l.HasProblem(AttrExpirationDate) {
		index[AttrIndexEnds] = FormatDate(l.ExpirationDate)
	}
	for name, text := range map[string]string{
		AttrIndexIssued: earliest(l.issued, l.issuedAt(l.Created), l.issuedAt(seen)),
		AttrIndexOwner:  strings.ToLower(l.CustomerID),
		AttrIndexName:   cut(Fold(l.CustomerName)),
		AttrIndexEmail:  Fold(l.Email),
	} {
		if text != "" && len(text) <= maxIndexText {
			index[name] = text
		}
	}
	return index
}

// issuedAt returns AttrIndexIssued for an instant, or nothing for one that no date can tell.
func (l License) issuedAt(instant time.Time) string {
	if !isDate(instant) {
		return ""
	}
	return cut(FormatDate(instant) + " " + l.ID)
}

// isDate reports whether there is an instant, and FormatDate can write it.
func isDate(instant time.Time) bool {
	return !instant.IsZero() && instant.UTC().Year() >= 1 && instant.UTC().Year() <= 9999
}

// earliest returns the first text in order. Empty texts do not count.
func earliest(texts ...string) (first string) {
	for _, text := range texts {
		if text != "" && (first == "" || text < first) {
			first = text
		}
	}
	return first
}

// cut shortens a text to maxIndexText, between two characters.
func cut(text string) string {
	if len(text) <= maxIndexText {
		return text
	}
	text = text[:maxIndexText]
	for !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text
}

// Fold returns a text in the form in which it is searched for: without regard to case and to the ways in which Unicode
// writes the same (NFKC_Casefold but for its ignorable characters,
// https://www.unicode.org/reports/tr44/#NFKC_Casefold). Cherokee has its letters in lower case: package cases exchanges
// their cases.
func Fold(text string) string {
	return norm.NFKC.String(strings.ToLower(cases.Fold().String(norm.NFKC.String(text))))
}

// Standing returns the status of a license as far as it does not depend on the time: Revoked, Suspended, Unreadable or
// Active. One that is Unreadable can have Expired meanwhile, because a date that has passed says no by itself.
func (l License) Standing() Status {
	switch {
	case l.RevocationIsKnown() && l.Revoked:
		return Revoked
	case l.RevocationIsKnown() && l.SuspensionIsKnown() && l.Suspended:
		return Suspended
	case !l.IsReadable():
		return Unreadable
	default:
		return Active
	}
}
