package licensefile

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

// read returns the rows of a file, and the error that ended it.
func read(text string, format Format) (rows []Row, err error) {
	for row, err := range Read(strings.NewReader(text), format) {
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func problemsOf(row Row) string {
	var texts []string
	for _, p := range row.Problems {
		texts = append(texts, p.Field+" "+p.Message)
	}
	return strings.Join(texts, "; ")
}

// whole is a draft with each field.
var complete = vendorapi.LicenseDraft{
	Plan: "pro", CustomerID: "c1", CustomerName: `Ada "A", Ltd`, ExpirationDate: "never", UpdatesUntil: "2030-01-31",
	Services: []license.Service{{Name: "R", Value: "r"}}, AppURLs: []license.AppURL{{URL: "https://a.example"}},
	Notes: new("two\nlines"), GraceDays: new(0), Reference: "=4711", Email: "a@example.com", MaxDevices: new(3),
	LeaseMinutes: new(60), MaxLeaseMinutes: new(90),
}

// TestWholeRow: all fields come through, in both formats, with and without what else an export has.
func TestWholeRow(t *testing.T) {
	for name, test := range map[string]struct {
		text   string
		format Format
		line   int
	}{
		"CSV": {"Customername , plan,customerid,expirationdate,updatesuntil,services,appurls,notes,gracedays," +
			"reference,email,maxdevices,leaseminutes,maxleaseminutes,status,licenseid\n" +
			`"Ada ""A"", Ltd",pro,c1,never,2030-01-31,"[{""serviceName"":""R"",""serviceValue"":""r""}]",` +
			`"[{""URL"":""https://a.example""}]","two` + "\n" +
			`lines",0,'=4711,a@example.com,3,60,90,active,x` + "\n", CSV, 2},
		"CSV of a German spreadsheet": {byteOrderMark + "reference;customername;plan;customerid;expirationdate;" +
			"updatesuntil;services;appurls;notes;gracedays;email;maxdevices;leaseminutes;maxleaseminutes\r\n\r\n" +
			`'=4711;"Ada ""A"", Ltd";pro;c1;never;2030-01-31;"[{""serviceName"":""R"",""serviceValue"":""r""}]";` +
			`"[{""URL"":""https://a.example""}]";"two` + "\n" + `lines"; 0;a@example.com;3;60;90` + "\r\n", CSV, 3},
		"JSON Lines": {"\n" + byteOrderMark[:0] + `{"customername":"Ada \"A\", Ltd","plan":"pro","customerid":"c1",` +
			`"expirationdate":"never","updatesuntil":"2030-01-31",` +
			`"services":[{"serviceName":"R","serviceValue":"r"}],` +
			`"appurls":[{"URL":"https://a.example"}],"notes":"two\nlines","gracedays":0,"reference":"=4711",` +
			`"email":"a@example.com","maxdevices":3,"leaseminutes":60,"maxleaseminutes":90,"version":1,` +
			`"status":"grace","problems":null}` + "\r\n", JSONLines, 2},
	} {
		rows, err := read(test.text, test.format)
		if err != nil || len(rows) != 1 {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
			continue
		}
		if difference := cmp.Diff(Row{Line: test.line, Draft: complete}, rows[0]); difference != "" {
			t.Errorf("%s (-want +got):\n%s", name, difference)
		}
	}
}

// TestAbsent: an empty cell and a null are absent, so that the plan's value counts.
func TestAbsent(t *testing.T) {
	for text, format := range map[string]Format{
		"customername,gracedays,services,notes,expirationdate\nAda, ,,,\n":                           CSV,
		`{"customername":"Ada","gracedays":null,"services":null,"notes":null,"expirationdate":null}`: JSONLines,
	} {
		rows, err := read(text, format)
		want := vendorapi.LicenseDraft{CustomerName: "Ada"}
		if err != nil || len(rows) != 1 || !cmp.Equal(rows[0].Draft, want) || rows[0].Problems != nil {
			t.Errorf("%s: %+v, %v", format, rows, err)
		}
	}
}

// TestExported: a license that was exported is what stands in it, whatever its plan says.
func TestExported(t *testing.T) {
	want := vendorapi.LicenseDraft{
		CustomerName: "Ada", Plan: "pro", ExpirationDate: "never", UpdatesUntil: "never", Notes: new(""),
		GraceDays: new(0), MaxDevices: new(0), LeaseMinutes: new(0), MaxLeaseMinutes: new(0),
		Services: []license.Service{}, AppURLs: []license.AppURL{},
	}
	for text, format := range map[string]Format{
		"customername,plan,expirationdate,version,maxdevices\nAda,pro,never,3,\n":                CSV,
		`{"customername":"Ada","plan":"pro","expirationdate":"never","version":3,"services":[]}`: JSONLines,
	} {
		rows, err := read(text, format)
		if err != nil || len(rows) != 1 || cmp.Diff(want, rows[0].Draft) != "" {
			t.Errorf("%s: %+v, %v", format, rows, err)
		}
	}
}

// TestSpreadsheets: what spreadsheets put around the rows.
func TestSpreadsheets(t *testing.T) {
	rows, err := read(byteOrderMark+"sep=|\r\ncustomername|notes||\r\nAda| a ||\r\n|||\r\n\r\nBob|||\r\n", CSV)
	if err != nil || len(rows) != 2 || rows[0].Line != 3 || *rows[0].Draft.Notes != " a " || rows[1].Line != 6 ||
		len(rows[0].Problems)+len(rows[1].Problems) > 0 {
		t.Errorf("%+v, %v", rows, err)
	}
}

// TestEndlessRow: a quote that never closes does not fill the memory.
func TestEndlessRow(t *testing.T) {
	endless := io.MultiReader(strings.NewReader("customername\nAda\n\""), io.LimitReader(zeros{}, 1<<30))
	n := 0
	var last error
	for row, err := range Read(endless, CSV) {
		if last = err; err == nil && row.Draft.CustomerName == "Ada" {
			n++
		}
	}
	if n != 1 || last == nil || !strings.Contains(last.Error(), "do not close") {
		t.Errorf("%d rows, %v", n, last)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// TestProblems: each row says what is wrong with it, and the rows behind it are read.
func TestProblems(t *testing.T) {
	for row, want := range map[string]string{
		"Ada,three,":                    "maxdevices must be a whole number",
		"Ada,3.5,":                      "maxdevices must be a whole number",
		"Ada,99999999999999999999,":     "maxdevices must be a whole number",
		"Ada,3,Reports":                 `services must be a list of {"serviceName": "…", "serviceValue": "…"} in JSON`,
		`Ada,3,"[{""serviceName"":1}]"`: `services must be a list of {"serviceName": "…", "serviceValue": "…"} in JSON`,
		"Ada,3":                         "row has 2 cells, the first line has 3",
		"Ada,3,,x":                      "row has 4 cells, the first line has 3",
		"M\xfcller,3,":                  "customername is not UTF-8; save the file as CSV in UTF-8",
		`"A` + "\n" + `B",x,`:           "maxdevices must be a whole number",
	} {
		rows, err := read("customername,maxdevices,services\n"+row+"\nBob,1,\n", CSV)
		if err != nil || len(rows) != 2 || problemsOf(rows[0]) != want || rows[0].Line != 2 ||
			rows[1].Draft.CustomerName != "Bob" || len(rows[1].Problems) > 0 {
			t.Errorf("%q: %+v, %v", row, rows, err)
		}
	}
	for line, want := range map[string]string{
		`[]`:                                "row must be one JSON object in UTF-8, with each member once",
		`{"customername":"A"} {}`:           "row must be one JSON object in UTF-8, with each member once",
		`{"plan":"a","plan":"b"}`:           "row must be one JSON object in UTF-8, with each member once",
		"{\"plan\":\"\xff\"}":               "row must be one JSON object in UTF-8, with each member once",
		`{"customername":1}`:                "customername must be text",
		`{"gracedays":"1"}`:                 "gracedays must be a whole number",
		`{"appurls":["https://a.example"]}`: `appurls must be a list of {"URL": "…"} in JSON`,
		`{"price":1}`:                       `price "price" is unknown; known are ` + strings.Join(Fields(), ", "),
		`{"status":"revoked"}`:              "status is \"revoked\", and an issued one can be used: leave the row out",
		`{"status":"suspended"}`: "status is \"suspended\", and an issued one can be used: leave the row " +
			"out",
		`{"status":" REVOKED "}`: "status is \"revoked\", and an issued one can be used: leave the row out",
		`{"status":"widerrufen"}`: "status is \"widerrufen\", and an issued one can be used: leave the " +
			"row out",
		`{"services":[{"serviceName":"R","serviceValue":"r","seats":5}]}`: "services " + wanted("services"),
		`{"status":"unreadable"}`: "status is \"unreadable\", and an issued one can be used: leave the row out",
	} {
		rows, err := read(line+"\n"+`{"customername":"Bob"}`, JSONLines)
		if err != nil || len(rows) != 2 || problemsOf(rows[0]) != want || rows[0].Line != 1 ||
			rows[1].Draft.CustomerName != "Bob" || rows[1].Line != 2 {
			t.Errorf("%q: %+v, %v", line, rows, err)
		}
	}
}

// TestBrokenFile: what is wrong with the whole file ends it.
func TestBrokenFile(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "the file is empty; its first line must name the columns",
		"Ada,3\n":                        `line 1, column 1: "ada" is unknown; known are`,
		"plan,reference\n":               "line 1: there is no column customername",
		"customername,,plan\n":           "line 1: column 2 has no name",
		"\xff\xfec\x00u\x00":             errEncoding.Error(),
		"customername\rAda\r":            errEncoding.Error(),
		"customername,plan,plan\n":       "line 1, column 3: there is a column plan already",
		"customername,plan\n\"Ada,pro\n": "must stand in double quotes",
		"customername,\"plan\n":          "extraneous or missing",
	} {
		if _, err := read(text, CSV); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", text, err)
		}
	}
	rows, err := read("{}\n"+`{"notes":"`+strings.Repeat("x", maxLine)+`"}`, JSONLines)
	want := fmt.Sprintf("line 2 has more than %d bytes", maxLine)
	if len(rows) != 1 || err == nil || err.Error() != want {
		t.Errorf("a long line: %d rows, %v", len(rows), err)
	}
}

func TestFormatOf(t *testing.T) {
	for name, want := range map[string]Format{
		"a.csv": CSV, "A.CSV": CSV, "a.jsonl": JSONLines, "a.ndjson": JSONLines, "a.xlsx": "", "csv": "",
	} {
		if got, known := FormatOf(name); got != want || known != (want != "") {
			t.Errorf("%s: got %q, %t", name, got, known)
		}
	}
}

// FuzzRead: no file makes it fail otherwise than by an error, and each row is fine or says what is wrong with it.
func FuzzRead(f *testing.F) {
	f.Add("customername,plan\nAda,pro\n", true)
	f.Add(`{"customername":"Ada"}`, false)
	f.Fuzz(func(t *testing.T, text string, isCSV bool) {
		format := JSONLines
		if isCSV {
			format = CSV
		}
		last := 0
		for row, err := range Read(strings.NewReader(text), format) {
			if err != nil {
				return
			}
			if row.Line <= last {
				t.Errorf("line %d after %d", row.Line, last)
			}
			last = row.Line
		}
	})
}
