package license

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

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

// isControl does not report the white space of texts of several lines.
func isControl(c rune) bool { return unicode.IsControl(c) && c != '\n' && c != '\r' && c != '\t' }
