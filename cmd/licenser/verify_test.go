package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/attribute"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/licensetest"
)

// auditedServer is the local server with a license that was changed, its trail and a checkpoint.
type auditedServer struct {
	*httptest.Server
	folder      *embedded.Folder
	checkpoints checkpoints
	serve       serveCommand
	license     license.License
	tamper      func(path, body string) string // what it shows instead, nil: the truth
}

func newAuditedServer(t *testing.T) *auditedServer {
	t.Helper()
	log := telemetry.NewLogger(io.Discard)
	path := t.TempDir()
	folder, err := embedded.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { folder.Close() })
	serve := serveCommand{Data: path, lifetime: time.Hour}
	s := &auditedServer{folder: folder, serve: serve, license: licensetest.Issue(t)}
	if err := folder.Licenses.Create(t.Context(), s.license); err != nil {
		t.Fatal(err)
	}
	s.revoke(t)
	s.record(t)
	if s.checkpoints, err = openCheckpoints(folder, path, time.Hour, log); err != nil {
		t.Fatal(err)
	}
	if _, err := s.checkpoints.handle(t.Context(), events.EventBridgeEvent{}); err != nil {
		t.Fatal(err)
	}
	gateway, err := s.serve.gateway(folder, s.checkpoints, "test", log)
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		gateway.ServeHTTP(recorder, r)
		body := recorder.Body.String()
		if s.tamper != nil {
			body = s.tamper(r.URL.Path, body)
		}
		for name, values := range recorder.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(recorder.Code)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *auditedServer) revoke(t *testing.T) {
	t.Helper()
	revoked := licensetest.Revoke(t, s.license, "contract ended")
	if err := s.folder.Licenses.Update(t.Context(), s.license, revoked); err != nil {
		t.Fatal(err)
	}
}

// record lets the trail catch up.
func (s *auditedServer) record(t *testing.T) {
	t.Helper()
	stream := s.serve.stream(s.folder, telemetry.NewLogger(io.Discard))
	for {
		progress, err := stream.deliver(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !progress {
			return
		}
	}
}

func names(texts ...string) (names []licenseName) {
	for _, text := range texts {
		names = append(names, licenseName(text))
	}
	return names
}

func (s *auditedServer) verify(t *testing.T, change func(*verifyCommand)) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := verifyCommand{
		Licenses: names(s.license.ID), vendorAPI: vendorAPI{API: s.URL},
		delay: time.Millisecond, MaxAge: time.Hour,
	}
	if change != nil {
		change(&c)
	}
	err := c.Run(t.Context(), people(&out, &out))
	return out.String(), err
}

func (s *auditedServer) key(t *testing.T) string {
	t.Helper()
	response, err := http.Get(s.URL + "/audit/checkpoint-key")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestVerify(t *testing.T) {
	s := newAuditedServer(t)
	key := s.key(t)
	for name, change := range map[string]func(*verifyCommand){
		"one":                   nil,
		"all":                   func(c *verifyCommand) { c.Licenses, c.All = nil, true },
		"with a checkpoint":     func(c *verifyCommand) { c.Checkpoint = true },
		"and a key that I keep": func(c *verifyCommand) { c.Checkpoint, c.CheckpointKey = true, key },
	} {
		out, err := s.verify(t, change)
		if err != nil || !strings.Contains(out, s.license.ID+"  ok  entries 2  ") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if shown := strings.Contains(out, "compare it"); shown != (name == "with a checkpoint") {
			t.Errorf("%s: shows the key: %t", name, shown)
		}
	}
	for name, change := range map[string]func(*verifyCommand){
		"nothing to check": func(c *verifyCommand) { c.Licenses = nil },
		"no such API":      func(c *verifyCommand) { c.API = "http://127.0.0.1:1" },
		"no license id":    func(c *verifyCommand) { c.Licenses = names("x") },
	} {
		if out, err := s.verify(t, change); err == nil || errors.Is(err, errTrail) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// TestVerifyInEitherCase: the API finds a license in either case of its id, and what it shows is then no other
// license's.
func TestVerifyInEitherCase(t *testing.T) {
	s := newAuditedServer(t)
	upper := func(c *verifyCommand) { c.Licenses, c.Checkpoint = names(strings.ToUpper(s.license.ID)), true }
	if out, err := s.verify(t, upper); err != nil || !strings.Contains(out, "  ok  entries 2  ") {
		t.Errorf("%s%v", out, err)
	}
}

// TestVerifyFinds: whatever whoever runs the server shows in place of the truth is found, and names the license.
func TestVerifyFinds(t *testing.T) {
	s := newAuditedServer(t)
	key := s.key(t)
	audit, proof := "/licenses/"+s.license.ID+"/audit", "/licenses/"+s.license.ID+"/audit/proof"
	pages := map[string]string{}
	s.tamper = func(path, body string) string { pages[path] = body; return body }
	if out, err := s.verify(t, func(c *verifyCommand) { c.Checkpoint, c.CheckpointKey = true, key }); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	first, second, _ := strings.Cut(strings.TrimPrefix(pages[audit], `{"entries":[{`), "},{")
	second, _, _ = strings.Cut(second, `}],"head"`)
	hashOf := func(entry string) string {
		_, rest, _ := strings.Cut(entry, `"hash":"`)
		return rest[:64]
	}
	replace := func(on, old, new string) func(path, body string) string {
		return func(path, body string) string {
			if path != on {
				return body
			}
			changed := strings.Replace(body, old, new, 1)
			if changed == body {
				t.Errorf("%q is not in %s", old, body)
			}
			return changed
		}
	}
	_, leaf, _ := strings.Cut(pages[proof], `"leaf":"`)
	leafHash := leaf[len(s.license.ID)+3:][:64]
	firstHead := `"head":{"sequence":1,"hash":"` + hashOf(first)
	secondHead := `"head":{"sequence":2,"hash":"` + hashOf(second)
	for name, test := range map[string]struct {
		tamper func(path, body string) string
		want   string
	}{
		"a changed reason": {replace(audit, "contract ended", "contract ended!"), "entry 2 was changed"},
		"a removed entry":  {replace(audit, first+"},{", ""), "entry 2 stands where entry 1 should"},
		"swapped entries": {
			replace(audit, first+"},{"+second, second+"},{"+first), "entry 2 stands where entry 1 should",
		},
		"a tail that was cut": {replace(audit, "},{"+second, ""), "the stored head says entry 2"},
		"and the head moved back": {func(path, body string) string {
			body = strings.Replace(body, "},{"+second, "", 1)
			return strings.Replace(body, secondHead, firstHead, 1)
		}, "its tail was cut"},
		"the head moved back": {replace(audit, secondHead, firstHead), "the stored head says entry 1"},
		"another record": {
			replace(audit, `"recordhash":"`+pages[audit][len(pages[audit])-66:][:64]+`"}`,
				`"recordhash":"`+strings.Repeat("0", 64)+`"}`),
			"a change is missing in the trail",
		},
		"no chain": {
			replace(audit, pages[audit], `{"entries":[],"head":{"sequence":0,"hash":""}}`), "its tail was cut",
		},
		"another leaf":       {replace(proof, leafHash, strings.Repeat("0", 64)), "checkpoint: "},
		"another checkpoint": {replace(proof, `\nnumber 1\n`, `\nnumber 2\n`), "checkpoint: "},
	} {
		t.Run(name, func(t *testing.T) {
			s.tamper = test.tamper
			out, err := s.verify(t, func(c *verifyCommand) { c.Checkpoint, c.CheckpointKey = true, key })
			isWrong := strings.Contains(out, s.license.ID+"  WRONG  ")
			if !errors.Is(err, errTrail) || !isWrong || !strings.Contains(out, test.want) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	t.Run("a key of another", func(t *testing.T) {
		s.tamper = nil
		other := newAuditedServer(t)
		out, err := s.verify(t, func(c *verifyCommand) { c.Checkpoint, c.CheckpointKey = true, other.key(t) })
		if !errors.Is(err, errTrail) || !strings.Contains(out, "checkpoint: ") {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// TestVerifyWaits: a change that is on its way to the trail is not missing, and one that never comes is.
func TestVerifyWaits(t *testing.T) {
	s := newAuditedServer(t)
	l, err := s.folder.Licenses.Get(t.Context(), s.license.ID)
	if err != nil {
		t.Fatal(err)
	}
	notes := "changed"
	changed, err := l.Patch(license.Patch{Notes: &notes}, licensetest.Change(""))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.folder.Licenses.Update(t.Context(), l, changed); err != nil {
		t.Fatal(err)
	}
	if out, err := s.verify(t, nil); !errors.Is(err, errTrail) || !strings.Contains(out, "a change is missing") {
		t.Errorf("before: %v\n%s", err, out)
	}
	shown := 0
	s.tamper = func(path, body string) string {
		if shown++; shown == 2 {
			s.record(t)
		}
		return body
	}
	if out, err := s.verify(t, nil); err != nil || !strings.Contains(out, "ok  entries 3") {
		t.Errorf("after: %v\n%s", err, out)
	}
}

// TestVerifyForeign: a license that other tools have written before the trail began has no chain, and is not called
// wrong or ok.
func TestVerifyForeign(t *testing.T) {
	s := newAuditedServer(t)
	id := "869b100f-06b7-44cc-80df-b4c4bf728461"
	record := attribute.Map{"licenseid": id, "expirationdate": "2030-01-01"}
	if err := s.folder.Licenses.PutRecord(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	out, err := s.verify(t, func(c *verifyCommand) { c.Licenses = names(id) })
	if err != nil || !strings.Contains(out, id+"  no chain") ||
		strings.Contains(out, "  ok  ") || strings.Contains(out, "WRONG") {
		t.Errorf("%v\n%s", err, out)
	}
	s.record(t)
	out, err = s.verify(t, func(c *verifyCommand) { c.Licenses = names(id) })
	if err != nil || !strings.Contains(out, id+"  ok  entries 1") {
		t.Errorf("recorded: %v\n%s", err, out)
	}
}

// TestVerifyOldCheckpoint: one that is older than it may be does not show that it is the latest.
func TestVerifyOldCheckpoint(t *testing.T) {
	s := newAuditedServer(t)
	out, err := s.verify(t, func(c *verifyCommand) { c.Checkpoint, c.MaxAge = true, time.Nanosecond })
	if !errors.Is(err, errTrail) || !strings.Contains(out, "number 1, is of ") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestVerifyYoung: a chain that began after the latest checkpoint is not in it, and not wrong.
func TestVerifyYoung(t *testing.T) {
	s := newAuditedServer(t)
	young := licensetest.Issue(t)
	if err := s.folder.Licenses.Create(t.Context(), young); err != nil {
		t.Fatal(err)
	}
	s.record(t)
	withCheckpoint := func(c *verifyCommand) { c.Licenses, c.Checkpoint = names(young.ID), true }
	out, err := s.verify(t, withCheckpoint)
	if err != nil || !strings.Contains(out, "not signed yet") || !strings.Contains(out, "ok  entries 1") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := s.checkpoints.handle(context.WithoutCancel(t.Context()), events.EventBridgeEvent{}); err != nil {
		t.Fatal(err)
	}
	if out, err := s.verify(t, withCheckpoint); err != nil || strings.Contains(out, "not signed yet") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestVerifyForms: programs get one element for each license, whatever its outcome.
func TestVerifyForms(t *testing.T) {
	s := newAuditedServer(t)
	const foreign = "869b100f-06b7-44cc-80df-b4c4bf728461"
	record := attribute.Map{"licenseid": foreign, "expirationdate": "2030-01-01"}
	if err := s.folder.Licenses.PutRecord(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	young, wrong := licensetest.Issue(t), licensetest.Issue(t)
	trail := "/licenses/" + wrong.ID + "/audit"
	s.tamper = func(path, body string) string {
		if path == trail {
			return strings.Replace(body, `"ISSUED"`, `"RENEWED"`, 1)
		}
		return body
	}
	var out, said bytes.Buffer
	pipe := piped(&out)
	pipe.Err = &said
	c := verifyCommand{
		Licenses: names(foreign), vendorAPI: vendorAPI{API: s.URL}, delay: time.Millisecond, MaxAge: time.Hour,
	}
	for format, want := range map[terminal.Format]string{
		terminal.JSON: `[{"licenseid":"` + foreign + `","result":"no chain","entries":0,"hash":"","findings":[]}]`,
		terminal.CSV:  "licenseid,result,entries,hash,findings" + foreign + ",no chain,0,,[]",
	} {
		if got := strings.ReplaceAll(written(t, c, format), "\n", ""); got != want {
			t.Errorf("as %s: got  %s\nwant %s", format, got, want)
		}
	}
	for _, l := range []license.License{young, wrong} {
		if err := s.folder.Licenses.Create(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	s.record(t)
	c.Licenses, c.Checkpoint = names(s.license.ID, young.ID, wrong.ID), true
	ended := func(err error) {
		t.Helper()
		if !errors.Is(err, errTrail) || !strings.HasSuffix(err.Error(), "licenses 1") {
			t.Errorf("ended with %v", err)
		}
	}
	pipe.Format = terminal.JSON
	ended(c.Run(t.Context(), pipe))
	var got []chainOutcome
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || len(got) != 3 {
		t.Fatalf("%v: %s", err, &out)
	}
	if !strings.Contains(said.String(), "compare it") {
		t.Errorf("said %s", &said)
	}
	const finding = "entry 1 was changed: it does not have the hash that it says"
	for i, want := range []chainOutcome{
		{LicenseID: s.license.ID, Result: "ok", Entries: 2, Findings: []string{}},
		{LicenseID: young.ID, Result: "not signed yet", Entries: 1, Findings: []string{}},
		{LicenseID: wrong.ID, Result: "wrong", Findings: []string{finding}},
	} {
		if want.Hash = got[i].Hash; (want.Hash == "") != (want.Entries == 0) || !reflect.DeepEqual(got[i], want) {
			t.Errorf("got %+v, want %+v", got[i], want)
		}
	}
	out.Reset()
	pipe.Format = terminal.CSV
	ended(c.Run(t.Context(), pipe))
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(rows) != 4 || rows[3][1] != "wrong" || rows[3][4] != `["`+finding+`"]` {
		t.Errorf("%v: %q", err, rows)
	}
}

// TestExport: the exported file is verified without a server, and a changed one is refused.
func TestExport(t *testing.T) {
	s := newAuditedServer(t)
	var out bytes.Buffer
	c := auditExportCommand{License: licenseName(s.license.ID), vendorAPI: vendorAPI{API: s.URL}}
	if err := c.Run(t.Context(), piped(&out)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "chain.jsonl")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := written(t, c, terminal.JSON); got != out.String() {
		t.Errorf("as JSON it is\n%s", got)
	}
	pipe := piped(io.Discard)
	pipe.Format = terminal.CSV
	if err := c.Run(t.Context(), pipe); exitCode(err) != exitUsage {
		t.Errorf("as CSV: %v", err)
	}
	offline := func(c *verifyCommand) { c.Licenses, c.File, c.API = nil, file, "http://127.0.0.1:1" }
	exported := out.String()
	write(exported)
	if out, err := s.verify(t, offline); err != nil || !strings.Contains(out, s.license.ID+"  ok  entries 2") {
		t.Errorf("%v\n%s", err, out)
	}
	asJSON := written(t, verifyCommand{File: file}, terminal.JSON)
	if !strings.Contains(asJSON, `"result":"ok","entries":2,`) {
		t.Errorf("the file as JSON: %s", asJSON)
	}
	for name, text := range map[string]string{
		"changed": strings.Replace(exported, "contract ended", "contract begun", 1),
		"cut off": exported[:len(exported)-1],
		"empty":   "",
	} {
		write(text)
		if out, err := s.verify(t, offline); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// TestVerifyNothing: what is not there is not "ok", and what was asked is not left out in silence.
func TestVerifyNothing(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Cache-Control": "no-store", "X-Request-Id": "request-1",
		} {
			w.Header().Set(name, value)
		}
		_, _ = io.WriteString(w, `{"entries":[],"head":{"sequence":0,"hash":""}}`)
	}))
	defer server.Close()
	const id = "5d2a2f5e-4b7e-4d0c-9f44-1f3a0b1c2d3e"
	for name, test := range map[string]struct {
		command verifyCommand
		printed string
		err     string
	}{
		"no entries": {
			verifyCommand{Licenses: names(id)}, "WRONG  no entries", "the audit trail is not as it should be",
		},
		"file and checkpoint": {
			verifyCommand{File: "chain.jsonl", Checkpoint: true}, "", "--file checks the file alone",
		},
		"file and license": {
			verifyCommand{File: "chain.jsonl", Licenses: names(id)}, "", "--file checks the file alone",
		},
		"key alone": {
			verifyCommand{Licenses: names(id), CheckpointKey: "key"}, "", "goes with --checkpoint",
		},
		"a key that is none": {
			verifyCommand{Licenses: names(id), Checkpoint: true, CheckpointKey: "key"},
			"", "--checkpoint-key is no key",
		},
		"nothing to look at":   {verifyCommand{}, "", "name licenses"},
		"licenses and all too": {verifyCommand{Licenses: names(id), All: true}, "", "name licenses"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			test.command.vendorAPI = vendorAPI{API: server.URL}
			test.command.delay = time.Millisecond
			err := test.command.Run(t.Context(), piped(&out))
			if err == nil || !strings.Contains(err.Error(), test.err) || !strings.Contains(out.String(), test.printed) {
				t.Errorf("%v, printed %q", err, out.String())
			}
		})
	}

	var out bytes.Buffer
	c := auditExportCommand{License: licenseName(id), vendorAPI: vendorAPI{API: server.URL}}
	if err := c.Run(t.Context(), piped(&out)); err == nil || out.Len() > 0 {
		t.Errorf("export: %v, %q", err, out.String())
	}
}
