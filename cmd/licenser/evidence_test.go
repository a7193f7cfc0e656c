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

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/checkpoint"
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
