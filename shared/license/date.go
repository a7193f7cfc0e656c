package license

import (
	"errors"
	"strings"
	"time"
)

// dateForm is the form in which expiration dates are written, always in UTC.
const dateForm = "2006-01-02T15:04:05.000Z"

// Never is the ExpirationDate of a license that has no end: the last instant that a record can hold.
var Never = time.Date(9999, time.December, 31, 23, 59, 59, int(999*time.Millisecond), time.UTC)

// never stands for Never where the vendor gives a date.
const never = "never"

// The forms of ISO 8601 that are read: basic or extended, the time with or without minutes and seconds, and a zone or
// none. Weeks and days of the year are not read. A fraction needs no form of its own, because time.Parse accepts one
// after the seconds, with a dot or a comma. No text has two meanings: a date always has eight digits, and a T or a
// space behind them.
var (
	dayForms  = []string{"2006-01-02", "20060102"}
	timeForms = []string{"15:04:05", "15:04", "150405", "1504", "15"}
	zoneForms = []string{"Z07:00", "Z0700", "Z07", ""}

	instantForms = combine(dayForms, timeForms, zoneForms)
)

func combine(days, times, zones []string) (forms []string) {
	for _, day := range days {
		for _, clock := range times {
			for _, zone := range zones {
				forms = append(forms, day+"T"+clock+zone)
			}
		}
	}
	return forms
}

var errNotADate = errors.New("not an ISO 8601 date")

// ParseDate reads an ISO 8601 date. No zone means UTC, and no time means midnight. As other tools write it, a space
// may stand for the T (RFC 3339 section 5.6), or before the zone, and UTC for Z.
func ParseDate(text string) (time.Time, error) {
	date, _, err := parseDate(text)
	return date, err
}

// ParseEnd reads the end of a license as the vendor gives it. "never" means Never. A date alone means the whole of that
// day, up to its last millisecond in UTC. Everything else is read as by ParseDate, to the millisecond.
func ParseEnd(text string) (time.Time, error) {
	if text == never {
		return Never, nil
	}
	date, isDay, err := parseDate(text)
	if isDay {
		date = date.AddDate(0, 0, 1).Add(-time.Millisecond)
	}
	return date.Truncate(time.Millisecond), err
}

// parseDate also reports whether the text is a date without a time.
func parseDate(text string) (date time.Time, isDay bool, err error) {
	text, isMidnight24 := normalizeDate(text)
	for _, form := range instantForms {
		if date, err := time.Parse(form, text); err == nil {
			if isMidnight24 {
				date = date.AddDate(0, 0, 1)
			}
			date, err = inCalendar(date)
			return date, false, err
		}
	}
	for _, form := range dayForms {
		if date, err := time.Parse(form, text); err == nil {
			date, err = inCalendar(date)
			return date, err == nil, err
		}
	}
	return time.Time{}, false, errNotADate
}

// normalizeDate brings the T, the zone and their letters into the one spelling of the forms. It also reports whether
// the hour was 24, the midnight at the end of the day, in place of which it writes 00.
func normalizeDate(text string) (normal string, isMidnight24 bool) {
	text = withoutZoneName(strings.ToUpper(strings.TrimSpace(text)))
	length := len("20060102")
	if len(text) > len("2006") && text[len("2006")] == '-' {
		length = len("2006-01-02")
	}
	if len(text) <= length {
		return text, false
	}
	day, clock := text[:length], text[length:]
	if clock[0] == ' ' {
		clock = "T" + clock[1:]
	}
	if zone := strings.IndexAny(clock, "Z+-"); zone > 0 && clock[zone-1] == ' ' {
		clock = clock[:zone-1] + clock[zone:]
	}
	if rest, is24 := strings.CutPrefix(clock, "T24"); is24 && isZero(rest) {
		return day + "T00" + rest, true
	}
	return day + clock, false
}

// withoutZoneName writes Z for a name of UTC, also for one behind an offset of zero: Go and databases print both.
func withoutZoneName(text string) string {
	for _, name := range []string{"UTC", "GMT"} {
		rest, named := strings.CutSuffix(text, name)
		if !named {
			continue
		}
		if offset, isZero := strings.CutSuffix(strings.TrimSpace(rest), "+0000"); isZero {
			return offset + "Z"
		}
		return rest + "Z"
	}
	return text
}

// isZero reports whether minutes, seconds and fraction, up to the zone, are zero.
func isZero(clock string) bool {
	if zone := strings.IndexAny(clock, "Z+-"); zone >= 0 {
		clock = clock[:zone]
	}
	return strings.Trim(clock, "0:.,") == ""
}

// inCalendar returns the date in UTC. It refuses one that the zone moves out of the four-digit years, which FormatDate
// could not write.
func inCalendar(date time.Time) (time.Time, error) {
	date = date.UTC()
	if date.Year() < 1 || date.Year() > 9999 {
		return time.Time{}, errNotADate
	}
	return date, nil
}

// FormatDate returns a date in the strict form, 2025-01-03T00:00:00.000Z.
func FormatDate(date time.Time) string { return date.UTC().Format(dateForm) }
