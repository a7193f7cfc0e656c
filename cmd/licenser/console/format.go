package console

import (
	"fmt"
	"html/template"
	"net/url"
	"slices"
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
		"lastDay": c.lastDay,
		"again":   again,

		"differences": differences,
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
	default:
		return c.lastDay(at)
	}
}

// lastDay writes an instant as a day, where it is the last millisecond of one in UTC.
func (c *Console) lastDay(at time.Time) template.HTML {
	if terminal.IsEndOfDay(at) {
		return timeElement(at, at.UTC().Format(time.DateOnly)+", "+terminal.InWords(at, c.Now()))
	}
	return c.instant(at)
}

// again is the query of a form for another license of the same customer.
func again(l vendorapi.License) template.URL {
	values := url.Values{"customerid": {l.CustomerID}, "email": {l.Email}}
	if l.CustomerName != nil {
		values.Set("customername", *l.CustomerName)
	}
	return template.URL(values.Encode())
}

// difference is a change of a license as staff read it.
type difference struct{ Name, Old, New string }

// differences tells of lists what came and what went, and of flags what they mean.
func differences(e audit.Entry) (all []difference) {
	for _, d := range e.Differences() {
		name, isNamed := names[d.Attribute]
		if !isNamed {
			name = d.Attribute
		}
		shown := difference{name, readable(d.Attribute, d.Old), readable(d.Attribute, d.New)}
		if d.Attribute == "services" || d.Attribute == "appurls" {
			shown.Old, shown.New = listChange(d.Old, d.New)
		}
		all = append(all, shown)
	}
	return all
}

// names of attributes, as the forms have them.
var names = map[string]string{
	"isrevoked": "Revoked", "issuspended": "Suspended", "isdeleted": "Marked to be deleted", "seatsepoch": "Seats",
	"customerid": "Customer id", "erased": "Erased",
}

func init() {
	for _, f := range append(licenseFields(), planFormFields()...) {
		names[f.Name] = f.Label
	}
	names["plan"], names["tokenkeyid"] = "Plan", "Pinned to the token key"
}

func readable(attribute, value string) string {
	switch {
	case value == "" || attribute == "seatsepoch" || attribute == "erased":
		return ""
	case value == "true":
		return "yes"
	case value == "false":
		return "no"
	}
	if at, err := time.Parse(time.RFC3339, value); err == nil {
		return endInput(at)
	}
	return value
}

// listChange returns the elements of a list that went, and those that came.
func listChange(old, changed string) (went, came string) {
	before, after := elements(old), elements(changed)
	without := func(all, others []string) string {
		return strings.Join(slices.DeleteFunc(slices.Clone(all), func(e string) bool {
			return slices.Contains(others, e)
		}), ", ")
	}
	if before == nil || after == nil {
		return old, changed
	}
	return without(before, after), without(after, before)
}

// elements returns the elements of a list as text, or nil for one that is not understood.
func elements(list string) []string {
	l := vendorapi.License{Services: []byte(list), AppURLs: []byte(list)}
	if services, err := l.ServiceList(); err == nil {
		return append([]string{}, lines(serviceLines(services))...)
	}
	if urls, err := l.AppURLList(); err == nil {
		return append([]string{}, lines(urlLines(urls))...)
	}
	return nil
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
	if text == "" {
		return ""
	}
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
