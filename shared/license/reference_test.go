package license_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

const (
	licenseKeyText = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJMaWNlbnNlIEtleSJ9.c2lnbmF0dXJl"
	shortKeyText   = "06CX38-KW7SXN-N78E7W-N1PK2X-DTHSG0-WPA3H2-4FC37M"
)

// acceptedReferences are references, with the form in which they are stored.
var acceptedReferences = map[string]struct{ given, stored string }{
	"order number":           {"4711", "4711"},
	"of a shop":              {"stripe:sub_1MowQVLkdIwHu7ixeRlqHVzs", "stripe:sub_1MowQVLkdIwHu7ixeRlqHVzs"},
	"case":                   {"Order-a", "Order-a"},
	"slashes and signs":      {"a/b?c=d&e#f%41", "a/b?c=d&e#f%41"},
	"space within":           {"order 4711", "order 4711"},
	"composed":               {"\u00e9", "\u00e9"},
	"decomposed":             {"e\u0301", "\u00e9"},
	"compatible, not folded": {"ＡＢ", "ＡＢ"},
	"excluded from NFC":      {"\u0958", "\u0915\u093c"},
	"like the prefix":        {"ref:1", "ref:1"},
	"dots":                   {"..", ".."},
	"part of a UUID":         {"869b100f-06b7-44cc-80df-b4c4bf72846", "869b100f-06b7-44cc-80df-b4c4bf72846"},
	"UUID and more": {
		"869b100f-06b7-44cc-80df-b4c4bf728461/1", "869b100f-06b7-44cc-80df-b4c4bf728461/1",
	},
	"short key, cut":  {shortKeyText[:47], shortKeyText[:47]},
	"two dots":        {"order.1.2", "order.1.2"},
	"longest":         {strings.Repeat("é", license.MaxReference), strings.Repeat("é", license.MaxReference)},
	"longest, astral": {strings.Repeat("🎉", license.MaxReference), strings.Repeat("🎉", license.MaxReference)},
}

// refusedReferences hold, by what is wrong with them, texts that are no reference, and what the refusal says.
var refusedReferences = map[string]struct{ given, says string }{
	"blank":                 {" ", "is required"},
	"space before":          {" 4711", "space"},
	"space behind":          {"4711 ", "space"},
	"no-break space behind": {"4711\u00a0", "space"},
	"two lines":             {"47\n11", "one line"},
	"invisible":             {"\u200b", "can be seen"},
	"override":              {"a\u202eb", "bidirectional"},
	"not UTF-8":             {"a\xff", "one line"},
	"too long":              {strings.Repeat("é", license.MaxReference+1), "at most 256"},
	"too long, composed":    {strings.Repeat("e\u0301", license.MaxReference), "at most 256"},
	"too long, decomposed":  {strings.Repeat("\u0958", license.MaxReference), "at most 256"},
	"id":                    {"869b100f-06b7-44cc-80df-b4c4bf728461", "id of a license"},
	"id in upper case":      {"869B100F-06B7-44CC-80DF-B4C4BF728461", "id of a license"},
	"license key":           {licenseKeyText, "license key"},
	"license key, cut":      {licenseKeyText[:70], "license key"},
	"short key":             {shortKeyText, "license key"},
	"short key, lower case": {strings.ToLower(shortKeyText), "license key"},
	"short key, one block":  {strings.ReplaceAll(shortKeyText, "-", ""), "license key"},
	"short key, spaces":     {strings.ReplaceAll(shortKeyText, "-", " "), "license key"},
	"short key, misread":    {strings.ReplaceAll(shortKeyText, "0", "O"), "license key"},
}

func TestCanonicalReference(t *testing.T) {
	for name, test := range acceptedReferences {
		stored, problem := license.CanonicalReference(test.given)
		if problem != "" || stored != test.stored {
			t.Errorf("%s: %q is %q, %q", name, test.given, stored, problem)
		}
	}
	for name, test := range refusedReferences {
		if _, problem := license.CanonicalReference(test.given); !strings.Contains(problem, test.says) {
			t.Errorf("%s: %q is refused with %q, want it to say %q", name, test.given, problem, test.says)
		}
		wrong := refusalOf(t, func(d *license.Draft) { d.Reference = test.given })
		if len(wrong) != 1 || wrong[0].Field != "reference" {
			t.Errorf("%s: a draft with %q is refused with %v", name, test.given, wrong)
		}
	}
	if _, problem := license.CanonicalReference(""); problem == "" {
		t.Error("an empty text is a reference")
	}
}

// FuzzCanonicalReference: a stored form is in NFC and its own stored form, and no other can pass for it.
func FuzzCanonicalReference(f *testing.F) {
	for _, test := range acceptedReferences {
		f.Add(test.given)
	}
	for _, test := range refusedReferences {
		f.Add(test.given)
	}
	f.Fuzz(func(t *testing.T, text string) {
		stored, problem := license.CanonicalReference(text)
		if problem != "" {
			return
		}
		again, problem := license.CanonicalReference(stored)
		if problem != "" || again != stored || !norm.NFC.IsNormalString(stored) {
			t.Errorf("%q is stored as %q, and that as %q, %q", text, stored, again, problem)
		}
		if len(stored) > license.MaxIDBytes || strings.TrimSpace(stored) == "" || license.IsUUID(stored) {
			t.Errorf("%q is a reference", stored)
		}
	})
}

// TestGiveReference: a license gets one once, and keeps it.
func TestGiveReference(t *testing.T) {
	d := validDraft()
	d.Reference = "Cafe\u0301 1"
	with, err := d.Issue("id", licensetest.Change(""))
	if err != nil || with.Reference != "Café 1" {
		t.Fatalf("issued with %q, %v", with.Reference, err)
	}
	without := licensetest.Issue(t)
	for name, test := range map[string]struct {
		l     license.License
		given string
		want  string // of the license; empty: none
		says  string // of the refusal; empty: none
	}{
		"to one without":          {without, "e\u0301 1", "é 1", ""},
		"none to one without":     {without, "", "", ""},
		"what is none":            {without, " ", "", "is required"},
		"the same":                {with, "Café 1", "Café 1", ""},
		"the same, decomposed":    {with, "Cafe\u0301 1", "Café 1", ""},
		"another":                 {with, "Café 2", "Café 1", "for good"},
		"the same in other case":  {with, "café 1", "Café 1", "for good"},
		"none to one that has it": {with, "", "Café 1", "for good"},
	} {
		t.Run(name, func(t *testing.T) {
			patched, err := test.l.Patch(license.Patch{Reference: &test.given}, licensetest.Change("why"))
			if (err != nil) != (test.says != "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("got error %v", err)
			}
			isChanged := patched.Version != test.l.Version
			if patched.Reference != test.want || isChanged != (test.l.Reference != test.want) {
				t.Errorf("the reference is %q, version %d", patched.Reference, patched.Version)
			}
		})
	}
}

func TestEmail(t *testing.T) {
	for _, email := range []string{
		"name@example.com", "Name+tag@sub.example.com", "o'neil@example.com", "söhne@bücher.example", "a@localhost",
		"用户@例え.jp", "a@[192.0.2.1]", strings.Repeat("a", license.MaxEmail-12) + "@example.com",
	} {
		if wrong := refusalOf(t, func(d *license.Draft) { d.Email = email }); wrong != nil {
			t.Errorf("%q: %v", email, wrong)
		}
	}
	for name, email := range map[string]string{
		"no address": "name", "no domain": "name@", "no name": "@example.com", "two": "a@example.com,b@example.com",
		"with a name": "Name <name@example.com>", "in brackets": "<name@example.com>", "space behind": "a@example.com ",
		"comment": "a@example.com (home)", "line feed": "a@example.com\n",
		"header":       "a@example.com\r\nBcc: b@example.com",
		"space within": "a b@example.com", "zero-width space": "a\u200b@example.com",
		"no-break space": "a\u00a0b@example.com",
		"not UTF-8":      "\xff@example.com", "blank": " ", "U+0000": "a\x00@example.com",
		"too long":          strings.Repeat("a", license.MaxEmail-11) + "@example.com",
		"too long in bytes": strings.Repeat("é", 125) + "@example.com",
	} {
		wrong := refusalOf(t, func(d *license.Draft) { d.Email = email })
		if len(wrong) != 1 || wrong[0].Field != "email" {
			t.Errorf("%s: %q is refused with %v", name, email, wrong)
		}
	}
	d := validDraft()
	d.Email = "Name@Example.com"
	l, err := d.Issue("id", licensetest.Change(""))
	if err != nil || l.Email != d.Email {
		t.Fatalf("stored as %q, %v", l.Email, err)
	}
	for _, email := range []string{"other@example.com", ""} {
		patched, err := l.Patch(license.Patch{Email: &email}, licensetest.Change(""))
		if err != nil || patched.Email != email || patched.Version != l.Version+1 {
			t.Errorf("changed to %q: %+v, %v", email, patched, err)
		}
	}
}

// TestFold: what people take for the same text is the same.
func TestFold(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "acme": "acme", "ACME": "acme", "ＡＣＭＥ": "acme", "Straße": "strasse", "ΣΑΣ": "σασ", "σας": "σασ",
		"\u212b": "\u00e5", "A\u030a": "\u00e5", "ﬁne": "fine", "①": "1", "İ": "i\u0307", "\u1e9e": "ss",
		"ｶﾞ":     "ガ",
		"\u13ba": "\uab8a", "\uab8a": "\uab8a", "\u13f8": "\u13f8", "\u13f0": "\u13f8", "\u0958": "\u0915\u093c",
	} {
		if got := license.Fold(text); got != want {
			t.Errorf("%q folds to %q, want %q", text, got, want)
		}
	}
}

// TestFoldOfEachCharacter: a character and its other cases fold to the same, and that to itself.
func TestFoldOfEachCharacter(t *testing.T) {
	for c := range unicode.MaxRune + 1 {
		folded := license.Fold(string(c))
		if again := license.Fold(folded); again != folded {
			t.Errorf("%U folds to %+q, and that to %+q", c, folded, again)
		}
		for other := unicode.SimpleFold(c); other != c; other = unicode.SimpleFold(other) {
			if of := license.Fold(string(other)); of != folded {
				t.Errorf("%U folds to %+q, and %U to %+q", c, folded, other, of)
			}
		}
	}
}

// FuzzFold: to fold what is folded changes nothing, so that an index can be searched by any of the forms.
func FuzzFold(f *testing.F) {
	for _, text := range []string{
		"Acme", "Straße", "\u0345\u0390", "\u1fb3\u0301", "\ufdfa", "ﬃ", "\u03d2\u0301", "\u1e9b\u0323",
		"\u13ba", "\u037a",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		folded := license.Fold(text)
		if again := license.Fold(folded); again != folded && utf8.ValidString(text) {
			t.Errorf("%q folds to %q, and that to %q", text, folded, again)
		}
	})
}
