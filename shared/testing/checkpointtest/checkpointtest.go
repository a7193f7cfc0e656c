// Package checkpointtest tests implementations of checkpoint.Archive against its contract.
package checkpointtest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"openlicenser/shared/checkpoint"
)

// TestArchive tests an archive against the contract of checkpoint.Archive. Each subtest opens an empty archive.
func TestArchive(t *testing.T, open func(t *testing.T) checkpoint.Archive) {
	tests := map[string]func(*testing.T, checkpoint.Archive){
		"Empty":                empty,
		"Create/ThenRead":      createThenRead,
		"Create/ErrExists":     createAgain,
		"Create/OneOfManyWins": createConcurrently,
		"Put/Replaces":         put,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

var names = []string{
	"latest", "checkpoints/00000000000000000017", "acknowledged/019ab000-0000-7000-8000-000000000000/3",
}

func empty(t *testing.T, a checkpoint.Archive) {
	for _, name := range names {
		if _, err := a.Get(t.Context(), name); !errors.Is(err, checkpoint.ErrNone) {
			t.Errorf("%s: got %v, want ErrNone", name, err)
		}
	}
}

func createThenRead(t *testing.T, a checkpoint.Archive) {
	for _, name := range names {
		if err := a.Create(t.Context(), name, []byte("content of "+name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		if got, err := a.Get(t.Context(), name); err != nil || string(got) != "content of "+name {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := a.Get(t.Context(), names[1]+"0"); !errors.Is(err, checkpoint.ErrNone) {
		t.Errorf("another name: %v", err)
	}
}

func createAgain(t *testing.T, a checkpoint.Archive) {
	if err := a.Create(t.Context(), "checkpoints/7", []byte("first")); err != nil {
		t.Fatal(err)
	}
	for _, again := range []string{"second", "first"} {
		if err := a.Create(t.Context(), "checkpoints/7", []byte(again)); !errors.Is(err, checkpoint.ErrExists) {
			t.Errorf("%s: got %v, want ErrExists", again, err)
		}
	}
	if got, err := a.Get(t.Context(), "checkpoints/7"); err != nil || string(got) != "first" {
		t.Errorf("kept %q, %v", got, err)
	}
}

func createConcurrently(t *testing.T, a checkpoint.Archive) {
	var group sync.WaitGroup
	var won atomic.Int64
	for i := range 8 {
		group.Go(func() {
			switch err := a.Create(t.Context(), "checkpoints/1", fmt.Append(nil, i)); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, checkpoint.ErrExists):
				t.Errorf("got %v, want ErrExists", err)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 {
		t.Errorf("%d have created the same object", won.Load())
	}
}

func put(t *testing.T, a checkpoint.Archive) {
	for _, text := range []string{strings.Repeat("a longer one\n", 10_000), "short"} {
		for range 2 {
			if err := a.Put(t.Context(), "latest", []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := a.Get(t.Context(), "latest"); err != nil || string(got) != text {
			t.Errorf("got %d bytes, %v, want %d", len(got), err, len(text))
		}
	}
}
