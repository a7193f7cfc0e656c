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
	"strings"
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
	states  map[string]audit.State // as they were appended; heads say where they are now
	chains  map[string][]audit.Entry
	records map[string]attribute.Map // as the last event left them
	events  int
	lag     map[string]audit.Head // heads that the list shows in place of those that hold; zero for none
	listed  map[int][]string      // license ids by bucket
}

func newTrail() *trail {
	return &trail{
		heads: map[string]audit.Head{}, states: map[string]audit.State{}, chains: map[string][]audit.Entry{},
		records: map[string]attribute.Map{}, lag: map[string]audit.Head{}, listed: map[int][]string{},
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
			Old: tr.records[id], New: recordOf(id, fmt.Sprint("note ", tr.events)),
		}
		recorder := audit.Recorder{Store: tr, Nonce: func(v audit.Event, value string) string { return v.ID + value }}
		if err := recorder.Record(t.Context(), event); err != nil {
			t.Fatal(err)
		}
		tr.records[id] = event.New
	}
}

// recordOf returns a license's record, which only other tools have written where that is its id.
func recordOf(id, notes string) attribute.Map {
	record := attribute.Map{"licenseid": id, "notes": notes, "version": attribute.Number("1")}
	if id == "foreign" {
		delete(record, "version")
	}
	return record
}

// setHead replaces the head of a chain, in its bucket.
func (tr *trail) setHead(id string, head audit.Head) {
	tr.heads[id] = head
	if bucket := audit.BucketOf(id); !slices.Contains(tr.listed[bucket], id) {
		tr.listed[bucket] = append(tr.listed[bucket], id)
	}
}

func (tr *trail) Append(_ context.Context, _ audit.Head, e audit.Entry, to audit.State) error {
	tr.chains[e.LicenseID] = append(tr.chains[e.LicenseID], e.Closed())
	tr.states[e.LicenseID] = to
	tr.setHead(e.LicenseID, to.Head)
	return nil
}

func (tr *trail) Disclosures(context.Context, string, int64, int64) ([]audit.Disclosure, error) {
	return nil, nil
}

func (tr *trail) Forget(context.Context, string, int64) error { return nil }

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

func (tr *trail) Heads(_ context.Context, bucket int) iter.Seq2[audit.ChainHead, error] {
	return func(yield func(audit.ChainHead, error) bool) {
		for _, id := range tr.listed[bucket] {
			head := tr.heads[id]
			if shown, lags := tr.lag[id]; lags {
				head = shown
			}
			state := tr.states[id]
			state.Head = head
			if head.Sequence != 0 && !yield(state.ChainHead(id), nil) {
				return
			}
		}
	}
}

func (tr *trail) State(_ context.Context, id string) (audit.State, error) {
	state := tr.states[id]
	state.Head = tr.heads[id]
	return state, nil
}

func (tr *trail) Entries(_ context.Context, id string, after int64, limit int) ([]audit.Entry, error) {
	var page []audit.Entry
	for _, e := range tr.chains[id] {
		if e.Sequence > after && len(page) < limit {
			page = append(page, e)
		}
	}
	return page, nil
}

// archive is a checkpoint.Archive in memory. It fails the test when an object is replaced that is there for ever, or a
// checkpoint comes before its tree, and faults on demand before or after a write.
type archive struct {
	t       testing.TB
	mu      sync.Mutex
	objects map[string][]byte

	writes   int  // so far
	failAt   int  // the number, from 1, of the write that fails; 0 for none
	persists bool // whether the write that fails takes effect
}

func newArchive(t testing.TB) *archive { return &archive{t: t, objects: map[string][]byte{}} }

var errFault = errors.New("a fault of the archive")

func (a *archive) write(name string, content []byte) error {
	a.writes++
	fails := a.writes == a.failAt
	if !fails || a.persists {
		a.objects[name] = content
	}
	if fails {
		return errFault
	}
	return nil
}

func (a *archive) Get(_ context.Context, name string) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if content, kept := a.objects[name]; kept {
		return content, nil
	}
	return nil, checkpoint.ErrNone
}

func (a *archive) Create(_ context.Context, name string, content []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, kept := a.objects[name]; kept {
		return checkpoint.ErrExists
	}
	if strings.HasPrefix(name, "checkpoints/") {
		a.checkTree(name, content)
	}
	return a.write(name, content)
}

func (a *archive) Put(_ context.Context, name string, content []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if name != "latest" && name != "backlog" && name != "findings" {
		a.t.Errorf("object %s is put, so that it could be replaced", name)
	}
	return a.write(name, content)
}

// checkTree wants the roots and the pages of a checkpoint to be there.
func (a *archive) checkTree(name string, signed []byte) {
	c, err := checkpoint.Open(verifierKey(a.t), signed)
	if err != nil {
		a.t.Errorf("%s: %v", name, err)
		return
	}
	roots, err := checkpoint.OpenRoots(a.objects[rootsName(c.Root)], c.Root)
	if err != nil {
		a.t.Errorf("%s stands without its roots: %v", name, err)
		return
	}
	for bucket, root := range roots {
		if checkpoint.IsEmpty(root) || a.maySkip(pageName(root)) {
			continue
		}
		if _, err := checkpoint.OpenPage(a.objects[pageName(root)], bucket, root); err != nil {
			a.t.Errorf("%s stands without a page: %v", name, err)
		}
	}
}

// maySkip reports whether the test itself has damaged an object.
func (a *archive) maySkip(name string) bool { return a.objects["damaged/"+name] != nil }

// damage replaces an object, or removes it where there is no content.
func (a *archive) damage(name string, content []byte) (undo func()) {
	before := a.objects[name]
	a.objects["damaged/"+name] = []byte{}
	a.objects[name] = content
	if content == nil {
		delete(a.objects, name)
	}
	return func() { a.objects[name] = before }
}

func rootsName(root tlog.Hash) string { return "roots/" + hex.EncodeToString(root[:]) }

func pageName(root tlog.Hash) string { return "pages/" + hex.EncodeToString(root[:]) }

func checkpointName(number int) string { return fmt.Sprintf("checkpoints/%020d", number) }

// names returns those of all objects in a folder, in order.
func (a *archive) names(folder string) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(a.objects)) {
		if strings.HasPrefix(name, folder+"/") {
			names = append(names, name)
		}
	}
	return names
}

// check wants the archive's checkpoints to be one sequence, each following the one before.
func (a *archive) check() {
	a.t.Helper()
	var previous checkpoint.Checkpoint
	var signed []byte
	for i, name := range a.names("checkpoints") {
		if a.maySkip(name) {
			return
		}
		c, err := checkpoint.Open(verifierKey(a.t), a.objects[name])
		if err == nil && i > 0 {
			err = c.Follows(previous, signed)
		}
		if err != nil || c.Number != int64(i+1) {
			a.t.Fatalf("%s: %+v, %v", name, c, err)
		}
		previous, signed = c, a.objects[name]
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
	proof, err := checkpoint.Prove(w.t.Context(), w.archive, verifierKey(w.t), id)
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
