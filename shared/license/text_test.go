package license_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

// acceptedNames are names of one line, in which something is to be seen.
var acceptedNames = map[string]string{
	"Latin":                     "Example & Söhne",
	"decomposed":                "So\u0308hne",
	"digits":                    "4711",
	"sign":                      "&",
	"inner white space":         "A  B",
	"around":                    " A ",
	"Persian with a non-joiner": "شرکت نمونه\u200cای",
	"Hindi with a joiner":       "क्\u200dष",
	"Arabic with a mark":        "\u200fمثال\u200e",
	"Arabic letter mark":        "\u061cمثال",
	"Hebrew with points":        "שָׁלוֹם",
	"Hangul":                    "예시",
	"Hangul, conjoining":        "\u1112\u1161\u11ab",
	"Chinese":                   "示例",
	"Thai":                      "ตัวอย่าง",
	"family":                    "👨\u200d👩\u200d👧",
	"heart":                     "❤\ufe0f",
	"keycap":                    "1\ufe0f\u20e3",
	"flag":                      "🇳🇱",
	"flag of tags":              "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
	"variant of an ideograph":   "葛\U000e0100",
	"soft hyphen within":        "Exa\u00admple",
	"private use":               "\uf8ff",
	"ligature joiner":           "\u034fA",
}

// refusedNames hold, by what is wrong with them, names that are none, and what the refusal says.
var refusedNames = map[string]struct{ name, says string }{
	"empty":                 {"", "is required"},
	"spaces":                {" \u00a0\u3000", "is required"},
	"line feed alone":       {"\n", "is required"},
	"zero-width space":      {"\u200b", "can be seen"},
	"joiner":                {"\u200d", "can be seen"},
	"non-joiner, spaces":    {" \u200c ", "can be seen"},
	"byte order mark":       {"\ufeff", "can be seen"},
	"word joiner":           {"\u2060", "can be seen"},
	"invisible times":       {"\u2062", "can be seen"},
	"soft hyphen":           {"\u00ad", "can be seen"},
	"left-to-right mark":    {"\u200e", "can be seen"},
	"grapheme joiner":       {"\u034f", "can be seen"},
	"combining mark":        {"\u0301", "can be seen"},
	"enclosing mark":        {"\u20dd", "can be seen"},
	"spacing mark":          {"\u093e", "can be seen"},
	"Hangul filler":         {"\u3164", "can be seen"},
	"halfwidth filler":      {"\uffa0", "can be seen"},
	"conjoining fillers":    {"\u115f\u1160", "can be seen"},
	"Khmer inherent vowel":  {"\u17b4", "can be seen"},
	"Mongolian separator":   {"\u180e", "can be seen"},
	"variation selector":    {"\ufe0f", "can be seen"},
	"variation selector 17": {"\U000e0100", "can be seen"},
	"tags":                  {"\U000e0061\U000e0062\U000e007f", "can be seen"},
	"Braille blank":         {"\u2800", "can be seen"},
	"null notehead":         {"\U0001d159", "can be seen"},
	"shorthand format":      {"\U0001bca0", "can be seen"},
	"no character":          {"\uffff", "can be seen"},
	"hieroglyph blank":      {"\U00013441", "can be seen"},
	"line feed":             {"A\nB", "one line"},
	"carriage return":       {"A\rB", "one line"},
	"line feed at the end":  {"A\n", "one line"},
	"tab":                   {"A\tB", "one line"},
	"next line":             {"A\u0085B", "one line"},
	"line separator":        {"A\u2028B", "one line"},
	"paragraph separator":   {"A\u2029B", "one line"},
	"U+0000":                {"A\x00", "one line"},
	"escape":                {"A\x1b[1m", "one line"},
	"not UTF-8":             {"A\xff", "one line"},
	"embedding":             {"A\u202aB", "bidirectional"},
	"override":              {"Example \u202eDTL", "bidirectional"},
	"pop":                   {"A\u202c", "bidirectional"},
	"isolate":               {"A\u2066B\u2069", "bidirectional"},
	"override alone":        {"\u202e", "bidirectional"},
	"isolate at the end":    {"A\u2069", "bidirectional"},
}

// nameFields are where names stand, and how they are refused.
var nameFields = map[string]func(*license.Draft, string){
	"customername": func(d *license.Draft, name string) { d.CustomerName = name },
	"services[0].serviceName": func(d *license.Draft, name string) {
		d.Services = []license.Service{{Name: name, Value: "a"}}
	},
	"services[0].serviceValue": func(d *license.Draft, name string) {
		d.Services = []license.Service{{Name: "a", Value: name}}
	},
}

func refusalOf(t testing.TB, change func(*license.Draft)) []license.FieldError {
	t.Helper()
	d := validDraft()
	change(&d)
	_, err := d.Issue("id", licensetest.Change(""))
	var invalid *license.InvalidError
	if err != nil && !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	if invalid == nil {
		return nil
	}
	return invalid.Fields
}

func TestNames(t *testing.T) {
	for field, set := range nameFields {
		for name, text := range acceptedNames {
			if wrong := refusalOf(t, func(d *license.Draft) { set(d, text) }); wrong != nil {
				t.Errorf("%s, %s: %q %v", field, name, text, wrong)
			}
		}
		for name, test := range refusedNames {
			wrong := refusalOf(t, func(d *license.Draft) { set(d, test.name) })
			if len(wrong) != 1 || wrong[0].Field != field || !strings.Contains(wrong[0].Message, test.says) {
				t.Errorf("%s, %s: %q is refused with %v, want it to say %q", field, name, test.name, wrong, test.says)
			}
		}
	}
}

// TestTexts: notes and reasons may have lines, and be empty.
func TestTexts(t *testing.T) {
	for _, text := range []string{"", " ", "a\r\n\tb", "a\u2028b", "\u2066מ\u2069", "\u200b"} {
		if wrong := refusalOf(t, func(d *license.Draft) { d.Notes = text }); wrong != nil {
			t.Errorf("notes %q: %v", text, wrong)
		}
		if err := license.CheckReason(text); err != nil {
			t.Errorf("reason %q: %v", text, err)
		}
	}
	for _, text := range []string{"a\x00", "a\x1b", "a\u0085", "\xff"} {
		if wrong := refusalOf(t, func(d *license.Draft) { d.Notes = text }); len(wrong) != 1 ||
			wrong[0].Field != "notes" {
			t.Errorf("notes %q: %v", text, wrong)
		}
		if err := license.CheckReason(text); err == nil {
			t.Errorf("reason %q is taken", text)
		}
	}
}

// FuzzName: a name that is taken is one line of characters, and stands in the license as it was given.
func FuzzName(f *testing.F) {
	for _, name := range acceptedNames {
		f.Add(name)
	}
	for _, test := range refusedNames {
		f.Add(test.name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		d := validDraft()
		d.CustomerName = name
		l, err := d.Issue("id", licensetest.Change(""))
		if err != nil {
			return
		}
		if l.CustomerName != name {
			t.Errorf("%q is stored as %q", name, l.CustomerName)
		}
		if strings.ContainsFunc(name, unicode.IsControl) || strings.ContainsAny(name, "\u2028\u2029\u202e\u2066") ||
			strings.TrimSpace(name) == "" {
			t.Errorf("%q is taken", name)
		}
		if wrong := refusalOf(t, func(d *license.Draft) { d.CustomerName = name + "\n" }); len(wrong) == 0 {
			t.Errorf("%q is taken with a line feed behind it", name)
		}
		if len([]rune(name)) < license.MaxCustomerName {
			if wrong := refusalOf(t, func(d *license.Draft) { d.CustomerName = "\u200b" + name }); len(wrong) != 0 {
				t.Errorf("%q is refused with what cannot be seen before it: %v", name, wrong)
			}
		}
	})
}
