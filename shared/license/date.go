package license

import (
	"errors"
	"strings"
	"time"
)

// dateForm is how an expiration date is written, always in UTC.
const dateForm = "2006-01-02T15:04:05.000Z"

// dateForms are the forms of ISO 8601 that are read: with or without time, seconds, fraction and zone. A
// fraction needs no form of its own, time.Parse takes it after the seconds.
var dateForms = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02",
}

var errNotADate = errors.New("not an ISO 8601 date")

// ParseDate reads an ISO 8601 date. No zone means UTC, no time means midnight, and a space may stand for
// the T, as RFC 3339 section 5.6 allows.
func ParseDate(text string) (time.Time, error) {
	text = strings.ToUpper(strings.TrimSpace(text))
	if len(text) > len("2006-01-02") && text[len("2006-01-02")] == ' ' {
		text = strings.Replace(text, " ", "T", 1)
	}
	for _, form := range dateForms {
		if date, err := time.Parse(form, text); err == nil {
			return inCalendar(date.UTC())
		}
	}
	return time.Time{}, errNotADate
}

// inCalendar refuses dates that the zone moves out of the four-digit years: they could not be written so that they
// can be read.
func inCalendar(date time.Time) (time.Time, error) {
	if date.Year() < 1 || date.Year() > 9999 {
		return time.Time{}, errNotADate
	}
	return date, nil
}

// FormatDate writes a date as ParseDate's strict form, 2025-01-03T00:00:00.000Z.
func FormatDate(date time.Time) string { return date.UTC().Format(dateForm) }
