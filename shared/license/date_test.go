package license_test

import (
	"strings"
	"testing"
	"time"

	"openlicenser/shared/license"
)

// readDates are texts that are read, and what they mean.
var readDates = map[string]struct{ text, want string }{
	"strict":                               {"2099-01-31T23:59:59.000Z", "2099-01-31T23:59:59Z"},
	"microseconds":                         {"2099-01-31T23:59:59.123456Z", "2099-01-31T23:59:59.123456Z"},
	"fraction with a comma":                {"2099-01-31T23:59:59,5Z", "2099-01-31T23:59:59.5Z"},
	"fraction beyond nanoseconds":          {"2099-01-31T23:59:59.1234567891Z", "2099-01-31T23:59:59.123456789Z"},
	"no zone":                              {"2099-01-31T23:59:59", "2099-01-31T23:59:59Z"},
	"no zone, with a fraction":             {"2099-01-31T23:59:59.25", "2099-01-31T23:59:59.25Z"},
	"no seconds":                           {"2099-01-31T23:59", "2099-01-31T23:59:00Z"},
	"no seconds, with a zone":              {"2099-01-31T23:59+01", "2099-01-31T22:59:00Z"},
	"one digit for the hour":               {"2099-01-31T5:59:59Z", "2099-01-31T05:59:59Z"},
	"zone of hours":                        {"2099-01-31T23:59:59+00", "2099-01-31T23:59:59Z"},
	"zone of hours, west":                  {"2099-01-31T23:59:59-05", "2099-02-01T04:59:59Z"},
	"zone without a colon":                 {"2099-01-31T23:59:59+0130", "2099-01-31T22:29:59Z"},
	"zone with a colon":                    {"2099-01-31T23:59:59-01:30", "2099-02-01T01:29:59Z"},
	"zone behind a fraction":               {"2099-01-31T23:59:59.5+02", "2099-01-31T21:59:59.5Z"},
	"zone behind a space":                  {"2099-01-31 23:59:59 +0000", "2099-01-31T23:59:59Z"},
	"zone with a colon behind a space":     {"2099-01-31 23:59:59 -05:00", "2099-02-01T04:59:59Z"},
	"UTC":                                  {"2099-01-31 23:59:59 UTC", "2099-01-31T23:59:59Z"},
	"UTC without a space":                  {"2099-01-31T23:59:59UTC", "2099-01-31T23:59:59Z"},
	"UTC behind a fraction, in lower case": {"2099-01-31 23:59:59.5 utc", "2099-01-31T23:59:59.5Z"},
	"Z behind a space":                     {"2099-01-31 23:59:59 Z", "2099-01-31T23:59:59Z"},
	"lower case":                           {"2099-01-31t23:59:59z", "2099-01-31T23:59:59Z"},
	"white space around":                   {" 2099-01-31T23:59:59Z\n", "2099-01-31T23:59:59Z"},
	"basic":                                {"20990131T235959Z", "2099-01-31T23:59:59Z"},
	"basic, in lower case":                 {"20990131t235959z", "2099-01-31T23:59:59Z"},
	"basic, no zone":                       {"20990131T235959", "2099-01-31T23:59:59Z"},
	"basic, no seconds":                    {"20990131T2359", "2099-01-31T23:59:00Z"},
	"basic, with a fraction":               {"20990131T235959,25Z", "2099-01-31T23:59:59.25Z"},
	"basic, with a zone":                   {"20990131T235959-0530", "2099-02-01T05:29:59Z"},
	"basic, with a zone of hours":          {"20990131T235959+02", "2099-01-31T21:59:59Z"},
	"basic, with spaces":                   {"20990131 235959 +0000", "2099-01-31T23:59:59Z"},
	"basic day, extended time":             {"20990131T23:59:59+02:00", "2099-01-31T21:59:59Z"},
	"extended day, basic time":             {"2099-01-31T235959Z", "2099-01-31T23:59:59Z"},
	"day":                                  {"2099-01-31", "2099-01-31T00:00:00Z"},
	"basic day":                            {"20990131", "2099-01-31T00:00:00Z"},
	"hours alone":                          {"2099-01-31T23", "2099-01-31T23:00:00Z"},
	"hours alone, basic, with a zone":      {"20990131T23+02", "2099-01-31T21:00:00Z"},
	"hour 24":                              {"2099-01-31T24:00:00.000Z", "2099-02-01T00:00:00Z"},
	"hour 24, basic":                       {"20990131T2400", "2099-02-01T00:00:00Z"},
	"GMT":                                  {"2099-01-31 23:59:59 GMT", "2099-01-31T23:59:59Z"},
	"as Go prints it":                      {"2099-01-31 23:59:59.5 +0000 UTC", "2099-01-31T23:59:59.5Z"},
	"first instant":                        {"0001-01-01", "0001-01-01T00:00:00Z"},
	"last instant":                         {"9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"},
}

func TestParseDate(t *testing.T) {
	for name, test := range readDates {
		t.Run(name, func(t *testing.T) {
			got, err := license.ParseDate(test.text)
			if want, _ := time.Parse(time.RFC3339Nano, test.want); err != nil || !got.Equal(want) {
				t.Errorf("%q is %s, %v; want %s", test.text, got, err, want)
			}
		})
	}
}

// refusedDates have no meaning, or more than one.
var refusedDates = map[string]string{
	"nothing": "", "words": "soon", "never": "never",
	"day first": "31-01-2099", "American": "01/31/2099", "dots": "31.01.2099",
	"no such day": "2099-02-30", "hour 24 and a minute": "2099-01-31T24:01:00Z",
	"hour 25": "2099-01-31T25:00:00Z", "second 60": "2099-01-31T23:59:60Z",
	"year": "2099", "month": "2099-01", "week": "2099-W05-6",
	"day of the year": "2099-031", "day of the year, basic": "2099031",
	"Unix seconds": "4073500799", "Unix milliseconds": "4073500799000", "digits without a T": "20990131235959",
	"one hyphen": "2099-0131", "the other hyphen": "209901-31",
	"time cut off": "2099-01-31T", "zone cut off": "2099-01-31T23:59:59+", "basic time cut off": "20990131T23595",
	"day with a zone": "2099-01-31Z", "day with an offset": "2099-01-31+01:00", "day with UTC": "2099-01-31 UTC",
	"two zones": "2099-01-31T23:59:59+0100 UTC", "Z twice": "2099-01-31T23:59:59ZUTC",
	"zone by name": "2099-01-31T23:59:59 CET", "two spaces": "2099-01-31  23:59:59",
	"two spaces before the zone": "2099-01-31 23:59:59  UTC", "space in the time": "2099-01-31T23: 59:59",
	"T and a space": "2099-01-31T 23:59:59", "five digits": "12099-01-31", "a sign": "+2099-01-31",
	"year 10000 by the hour": "9999-12-31T24:00:00Z", "year 10000 by the zone": "9999-12-31T23:59:59-12",
	"year 0": "0000-01-01", "year 0 by the zone": "0001-01-01T00:00:00+01",
	"other digits": "２０９９-01-31", "U+0000": "2099-01-31\x00",
}

func TestParseDateRefuses(t *testing.T) {
	for name, text := range refusedDates {
		if got, err := license.ParseDate(text); err == nil {
			t.Errorf("%s: %q is %s", name, text, got)
		}
	}
}

func TestParseEnd(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"instant":              {"2099-01-31T12:00:00Z", "2099-01-31T12:00:00.000Z"},
		"midnight":             {"2099-01-31T00:00:00Z", "2099-01-31T00:00:00.000Z"},
		"less than its record": {"2099-01-31T12:00:00.1239Z", "2099-01-31T12:00:00.123Z"},
		"day":                  {"2099-01-31", "2099-01-31T23:59:59.999Z"},
		"basic day":            {"20990131", "2099-01-31T23:59:59.999Z"},
		"leap day":             {"2096-02-29", "2096-02-29T23:59:59.999Z"},
		"last day":             {"9999-12-31", license.FormatDate(license.Never)},
		"never":                {"never", "9999-12-31T23:59:59.999Z"},
		"last nanosecond":      {"9999-12-31T23:59:59.999999999Z", license.FormatDate(license.Never)},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := license.ParseEnd(test.text); err != nil || license.FormatDate(got) != test.want {
				t.Errorf("%q is %s, %v; want %s", test.text, got, err, test.want)
			}
		})
	}
	for _, text := range []string{"", "Never", "never ", "forever", "null", "soon", "10000-01-01"} {
		if got, err := license.ParseEnd(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

// parseOnce is how dates were read before there were other forms.
func parseOnce(text string) (time.Time, bool) {
	text = strings.ToUpper(strings.TrimSpace(text))
	if len(text) > len("2006-01-02") && text[len("2006-01-02")] == ' ' {
		text = strings.Replace(text, " ", "T", 1)
	}
	for _, form := range []string{
		"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05",
		"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02",
	} {
		if date, err := time.Parse(form, text); err == nil {
			date = date.UTC()
			return date, date.Year() >= 1 && date.Year() <= 9999
		}
	}
	return time.Time{}, false
}

// FuzzParseDate: a date that is read is written, and read again, as the same instant, and what was ever read keeps its
// meaning.
func FuzzParseDate(f *testing.F) {
	for _, test := range readDates {
		f.Add(test.text)
	}
	for _, text := range refusedDates {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := license.ParseDate(text)
		if before, was := parseOnce(text); was && (err != nil || !got.Equal(before)) {
			t.Errorf("%q was %s and is %s, %v", text, before, got, err)
		}
		end, errEnd := license.ParseEnd(text)
		if (err == nil) != (errEnd == nil) && text != "never" {
			t.Errorf("%q: a date %v, an end %v", text, err, errEnd)
		}
		if err != nil {
			return
		}
		if again, err := license.ParseDate(license.FormatDate(got)); err != nil ||
			!again.Equal(got.Truncate(time.Millisecond)) {
			t.Errorf("%q is %s, and written and read again %s, %v", text, got, again, err)
		}
		if again, err := license.ParseEnd(license.FormatDate(end)); err != nil || !again.Equal(end) {
			t.Errorf("%q ends %s, and written and read again %s, %v", text, end, again, err)
		}
		if day := end.Sub(got); day < -time.Millisecond || day >= 24*time.Hour {
			t.Errorf("%q is %s and ends %s", text, got, end)
		}
	})
}
