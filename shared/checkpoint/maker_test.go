package checkpoint_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
)

func TestMake(t *testing.T) {
	for _, chains := range []int{0, 1, 2, 3, 17} {
		t.Run(fmt.Sprint(chains, " chains"), func(t *testing.T) {
			w := newWorld(t, chains)
			first, second := w.make(), w.make()
			if first.Checkpoint.Number != 1 || first.Checkpoint.Previous != "-" ||
				first.Checkpoint.Size != int64(chains) {
				t.Errorf("first: %+v", first.Checkpoint)
			}
			if second.Checkpoint.Number != 2 || second.Checkpoint.Previous != hashOf(string(first.Signed)) {
				t.Errorf("second: %+v", second.Checkpoint)
			}
			if len(first.Findings)+len(second.Findings) != 0 || second.Checkpoint.Root != first.Checkpoint.Root {
				t.Errorf("findings without a change: %v %v", first.Findings, second.Findings)
			}
			if w.archive.writes != 5 {
				t.Errorf("%d writes; the list of leaves that did not change was written again", w.archive.writes)
			}
			for i := range chains {
				if err := w.verify(license(i)); err != nil {
					t.Errorf("%s: %v", license(i), err)
				}
			}
		})
	}
}

// TestMakeSignsTheTree compares the root with one that is computed by the definition of RFC 6962.
func TestMakeSignsTheTree(t *testing.T) {
	w := newWorld(t, 5)
	var hashes []tlog.Hash
	for i := range 5 {
		head := w.trail.heads[license(i)]
		hashes = append(hashes, tlog.RecordHash(fmt.Appendf(nil, "%s %d %s\n", license(i), head.Sequence, head.Hash)))
	}
	left := tlog.NodeHash(tlog.NodeHash(hashes[0], hashes[1]), tlog.NodeHash(hashes[2], hashes[3]))
	if got := w.make().Checkpoint.Root; got != tlog.NodeHash(left, hashes[4]) {
		t.Errorf("got the root %v", got)
	}
}

func TestChainsGoOn(t *testing.T) {
	w := newWorld(t, 6)
	w.make()
	w.trail.extend(t, license(1), 1)
	w.trail.extend(t, license(2), 2500) // more than a page
	w.trail.extend(t, license(9), 1)    // a new one
	if err := w.verify(license(2)); err != nil {
		t.Errorf("entries after the checkpoint: %v", err)
	}
	if err := w.verify(license(9)); !errors.Is(err, checkpoint.ErrNoLeaf) {
		t.Errorf("a chain begun after the checkpoint: %v", err)
	}
	if result := w.make(); len(result.Findings) != 0 || result.Checkpoint.Size != 7 {
		t.Errorf("got %+v", result)
	}
	for _, i := range []int{0, 1, 2, 9} {
		if err := w.verify(license(i)); err != nil {
			t.Errorf("%s: %v", license(i), err)
		}
	}
	if _, leaf := w.leaf(license(2)); leaf.Sequence != 2503 {
		t.Errorf("signed entry %d", leaf.Sequence)
	}
}

func (w world) leaf(id string) (checkpoint.Checkpoint, checkpoint.Leaf) {
	w.t.Helper()
	proof, err := checkpoint.Prove(w.t.Context(), w.archive, id)
	if err != nil {
		w.t.Fatal(err)
	}
	c, leaf, err := proof.Verify(verifierKey(w.t), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return c, leaf
}

// TestTampering: someone who can write to the whole audit table attacks license 3, whose chain of four entries was
// signed. The next checkpoints report it, keep what was signed, and nobody who verifies is deceived before or after.
func TestTampering(t *testing.T) {
	victim := license(3)
	tests := map[string]struct {
		attack func(t *testing.T, tr *trail)
		why    error
		verify error
	}{
		"TailCut": {func(_ *testing.T, tr *trail) { tr.cut(victim, 3) }, checkpoint.ErrTailCut, checkpoint.ErrTailCut},
		"TailCutAndGrown": {func(t *testing.T, tr *trail) {
			tr.cut(victim, 2)
			tr.chains[victim][1].Reason = "other"
			rehash(t, tr, victim, 1)
			tr.extend(t, victim, 5)
		}, checkpoint.ErrRewritten, checkpoint.ErrRewritten},
		"LastEntryReplaced": {func(t *testing.T, tr *trail) {
			tr.chains[victim][3].Reason = "other"
			rehash(t, tr, victim, 3)
		}, checkpoint.ErrRewritten, checkpoint.ErrRewritten},
		"ChainRemoved": {
			func(_ *testing.T, tr *trail) { tr.remove(victim) },
			checkpoint.ErrTailCut, checkpoint.ErrTailCut,
		},
		"ChainBegunAnew": {func(t *testing.T, tr *trail) {
			tr.remove(victim)
			tr.extend(t, victim, 1)
		}, checkpoint.ErrTailCut, checkpoint.ErrTailCut},
		"HeadMovedBack": {func(_ *testing.T, tr *trail) { tr.heads[victim] = audit.Head{}.After(tr.chains[victim][1]) },
			checkpoint.ErrTailCut, nil}, // the entries are all there
		"HeadMovedOn": {func(_ *testing.T, tr *trail) {
			tr.heads[victim] = audit.Head{Sequence: 9, Hash: hashOf("forged")}
		}, checkpoint.ErrTailCut, nil},
		"HeadOfOtherHash": {func(_ *testing.T, tr *trail) {
			tr.heads[victim] = audit.Head{Sequence: 4, Hash: hashOf("forged")}
		}, checkpoint.ErrRewritten, nil},
		"HeadUnreadable": {func(_ *testing.T, tr *trail) { tr.heads[victim] = audit.Head{Sequence: 4, Hash: "\n"} },
			checkpoint.ErrRewritten, nil},
		"EntriesMoveOnToAnotherHead": {func(t *testing.T, tr *trail) {
			tr.extend(t, victim, 2)
			tr.heads[victim] = audit.Head{Sequence: 6, Hash: hashOf("forged")}
		}, checkpoint.ErrRewritten, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 8)
			w.make()
			_, signed := w.leaf(victim)
			test.attack(t, w.trail)
			if err := w.verify(victim); !errors.Is(err, test.verify) {
				t.Errorf("verified before the next checkpoint: %v, want %v", err, test.verify)
			}
			for range 2 {
				result := w.make()
				found := result.Findings
				if len(found) != 1 || found[0].Leaf != signed || !errors.Is(found[0].Why, test.why) {
					t.Fatalf("got %v, want %v of %v", result.Findings, test.why, signed)
				}
				if _, leaf := w.leaf(victim); leaf != signed {
					t.Errorf("signed %v after %v", leaf, signed)
				}
				if err := w.verify(victim); !errors.Is(err, test.verify) {
					t.Errorf("verified: %v, want %v", err, test.verify)
				}
			}
		})
	}
}

// rehash makes the entries of a chain from index on hold together again, as an attacker would.
func rehash(t *testing.T, tr *trail, id string, index int) {
	t.Helper()
	chain := tr.chains[id]
	for i := index; i < len(chain); i++ {
		if i > 0 {
			chain[i].Previous = chain[i-1].Hash
		}
		hash, err := chain[i].ComputeHash()
		if err != nil {
			t.Fatal(err)
		}
		chain[i].Hash = hash
		tr.heads[id] = audit.Head{}.After(chain[i])
	}
}

func TestHeadThatWasNeverSignedAndCannotBeRead(t *testing.T) {
	w := newWorld(t, 2)
	w.trail.heads["planted"] = audit.Head{Sequence: 1, Hash: "no hash"}
	result := w.make()
	if len(result.Findings) != 1 || result.Findings[0].Leaf.LicenseID != "planted" || result.Checkpoint.Size != 2 {
		t.Errorf("got %+v", result)
	}
}

// TestListLagsBehind: an index that still shows an older head, or none, is no attack.
func TestListLagsBehind(t *testing.T) {
	w := newWorld(t, 8)
	w.make()
	w.trail.lag[license(3)] = audit.Head{}.After(w.trail.chains[license(3)][1])
	w.trail.lag[license(7)] = audit.Head{}
	result := w.make()
	if len(result.Findings) != 0 || result.Checkpoint.Size != 8 {
		t.Errorf("got %+v", result)
	}
}

// TestCrashAtEveryWrite: whatever write fails, with or without effect, and however often Make is repeated, the archive
// is one sequence of checkpoints, and the next one goes on from the newest.
func TestCrashAtEveryWrite(t *testing.T) {
	for failAt := 1; failAt <= 6; failAt++ { // three writes of each of two checkpoints
		for _, persists := range []bool{false, true} {
			t.Run(fmt.Sprintf("Write%d/Persists=%v", failAt, persists), func(t *testing.T) {
				w := newWorld(t, 5)
				w.archive.failAt, w.archive.persists = failAt, persists
				failed := 0
				for range 2 {
					if _, err := w.maker().Make(t.Context(), now); errors.Is(err, errFault) {
						failed++
					} else if err != nil {
						t.Fatal(err)
					}
					w.archive.check()
					w.trail.extend(t, license(0), 1)
				}
				result := w.make()
				if failed != 1 || len(result.Findings) != 0 {
					t.Errorf("%d failed, then %v", failed, result.Findings)
				}
				if result.Checkpoint.Number != int64(len(w.archive.checkpoints)) ||
					string(w.archive.latest) != string(result.Signed) {
					t.Errorf("checkpoint %d of %d", result.Checkpoint.Number, len(w.archive.checkpoints))
				}
				if err := w.verify(license(0)); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// lostReply is an archive whose first Create takes effect twice, as when the SDK repeats a write whose reply was lost.
type lostReply struct{ *archive }

func (a lostReply) Create(ctx context.Context, number int64, signed []byte) error {
	if err := a.archive.Create(ctx, number, signed); err != nil {
		return err
	}
	return a.archive.Create(ctx, number, signed)
}

func TestLostReply(t *testing.T) {
	w := newWorld(t, 2)
	maker := w.maker()
	maker.Archive = lostReply{w.archive}
	result, err := maker.Make(t.Context(), now)
	if err != nil || result.Checkpoint.Number != 1 {
		t.Errorf("got %+v, %v", result.Checkpoint, err)
	}
}

func TestConcurrentMakers(t *testing.T) {
	w := newWorld(t, 20)
	var group sync.WaitGroup
	for i := range 2 {
		group.Go(func() {
			for n := range 10 {
				// Times differ: two that make the same bytes would not be told apart.
				_, err := w.maker().Make(t.Context(), now.Add(time.Duration(100*i+n)*time.Second))
				if err != nil && !errors.Is(err, checkpoint.ErrExists) {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if made := len(w.archive.checkpoints); made < 10 || made > 20 {
		t.Errorf("%d checkpoints", made)
	}
	if result := w.make(); result.Checkpoint.Number != int64(len(w.archive.checkpoints)) {
		t.Errorf("checkpoint %d of %d", result.Checkpoint.Number, len(w.archive.checkpoints))
	}
}

// TestArchiveThatIsNotOurs: Make goes on from nothing that it has not signed.
func TestArchiveThatIsNotOurs(t *testing.T) {
	other := func(w world, seed byte, origin string) []byte {
		maker := checkpoint.Maker{Trail: w.trail, Archive: newArchive(quiet{w.t}), Signer: newKey(seed), Origin: origin}
		result, err := maker.Make(w.t.Context(), now.Add(time.Hour))
		if err != nil {
			w.t.Fatal(err)
		}
		return result.Signed
	}
	tests := map[string]func(w world){
		"LatestOfAnotherKey":    func(w world) { w.archive.latest = other(w, 2, origin) },
		"LatestOfAnotherOrigin": func(w world) { w.archive.latest = other(w, 1, "openlicenser/other/audit") },
		"LatestChanged": func(w world) {
			w.archive.latest = []byte(strings.Replace(string(w.archive.latest), "\n3\n", "\n4\n", 1))
		},
		"NextDoesNotFollow":   func(w world) { w.archive.checkpoints[3] = other(w, 1, origin) },
		"LeavesMissing":       func(w world) { clear(w.archive.lists) },
		"LeavesOfAnotherTree": func(w world) { w.setLists(w.swapped()) },
		"LeavesShorter":       func(w world) { w.setLists(w.list()[:1]) },
		"LeavesNotLines":      func(w world) { w.setLists([]string{"not a leaf\n"}) },
		"LeavesOutOfOrder":    func(w world) { list := w.list(); slices.Reverse(list); w.setLists(list) },
		"LeavesWithoutLineBreak": func(w world) {
			list := w.list()
			list[2] = strings.TrimSpace(list[2])
			w.setLists(list)
		},
	}
	for name, tamper := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 3)
			w.make()
			w.make()
			tamper(w)
			if result, err := w.maker().Make(t.Context(), now); err == nil {
				t.Errorf("made %+v", result.Checkpoint)
			}
			if strings.HasPrefix(name, "Leaves") {
				if err := w.verify(license(1)); err == nil || errors.Is(err, checkpoint.ErrNone) {
					t.Errorf("proved with a wrong list: %v", err)
				}
			}
			delete(w.archive.checkpoints, 3)
		})
	}
}

// quiet is a test that another archive's contract may be broken in: it holds checkpoints of other keys.
type quiet struct{ testing.TB }

func (quiet) Errorf(string, ...any) {}

func (w world) list() (lines []string) {
	for _, list := range w.archive.lists {
		lines = slices.Collect(strings.Lines(string(list)))
	}
	return lines
}

// swapped exchanges the hashes of two licenses.
func (w world) swapped() []string {
	a, b := w.trail.heads[license(0)], w.trail.heads[license(1)]
	list := w.list()
	list[0] = checkpoint.Leaf{LicenseID: license(0), Sequence: a.Sequence, Hash: b.Hash}.String()
	list[1] = checkpoint.Leaf{LicenseID: license(1), Sequence: b.Sequence, Hash: a.Hash}.String()
	return list
}

func (w world) setLists(lines []string) {
	for root := range w.archive.lists {
		w.archive.lists[root] = []byte(strings.Join(lines, ""))
	}
}

// TestLatestRolledBack: an old checkpoint put in the place of the latest leads on to the newest.
func TestLatestRolledBack(t *testing.T) {
	w := newWorld(t, 3)
	old := w.make().Signed
	w.make()
	w.archive.latest = old
	if result := w.make(); result.Checkpoint.Number != 3 {
		t.Errorf("made checkpoint %d", result.Checkpoint.Number)
	}
}

// wrongSigner signs with another key than its public half tells.
type wrongSigner struct {
	key
	sign func(message []byte) ([]byte, error)
}

func (s wrongSigner) Sign(_ context.Context, message []byte) ([]byte, error) { return s.sign(message) }

func TestSignatures(t *testing.T) {
	tests := map[string]func(message []byte) ([]byte, error){
		"OfAnotherKey": func(message []byte) ([]byte, error) { return newKey(2).Sign(context.Background(), message) },
		"Short":        func([]byte) ([]byte, error) { return []byte("short"), nil },
		"Fault":        func([]byte) ([]byte, error) { return nil, errFault },
	}
	for name, sign := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			maker := w.maker()
			maker.Signer = wrongSigner{newKey(1), sign}
			if _, err := maker.Make(t.Context(), now); err == nil || len(w.archive.checkpoints) != 0 {
				t.Errorf("kept %d checkpoints, %v", len(w.archive.checkpoints), err)
			}
		})
	}
	t.Run("OriginThatIsNoName", func(t *testing.T) {
		w := newWorld(t, 2)
		maker := w.maker()
		maker.Origin = "two words"
		if _, err := maker.Make(t.Context(), now); err == nil {
			t.Error("no error")
		}
	})
}

// faultyTrail fails in the midst of listing, or of reading.
type faultyTrail struct {
	*trail
	entries bool
}

func (tr faultyTrail) Head(ctx context.Context, id string) (audit.Head, error) {
	if tr.entries {
		return tr.trail.Head(ctx, id)
	}
	return audit.Head{}, errFault
}

func (tr faultyTrail) Entries(context.Context, string, int64, int) ([]audit.Entry, error) {
	return nil, errFault
}

func TestFaultsOfTheTrail(t *testing.T) {
	for _, entries := range []bool{false, true} {
		w := newWorld(t, 40)
		w.make()
		for i := range 40 {
			w.trail.extend(t, license(i), 1)
		}
		maker := w.maker()
		maker.Trail = faultyTrail{w.trail, entries}
		if result, err := maker.Make(t.Context(), now); !errors.Is(err, errFault) || len(w.archive.checkpoints) != 1 {
			t.Errorf("got %+v, %v", result, err)
		}
	}
}

// manyChains is a maker over 100,000 chains.
func manyChains(b *testing.B) checkpoint.Maker {
	tr := newTrail()
	for i := range 100_000 {
		tr.heads[license(i)] = audit.Head{Sequence: 3, Hash: hashOf(license(i))}
	}
	return checkpoint.Maker{Trail: tr, Archive: newArchive(b), Signer: newKey(1), Origin: origin}
}

// BenchmarkMake makes checkpoints over 100,000 chains that do not change.
func BenchmarkMake(b *testing.B) {
	maker := manyChains(b)
	for b.Loop() {
		if _, err := maker.Make(b.Context(), now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkProve proves one of 100,000 chains.
func BenchmarkProve(b *testing.B) {
	maker := manyChains(b)
	if _, err := maker.Make(b.Context(), now); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := checkpoint.Prove(b.Context(), maker.Archive, license(77_777)); err != nil {
			b.Fatal(err)
		}
	}
}
