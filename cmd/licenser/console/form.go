package console

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

// field is a field of a form.
type field struct {
	Name, Label, Help string
	Value, Error      string
	Type              string // of an input, or textarea, select, or choices
	Rows              int
	Required          bool
	Options           []option
	Suggestions       []string
}

type option struct{ Value, Text string }

// form is what was sent, and what is wrong with it.
type form struct {
	values url.Values
	errors map[string]string // by field
	other  []string          // what is wrong with none of the fields
}

func newForm(values url.Values) *form { return &form{values: values, errors: map[string]string{}} }

// text returns what was filled in, with the line ends of this program.
func (f *form) text(name string) string { return normalLines(f.values.Get(name)) }

// once tells the form from others, and stays the same when it is shown again.
func (f *form) once() string {
	if once := f.text("once"); once != "" {
		return once
	}
	return uuid.NewString()
}

// pointer returns nil for a field that is empty.
func (f *form) pointer(name string) *string {
	if text := f.text(name); text != "" {
		return &text
	}
	return nil
}

func (f *form) refuse(name, message string) {
	if f.errors[name] == "" {
		f.errors[name] = message
	}
}

// number returns nil for a field that is empty.
func (f *form) number(name string) *int {
	text := f.text(name)
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		f.refuse(name, "must be a whole number")
		return nil
	}
	return &n
}

// services reads a service from each line: what people read, an equals sign, and what the product asks for.
func (f *form) services(name string) []license.Service {
	var list []license.Service
	for i, line := range lines(f.values.Get(name)) {
		at := strings.Index(line, " = ") + 1 // either side may have a = of its own
		if at == 0 {
			at = strings.Index(line, "=")
		}
		if at < 0 {
			f.refuse(name, fmt.Sprintf("line %d must be a name, = and a value, as Reports = reports", i+1))
			continue
		}
		list = append(list, license.Service{
			Name: strings.TrimSpace(line[:at]), Value: strings.TrimSpace(line[at+1:]),
		})
	}
	return list
}

// appURLs reads a URL from each line.
func (f *form) appURLs(name string) []license.AppURL {
	var list []license.AppURL
	for _, line := range lines(f.values.Get(name)) {
		list = append(list, license.AppURL{URL: line})
	}
	return list
}

// lines returns the lines of a text that are not blank.
func lines(text string) (all []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

func serviceLines(list []license.Service) string {
	var all []string
	for _, s := range list {
		all = append(all, s.Name+" = "+s.Value)
	}
	return strings.Join(all, "\n")
}

// areLines reports whether a list comes back as it is when it is written in lines and read again.
func areLines(list []license.Service) bool {
	f := newForm(url.Values{"services": {serviceLines(list)}})
	return slices.Equal(f.services("services"), list) && f.isFine()
}

func urlLines(list []license.AppURL) string {
	var all []string
	for _, u := range list {
		all = append(all, u.URL)
	}
	return strings.Join(all, "\n")
}

// take takes over what the service says is wrong with the fields. It reports false for another kind of problem.
func (f *form) take(p *vendorapi.Problem) bool {
	if p.Code == "REFERENCE_TAKEN" {
		f.refuse("reference", "is that of another license, or of one that was deleted")
		return true
	}
	if p.Code != "INVALID_FIELDS" {
		return false
	}
	for _, e := range p.Errors {
		name, position, isElement := strings.Cut(e.Field, "[")
		message := e.Message
		if at, _, _ := strings.Cut(position, "]"); isElement {
			if n, err := strconv.Atoi(at); err == nil {
				message = fmt.Sprintf("line %d %s", n+1, message)
			}
		}
		if slices.Contains(fieldNames, name) {
			f.refuse(name, message)
		} else {
			f.other = append(f.other, e.Field+" "+e.Message)
		}
	}
	return true
}

func (f *form) isFine() bool { return len(f.errors)+len(f.other) == 0 }

// fill gives fields what was sent, and what is wrong with it.
func (f *form) fill(fields []field) []field {
	for i := range fields {
		if values, isSent := f.values[fields[i].Name]; isSent && len(values) > 0 {
			fields[i].Value = values[0]
		}
		fields[i].Error = f.errors[fields[i].Name]
	}
	return fields
}

// formData is what the template of a form shows.
type formData struct {
	Intro, Button, Cancel string // Cancel: the path of the page to go back to
	Danger                bool
	Fields                []field
	Errors                []string // of no field
	Hidden                map[string]string
}

// titled returns the title of the page of a form: it tells that there is something wrong with it.
func (d formData) titled(title string) string {
	isWrong := len(d.Errors) > 0 || slices.ContainsFunc(d.Fields, func(f field) bool { return f.Error != "" })
	if isWrong {
		return "Error: " + title
	}
	return title
}

// Wrong are the fields that something is wrong with.
func (d formData) Wrong() (wrong []field) {
	for _, f := range d.Fields {
		if f.Error != "" {
			wrong = append(wrong, f)
		}
	}
	return wrong
}

// fieldNames are the fields of licenses and plans that a form can have.
var fieldNames = []string{
	"plan", "customername", "customerid", "expirationdate", "updatesuntil", "reference", "email", "services", "appurls",
	"notes", "gracedays", "maxdevices", "leaseminutes", "maxleaseminutes", "durationdays", "updatesdays", "tokenkeyid",
	"reason",
}

// rightsFields are the fields of what a license allows, which plans have too.
func rightsFields() []field {
	return []field{
		{
			Name: "services", Label: "Services", Type: "textarea", Rows: 4,
			Help: "One a line: what people read, =, and what the product asks for. Reports = reports",
		},
		{
			Name: "appurls", Label: "Application URLs", Type: "textarea", Rows: 4,
			Help: "Where a web application may run, one a line. https://app.example.com",
		},
		{Name: "gracedays", Label: "Days of grace", Type: "number", Help: "How long it works after its end."},
		{
			Name: "maxdevices", Label: "Devices", Type: "number",
			Help: "How many may use it at the same time. Empty: as many as like.",
		},
		{
			Name: "leaseminutes", Label: "Lease in minutes", Type: "number",
			Help: "How long a device holds its seat without asking again.",
		},
		{
			Name: "maxleaseminutes", Label: "Longest lease in minutes", Type: "number",
			Help: "The longest that a computer without a network may ask for.",
		},
	}
}

// licenseFields are the fields of a license that staff may set.
func licenseFields() []field {
	fields := []field{
		{Name: "customername", Label: "Customer", Type: "text", Required: true},
		{Name: "email", Label: "E-mail address", Type: "email"},
		{
			Name: "expirationdate", Label: "Ends", Type: "text", Suggestions: []string{"never"},
			Help: "The last day, as 2030-01-31, or never.",
		},
		{
			Name: "updatesuntil", Label: "Updates until", Type: "text", Suggestions: []string{"never"},
			Help: "The end of maintenance: later versions do not run. Empty or never: no end.",
		},
		{
			Name: "reference", Label: "Reference", Type: "text",
			Help: "Your own name for it, as an order number. No other license ever gets it.",
		},
	}
	fields = append(fields, rightsFields()...)
	return append(fields, field{
		Name: "notes", Label: "Notes", Type: "textarea", Rows: 3, Help: "For your own people.",
	})
}

// setValues gives fields the values of a license or a plan.
func setValues(fields []field, values map[string]string) []field {
	for i, f := range fields {
		fields[i].Value = values[f.Name]
	}
	return fields
}

// numberText returns nothing for 0, which stands for none.
func numberText(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// normalLines returns a text with the line ends of this program, and without white space around it.
func normalLines(text string) string {
	return strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
}
