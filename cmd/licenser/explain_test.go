package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/vendorapi"
)

func explained(t *testing.T, c explainCommand, format terminal.Format) (string, error) {
	t.Helper()
	var out bytes.Buffer
	screen := people(&out, &out)
	screen.Format = format
	err := c.Run(t.Context(), screen)
	return out.String(), err
}

func TestExplain(t *testing.T) {
	s := newAuditedServer(t)
	file, _ := s.writeEvidence(t)
	now := time.Now()
	asked := func(at time.Time, file, key string) explainCommand {
		c := explainCommand{At: &instant{at}, File: file, CheckpointKey: key}
		if at.IsZero() {
			c.At = nil
		}
		if file == "" {
			c.License, c.vendorAPI = licenseName(s.license.ID), vendorAPI{API: s.URL}
		}
		return c
	}
	for name, test := range map[string]struct {
		c    explainCommand
		want []string
	}{
		"Now": {asked(time.Time{}, "", ""), []string{
			s.license.ID + " could not be used: it was revoked.", ", because: contract ended (entry 2, REVOKED, of ",
			"Checkpoint 1 of ", "proves the chain up to entry 2.",
		}},
		"BeforeTheFirst": {asked(now.AddDate(-1, 0, 0), "", s.key(t)), []string{
			"could not be used: there was none.", "Its chain begins later.",
		}},
		"OfAFile": {asked(now, file, s.key(t)), []string{"it was revoked.", "Checkpoint 1 of "}},
		"OfAFileWithoutAKey": {asked(now, file, ""), []string{
			"Beware: nobody has checked who has signed this", "it was revoked.", "The file says that checkpoint 1 of ",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := explained(t, test.c, terminal.Text)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in\n%s", want, out)
				}
			}
			if strings.HasPrefix(out, "Beware") != (test.c.File != "" && test.c.CheckpointKey == "") {
				t.Errorf("begins with\n%s", out)
			}
		})
	}
	out, err := explained(t, asked(now, file, s.key(t)), terminal.JSON)
	var got explanation
	if err := errors.Join(err, json.Unmarshal([]byte(out), &got)); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got.Usable == nil || *got.Usable || got.Status != license.Revoked || got.Entry.Sequence != 2 ||
		got.Entry.Reason != "contract ended" || got.Last != 2 || got.Proof.Number != 1 ||
		got.LicenseID != s.license.ID {
		t.Errorf("got %+v", got)
	}
	chain := filepath.Join(t.TempDir(), "chain.jsonl")
	if err := os.WriteFile(chain, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]explainCommand{
		"Nothing":     {vendorAPI: vendorAPI{API: s.URL}},
		"Both":        {License: licenseName(s.license.ID), File: file},
		"TheFuture":   asked(now.Add(time.Hour), "", ""),
		"NoEvidence":  asked(now, chain, ""),
		"AnotherKey":  asked(now, file, newAuditedServer(t).key(t)),
		"NoSuchChain": {License: licenseName(licensetest.Issue(t).ID), vendorAPI: vendorAPI{API: s.URL}},
	} {
		if out, err := explained(t, c, terminal.Text); err == nil {
			t.Errorf("%s: %s", name, out)
		}
	}
}

// TestExplainLie: a chain that was changed gives no answer.
func TestExplainLie(t *testing.T) {
	s := newAuditedServer(t)
	s.tamper = func(path, body string) string { return strings.Replace(body, "contract ended", "another reason", 1) }
	c := explainCommand{License: licenseName(s.license.ID), vendorAPI: vendorAPI{API: s.URL}}
	if out, err := explained(t, c, terminal.Text); !errors.Is(err, errTrail) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestInstant(t *testing.T) {
	for text, want := range map[string]string{
		"2027-01-31": "2027-01-31T00:00:00Z", "2027-01-31T10:00:00+02:00": "2027-01-31T08:00:00Z",
	} {
		var i instant
		if err := i.UnmarshalText([]byte(text)); err != nil || i.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s: %v, %v", text, i, err)
		}
	}
	if err := new(instant).UnmarshalText([]byte("yesterday")); err == nil {
		t.Error("yesterday is read")
	}
}

// TestExplainFirstMoment: the zero of time.Time is a moment as any other.
func TestExplainFirstMoment(t *testing.T) {
	s := newAuditedServer(t)
	if _, err := testParser(t).Parse([]string{"audit", "explain", "x", "--at", "0001-01-01T00:00:00Z"}); err != nil {
		t.Fatal(err)
	}
	c := explainCommand{At: &instant{}, License: licenseName(s.license.ID), vendorAPI: vendorAPI{API: s.URL}}
	out, err := explained(t, c, terminal.Text)
	if err != nil || !strings.HasPrefix(out, "On 0001-01-01 00:00:00 UTC") || !strings.Contains(out, "there was none") {
		t.Errorf("%v\n%s", err, out)
	}
}

// reinstate makes an entry that no checkpoint has signed.
func (s *auditedServer) reinstate(t *testing.T) {
	t.Helper()
	before, err := s.folder.Licenses.Get(t.Context(), s.license.ID)
	if err != nil {
		t.Fatal(err)
	}
	after, err := before.Reinstate(licensetest.Change("paid"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.folder.Licenses.Update(t.Context(), before, after); err != nil {
		t.Fatal(err)
	}
	s.record(t)
}

// explainNow returns the answer for a moment after all that was recorded.
func (s *auditedServer) explainNow(t *testing.T, file, key string) (x explanation) {
	t.Helper()
	c := explainCommand{File: file, CheckpointKey: key}
	if file == "" {
		c.License, c.vendorAPI = licenseName(s.license.ID), vendorAPI{API: s.URL}
	}
	var out bytes.Buffer
	screen := people(&out, &out)
	screen.Format = terminal.JSON
	screen.Now = func() time.Time { return time.Now().Add(time.Minute) }
	if err := errors.Join(c.Run(t.Context(), screen), json.Unmarshal(out.Bytes(), &x)); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	return x
}

// TestExplainUnsigned: what no checkpoint has signed does not decide.
func TestExplainUnsigned(t *testing.T) {
	s := newAuditedServer(t)
	key := s.key(t)
	x := s.explainNow(t, "", "")
	if len(x.Doubts) != 1 || !strings.Contains(x.Doubts[0], "the checkpoint is of ") {
		t.Errorf("after the checkpoint: %q", x.Doubts)
	}
	s.reinstate(t)
	x = s.explainNow(t, "", "")
	if *x.Usable || x.Last != 2 || len(x.Doubts) != 2 || !strings.Contains(x.Doubts[1], "up to entry 3, the license "+
		"could be used, since ") || !strings.HasSuffix(x.Doubts[1], "(entry 3, REINSTATED)") {
		t.Errorf("of the server: %+v", x)
	}
	file, _ := s.writeEvidence(t)
	x = s.explainNow(t, file, key)
	if *x.Usable || x.Last != 2 || len(x.Doubts) != 2 || !x.Proof.Checked ||
		!strings.Contains(x.Doubts[1], "goes on up to entry 3, and the checkpoint signs only those up to entry 2") {
		t.Errorf("of a file: %+v", x)
	}
	x = s.explainNow(t, file, "")
	if x.Proof.Checked || !strings.Contains(x.Doubts[0], "nobody has checked") {
		t.Errorf("of a file, without a key: %+v", x)
	}
}

// TestExplainUnsignedAlike: an entry that is not signed is told of, though it changes nothing, and is not the last.
func TestExplainUnsignedAlike(t *testing.T) {
	s := newAuditedServer(t)
	before, err := s.folder.Licenses.Get(t.Context(), s.license.ID)
	if err != nil {
		t.Fatal(err)
	}
	notes := "another"
	after, err := before.Patch(license.Patch{Notes: &notes}, licensetest.Change(""))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.folder.Licenses.Update(t.Context(), before, after); err != nil {
		t.Fatal(err)
	}
	s.record(t)
	x := s.explainNow(t, "", "")
	if *x.Usable || len(x.Doubts) != 2 || !strings.Contains(x.Doubts[1], "do not change the answer") {
		t.Errorf("got %+v", x)
	}
}

// TestExplainEnd: a chain that the server shows may lack its end.
func TestExplainEnd(t *testing.T) {
	s := newAuditedServer(t)
	at := time.Now()
	for name, test := range map[string]struct {
		change func(*vendorapi.AuditPage)
		doubt  string
	}{
		"Record":  {func(p *vendorapi.AuditPage) { p.RecordHash = "" }, "not as its last entry left it"},
		"Head":    {func(p *vendorapi.AuditPage) { p.Head.Sequence++ }, "the stored head says entry 3"},
		"NoHead":  {func(p *vendorapi.AuditPage) { p.Head = nil }, "the stored head says entry 0"},
		"Another": {func(p *vendorapi.AuditPage) { p.Head.Hash = "" }, "a change may be missing"},
	} {
		s.tamper = func(path, body string) string {
			if !strings.HasSuffix(path, "/audit") {
				return body
			}
			var page vendorapi.AuditPage
			if err := json.Unmarshal([]byte(body), &page); err != nil {
				t.Error(err)
			}
			test.change(&page)
			changed, err := json.Marshal(page)
			if err != nil {
				t.Error(err)
			}
			return string(changed)
		}
		x := s.explainNow(t, "", "")
		if len(x.Doubts) != 2 || !strings.Contains(x.Doubts[1], test.doubt) {
			t.Errorf("%s: %q", name, x.Doubts)
		}
		c := explainCommand{At: &instant{at.AddDate(-1, 0, 0)}, License: licenseName(s.license.ID)}
		c.vendorAPI = vendorAPI{API: s.URL}
		if out, err := explained(t, c, terminal.Text); err != nil || strings.Contains(out, "But ") {
			t.Errorf("%s: before: %v\n%s", name, err, out)
		}
	}
}

// TestExplanationLines: each sentence names what it says it does.
func TestExplanationLines(t *testing.T) {
	day := func(n int) *time.Time {
		at := time.Date(2027, 1, n, 0, 0, 0, 0, time.UTC)
		return &at
	}
	x := explanation{
		LicenseID: "id", At: *day(30), Status: license.Expired, Since: day(20), End: day(10), Last: 5, LastHash: "h5",
		Entry: &explainedEntry{Sequence: 2, Action: audit.Renewed, Time: "T", Actor: "a", Reason: "r", Hash: "h2"},
	}
	for _, want := range []string{
		"since 2027-01-20 00:00:00 UTC: its end, 2027-01-10 00:00:00 UTC, and its days of grace, as set by a, " +
			"because: r (entry 2, RENEWED, of T).",
		"Entry 2 has the hash h2.", "The latest entry then was number 5. It has the hash h5.",
	} {
		if got := strings.Join(x.lines(), "\n"); !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	x.Since = day(10)
	want := "since 2027-01-10 00:00:00 UTC: its end, as set by a"
	if got := strings.Join(x.lines(), "\n"); !strings.Contains(got, want) {
		t.Errorf("%q is not in\n%s", want, got)
	}
}
