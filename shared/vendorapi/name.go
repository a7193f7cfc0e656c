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
	reference, isReference := strings.CutPrefix(text, ByReference(""))
	switch {
	case license.IsUUID(text):
		return text, nil
	case !isReference && hasKey(text):
		return idOfKey(text)
	case !isReference:
		reference = text
	}
	if reference == "" || utf8.RuneCountInString(reference) > license.MaxReference {
		return "", ErrNoName
	}
	return ByReference(reference), nil
}

// Both forms of a license key, as they stand in a text: with white space in a long one, or between the groups of a
// short one.
var (
	longKey  = regexp.MustCompile(`ey[\w-]{8,}\.[\w-]*(\.[\w-]*)?`)
	shortKey = regexp.MustCompile(`(?i)(?:^|[^0-9A-Z])([0-9A-TV-Z]{6}(?:[- ]?[0-9A-TV-Z]{6}){6})(?:[^0-9A-Z]|$)`)
)

func hasKey(text string) bool {
	return longKey.MatchString(withoutSpace(text)) || shortKey.MatchString(text)
}

func withoutSpace(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) || !unicode.IsGraphic(c) || c == '"' {
			return -1
		}
		return c
	}, text)
}

func idOfKey(text string) (string, error) {
	candidates := []string{longKey.FindString(withoutSpace(text))}
	if found := shortKey.FindStringSubmatch(text); found != nil {
		candidates = append(candidates, found[1])
	}
	for _, candidate := range candidates {
		if id := token.UnverifiedLicenseID(candidate); license.IsUUID(id) {
			return id, nil
		}
	}
	return "", ErrDamagedKey
}
