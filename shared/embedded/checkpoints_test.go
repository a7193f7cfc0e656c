package embedded_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/embedded"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/checkpointtest"
)

func openCheckpoints(t *testing.T, folder string) embedded.Checkpoints {
	t.Helper()
	archive, err := embedded.OpenCheckpoints(folder)
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

func TestCheckpoints(t *testing.T) {
	checkpointtest.TestArchive(t, func(t *testing.T) checkpoint.Archive { return openCheckpoints(t, t.TempDir()) })
}

// TestMakeCheckpoints makes two, with a restart between, over a real trail.
func TestMakeCheckpoints(t *testing.T) {
	path := t.TempDir()
	folder := open(t, path)
	events := audittest.History(t, 3)
	id := events[0].LicenseID
	for number, batch := range [][]audit.Event{events[:2], events[2:]} {
		for _, event := range batch {
			if err := (audit.Recorder{Store: folder.AuditTrail}).Record(t.Context(), event); err != nil {
				t.Fatal(err)
			}
		}
		key, err := embedded.OpenCheckpointKey(path)
		if err != nil {
			t.Fatal(err)
		}
		archive := openCheckpoints(t, path)
		maker := checkpoint.Maker{
			Trail: folder.AuditTrail, Archive: archive, Signer: key, Origin: "openlicenser/test/audit",
		}
		result, err := maker.Make(t.Context(), time.Now())
		if err != nil || result.Checkpoint.Number != int64(number+1) || len(result.Findings) != 0 {
			t.Fatalf("got %+v, %v", result, err)
		}
		vkey, err := checkpoint.VerifierKey(t.Context(), key, maker.Origin)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := checkpoint.Prove(t.Context(), archive, vkey, id)
		if err != nil {
			t.Fatal(err)
		}
		_, leaf, err := proof.Verify(vkey, id)
		if err != nil || leaf.Sequence != int64(number+2) {
			t.Errorf("got %+v, %v", leaf, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(path, "checkpoints", "*", ".new-*")); err != nil || len(left) != 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

// TestCheckpointKeyIsNotMadeAnew: beside checkpoints, a lost key is an error.
func TestCheckpointKeyIsNotMadeAnew(t *testing.T) {
	path := t.TempDir()
	first, err := embedded.OpenCheckpointKey(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := embedded.OpenCheckpointKey(path)
	if err != nil || fmt.Sprint(first) != fmt.Sprint(again) {
		t.Errorf("another key, %v", err)
	}
	const name = "checkpoints/00000000000000000001"
	if err := openCheckpoints(t, path).Create(t.Context(), name, []byte("signed")); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(path, "checkpoint-key.pem")
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if _, err := embedded.OpenCheckpointKey(path); err == nil {
		t.Error("the key was made anew")
	}
	if err := os.WriteFile(key, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := embedded.OpenCheckpointKey(path); err == nil {
		t.Error("what is no key was read")
	}
}

// TestHeadsOfManyChains: more in a bucket than are read at once.
func TestHeadsOfManyChains(t *testing.T) {
	const chains = 5
	t.Cleanup(embedded.SetHeadsPage(2))
	trail := open(t, t.TempDir()).AuditTrail
	want := map[string]bool{}
	for i := 0; len(want) < chains; i++ {
		e := audit.Entry{LicenseID: fmt.Sprint("license ", i), Sequence: 1, Hash: "h"}
		if audit.BucketOf(e.LicenseID) != 7 {
			continue
		}
		want[e.LicenseID] = true
		if err := trail.Append(t.Context(), audit.Head{}, e, audit.State{Head: audit.Head{}.After(e)}); err != nil {
			t.Fatal(err)
		}
	}
	for head, err := range trail.Heads(t.Context(), 7) {
		if err != nil || !want[head.LicenseID] {
			t.Fatalf("got %+v, %v", head, err)
		}
		delete(want, head.LicenseID)
	}
	if len(want) != 0 {
		t.Errorf("%d of %d heads are missing", len(want), chains)
	}
}
