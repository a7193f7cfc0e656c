package console

import (
	"fmt"
	"html/template"
	"net/url"
	"strings"
	"time"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

// functions are those that the templates call.
func (c *Console) functions() template.FuncMap {
	return template.FuncMap{
		"instant": c.instant,
		"ends":    c.ends,
		"status":  statusText,
		"path":    url.PathEscape,
		"none":    orNone,
		"count":   countText,
		"minutes": minutesText,
		"group":   newGroup,
		"query":   func(encoded string) template.URL { return template.URL(encoded) },
		"action":  actionText,
		"moment":  moment,
	}
}

// instant writes an instant in the zone of this machine, which is that of whoever looks, with UTC beside it.
func (c *Console) instant(at time.Time) template.HTML {
	if at.IsZero() {
		return "–"
	}
	return timeElement(at, at.Local().Format("2006-01-02 15:04")+", "+terminal.InWords(at, c.Now()))
}

func timeElement(at time.Time, text string) template.HTML {
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`,
		at.UTC().Format(time.RFC3339), at.UTC().Format("2006-01-02 15:04:05 UTC"), template.HTMLEscapeString(text)))
}

// ends writes the end of a license. The last millisecond of a day is that day.
func (c *Console) ends(l vendorapi.License) template.HTML {
	switch at := l.ExpirationDate.Time; {
	case at.IsZero():
		return "unknown"
	case l.ExpirationDate.IsNever():
		return "never"
	case at.Equal(at.Truncate(24 * time.Hour).Add(24*time.Hour - time.Millisecond)):
		return timeElement(at, at.Format(time.DateOnly)+", "+terminal.InWords(at, c.Now()))
	default:
		return c.instant(at)
	}
}

// group is a table of licenses.
type group struct {
	Base, Label string
	Licenses    []vendorapi.License
}

func newGroup(base string, licenses []vendorapi.License, label string) group {
	return group{base, label, licenses}
}

// actionText writes an action of the trail as people do, as Devices reset.
func actionText(a audit.Action) string {
	text := strings.ToLower(strings.ReplaceAll(string(a), "_", " "))
	return strings.ToUpper(text[:1]) + text[1:]
}

// moment reads the time of an entry. One that cannot be read is zero.
func moment(text string) time.Time {
	at, _ := time.Parse(time.RFC3339Nano, text)
	return at
}

// statusTexts say what a status means to the customer.
var statusTexts = map[license.Status]string{
	license.Active:     "can be used",
	license.Grace:      "has ended, and still works for its days of grace",
	license.Expired:    "has ended",
	license.Suspended:  "is stopped until it is reinstated",
	license.Revoked:    "was ended for good",
	license.Unreadable: "needs repair: products get no answer for it",
}

func statusText(s license.Status) string { return statusTexts[s] }

func orNone(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

// minutesText writes minutes as days or hours, where they are whole ones.
func minutesText(n int) string {
	switch {
	case n%(24*60) == 0:
		return countText(n/(24*60), "day", "days")
	case n%60 == 0:
		return countText(n/60, "hour", "hours")
	}
	return countText(n, "minute", "minutes")
}

func countText(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
