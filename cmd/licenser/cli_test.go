package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"openlicenser/shared/testing/lambdatest"
	"openlicenser/shared/vendorapi"
)

// outcome is that of a run of the program.
type outcome struct {
	out, err string
	code     int
}

// program runs the program against the server.
func (s *server) program(arguments ...string) outcome {
	s.t.Helper()
	return runProgram(s.t, s.url, arguments...)
}

func runProgram(t *testing.T, api string, arguments ...string) outcome {
	t.Helper()
	command := exec.Command(binary, arguments...)
	command.Env = append(os.Environ(), "LICENSER_API="+api, "AWS_CONFIG_FILE="+os.DevNull)
	var out, err bytes.Buffer
	command.Stdout, command.Stderr = &out, &err
	var exit *exec.ExitError
	if failed := command.Run(); failed != nil && !errors.As(failed, &exit) {
		t.Fatal(failed)
	}
	return outcome{out.String(), err.String(), command.ProcessState.ExitCode()}
}

// issueOne issues a license with the reference one.
func (s *server) issueOne(options ...string) {
	s.t.Helper()
	s.done(append([]string{
		"license", "issue", "--customer-name", "A", "--expires", "2099-01-31", "--reference", "one",
	}, options...)...)
}

// done runs the program, which must succeed, and returns what it writes.
func (s *server) done(arguments ...string) string {
	s.t.Helper()
	o := s.program(arguments...)
	if o.code != 0 {
		s.t.Fatalf("licenser %q: exit code %d\n%s", arguments, o.code, o.err)
	}
	return o.out
}

// TestExitCodes: scripts can tell what kind of failure it was, and each says what to do next.
func TestExitCodes(t *testing.T) {
	s := start(t, t.TempDir())
	s.issueOne("--max-devices", "1")
	s.done("license", "token", "one", "--fingerprint", "a-computer")
	s.done("license", "issue", "--customer-name", "B", "--expires", "2099-01-31", "--reference", "two")
	s.done("license", "revoke", "two", "--reason", "gone", "--yes")
	closed := httptest.NewServer(nil)
	closed.Close()
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(501) }))
	defer busy.Close()
	denied := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }))
	defer denied.Close()
	for _, test := range []struct {
		api, command string
		code         int
		says         string
	}{
		{s.url, "", 0, ""},
		{s.url, "license", 0, ""},
		{s.url, "--help", 0, ""},
		{s.url, "license lst", exitUsage, "did you mean \"list\"?"},
		{s.url, "license show", exitUsage, "licenser license show --help"},
		{s.url, "license show one --output yaml", exitUsage, "--output"},
		{s.url, "license list --limit=-1", exitUsage, "--limit must not be negative"},
		{s.url, "license token one --days=-1", exitUsage, "--days must not be negative"},
		{s.url, "license activity one --days 0", exitUsage, "--days must be at least 1"},
		{s.url, "license change one --add-url htps//bad", exitUsage, "appurls[0].URL (--add-url)"},
		{s.url, "license release-device one AAAAAAAAAAAAAAAAAAAAAA --reason x", exitNotFound, "license devices"},
		{s.url, "plan put a/b", exitUsage, "is no name of a plan"},
		{s.url, "license show eyJ0123456789abc.def.ghi", exitUsage, "looks like a license key"},
		{s.url, "license list --status lost", exitUsage, "--status must be one of"},
		{s.url, "license issue --customer-name A --expires tomorrow", exitUsage, "(--expires) must be an ISO"},
		{s.url, "license issue --customer-name A --expires never --service x", exitUsage, "must be NAME=VALUE"},
		{s.url, "license change one", exitUsage, "licenser license change --help"},
		{s.url, "license change one --remove-url https://a.example", exitUsage, "there are: none"},
		{s.url, "license change one --remove-service x", exitUsage, "there are: none"},
		{s.url, "license revoke one --reason x", exitUsage, "--yes"},
		{s.url, "license delete one --reason x", exitUsage, "--yes"},
		{s.url, "license reset-devices one --reason x", exitUsage, "--yes"},
		{s.url, "license erase one --reason x", exitUsage, "--yes"},
		{closed.URL, "license erase one --reason x", exitUsage, "--yes"},
		{s.url, "license erase one --yes", exitUsage, "--reason"},
		{s.url, "license erase nobody --reason x --yes", exitNotFound, "licenser license list --customer-name"},
		{s.url, "license revoke one --yes", exitUsage, "--reason"},
		{s.url, "license show nobody", exitNotFound, "licenser license list --customer-name"},
		{s.url, "license key 869b100f-06b7-44cc-80df-b4c4bf728461", exitNotFound, "LICENSE_NOT_FOUND"},
		{s.url, "plan show none", exitNotFound, "licenser plan list"},
		{s.url, "license suspend two", exitConflict, "reinstate it first"},
		{s.url, "license issue --customer-name A --expires never --reference one", exitConflict, "license show"},
		{s.url, "license token one --fingerprint another-one", exitConflict, "release-device"},
		{s.url, "license token two", exitConflict, "licenser license history"},
		{closed.URL, "license list", exitUnavailable, "licenser serve"},
		{busy.URL, "license show one", exitUnavailable, "Try again later"},
		{denied.URL, "license show one", exitOther, "execute-api:Invoke on GET /licenses/ref:one"},
		{"ftp://x", "license list", exitUsage, "--api"},
	} {
		o := runProgram(t, test.api, strings.Fields(test.command)...)
		if o.code != test.code || !strings.Contains(o.err, test.says) {
			t.Errorf("licenser %s: exit code %d, want %d; says\n%s", test.command, o.code, test.code, o.err)
		}
		if test.code == 0 && !strings.Contains(o.out, "Usage: licenser") || test.code != 0 && o.out != "" {
			t.Errorf("licenser %s: wrote %s", test.command, o.out)
		}
	}
	var l vendorapi.License
	s.get("/licenses/ref:one", &l)
	if l.Version != 1 {
		t.Errorf("something was changed: version %d", l.Version)
	}
}

// TestNames: a license goes by its id, by its key in either form, also as people paste it, and by its reference.
func TestNames(t *testing.T) {
	s := start(t, t.TempDir())
	var issued vendorapi.License
	const reference = "Bestellung 4711/ä"
	text := s.done("license", "issue", "--customer-name", "A", "--expires", "never", "--reference", reference,
		"-o", "json")
	if err := json.Unmarshal([]byte(text), &issued); err != nil {
		t.Fatal(err)
	}
	long, short := issued.LicenseKey, issued.ShortKey
	for _, name := range []string{
		issued.LicenseID, strings.ToUpper(issued.LicenseID), " " + issued.LicenseID + "\n",
		reference, "ref:" + reference,
		long, "\"" + long[:40] + "\n  " + long[40:] + "=\"",
		short, strings.ToLower(strings.ReplaceAll(short, "-", " ")),
	} {
		for _, command := range [][]string{
			{"license", "show", name}, {"license", "history", name},
			{"audit", "verify", name}, {"audit", "export", name},
		} {
			if o := s.program(command...); o.code != 0 || !strings.Contains(o.out, "ISSUED") &&
				!strings.Contains(strings.ToLower(o.out), issued.LicenseID) {
				t.Errorf("licenser %q: exit code %d\n%s%s", command, o.code, o.out, o.err)
			}
		}
	}
	if got := s.done("license", "key", reference); got != long+"\n" {
		t.Errorf("the key is %s", got)
	}
	if got := s.done("license", "key", reference, "--short"); got != short+"\n" {
		t.Errorf("the short key is %s", got)
	}
	s.done("license", "delete", reference, "--reason", "a mistake", "--yes")
	o := s.program("license", "show", long)
	if o.code != exitNotFound || !strings.Contains(o.err, `names the customer "A"`) {
		t.Errorf("a key of a license that is gone: %d %s", o.code, o.err)
	}
}

// TestChange: lists are edited, and what was given wins over the new plan.
func TestChange(t *testing.T) {
	s := start(t, t.TempDir())
	s.done("plan", "put", "pro", "--service", "Reports=reports", "--service", "Export=export", "--max-devices", "5",
		"--grace-days", "7", "--url", "https://pro.example.com")
	s.issueOne("--service", "Old=old",
		"--url", "https://a.example.com", "--url", "https://b.example.com", "--email", "a@example.com")
	show := func() (l vendorapi.License) {
		s.get("/licenses/ref:one", &l)
		return l
	}
	for _, test := range []struct {
		command        string
		services, urls string
		version        int64
	}{
		{
			"--add-url https://c.example.com --remove-url HTTPS://A.example.com",
			"Old=old", "https://b.example.com, https://c.example.com", 2,
		},
		{"--add-url https://c.example.com", "Old=old", "https://b.example.com, https://c.example.com", 2},
		{"--service New=old --service Two=two", "New=old, Two=two", "https://b.example.com, https://c.example.com", 3},
		{"--remove-service old", "Two=two", "https://b.example.com, https://c.example.com", 4},
		{
			"--plan pro --service More=more --remove-service export --max-devices 9",
			"Reports=reports, More=more", "https://pro.example.com", 5,
		},
		{"--clear-urls --add-url https://d.example.com", "Reports=reports, More=more", "https://d.example.com", 6},
		{"--clear-services --clear-urls --email=", "", "", 7},
	} {
		s.done(append([]string{"license", "change", "one", "--reason", "test"}, strings.Fields(test.command)...)...)
		l := show()
		if servicesForPeople(l) != test.services || urlsForPeople(l) != test.urls ||
			l.Version != test.version {
			t.Errorf("%s: version %d, services %s, URLs %s", test.command, l.Version, l.Services, l.AppURLs)
		}
	}
	if l := show(); l.Plan != "pro" || l.MaxDevices != 9 || valueOf(l.GraceDays) != 7 || l.Email != "" ||
		l.ChangeReason != "test" {
		t.Errorf("in the end %+v", l)
	}
}

// TestChangeAfterAnother: a change by somebody else between reading and writing is not lost.
func TestChangeAfterAnother(t *testing.T) {
	s := start(t, t.TempDir())
	s.done("license", "issue", "--customer-name", "A", "--expires", "never", "--reference", "one")
	others := 0
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch && others < 2 {
			others++
			s.done("license", "change", "one", "--add-url", fmt.Sprintf("https://other%d.example.com", others))
		}
		forward(w, r, s.url)
	}))
	defer proxy.Close()
	o := runProgram(t, proxy.URL, "license", "change", "one", "--add-url", "https://mine.example.com")
	var l vendorapi.License
	s.get("/licenses/ref:one", &l)
	const want = "https://other1.example.com, https://other2.example.com, https://mine.example.com"
	if o.code != 0 || urlsForPeople(l) != want {
		t.Errorf("exit code %d, %s\n%s", o.code, l.AppURLs, o.err)
	}
}

// forward sends a request on to a server, and its response back.
func forward(w http.ResponseWriter, r *http.Request, url string) {
	next, err := http.NewRequest(r.Method, url+r.URL.RequestURI(), r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	next.Header = r.Header.Clone()
	response, err := http.DefaultTransport.RoundTrip(next)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer response.Body.Close()
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(response.StatusCode)
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err == nil {
		w.Write(body.Bytes()) // the program may have gone
	}
}

// rowsOf returns the rows of a file of CSV by the names of their columns.
func rowsOf(t *testing.T, file string) (rows []map[string]string) {
	t.Helper()
	open, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	all, err := csv.NewReader(open).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, cells := range all[1:] {
		row := map[string]string{}
		for i, cell := range cells {
			row[all[0][i]] = cell
		}
		rows = append(rows, row)
	}
	return rows
}

// TestImportAgain: an import that loses responses, is asked for patience and is interrupted ends, run again, with one
// license a row and all keys.
func TestImportAgain(t *testing.T) {
	const rows = 60
	s := start(t, t.TempDir())
	file := filepath.Join(t.TempDir(), "in.csv")
	text := "customername,expirationdate,reference\n"
	for i := range rows {
		reference := ""
		if i%3 == 0 {
			reference = fmt.Sprintf("order-%d", i)
		}
		text += fmt.Sprintf("Customer %d,2099-01-31,%s\n", i, reference)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var requests, issued atomic.Int64
	var process atomic.Pointer[os.Process]
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := requests.Add(1)
		switch {
		case r.URL.RawQuery != "": // whether the service is there at all
		case n%17 == 0: // the license is made, and its response lost
			forward(httptest.NewRecorder(), r, s.url)
			panic(http.ErrAbortHandler)
		case n%41 == 0:
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		if r.Method == http.MethodPost && issued.Add(1) == rows/2 {
			process.Load().Signal(os.Interrupt)
		}
		forward(w, r, s.url)
	}))
	proxy.Config.ErrorLog = nil
	defer proxy.Close()
	var said bytes.Buffer
	command := exec.Command(binary, "import", file, "--api", proxy.URL)
	command.Stderr = &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	process.Store(command.Process)
	if err := command.Wait(); err == nil || command.ProcessState.ExitCode() != exitOther ||
		!strings.Contains(said.String(), "Run the same again") {
		t.Fatalf("interrupted: %v\n%s", err, said.String())
	}
	again := runProgram(t, proxy.URL, "import", file)
	if again.code != 0 {
		t.Fatalf("again: exit code %d\n%s", again.code, again.err)
	}
	results := rowsOf(t, file+".result.csv")
	if len(results) != rows {
		t.Fatalf("%d results", len(results))
	}
	ids := map[string]bool{}
	for i, r := range results {
		ids[r["licenseid"]] = true
		if r["line"] != fmt.Sprint(i+2) || strings.Count(r["licensekey"], ".") != 2 || r["shortkey"] == "" ||
			r["result"] != rowIssued && r["result"] != rowExisted {
			t.Errorf("result %v", r)
		}
	}
	listed := strings.Count(s.done("license", "list"), "\n") - 1
	if len(ids) != rows || listed != rows {
		t.Errorf("%d licenses are named, %d are there", len(ids), listed)
	}
	if info, err := os.Stat(file + ".result.csv"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of the keys: %v, %v", info.Mode(), err)
	}
}

// TestImportChecksFirst: with one bad row nothing is issued, and all that is wrong is told.
func TestImportChecksFirst(t *testing.T) {
	s := start(t, t.TempDir())
	s.done("plan", "put", "trial", "--duration-days", "14")
	s.done("license", "issue", "--customer-name", "Old", "--expires", "2099-01-31", "--reference", "old")
	folder := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	bad := write("bad.csv", "customername,expirationdate,plan,reference,gracedays\n"+
		"Fine,2099-01-31,,,\n"+
		",2001-01-31,,,400\n"+
		"Unknown plan,,gold,,\n"+
		"No end,,,,\n"+
		"From a plan,,trial,,\n"+
		"Twice,never,,twice,\n"+
		"Twice,never,,twice,\n"+
		"Ended since,2001-01-31,,old,\n"+
		"No number,never,,,x\n")
	for _, option := range []string{"--dry-run", "--plan="} {
		o := s.program("import", bad, option, "-o", "csv")
		want := `line,field,message
3,customername,is required and must not be blank
3,expirationdate,must lie in the future
3,gracedays,must be a whole number from 0 to 365
4,plan,must be the name of a plan; licenser plan list shows them
5,expirationdate,"is required: an ISO 8601 date, as 2030-01-31, or never, or a plan with durationdays"
8,reference,is that of line 7 too; each license has one of its own
10,gracedays,must be a whole number
`
		if o.code != exitUsage || o.out != want || !strings.Contains(o.err, "4 of 9 rows are fine; nothing") {
			t.Errorf("%s: exit code %d\n%s%s", option, o.code, o.out, o.err)
		}
	}
	if _, err := os.Stat(bad + ".result.csv"); !os.IsNotExist(err) {
		t.Errorf("there is a result: %v", err)
	}
	good := write("good.jsonl", `{"customername":"A"}`+"\n"+
		`{"customername":"B","plan":"","expirationdate":"never"}`+"\n")
	o := s.program("import", good, "--plan", "trial", "--dry-run")
	if o.code != 0 || !strings.Contains(o.err, "All 2 rows are fine") {
		t.Errorf("dry run: %d %s", o.code, o.err)
	}
	if n := strings.Count(s.done("license", "list"), "\n") - 1; n != 1 {
		t.Errorf("%d licenses after dry runs", n)
	}
	result := filepath.Join(folder, "keys.csv")
	s.done("import", good, "--plan", "trial", "--result", result)
	for _, r := range rowsOf(t, result) {
		var l vendorapi.License
		s.get("/licenses/"+r["licenseid"], &l)
		if l.Plan != "trial" || l.ExpirationDate.IsNever() != (*l.CustomerName == "B") {
			t.Errorf("imported %+v", l)
		}
	}
	for _, arguments := range [][]string{
		{"import", write("no.txt", "x")}, {"import", write("empty.csv", "customername\n")},
		{"import", write("odd.csv", "name\nx\n")}, {"import", good, "--rate=-1"},
		{"import", filepath.Join(folder, "none.csv")},
	} {
		if o := s.program(arguments...); o.code != exitUsage {
			t.Errorf("licenser %q: exit code %d, %s", arguments, o.code, o.err)
		}
	}
}

// TestImportAfterDeletion: a license that was deleted is not made again, and the others are done.
func TestImportAfterDeletion(t *testing.T) {
	s := start(t, t.TempDir())
	file := filepath.Join(t.TempDir(), "in.csv")
	if err := os.WriteFile(file, []byte("customername,expirationdate\nA,never\nB,never\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.done("import", file)
	first := rowsOf(t, file+".result.csv")
	s.done("license", "delete", first[0]["licenseid"], "--reason", "a mistake", "--yes")
	o := s.program("import", file)
	again := rowsOf(t, file+".result.csv")
	if o.code != exitUsage ||
		again[0]["result"] != rowRefused || !strings.Contains(again[0]["reason"], "was deleted") ||
		again[1]["result"] != rowExisted || again[1]["licensekey"] != first[1]["licensekey"] {
		t.Errorf("exit code %d, %v\n%s", o.code, again, o.err)
	}
}

// TestExportIsImported: what is exported is what import reads, on another service as well, also what is odd.
func TestExportIsImported(t *testing.T) {
	from := start(t, t.TempDir())
	plan := `{"durationdays":14,"gracedays":9,"maxdevices":9,"leaseminutes":60,"updatesdays":9,"notes":"of the plan"}`
	if status, text := from.call(http.MethodPut, "/plans/pro", plan); status != http.StatusCreated {
		t.Fatal(status, text)
	}
	for _, body := range []string{
		`{"customername":"=HYPERLINK(1)","expirationdate":"never","reference":"-1","notes":"'a\nb\t\"c\", d"}`,
		`{"customername":"Ä, \"Ö\"","expirationdate":"2099-01-31","gracedays":3,"maxdevices":2,"leaseminutes":60,` +
			`"maxleaseminutes":90,"services":[{"serviceName":"R","serviceValue":"r"}],` +
			`"appurls":[{"URL":"https://a.example"}],` +
			`"email":"a@example.com","updatesuntil":"2031-01-31","reference":"two"}`,
		`{"customername":"C","expirationdate":"2099-01-31","reference":"three","plan":"pro","gracedays":0,` +
			`"maxdevices":0,"leaseminutes":0,"updatesuntil":"never","notes":""}`,
	} {
		if status, text := from.call(http.MethodPost, "/licenses", body); status != http.StatusCreated {
			t.Fatal(status, text)
		}
	}
	want := from.done("export", "--order", "asc")
	for name, output := range map[string]string{"out.csv": "csv", "out.jsonl": "json"} {
		to := start(t, t.TempDir())
		if status, text := to.call(http.MethodPut, "/plans/pro", plan); status != http.StatusCreated {
			t.Fatal(status, text)
		}
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(from.done("export", "--output", output)), 0o600); err != nil {
			t.Fatal(err)
		}
		to.done("import", file)
		got := to.done("export", "--order", "asc")
		same := map[string][2]map[string]string{}
		for i, text := range []string{want, got} {
			compared := filepath.Join(t.TempDir(), "compared.csv")
			if err := os.WriteFile(compared, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, row := range rowsOf(t, compared) {
				pair := same[row["reference"]]
				for _, own := range []string{"licenseid", "created", "changed"} {
					delete(row, own)
				}
				pair[i] = row
				same[row["reference"]] = pair
			}
		}
		for reference, pair := range same {
			if fmt.Sprint(pair[0]) != fmt.Sprint(pair[1]) {
				t.Errorf("%s: exported %v, imported %v", reference, pair[0], pair[1])
			}
		}
		if len(same) != 3 {
			t.Errorf("%s: %d licenses", name, len(same))
		}
	}
	if !strings.Contains(want, "'=HYPERLINK(1)") || !strings.Contains(want, "'-1") {
		t.Errorf("exported %s", want)
	}
}

// TestUnreachableImport: a service that is not there is not waited for, and an earlier result stays.
func TestUnreachableImport(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	file := filepath.Join(t.TempDir(), "in.csv")
	for name, text := range map[string]string{
		file: "customername,expirationdate\nA,never\n", file + ".result.csv": "kept",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	o := runProgram(t, "http://"+listener.Addr().String(), "import", file)
	kept, err := os.ReadFile(file + ".result.csv")
	if o.code != exitUnavailable || time.Since(begun) > 20*time.Second || string(kept) != "kept" {
		t.Errorf("exit code %d after %v, %s, %v\n%s", o.code, time.Since(begun), kept, err, o.err)
	}
}

// TestLocalActivity: the local server tells what products have asked since it was started.
func TestLocalActivity(t *testing.T) {
	s := start(t, t.TempDir())
	s.done("license", "issue", "--customer-name", "A", "--expires", "never", "--reference", "one", "--max-devices", "1")
	s.done("license", "token", "one", "--fingerprint", "first-computer")
	s.program("license", "token", "one", "--fingerprint", "second-computer")
	s.program("license", "token", "one", "--fingerprint", "second-computer")
	var a vendorapi.Activity
	if err := json.Unmarshal([]byte(s.done("license", "activity", "one", "-o", "json")), &a); err != nil {
		t.Fatal(err)
	}
	if len(a.Asked) != 2 || a.Asked[0].Code != "DEVICE_LIMIT_REACHED" || a.Asked[0].Count != 2 ||
		a.Asked[1].Code != "OK" ||
		a.Asked[1].Count != 1 || a.Asked[1].Device == "" || a.Asked[1].Device == a.Asked[0].Device ||
		a.LastToken != a.Asked[1].Last || a.Last != a.Asked[0].Last || time.Since(a.Last.Time).Abs() > time.Minute {
		t.Errorf("got %+v", a)
	}
	request, err := http.NewRequest(http.MethodGet, s.url+"/local/activity/"+a.LicenseID, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Sec-Fetch-Site", "cross-site")
	client := http.Client{Transport: &http.Transport{}} // openapi.yaml does not describe the route
	response, err := client.Do(request)
	if err != nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("for a page of another origin: %v, %v", response, err)
	}
}

// TestActivityOnAWS: the query looks for the license alone, and its results are read whatever form an instant has.
func TestActivityOnAWS(t *testing.T) {
	s := start(t, t.TempDir())
	s.done("license", "issue", "--customer-name", "A", "--expires", "never", "--reference", "one")
	var l vendorapi.License
	s.get("/licenses/ref:one", &l)
	var mu sync.Mutex
	var started map[string]any
	asked, stopped := 0, 0
	status := "Complete"
	logs := lambdatest.NewAWS(t, map[string]lambdatest.Operation{
		"StartQuery": func(input map[string]any) (int, any) {
			mu.Lock()
			defer mu.Unlock()
			started = input
			return http.StatusOK, map[string]string{"queryId": "query-1"}
		},
		"GetQueryResults": func(map[string]any) (int, any) {
			mu.Lock()
			defer mu.Unlock()
			if asked++; asked == 1 {
				return http.StatusOK, map[string]any{"status": "Running"}
			}
			row := func(code, device, times, latest string) []map[string]string {
				return []map[string]string{
					{"field": "code", "value": code}, {"field": "device", "value": device},
					{"field": "times", "value": times}, {"field": "latest", "value": latest},
				}
			}
			return http.StatusOK, map[string]any{"status": status, "results": []any{
				row("LICENSE_EXPIRED", "", "2", "2030-01-31 12:00:00.250"), row("OK", "d", "7", "1.896091140E12"),
			}}
		},
		"StopQuery": func(map[string]any) (int, any) {
			mu.Lock()
			defer mu.Unlock()
			stopped++
			return http.StatusOK, map[string]any{"success": true}
		},
	})
	setAWS(t, logs.URL)
	out := s.done("license", "activity", "one", "--log-group", "logs", "--days", "2")
	mu.Lock()
	query, _ := started["queryString"].(string)
	const want = "code\tcount\tlast\tdevice\n" +
		"LICENSE_EXPIRED\t2\t2030-01-31T12:00:00.250Z\t\nOK\t7\t2030-01-31T11:59:00.000Z\td\n"
	if out != want || started["logGroupName"] != "logs" ||
		!strings.Contains(query, `licenseid = "`+l.LicenseID+`"`) ||
		started["endTime"].(float64)-started["startTime"].(float64) != 2*24*3600 {
		t.Errorf("asked %v, got\n%s", started, out)
	}
	status = "Failed"
	mu.Unlock()
	o := s.program("license", "activity", "one", "--log-group", "logs")
	mu.Lock()
	defer mu.Unlock()
	if o.code != exitOther || stopped != 1 ||
		!strings.Contains(o.err, "fewer --days") {
		t.Errorf("a query that fails: %d, stopped %d\n%s", o.code, stopped, o.err)
	}
}

// TestDevices: what is shown is what is held, and one seat or all are taken back.
func TestDevices(t *testing.T) {
	s := start(t, t.TempDir())
	s.done("license", "issue", "--customer-name", "A", "--expires", "never", "--reference", "one", "--max-devices", "2")
	for _, name := range []string{"first", "second"} {
		s.done("license", "token", "one", "--fingerprint", name+"-computer", "--device-name", name)
	}
	lines := strings.Split(strings.TrimSpace(s.done("license", "devices", "one")), "\n")
	if len(lines) != 3 || lines[0] != "device\tname\tsince\tuntil" {
		t.Fatalf("%q", lines)
	}
	id, _, _ := strings.Cut(lines[1], "\t")
	s.done("license", "release-device", "one", id, "--reason", "sold")
	var left vendorapi.Devices
	if err := json.Unmarshal([]byte(s.done("license", "devices", "one", "-o", "json")), &left); err != nil ||
		len(left.Devices) != 1 || left.Devices[0].ID == id || *left.Limit != 2 {
		t.Errorf("left %+v, %v", left, err)
	}
	s.done("license", "reset-devices", "one", "--reason", "replaced", "--yes")
	if out := s.done("license", "devices", "one"); strings.Count(out, "\n") != 1 {
		t.Errorf("after the reset: %s", out)
	}
	history := s.done("license", "history", "one")
	if !strings.Contains(history, "DEVICES_RESET") || !strings.Contains(history, "replaced") {
		t.Errorf("the history is %s", history)
	}
}

// TestHistory: the trail tells what was changed, from what and to what.
func TestHistory(t *testing.T) {
	s := start(t, t.TempDir())
	s.done("license", "issue", "--customer-name", "A", "--expires", "2099-01-31", "--reference", "one")
	s.done("license", "change", "one", "--email", "a@example.com", "--max-devices", "3", "--reason", "asked for it")
	s.done("license", "renew", "one", "--expires", "never")
	s.trail("ref:one", 3)
	out := s.done("license", "history", "one")
	for _, want := range []string{
		"\tISSUED\t", "\tCHANGED\t", "\tasked for it\temail: none → a@example.com; maxdevices: none → 3",
		"expirationdate: 2099-01-31T23:59:59.999Z → 9999-12-31T23:59:59.999Z",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the history has no %q:\n%s", want, out)
		}
	}
}
