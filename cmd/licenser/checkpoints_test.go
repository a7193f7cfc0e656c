package main

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"openlicenser/shared/checkpoint"
)

// proof waits for a checkpoint whose leaf of the license is at least of the sequence, and verifies it.
func (s *server) proof(vkey, id string, sequence int64) (checkpoint.Checkpoint, checkpoint.Leaf) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if status, _ := s.call(http.MethodGet, "/licenses/"+id+"/audit/proof", ""); status == http.StatusNotFound {
			continue
		}
		var proof checkpoint.Proof
		s.get("/licenses/"+id+"/audit/proof", &proof)
		c, leaf, err := proof.Verify(vkey, id)
		if err != nil {
			s.t.Fatal(err)
		}
		if leaf.Sequence >= sequence {
			return c, leaf
		}
	}
	s.t.Fatalf("no checkpoint holds entry %d of %s", sequence, id)
	return checkpoint.Checkpoint{}, checkpoint.Leaf{}
}

// TestCheckpoints: the built program signs what its trail says, and goes on from there after a restart. A data file
// that was put back to an older state is found out.
func TestCheckpoints(t *testing.T) {
	data := t.TempDir()
	s := start(t, data, "--checkpoint-interval", "50ms")
	l := s.issue()
	s.trail(l.LicenseID, 1)
	_, key := s.call(http.MethodGet, "/audit/checkpoint-key", "")
	vkey := strings.TrimSpace(key)
	first, leaf := s.proof(vkey, l.LicenseID, 1)
	if err := leaf.Check(s.trail(l.LicenseID, 1)); err != nil {
		t.Error(err)
	}
	s.stop()
	old, err := os.ReadFile(filepath.Join(data, "licenser.db"))
	if err != nil {
		t.Fatal(err)
	}

	s = start(t, data, "--checkpoint-interval", "50ms")
	s.call(http.MethodPost, "/licenses/"+l.LicenseID+"/suspend", "{}")
	second, signed := s.proof(vkey, l.LicenseID, 2)
	if second.Number <= first.Number {
		t.Errorf("checkpoint %d after checkpoint %d", second.Number, first.Number)
	}
	s.stop()
	if strings.Contains(s.stderr.String(), "an audit chain was rewritten") {
		t.Errorf("a false alarm:\n%s", s.stderr)
	}

	if err := os.WriteFile(filepath.Join(data, "licenser.db"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(data, "licenser.db.sha256")); err != nil {
		t.Fatal(err)
	}
	s = start(t, data, "--checkpoint-interval", "50ms")
	third := second
	for deadline := time.Now().Add(30 * time.Second); third.Number < second.Number+2 && time.Now().Before(deadline); {
		third, leaf = s.proof(vkey, l.LicenseID, 2)
		time.Sleep(20 * time.Millisecond)
	}
	if third.Number < second.Number+2 || leaf != signed {
		t.Errorf("checkpoint %d holds %v, want what was signed: %v", third.Number, leaf, signed)
	}
	if err := leaf.Check(s.trail(l.LicenseID, 1)); !errors.Is(err, checkpoint.ErrTailCut) {
		t.Errorf("the older chain: %v", err)
	}
	s.stop()
	if !strings.Contains(s.stderr.String(), "an audit chain was rewritten") {
		t.Errorf("not reported:\n%s", s.stderr)
	}
}

// TestCheckpointKeyIsMissing: the program does not go on with another key.
func TestCheckpointKeyIsMissing(t *testing.T) {
	data := t.TempDir()
	s := start(t, data, "--checkpoint-interval", "50ms")
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if status, _ := s.call(http.MethodGet, "/audit/checkpoint", ""); status == http.StatusOK {
			break
		}
	}
	s.stop()
	if err := os.Remove(filepath.Join(data, "checkpoint-key.pem")); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(binary, "serve", "--listen", "127.0.0.1:0", "--data", data).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "checkpoint-key.pem is missing or empty") {
		t.Errorf("%v: %s", err, out)
	}
}
