package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

// writeEvidence exports evidence of the server's license to a file.
func (s *auditedServer) writeEvidence(t *testing.T) (file string, text []byte) {
	t.Helper()
	var out, said bytes.Buffer
	c := auditExportCommand{License: licenseName(s.license.ID), Evidence: true, vendorAPI: vendorAPI{API: s.URL}}
	if err := c.Run(t.Context(), people(&out, &said)); err != nil {
		t.Fatalf("%v: %s", err, &said)
	}
	if !strings.Contains(said.String(), "Checkpoint 1 of ") || !strings.Contains(said.String(), "up to entry 2.") {
		t.Errorf("said %s", &said)
	}
	file = filepath.Join(t.TempDir(), "evidence.jsonl")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, out.Bytes()
}

func verifyFile(t *testing.T, file, key string) (out string, err error) {
	t.Helper()
	var buffer bytes.Buffer
	err = verifyCommand{File: file, CheckpointKey: key}.Run(t.Context(), people(&buffer, &buffer))
	return buffer.String(), err
}

func TestEvidence(t *testing.T) {
	s := newAuditedServer(t)
	key := s.key(t)
	file, text := s.writeEvidence(t)
	out, err := verifyFile(t, file, key)
	if err != nil || !strings.Contains(out, s.license.ID+"  ok  entries 2") ||
		!strings.Contains(out, "proves the chain") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = verifyFile(t, file, "")
	if !errors.Is(err, checkpoint.ErrUntrusted) || !strings.Contains(out, "Not checked: who has signed") ||
		exitCode(err) != 1 {
		t.Errorf("without a key: %v\n%s", err, out)
	}
	var buffer bytes.Buffer
	pipe := piped(&buffer)
	pipe.Format = terminal.JSON
	var outcomes []chainOutcome
	err = verifyCommand{File: file, CheckpointKey: key}.Run(t.Context(), pipe)
	if err := errors.Join(err, json.Unmarshal(buffer.Bytes(), &outcomes)); err != nil {
		t.Fatal(err)
	}
	if len(outcomes) != 1 || outcomes[0].Proven == nil || *outcomes[0].Proven != 2 {
		t.Errorf("got %s", &buffer)
	}
	if out, err := verifyFile(t, file, newAuditedServer(t).key(t)); !errors.Is(err, errTrail) {
		t.Errorf("with another key: %v\n%s", err, out)
	}
	changed := bytes.Replace(text, []byte("contract ended"), []byte("contract ended!"), 1)
	if err := os.WriteFile(file, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err = verifyFile(t, file, key)
	if !errors.Is(err, errTrail) || !strings.Contains(err.Error(), "entry 2 was changed") {
		t.Errorf("changed: %v\n%s", err, out)
	}
	if err := os.WriteFile(file, text[bytes.IndexByte(text, '\n')+1:], 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := verifyFile(t, file, key); err == nil || exitCode(err) != 2 {
		t.Errorf("a chain alone, with a key: %v\n%s", err, out)
	}
}

// TestEvidenceOfYoungChain: one that no checkpoint has signed cannot be proven, and what to do is said.
func TestEvidenceOfYoungChain(t *testing.T) {
	s := newAuditedServer(t)
	young := licensetest.Issue(t)
	if err := s.folder.Licenses.Create(t.Context(), young); err != nil {
		t.Fatal(err)
	}
	s.record(t)
	var out bytes.Buffer
	c := auditExportCommand{License: licenseName(young.ID), Evidence: true, vendorAPI: vendorAPI{API: s.URL}}
	err := c.Run(t.Context(), people(&out, &out))
	var advice advised
	if !errors.As(err, &advice) || !strings.Contains(advice.advice, "after the next one") {
		t.Errorf("got %v", err)
	}
}

// flips has Python check a file as it is, and with each of its bytes changed in each of its bits.
const flips = `
import sys
sys.path.insert(0, sys.argv[1])
from verify_evidence import verify
file, key = open(sys.argv[2], "rb").read(), sys.argv[3]
print(verify(file, key))
for at in range(len(file)):
    for bit in range(8):
        flipped = file[:at] + bytes([file[at] ^ 1 << bit]) + file[at + 1:]
        try:
            verify(flipped, key)
        except Exception:
            continue
        print("UNSEEN", at, bit)
for n in range(len(file)):
    try:
        verify(file[:n], key)
    except Exception:
        continue
    print("UNSEEN, cut off at", n)
`

// TestEvidenceInPython: the verifier in docs/, which was written from the documentation, checks a file, and sees
// whatever is changed in it.
func TestEvidenceInPython(t *testing.T) {
	python := os.Getenv("LICENSER_TEST_PYTHON")
	if python == "" {
		t.Skip("make test-aws runs it: it needs Python with the package cryptography")
	}
	s := newAuditedServer(t)
	key := s.key(t)
	file, _ := s.writeEvidence(t)
	docs, err := filepath.Abs("../../docs")
	if err != nil {
		t.Fatal(err)
	}
	got, err := exec.Command(python, "-B", "-c", flips, docs, file, key).CombinedOutput()
	want := fmt.Sprintf("proves %s up to entry 2 of 2\n", s.license.ID)
	if err != nil || !strings.HasPrefix(string(got), "number 1, time ") || !strings.HasSuffix(string(got), want) ||
		strings.Count(string(got), "\n") != 1 {
		t.Errorf("%v\n%s", err, got)
	}
}

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
		c := explainCommand{At: instant{at}, File: file, CheckpointKey: key}
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
			"it was revoked.", "But nobody has checked who has signed the checkpoint",
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
