// Package licensefile reads files of licenses that are to be issued: CSV as spreadsheets write it, and JSON Lines
// (https://jsonlines.org/). It finds all that is wrong with the form of a row. What a license may be it does not know.
package licensefile

import (
	"cmp"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"openlicenser/shared/license"
	"openlicenser/shared/strictjson"
	"openlicenser/shared/vendorapi"
)

// Format is that of a file.
type Format string

// The formats.
const (
	CSV       Format = "csv"
	JSONLines Format = "jsonl"
)

// FormatOf returns the format that the name of a file says.
func FormatOf(name string) (Format, bool) {
	lower := strings.ToLower(name)
	switch {
	case strings.HasSuffix(lower, ".csv"):
		return CSV, true
	case strings.HasSuffix(lower, ".jsonl"), strings.HasSuffix(lower, ".ndjson"):
		return JSONLines, true
	}
	return "", false
}

// Row is a license that is to be issued.
type Row struct {
	Line     int // of the file, from 1, where the row begins
	Draft    vendorapi.LicenseDraft
	Problems []license.FieldError // what is wrong with its form
}

// Read returns the rows of a file as they come. An error is of the whole file, and ends it.
func Read(file io.Reader, format Format) iter.Seq2[Row, error] {
	if format == CSV {
		return readCSV(file)
	}
	return readLines(file)
}

// kind is how a field is written in a cell of CSV.
type kind int

const (
	text kind = iota
	number
	list
	ignored // licenser export writes it, and a new license gets its own
)

// fields are those that a file can have, by the names of the vendor's API.
var fields = map[string]kind{
	"customername": text, "customerid": text, "expirationdate": text, "updatesuntil": text, "plan": text,
	"reference": text, "email": text, "notes": text,
	"gracedays": number, "maxdevices": number, "leaseminutes": number, "maxleaseminutes": number,
	"services": list, "appurls": list,

	statusField: text, exportedField: ignored,
	"licenseid": ignored, "tokenkeyid": ignored, "erased": ignored, "created": ignored, "changed": ignored,
	"changedby": ignored, "changereason": ignored, "problems": ignored, "licensekey": ignored, "shortkey": ignored,
}

const (
	statusField   = "status"  // what became of a license that was exported
	exportedField = "version" // only a license that was exported has one
)

// Fields returns the names of the fields that a new license gets from a file.
func Fields() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(fields)), func(name string) bool {
		return fields[name] == ignored || name == statusField
	})
}

func unknownField(name string) string {
	return fmt.Sprintf("%q is unknown; known are %s", name, strings.Join(Fields(), ", "))
}

// newRow reads the fields of a row, each of which is JSON. Those that are null are absent.
func newRow(line int, values map[string]jsontext.Value) Row {
	row := Row{Line: line}
	var status license.Status
	d := &row.Draft
	targets := map[string]any{
		"customername": &d.CustomerName, "customerid": &d.CustomerID, "expirationdate": &d.ExpirationDate,
		"updatesuntil": &d.UpdatesUntil, "plan": &d.Plan, "reference": &d.Reference, "email": &d.Email,
		"notes": &d.Notes, "gracedays": &d.GraceDays, "maxdevices": &d.MaxDevices, "leaseminutes": &d.LeaseMinutes,
		"maxleaseminutes": &d.MaxLeaseMinutes, "services": &d.Services, "appurls": &d.AppURLs, statusField: &status,
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		kind, isKnown := fields[name]
		switch {
		case !isKnown:
			row.refuse(name, unknownField(name))
		case kind == ignored || string(values[name]) == "null":
		case strictjson.Unmarshal(values[name], targets[name], json.RejectUnknownMembers(true)) != nil:
			row.refuse(name, wanted(name))
		}
	}
	switch status := license.Status(strings.ToLower(strings.TrimSpace(string(status)))); status {
	case "", license.Active, license.Grace, license.Expired:
	default:
		row.refuse(statusField, fmt.Sprintf("is %q, and an issued one can be used: leave the row out", status))
	}
	if version := string(values[exportedField]); version != "" && version != "null" {
		row.Draft = whole(row.Draft)
	}
	return row
}

// whole says of each field that a license does not have that it has none. So the plan of one that was exported is a
// name alone: what holds for the license is what stands in it.
func whole(d vendorapi.LicenseDraft) vendorapi.LicenseDraft {
	d.UpdatesUntil = cmp.Or(d.UpdatesUntil, "never")
	for _, number := range []**int{&d.GraceDays, &d.MaxDevices, &d.LeaseMinutes, &d.MaxLeaseMinutes} {
		if *number == nil {
			*number = new(int)
		}
	}
	if d.Notes == nil {
		d.Notes = new(string)
	}
	d.Services = append([]license.Service{}, d.Services...)
	d.AppURLs = append([]license.AppURL{}, d.AppURLs...)
	return d
}

func (r *Row) refuse(field, message string) {
	r.Problems = append(r.Problems, license.FieldError{Field: field, Message: message})
}

// wanted says how a field is written.
func wanted(name string) string {
	switch {
	case name == "services":
		return `must be a list of {"serviceName": "…", "serviceValue": "…"} in JSON`
	case name == "appurls":
		return `must be a list of {"URL": "…"} in JSON`
	case fields[name] == number:
		return "must be a whole number"
	}
	return "must be text"
}

// cellValue returns a cell of CSV as JSON, and nil for one that is empty.
func cellValue(name, cell string) jsontext.Value {
	switch fields[name] {
	case number:
		if n, err := strconv.Atoi(strings.TrimSpace(cell)); err == nil {
			return jsontext.Value(strconv.Itoa(n))
		}
	case list:
		return jsontext.Value(cell)
	}
	quoted, err := jsontext.AppendQuote(nil, cell)
	if err != nil {
		panic(err) // a text always marshals
	}
	return quoted
}
