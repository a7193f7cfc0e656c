package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/checkpoint"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/licensetest"
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

// behind opens a folder with a license that the trail does not know yet, and its checkpoints, each hour.
func behind(t *testing.T, log *slog.Logger) (checkpoints, *eventSource) {
	t.Helper()
	folder := openFolder(t)
	c, err := openCheckpoints(folder, t.TempDir(), time.Hour, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.Licenses.Create(t.Context(), licensetest.Issue(t)); err != nil {
		t.Fatal(err)
	}
	return c, serveCommand{Data: t.TempDir()}.stream(folder, log)
}

// TestTrailIsBehind: what the stream has yet to record is backlog, and then it is nothing.
func TestTrailIsBehind(t *testing.T) {
	c, s := behind(t, slog.New(slog.DiscardHandler))
	if got, err := c.handle(t.Context(), events.EventBridgeEvent{}); err != nil || got.Missed != 0 || got.Backlog != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := s.deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := c.handle(t.Context(), events.EventBridgeEvent{}); err != nil || got.Missed != 0 || got.Backlog != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestTrailStandsStill: a checkpoint is made all the same, and what is not recorded for longer than a stream remembers
// is missed.
func TestTrailStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := behind(t, slog.New(slog.DiscardHandler))
		for number, missed := range []int{0, 0, 1} {
			summary, err := c.handle(t.Context(), events.EventBridgeEvent{})
			if err != nil || summary.Number != int64(number+1) ||
				summary.Missed != missed || summary.Backlog != 1-missed {
				t.Errorf("run %d: got %+v, %v", number, summary, err)
			}
			time.Sleep(13 * time.Hour)
		}
	})
}

// TestFirstCheckpoint: after a start the trail catches up first, so that the checkpoint holds what was changed before.
func TestFirstCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c, s := behind(t, telemetry.NewConsoleLogger(&log))
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { c.run(ctx) })
		time.Sleep(time.Minute)
		if _, err := s.deliver(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		cancel()
		running.Wait()
		text := log.String()
		if !strings.Contains(text, `"number":1,"chains":1,`) || strings.Contains(text, "missed a") {
			t.Errorf("it logged\n%s", text)
		}
	})
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
