package terminal

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
)

// InWords says how far an instant lies from now, as "in 12 days" or "3 hours ago". Days are those of the calendar, in
// UTC.
func InWords(at, now time.Time) string {
	distance := at.Sub(now).Abs()
	days := math.Abs(day(at).Sub(day(now)).Hours() / 24)
	count := func(n float64, unit string) string {
		whole := int(n)
		if whole != 1 {
			unit += "s"
		}
		text := fmt.Sprintf("%d %s", whole, unit)
		if at.Before(now) {
			return text + " ago"
		}
		return "in " + text
	}
	switch {
	case distance < time.Minute:
		return "now"
	case distance < time.Hour:
		return count(distance.Minutes(), "minute")
	case distance < 48*time.Hour:
		return count(distance.Hours(), "hour")
	case days < 90:
		return count(days, "day")
	case days < 730:
		return count(math.Round(days/30.44), "month")
	default:
		return count(days/365.25, "year")
	}
}

// day returns the beginning of a day in UTC.
func day(at time.Time) time.Time { return at.UTC().Truncate(24 * time.Hour) }

// Date writes an instant for people, in UTC. The last millisecond of a day is that day.
func Date(at time.Time) string {
	at = at.UTC()
	if IsEndOfDay(at) {
		return at.Format(time.DateOnly)
	}
	return at.Format("2006-01-02 15:04 UTC")
}

// IsEndOfDay reports whether an instant is the last millisecond of a day in UTC.
func IsEndOfDay(at time.Time) bool { return at.Equal(day(at).Add(24*time.Hour - time.Millisecond)) }

// Printable returns a text that changes nothing on a terminal but what it shows. Whoever wrote a license may have put
// escape sequences into it, or characters that reverse the direction of writing.
func Printable(text string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\n' || c == '\t':
			return ' '
		case unicode.IsControl(c), c >= 0x202A && c <= 0x202E, c >= 0x2066 && c <= 0x2069:
			return unicode.ReplacementChar
		}
		return c
	}, text)
}
