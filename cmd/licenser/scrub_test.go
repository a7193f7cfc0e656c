package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"openlicenser/shared/embedded"
	"openlicenser/shared/testing/licensetest"
)

// leaveErased makes a data folder in whose file a name was erased and is still found. The change in its feed is older
// than the mark.
func leaveErased(t *testing.T, name string) (data string) {
	t.Helper()
	data = t.TempDir()
	folder, err := embedded.Open(data)
	if err != nil {
		t.Fatal(err)
	}
	l := licensetest.Issue(t)
	l.CustomerName, l.Notes = name, strings.Repeat(name+" ", 2000) // in more pages than are used again at once
	if err := errors.Join(folder.Licenses.Create(t.Context(), l), folder.Licenses.Remove(t.Context(), l)); err != nil {
		t.Fatal(err)
	}
	changes, err := folder.Changes.Oldest(t.Context(), 10)
	if err := errors.Join(err, folder.Changes.Remove(t.Context(), changes),
		folder.Licenses.Create(t.Context(), licensetest.Issue(t)), folder.Close()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(data, "licenser.db")
	db, err := bbolt.Open(file, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		key, value := []byte("mark"), fmt.Appendf(nil, `{"number":1,"change":%d}`, len(changes)+1)
		sum := crc32.Checksum(append(bytes.Clone(key), value...), crc32.MakeTable(crc32.Castagnoli))
		sealed := append([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}, value...)
		return tx.Bucket([]byte("scrub")).Put(key, sealed)
	})
	if err := errors.Join(err, db.Close(), os.Remove(file+".sha256")); err != nil {
		t.Fatal(err)
	}
	if !holds(t, data, name) {
		t.Fatal("the name is not in the file")
	}
	return data
}

func holds(t *testing.T, data, name string) bool {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(data, "licenser.db"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(content, []byte(name))
}

// TestServeScrubs: after a start, as soon as the feed is recorded, and once.
func TestServeScrubs(t *testing.T) {
	data := leaveErased(t, "Forgotten Ltd")
	run := func() (logged string) {
		s := start(t, data)
		time.Sleep(300 * time.Millisecond)
		s.stop() // which may cut the scrub off
		return s.stderr.String()
	}
	const done = "what was erased is overwritten in the data file"
	logged := ""
	for runs := 0; !strings.Contains(logged, done) && runs < 20; runs++ {
		logged += run()
	}
	if holds(t, data, "Forgotten Ltd") || !strings.Contains(logged, done) || strings.Contains(logged, "Forgotten") {
		t.Errorf("the name is in the file: %t; logged %s", holds(t, data, "Forgotten Ltd"), logged)
	}
	if logged := run(); strings.Contains(logged, "erased") {
		t.Errorf("again it logged %s", logged)
	}
}

// TestReplayScrubs: when the feed is empty. Otherwise the server does, later.
func TestReplayScrubs(t *testing.T) {
	data := leaveErased(t, "Forgotten Ltd")
	folder, err := embedded.Open(data)
	if err != nil {
		t.Fatal(err)
	}
	changes, errChanges := folder.Changes.Oldest(t.Context(), 10)
	batch, err := newBatch(changes)
	file := filepath.Join(t.TempDir(), "1.json")
	if err := errors.Join(errChanges, err, folder.Close(), writeFailure(file, batch, time.Now())); err != nil {
		t.Fatal(err)
	}
	replay := func(wantHolds bool) {
		t.Helper()
		err := replayCommand{Files: []string{file}, Data: data}.Run(t.Context(), piped(io.Discard))
		if got := holds(t, data, "Forgotten Ltd"); err != nil || got != wantHolds {
			t.Fatalf("the name is in the file: %t, %v", got, err)
		}
	}
	replay(true)
	if folder, err = embedded.Open(data); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(folder.Changes.Remove(t.Context(), changes), folder.Close()); err != nil {
		t.Fatal(err)
	}
	replay(false)
}

// failingScrubber has something to scrub once, and fails a number of times before.
type failingScrubber struct {
	awaits, scrubs int // failures to come
	at             []time.Duration
	begun          time.Time
}

func (f *failingScrubber) AwaitScrub(ctx context.Context) error {
	switch {
	case f.awaits > 0:
		f.awaits--
		f.at = append(f.at, time.Since(f.begun))
		return errors.New("cannot be read")
	case f.scrubs < 0:
		<-ctx.Done()
	}
	return ctx.Err()
}

func (f *failingScrubber) Scrub(context.Context) error {
	f.at = append(f.at, time.Since(f.begun))
	if f.scrubs--; f.scrubs >= 0 {
		return errors.New("no space left")
	}
	return nil
}

// TestScrubRetries: a failure is logged, and does not end the server.
func TestScrubRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		folder := &failingScrubber{awaits: 1, scrubs: 2, begun: time.Now()}
		var log bytes.Buffer
		var running sync.WaitGroup
		running.Go(func() { scrub(ctx, folder, slog.New(slog.NewTextHandler(&log, nil))) })
		time.Sleep(10 * scrubRetry)
		stop()
		running.Wait()
		if got, want := fmt.Sprint(folder.at), "[0s 1m0s 2m0s 3m0s]"; got != want {
			t.Errorf("tried at %s, want %s", got, want)
		}
		text := log.String()
		if strings.Count(text, "still in the data file") != 3 || strings.Count(text, "no space left") != 2 ||
			strings.Count(text, "is overwritten") != 1 {
			t.Errorf("logged %s", text)
		}
	})
}

// TestScrubStopsWhileItRetries: the server's stop does not wait for the next try, and is no failure.
func TestScrubStopsWhileItRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(scrubRetry/2, stop)
		begun := time.Now()
		var log bytes.Buffer
		scrub(ctx, &failingScrubber{scrubs: 9}, slog.New(slog.NewTextHandler(&log, nil)))
		if waited := time.Since(begun); waited != scrubRetry/2 || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("after %v it logged %s", waited, &log)
		}
	})
}
