package vendorapi

import (
	"errors"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"openlicenser/shared/license"
	"openlicenser/shared/token"
)

// The errors of IDOf.
var (
	ErrDamagedKey = errors.New("this looks like a license key, and a part of it is missing or wrong; " +
		"copy it again, or put ref: before what is a reference")
	ErrNoName = errors.New("no license is named like this; give its id, its license key or its reference")
)

// IDOf returns what stands for a license in the API: for its id, as it is, for its license key in either form, whatever
// stands around it, or for its reference. It reads the id of a license key alone, and does not know whether the key is
// genuine. What looks like a license key is never taken for a reference, so that no key gets into an address.
func IDOf(text string) (id string, err error) {
	text = strings.TrimSpace(text)
	if license.IsUUID(text) {
		return text, nil
	}
	reference, isReference := strings.CutPrefix(text, ByReference(""))
	if !isReference {
		reference = text
		if id, isKey, err := idOfKey(text); isKey {
			return id, err
		}
	}
	if reference == "" || utf8.RuneCountInString(reference) > license.MaxReference {
		return "", ErrNoName
	}
	return ByReference(reference), nil
}

// idOfKey finds a license key in a text. It reports whether there is one, be it whole or not.
func idOfKey(text string) (id string, isKey bool, err error) {
	candidate := ""
	if begin := longKeyBegins.FindStringIndex(text); begin != nil {
		candidate = longKey.FindString(withoutSpace(text[begin[1]-len("eyJ"):]))
	}
	if candidate == "" {
		candidate = shortKeyIn(text)
	}
	if candidate == "" {
		return "", false, nil
	}
	if id := token.UnverifiedLicenseID(candidate); license.IsUUID(id) {
		return id, true, nil
	}
	return "", true, ErrDamagedKey
}

// A long key begins with {" in base64url. White space may have got into it.
var (
	longKeyBegins = regexp.MustCompile(`(?:^|[^\w-])eyJ`)
	longKey       = regexp.MustCompile(`^eyJ[\w-]{8,}\.[\w-]*(?:\.[\w-]*)?`)
)

func withoutSpace(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) || !unicode.IsGraphic(c) || c == '"' {
			return -1
		}
		return c
	}, text)
}

// A short key has 42 characters. A text of about as many is one that was read or typed wrongly, if it has letters and
// digits as only such a key does.
const (
	shortKeyLength = 42
	shortKeySlack  = 6
	leastOfEach    = 8 // letters and digits
)

var (
	shortKeyGroups = regexp.MustCompile(
		`(?:^|[^0-9A-Z])((?:[0-9A-TV-Z]{6}[^0-9A-Z]{0,3}){6}[0-9A-TV-Z]{6})(?:[^0-9A-Z]|$)`)
	notOfShortKey = regexp.MustCompile(`[^0-9A-Z]+`)
)

// shortKeyIn returns a short key in a text, whatever stands between its characters, or an empty text.
func shortKeyIn(text string) string {
	upper := strings.ToUpper(text)
	if groups := shortKeyGroups.FindStringSubmatch(upper); groups != nil {
		return notOfShortKey.ReplaceAllString(groups[1], "")
	}
	bare := notOfShortKey.ReplaceAllString(upper, "")
	digits := strings.IndexFunc(bare, unicode.IsDigit)
	count := len(bare) - len(strings.Map(func(c rune) rune {
		if unicode.IsDigit(c) {
			return -1
		}
		return c
	}, bare))
	isLikely := digits == 0 && count >= leastOfEach && len(bare)-count >= leastOfEach && !strings.Contains(bare, "U")
	if isLikely && len(bare) >= shortKeyLength-shortKeySlack && len(bare) <= shortKeyLength+shortKeySlack {
		return bare
	}
	return ""
}
