// Package checkpointtest tests implementations of checkpoint.Archive against its contract.
package checkpointtest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"openlicenser/shared/checkpoint"
)

// TestArchive tests an archive against the contract of checkpoint.Archive. Each subtest opens an empty archive.
func TestArchive(t *testing.T, open func(t *testing.T) checkpoint.Archive) {
	tests := map[string]func(*testing.T, checkpoint.Archive){
		"Empty":                   empty,
		"Create/ThenRead":         createThenRead,
		"Create/ErrExists":        createAgain,
		"Create/OneOfManyWins":    createConcurrently,
		"SetLatest/Replaces":      setLatest,
		"PutLeaves/AgainIsNoFail": putLeavesAgain,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

var root = tlog.RecordHash([]byte("root"))

func empty(t *testing.T, a checkpoint.Archive) {
	_, errLatest := a.Latest(t.Context())
	_, errLeaves := a.Leaves(t.Context(), root)
	_, errCheckpoint := a.Checkpoint(t.Context(), 1)
	for name, err := range map[string]error{"Latest": errLatest, "Leaves": errLeaves, "Checkpoint": errCheckpoint} {
		if !errors.Is(err, checkpoint.ErrNone) {
			t.Errorf("%s: got %v, want ErrNone", name, err)
		}
	}
}

func createThenRead(t *testing.T, a checkpoint.Archive) {
	for _, number := range []int64{1, 2, 1 << 40} {
		if err := a.Create(t.Context(), number, fmt.Append(nil, "checkpoint ", number)); err != nil {
			t.Fatal(err)
		}
	}
	for _, number := range []int64{1, 2, 1 << 40} {
		got, err := a.Checkpoint(t.Context(), number)
		if err != nil || string(got) != fmt.Sprint("checkpoint ", number) {
			t.Errorf("checkpoint %d: %q, %v", number, got, err)
		}
	}
	if _, err := a.Latest(t.Context()); !errors.Is(err, checkpoint.ErrNone) {
		t.Errorf("Create has set the latest: %v", err)
	}
}

func createAgain(t *testing.T, a checkpoint.Archive) {
	if err := a.Create(t.Context(), 7, []byte("first")); err != nil {
		t.Fatal(err)
	}
	for _, again := range []string{"second", "first"} {
		if err := a.Create(t.Context(), 7, []byte(again)); !errors.Is(err, checkpoint.ErrExists) {
			t.Errorf("%s: got %v, want ErrExists", again, err)
		}
	}
	if got, err := a.Checkpoint(t.Context(), 7); err != nil || string(got) != "first" {
		t.Errorf("kept %q, %v", got, err)
	}
}

func createConcurrently(t *testing.T, a checkpoint.Archive) {
	var group sync.WaitGroup
	var won atomic.Int64
	for i := range 8 {
		group.Go(func() {
			switch err := a.Create(t.Context(), 1, fmt.Append(nil, i)); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, checkpoint.ErrExists):
				t.Errorf("got %v, want ErrExists", err)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 {
		t.Errorf("%d have created the same number", won.Load())
	}
}

func setLatest(t *testing.T, a checkpoint.Archive) {
	for _, text := range []string{"a longer one", "short"} {
		if err := a.SetLatest(t.Context(), []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := a.Latest(t.Context()); err != nil || string(got) != text {
			t.Errorf("got %q, %v, want %q", got, err, text)
		}
	}
}

func putLeavesAgain(t *testing.T, a checkpoint.Archive) {
	list := bytes.Repeat([]byte("a line\n"), 1000)
	for range 2 {
		if err := a.PutLeaves(t.Context(), root, list); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := a.Leaves(t.Context(), root); err != nil || !bytes.Equal(got, list) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if _, err := a.Leaves(t.Context(), tlog.RecordHash([]byte("another"))); !errors.Is(err, checkpoint.ErrNone) {
		t.Errorf("got %v, want ErrNone", err)
	}
}
