package license

import (
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"openlicenser/shared/unicodetext"
)

// refuseName refuses a name that is not one visible line of text. People tell customers and services apart by it.
func refuseName(refuse func(field, message string), field, name string, longest int) {
	switch {
	case strings.TrimSpace(name) == "":
		refuse(field, "is required and must not be blank")
	case utf8.RuneCountInString(name) > longest:
		refuse(field, fmt.Sprintf("must be at most %d characters", longest))
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicodetext.IsControl):
		refuse(field, "must be one line of text without control characters")
	case strings.ContainsFunc(name, unicodetext.IsBidiControl):
		refuse(field, "must be text without bidirectional embeddings, overrides and isolates, "+
			"U+202A to U+202E and U+2066 to U+2069: with them it can look like another one")
	case unicodetext.IsBlank(name):
		refuse(field, "must have a character that can be seen by itself")
	}
}

// refuseText refuses a text that is too long, or has control characters. It may have lines, or be empty.
func refuseText(refuse func(field, message string), field, text string, longest int) {
	switch {
	case utf8.RuneCountInString(text) > longest:
		refuse(field, fmt.Sprintf("must be at most %d characters", longest))
	case !utf8.ValidString(text) || strings.ContainsFunc(text, isControl):
		refuse(field, "must be text without control characters")
	}
}

// CanonicalReference returns a reference in the form in which it is stored, Unicode's NFC, or a problem. What could be
// an id or a license key is refused, because people give each of the three for a license.
func CanonicalReference(text string) (reference, problem string) {
	reference = norm.NFC.String(text)
	refuse := func(_, message string) { problem = message }
	refuseName(refuse, AttrReference, reference, MaxReference)
	switch {
	case problem != "":
	case utf8.RuneCountInString(text) > MaxReference: // NFC can be shorter
		refuseName(refuse, AttrReference, text, MaxReference)
	case strings.TrimSpace(reference) != reference:
		problem = "must not begin or end with a space"
	case IsUUID(reference):
		problem = "must not look like the id of a license"
	case looksLikeLicenseKey(reference):
		problem = "must not look like a license key"
	}
	return reference, problem
}

// looksLikeLicenseKey matches both forms: a JWT, and seven groups of six characters in Crockford's base32.
var looksLikeLicenseKey = regexp.MustCompile(
	`^(ey[\w-]*\.[\w-]+\.[\w-]*|(?i:[0-9A-TV-Z]{6}([- ]?[0-9A-TV-Z]{6}){6}))$`).MatchString

// isEmail reports whether a text is the address of one mailbox and nothing else (RFC 5322 section 3.4.1).
func isEmail(text string) bool {
	address, err := mail.ParseAddress(text)
	return err == nil && address.Address == text && len(text) <= MaxEmail &&
		!strings.ContainsFunc(text, unicodetext.IsInvisible)
}

// isControl does not report the white space of texts of several lines.
func isControl(c rune) bool { return unicode.IsControl(c) && c != '\n' && c != '\r' && c != '\t' }
