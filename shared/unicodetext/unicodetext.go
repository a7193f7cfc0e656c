// Package unicodetext reports what people see of a text: whether a character is visible, and whether it changes how
// others look. It knows nothing of where the text comes from.
package unicodetext

import (
	"strings"
	"unicode"
)

// IsControl reports whether a character is a control character. Separators of lines and paragraphs count too, other
// than in Unicode.
func IsControl(c rune) bool { return unicode.IsControl(c) || c == '\u2028' || c == '\u2029' }

// IsBidiControl reports whether a character turns the text behind it around (https://www.unicode.org/reports/tr9/,
// section 2). The marks U+061C, U+200E and U+200F do not: names in Arabic and Hebrew need them.
func IsBidiControl(c rune) bool {
	return c >= '\u202A' && c <= '\u202E' || c >= '\u2066' && c <= '\u2069'
}

// IsBlank reports whether a text has nothing to see. Joiners and marks by themselves are nothing.
func IsBlank(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return !IsInvisible(c) && !unicode.Is(unicode.M, c) })
}

// IsInvisible reports whether a character is white space, a control, a format character, a tag, a filler, a variation
// selector or a noncharacter.
func IsInvisible(c rune) bool {
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
