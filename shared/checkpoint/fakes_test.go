package checkpoint_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
)

const origin = "openlicenser/test/audit"

var now = time.Date(2026, 11, 23, 22, 0, 0, 0, time.UTC)

// key is a checkpoint.Signer in memory.
type key ed25519.PrivateKey

func newKey(seed byte) key { return key(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))) }

func (k key) PublicKey(context.Context) (ed25519.PublicKey, error) {
	return ed25519.PrivateKey(k).Public().(ed25519.PublicKey), nil
}

func (k key) Sign(_ context.Context, message []byte) ([]byte, error) {
	return ed25519.Sign(ed25519.PrivateKey(k), message), nil
}

// trail is a checkpoint.Trail in memory that whoever attacks it can write to.
type trail struct {
	heads   map[string]audit.Head
	chains  map[string][]audit.Entry
	records map[string]attribute.Map // as the last event left them
	events  int
	lag     map[string]audit.Head // heads that the list shows in place of those that hold; zero for none
}

func newTrail() *trail {
	return &trail{
		heads: map[string]audit.Head{}, chains: map[string][]audit.Entry{},
		records: map[string]attribute.Map{}, lag: map[string]audit.Head{},
	}
}

var _ audit.Store = (*trail)(nil)

// extend records n events of a license.
func (tr *trail) extend(t testing.TB, id string, n int) {
	t.Helper()
	for range n {
		tr.events++
		event := audit.Event{
			ID: fmt.Sprint("event ", tr.events), SequenceNumber: fmt.Sprint(tr.events), Time: now, LicenseID: id,
			Old: tr.records[id], New: attribute.Map{"licenseid": id, "notes": fmt.Sprint("note ", tr.events)},
		}
		if err := (audit.Recorder{Store: tr}).Record(t.Context(), event); err != nil {
			t.Fatal(err)
		}
		tr.records[id] = event.New
	}
}

func (tr *trail) Append(_ context.Context, _ audit.Head, e audit.Entry) error {
	tr.chains[e.LicenseID] = append(tr.chains[e.LicenseID], e)
	tr.heads[e.LicenseID] = audit.Head{}.After(e)
	return nil
}

// cut leaves the first n entries of a chain.
func (tr *trail) cut(id string, n int) {
	tr.chains[id] = slices.Clone(tr.chains[id][:n])
	tr.heads[id] = audit.Head{}.After(tr.chains[id][n-1])
}

func (tr *trail) remove(id string) {
	delete(tr.chains, id)
	delete(tr.heads, id)
	delete(tr.records, id)
}

func (tr *trail) Heads(context.Context) iter.Seq2[audit.ChainHead, error] {
	return func(yield func(audit.ChainHead, error) bool) {
		for id, head := range tr.heads {
			if shown, lags := tr.lag[id]; lags {
				head = shown
			}
			if head.Sequence != 0 && !yield(audit.ChainHead{LicenseID: id, Head: head}, nil) {
				return
			}
		}
	}
}

func (tr *trail) Head(_ context.Context, id string) (audit.Head, error) { return tr.heads[id], nil }

func (tr *trail) Entries(_ context.Context, id string, after int64, limit int) ([]audit.Entry, error) {
	var page []audit.Entry
	for _, e := range tr.chains[id] {
		if e.Sequence > after && len(page) < limit {
			page = append(page, e)
		}
	}
	return page, nil
}

// archive is a checkpoint.Archive in memory. It fails the test when a checkpoint or a list is replaced by another one,
// and faults on demand before or after a write.
type archive struct {
	t           testing.TB
	mu          sync.Mutex
	latest      []byte
	checkpoints map[int64][]byte
	lists       map[tlog.Hash][]byte

	writes   int  // so far
	failAt   int  // the number, from 1, of the write that fails; 0 for none
	persists bool // whether the write that fails takes effect
}

func newArchive(t testing.TB) *archive {
	return &archive{t: t, checkpoints: map[int64][]byte{}, lists: map[tlog.Hash][]byte{}}
}

var errFault = errors.New("a fault of the archive")

func (a *archive) write(do func()) error {
	a.writes++
	fails := a.writes == a.failAt
	if !fails || a.persists {
		do()
	}
	if fails {
		return errFault
	}
	return nil
}

func (a *archive) Latest(context.Context) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.latest == nil {
		return nil, checkpoint.ErrNone
	}
	return a.latest, nil
}

func (a *archive) Leaves(_ context.Context, root tlog.Hash) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if list, kept := a.lists[root]; kept {
		return list, nil
	}
	return nil, checkpoint.ErrNone
}

func (a *archive) Checkpoint(_ context.Context, number int64) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if signed, kept := a.checkpoints[number]; kept {
		return signed, nil
	}
	return nil, checkpoint.ErrNone
}

func (a *archive) Create(_ context.Context, number int64, signed []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, kept := a.checkpoints[number]; kept {
		return checkpoint.ErrExists
	}
	if c, err := checkpoint.Open(verifierKey(a.t), signed); err != nil || c.Number != number {
		a.t.Errorf("checkpoint %d: %v, %v", number, c, err)
	} else if _, kept := a.lists[c.Root]; !kept {
		a.t.Errorf("checkpoint %d stands without its leaves", number)
	}
	return a.write(func() { a.checkpoints[number] = signed })
}

func (a *archive) SetLatest(_ context.Context, signed []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.write(func() { a.latest = signed })
}

func (a *archive) PutLeaves(_ context.Context, root tlog.Hash, list []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if kept, is := a.lists[root]; is && !bytes.Equal(kept, list) {
		a.t.Errorf("the list of %v is replaced", root)
	}
	return a.write(func() { a.lists[root] = list })
}

// check wants the archive's checkpoints to be one sequence, each following the one before, with their leaves.
func (a *archive) check() {
	a.t.Helper()
	var previous checkpoint.Checkpoint
	var signed []byte
	for i, number := range slices.Sorted(maps.Keys(a.checkpoints)) {
		c, err := checkpoint.Open(verifierKey(a.t), a.checkpoints[number])
		if err == nil && i > 0 {
			err = c.Follows(previous, signed)
		}
		if err != nil || c.Number != int64(i+1) {
			a.t.Fatalf("checkpoint %d: %+v, %v", number, c, err)
		}
		previous, signed = c, a.checkpoints[number]
	}
}

func verifierKey(t testing.TB) string {
	t.Helper()
	vkey, err := checkpoint.VerifierKey(context.Background(), newKey(1), origin)
	if err != nil {
		t.Fatal(err)
	}
	return vkey
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// world is a trail of some chains and its archive.
type world struct {
	t       testing.TB
	trail   *trail
	archive *archive
}

func newWorld(t testing.TB, chains int) world {
	w := world{t, newTrail(), newArchive(t)}
	for i := range chains {
		w.trail.extend(t, license(i), i%4+1)
	}
	t.Cleanup(w.archive.check)
	return w
}

func license(i int) string { return fmt.Sprintf("019ab000-0000-7000-8000-%012d", i) }

func (w world) maker() checkpoint.Maker {
	return checkpoint.Maker{Trail: w.trail, Archive: w.archive, Signer: newKey(1), Origin: origin}
}

func (w world) make() checkpoint.Result {
	w.t.Helper()
	result, err := w.maker().Make(w.t.Context(), now)
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

// verify checks a license's chain, as whoever has the trail shows it, against the latest checkpoint.
func (w world) verify(id string) error {
	w.t.Helper()
	proof, err := checkpoint.Prove(w.t.Context(), w.archive, id)
	if err != nil {
		return err
	}
	_, leaf, err := proof.Verify(verifierKey(w.t), id)
	if err != nil {
		return err
	}
	if _, err := audit.Verify(id, audit.Head{}, w.trail.chains[id]); err != nil {
		return err
	}
	return leaf.Check(w.trail.chains[id])
}
