package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"openlicenser/shared/vendorapi"
)

// TestErase: a license is erased by its reference, and again by its id; then one that is gone. What is exported has
// nothing of the customer.
func TestErase(t *testing.T) {
	s := start(t, t.TempDir())
	s.done("license", "issue", "--customer-name", "Jane Doe", "--expires", "never", "--reference", "order-1",
		"--email", "jane@example.com", "--notes", "Jane called", "--max-devices", "2")
	s.done("license", "token", "order-1", "--fingerprint", "janes-computer", "--device-name", "Jane's PC")
	var before vendorapi.License
	s.get("/licenses/ref:order-1", &before)

	if o := s.program("license", "erase", "order-1", "--reason", "Jane Doe asked", "--yes"); o.code != exitUsage ||
		!strings.Contains(o.err, "reason (--reason) must not tell") || o.out != "" {
		t.Errorf("exit code %d\n%s%s", o.code, o.out, o.err)
	}
	var erased vendorapi.License
	text := s.done("license", "erase", "order-1", "--reason", "asked by letter", "--yes", "-o", "json")
	if err := json.Unmarshal([]byte(text), &erased); err != nil {
		t.Fatal(err)
	}
	if erased.LicenseID != before.LicenseID || erased.Erased == "" || *erased.CustomerName != "erased" {
		t.Errorf("erased: %s", text)
	}
	for _, command := range [][]string{
		{"license", "show", before.LicenseID}, {"license", "devices", before.LicenseID}, {"license", "list"},
		{"export"}, {"export", "-o", "json"}, {"license", "list", "-o", "csv"},
	} {
		out := s.done(command...)
		if strings.Contains(out, "ane") || strings.Contains(out, "order-1") {
			t.Errorf("licenser %v: %s", command, out)
		}
		isWhole := command[0] == "export" || command[1] == "show" || len(command) == 4
		if isWhole != strings.Contains(out, erased.Erased) {
			t.Errorf("licenser %v: the mark: %s", command, out)
		}
	}
	s.done("license", "token", before.LicenseID, "--fingerprint", "janes-computer") // it can be used as before
	if o := s.program("license", "change", before.LicenseID, "--email", "jane@example.com"); o.code != exitUsage ||
		!strings.Contains(o.err, "email (--email) must be left out: the license was erased") {
		t.Errorf("changed: exit code %d\n%s%s", o.code, o.out, o.err)
	}
	if o := s.program("license", "erase", "order-1", "--reason", "x", "--yes"); o.code != exitNotFound {
		t.Errorf("by a reference that is erased: exit code %d\n%s%s", o.code, o.out, o.err)
	}
	if out := s.done("license", "erase", before.LicenseID, "--reason", "once more", "--yes"); strings.Contains(out,
		erased.Erased) || !strings.Contains(out, "once more") {
		t.Errorf("once more: %s", out)
	}

	s.done("license", "delete", before.LicenseID, "--reason", "x", "--yes")
	s.trail(before.LicenseID, 5)
	o := s.program("license", "erase", before.LicenseID, "--reason", "asked by letter", "--yes")
	if o.code != 0 || o.out != "" || !strings.Contains(o.err, "what was left of it is erased") {
		t.Errorf("one that is gone: exit code %d\n%s%s", o.code, o.out, o.err)
	}
}

// TestEraseUnfinished: where the service fails half-way, people are told the id, by which they can go on.
func TestEraseUnfinished(t *testing.T) {
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body := http.StatusNotFound, `{"code":"LICENSE_NOT_FOUND","detail":"There is none."}`
		if r.Method == http.MethodPost {
			status, body = http.StatusInternalServerError, `{"code":"ERASURE_UNFINISHED","licenseid":"some-id"}`
		}
		w.WriteHeader(status)
		w.Write([]byte(body))
	}))
	defer front.Close()
	o := runProgram(t, front.URL, "license", "erase", "order-1", "--reason", "x", "--yes")
	if o.code != exitUnavailable || !strings.Contains(o.err, "Erase it again, by its id: some-id") {
		t.Errorf("exit code %d\n%s%s", o.code, o.out, o.err)
	}
}

// TestEraseAtATerminal: a person is asked about the license as it is, or about what is left of one that is gone.
func TestEraseAtATerminal(t *testing.T) {
	s := start(t, t.TempDir())
	s.done("license", "issue", "--customer-name", "Jane Doe", "--expires", "never", "--reference", "order-1")
	var l vendorapi.License
	s.get("/licenses/ref:order-1", &l)
	erase := func() *person {
		return sit(s, 120, []string{"NO_COLOR=1"}, "license", "erase", l.LicenseID, "--reason", "asked").sees("[y/N]")
	}
	screen, code := erase().sees("of Jane Doe, active, ends never").sees("nobody can take that back").
		types("n\r").leaves()
	if code != exitOther || !strings.Contains(screen, "nothing was changed") {
		t.Errorf("no: exit code %d\n%s", code, screen)
	}
	asked := erase()
	s.done("license", "suspend", l.LicenseID)
	if screen, code = asked.types("y\r").leaves(); code != exitConflict {
		t.Errorf("changed meanwhile: exit code %d\n%s", code, screen)
	}
	if screen, code = erase().types("y\r").leaves(); code != 0 || !strings.Contains(screen, "erased") {
		t.Errorf("yes: exit code %d\n%s", code, screen)
	}
	s.done("license", "delete", l.LicenseID, "--reason", "x", "--yes")
	s.trail(l.LicenseID, 4)
	screen, code = erase().sees("Erase what is left of it?").types("y\r").leaves()
	if code != 0 || !strings.Contains(screen, "The license is gone") {
		t.Errorf("one that is gone: exit code %d\n%s", code, screen)
	}
}
