package license

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// refuseName wants one line in which something is to be seen: people tell a customer or a service by it.
func refuseName(refuse func(field, message string), field, name string, longest int) {
	switch {
	case strings.TrimSpace(name) == "":
		refuse(field, "is required and must not be blank")
	case utf8.RuneCountInString(name) > longest:
		refuse(field, fmt.Sprintf("must be at most %d characters", longest))
	case !utf8.ValidString(name) || strings.ContainsFunc(name, endsLine):
		refuse(field, "must be one line of text without control characters")
	case strings.ContainsFunc(name, isBidiControl):
		refuse(field, "must be text without bidirectional embeddings, overrides and isolates, "+
			"U+202A to U+202E and U+2066 to U+2069: with them it can look like another one")
	case IsBlank(name):
		refuse(field, "must have a character that can be seen by itself")
	}
}

// refuseText lets a text have lines, or be empty.
func refuseText(refuse func(field, message string), field, text string, longest int) {
	switch {
	case utf8.RuneCountInString(text) > longest:
		refuse(field, fmt.Sprintf("must be at most %d characters", longest))
	case !utf8.ValidString(text) || strings.ContainsFunc(text, isControl):
		refuse(field, "must be text without control characters")
	}
}

// isControl lets the white space of texts of several lines pass.
func isControl(c rune) bool { return unicode.IsControl(c) && c != '\n' && c != '\r' && c != '\t' }

// endsLine lets no control character pass, and neither separator of lines and paragraphs, which are none.
func endsLine(c rune) bool { return unicode.IsControl(c) || c == '\u2028' || c == '\u2029' }

// isBidiControl reports whether a character turns the text behind it around (https://www.unicode.org/reports/tr9/,
// section 2). The marks U+061C, U+200E and U+200F do not: names in Arabic and Hebrew need them.
func isBidiControl(c rune) bool {
	return c >= '\u202A' && c <= '\u202E' || c >= '\u2066' && c <= '\u2069'
}

// IsBlank reports whether there is nothing to see. Joiners and marks by themselves are nothing.
func IsBlank(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return !isInvisible(c) && !unicode.Is(unicode.M, c) })
}

// isInvisible knows white space, controls, format characters, tags, fillers, variation selectors and noncharacters.
func isInvisible(c rune) bool {
	return unicode.In(c, unicode.Z, unicode.Cc, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point,
		unicode.Variation_Selector, unicode.Noncharacter_Code_Point, blankSigns)
}

// blankSigns are letters and symbols with an empty glyph.
var blankSigns = &unicode.RangeTable{
	R16: []unicode.Range16{{Lo: 0x2800, Hi: 0x2800, Stride: 1}}, // Braille pattern blank
	R32: []unicode.Range32{
		{Lo: 0x13441, Hi: 0x13442, Stride: 1}, // Egyptian hieroglyphs, full and half blank
		{Lo: 0x1D159, Hi: 0x1D159, Stride: 1}, // musical symbol null notehead
	},
}
