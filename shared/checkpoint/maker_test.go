package checkpoint_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
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
			if first.Checkpoint.Number != 1 || first.Checkpoint.Previous != "-" || first.Chains != chains {
				t.Errorf("first: %+v", first)
			}
			if second.Checkpoint.Number != 2 || second.Checkpoint.Previous != hashOf(string(first.Signed)) {
				t.Errorf("second: %+v", second.Checkpoint)
			}
			if len(first.Findings)+len(second.Findings) != 0 || second.Checkpoint.Root != first.Checkpoint.Root {
				t.Errorf("findings without a change: %v %v", first.Findings, second.Findings)
			}
			if pages := len(w.archive.names("pages")); w.archive.writes != pages+5 {
				t.Errorf("%d writes with %d pages; what did not change was written again", w.archive.writes, pages)
			}
			for i := range chains {
				if err := w.verify(license(i)); err != nil {
					t.Errorf("%s: %v", license(i), err)
				}
			}
		})
	}
}

// inBucket returns ids of licenses whose chains are in a bucket.
func inBucket(bucket, n int) (ids []string) {
	for i := 0; len(ids) < n; i++ {
		if id := license(i); audit.BucketOf(id) == bucket {
			ids = append(ids, id)
		}
	}
	return ids
}

// TestMakeSignsTheTree compares the root with one that is computed by the definition: of RFC 6962 with five leaves in
// bucket 5 and one in bucket 1023, and of two levels.
func TestMakeSignsTheTree(t *testing.T) {
	w := newWorld(t, 0)
	leafHash := func(id string) tlog.Hash {
		head := w.trail.heads[id]
		return tlog.RecordHash(fmt.Appendf(nil, "%s %d %s\n", id, head.Sequence, head.Hash))
	}
	ids := append(inBucket(5, 5), inBucket(1023, 1)...)
	var hashes []tlog.Hash
	for i, id := range ids {
		w.trail.extend(t, id, i+1)
		hashes = append(hashes, leafHash(id))
	}
	left := tlog.NodeHash(tlog.NodeHash(hashes[0], hashes[1]), tlog.NodeHash(hashes[2], hashes[3]))
	level := make([]tlog.Hash, 1024)
	for i := range level {
		root := tlog.Hash(sha256.Sum256(nil))
		switch i {
		case 5:
			root = tlog.NodeHash(left, hashes[4])
		case 1023:
			root = hashes[5]
		}
		level[i] = tlog.RecordHash(root[:])
	}
	for ; len(level) > 1; level = level[:len(level)/2] {
		for i := range len(level) / 2 {
			level[i] = tlog.NodeHash(level[2*i], level[2*i+1])
		}
	}
	if got := w.make().Checkpoint.Root; got != level[0] {
		t.Errorf("got the root %v", got)
	}
	for _, id := range ids {
		if err := w.verify(id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// TestChangedBucketsAlone: a checkpoint writes the pages of the buckets that have changed, the roots, itself, and the
// latest.
func TestChangedBucketsAlone(t *testing.T) {
	w := newWorld(t, 300)
	w.make()
	before := w.archive.writes
	for _, i := range []int{7, 70, 270} {
		w.trail.extend(t, license(i), 1)
	}
	if result := w.make(); w.archive.writes-before != 3+3 || result.Chains != 300 {
		t.Errorf("%d objects, %d chains", w.archive.writes-before, result.Chains)
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
	if result := w.make(); len(result.Findings) != 0 || result.Chains != 7 {
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
	proof, err := checkpoint.Prove(w.t.Context(), w.archive, verifierKey(w.t), id)
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
			tr.chains[victim][1].Actor = "other"
			rehash(t, tr, victim, 1)
			tr.extend(t, victim, 5)
		}, checkpoint.ErrRewritten, checkpoint.ErrRewritten},
		"LastEntryReplaced": {func(t *testing.T, tr *trail) {
			tr.chains[victim][3].Actor = "other"
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
	w.trail.setHead("planted", audit.Head{Sequence: 1, Hash: "no hash"})
	result := w.make()
	if len(result.Findings) != 1 || result.Findings[0].Leaf.LicenseID != "planted" || result.Chains != 2 {
		t.Errorf("got %+v", result)
	}
}

// TestHeadInWrongBucket: a head that is listed where it does not belong is found, and not signed there.
func TestHeadInWrongBucket(t *testing.T) {
	w := newWorld(t, 2)
	wrong := audit.BucketOf(license(0)) ^ 1
	w.trail.listed[wrong] = append(w.trail.listed[wrong], license(0))
	result := w.make()
	if len(result.Findings) != 1 || result.Findings[0].Leaf.LicenseID != license(0) || result.Chains != 2 {
		t.Errorf("got %+v", result)
	}
	if err := w.verify(license(0)); err != nil {
		t.Error(err)
	}
}

// TestListLagsBehind: an index that still shows an older head, or none, is no attack.
func TestListLagsBehind(t *testing.T) {
	w := newWorld(t, 8)
	w.make()
	w.trail.lag[license(3)] = audit.Head{}.After(w.trail.chains[license(3)][1])
	w.trail.lag[license(7)] = audit.Head{}
	result := w.make()
	if len(result.Findings) != 0 || result.Chains != 8 {
		t.Errorf("got %+v", result)
	}
}

// TestCrashAtEveryWrite: whatever write fails, with or without effect, and however often Make is repeated, the archive
// is one sequence of checkpoints, and the next one goes on from the newest.
func TestCrashAtEveryWrite(t *testing.T) {
	for failAt := 1; failAt <= 12; failAt++ { // five pages, then one; of each roots, checkpoint and latest
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
				if result.Checkpoint.Number != int64(w.checkpoints()) ||
					string(w.archive.objects["latest"]) != string(result.Signed) || len(result.Damages) != 0 {
					t.Errorf("checkpoint %d of %d, %v", result.Checkpoint.Number, w.checkpoints(), result.Damages)
				}
				if err := w.verify(license(0)); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// lostReply is an archive whose Create takes effect twice, as when the SDK repeats a write whose reply was lost.
type lostReply struct{ *archive }

func (a lostReply) Create(ctx context.Context, name string, content []byte) error {
	if err := a.archive.Create(ctx, name, content); err != nil {
		return err
	}
	return a.archive.Create(ctx, name, content)
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
	if made := w.checkpoints(); made < 10 || made > 20 {
		t.Errorf("%d checkpoints", made)
	}
	if result := w.make(); result.Checkpoint.Number != int64(w.checkpoints()) {
		t.Errorf("checkpoint %d of %d", result.Checkpoint.Number, w.checkpoints())
	}
}

func (w world) checkpoints() int { return len(w.archive.names("checkpoints")) }

// ofOther returns a checkpoint that another key or origin has made.
func (w world) ofOther(seed byte, origin string) []byte {
	w.t.Helper()
	maker := checkpoint.Maker{Trail: w.trail, Archive: newArchive(quiet{w.t}), Signer: newKey(seed), Origin: origin}
	result, err := maker.Make(w.t.Context(), now.Add(time.Hour))
	if err != nil {
		w.t.Fatal(err)
	}
	return result.Signed
}

// quiet is a test that another archive's contract may be broken in: it holds checkpoints of other keys.
type quiet struct{ testing.TB }

func (quiet) Errorf(string, ...any) {}

// TestArchiveThatIsNotOurs: Make goes on from nothing that it has not signed, and from no roots but the signed ones.
func TestArchiveThatIsNotOurs(t *testing.T) {
	const otherOrigin = "openlicenser/other/audit"
	tests := map[string]struct {
		name   string // of the object that the error names
		damage func(w world)
	}{
		"AllOfAnotherKey": {checkpointName(1), func(w world) {
			w.archive.damage("latest", w.ofOther(2, origin))
			w.archive.damage(checkpointName(1), w.ofOther(2, origin))
		}},
		"AllOfAnotherOrigin": {checkpointName(1), func(w world) {
			w.archive.damage("latest", w.ofOther(1, otherOrigin))
			w.archive.damage(checkpointName(1), w.ofOther(1, otherOrigin))
		}},
		"LatestAlone": {"latest", func(w world) {
			w.archive.damage("latest", w.ofOther(2, origin))
			w.archive.damage(checkpointName(1), nil)
			w.archive.damage(checkpointName(2), nil)
		}},
		"NextDoesNotFollow": {checkpointName(3), func(w world) {
			w.archive.damage(checkpointName(3), w.ofOther(1, origin))
		}},
		"NextIsJunk": {checkpointName(3), func(w world) { w.archive.damage(checkpointName(3), []byte("junk")) }},
		"RootsMissing": {"roots/", func(w world) {
			w.archive.damage(w.archive.names("roots")[0], nil)
		}},
		"RootsOfAnotherTree": {"roots/", func(w world) {
			name := w.archive.names("roots")[0]
			lines := strings.SplitAfter(string(w.archive.objects[name]), "\n")
			lines[0], lines[1023] = lines[1023], lines[0]
			i := audit.BucketOf(license(0))
			lines[i], lines[i^1] = lines[i^1], lines[i]
			w.archive.damage(name, []byte(strings.Join(lines, "")))
		}},
		"RootsWithoutTheLast": {"roots/", func(w world) {
			name := w.archive.names("roots")[0]
			w.archive.damage(name, w.archive.objects[name][:1023*65])
		}},
		"RootsInUpperCase": {"roots/", func(w world) {
			name := w.archive.names("roots")[0]
			w.archive.damage(name, bytes.ToUpper(w.archive.objects[name]))
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 3)
			w.make()
			w.make()
			test.damage(w)
			result, err := w.maker().Make(t.Context(), now)
			var damage *checkpoint.ArchiveError
			if !errors.As(err, &damage) || !strings.HasPrefix(damage.Name, test.name) {
				t.Errorf("made %+v, %v", result.Checkpoint, err)
			}
			if strings.HasPrefix(name, "Roots") {
				if err := w.verify(license(1)); !errors.As(err, &damage) {
					t.Errorf("proved with wrong roots: %v", err)
				}
			}
		})
	}
}

// TestDamagedLatest: one that is old, missing or junk is named, where no crash can explain it, and the next checkpoint
// mends it.
func TestDamagedLatest(t *testing.T) {
	tests := map[string]struct {
		latest  func(w world) []byte
		damages int
	}{
		"OneBehind": {func(w world) []byte { return w.archive.objects[checkpointName(2)] }, 0}, // after a crash
		"TwoBehind": {func(w world) []byte { return w.archive.objects[checkpointName(1)] }, 1},
		"Missing":   {func(world) []byte { return nil }, 1},
		"Junk":      {func(world) []byte { return []byte("junk") }, 1},
		"Changed": {func(w world) []byte {
			return bytes.Replace(w.archive.objects["latest"], []byte("number 3"), []byte("number 4"), 1)
		}, 1},
		"OfAnotherKey": {func(w world) []byte { return w.ofOther(2, origin) }, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 3)
			for range 3 {
				w.make()
			}
			w.archive.damage("latest", test.latest(w))
			result := w.make()
			if result.Checkpoint.Number != 4 || len(result.Damages) != test.damages {
				t.Errorf("made checkpoint %d, %v", result.Checkpoint.Number, result.Damages)
			}
			for _, damage := range result.Damages {
				if damage.Name != "latest" {
					t.Errorf("named %v", damage)
				}
			}
			if result := w.make(); result.Checkpoint.Number != 5 || len(result.Damages) != 0 {
				t.Errorf("then made %d, %v", result.Checkpoint.Number, result.Damages)
			}
		})
	}
}

// TestDamagedCheckpoints: of 25 checkpoints one is missing or another; it is named within so many runs as it takes to
// read all of them again. The newest is named at once.
func TestDamagedCheckpoints(t *testing.T) {
	tests := map[string]struct {
		number int
		damage func(w world, name string)
		within int
	}{
		"First":  {1, func(w world, name string) { w.archive.damage(name, nil) }, 8},
		"Middle": {13, func(w world, name string) { w.archive.damage(name, nil) }, 8},
		"Replaced": {7, func(w world, name string) {
			w.archive.damage(name, w.archive.objects[checkpointName(8)])
		}, 8},
		"Forged": {19, func(w world, name string) { w.archive.damage(name, w.ofOther(2, origin)) }, 8},
		"Newest": {25, func(w world, name string) { w.archive.damage(name, nil) }, 1},
		"NewestReplaced": {25, func(w world, name string) {
			w.archive.damage(name, w.archive.objects[checkpointName(24)])
		}, 1},
	}
	t.Cleanup(checkpoint.SetRecheckedAtOnce(10))
	signed := newWorld(t, 1)
	for range 25 {
		signed.make()
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := world{t, signed.trail, newArchive(t)}
			w.archive.objects = maps.Clone(signed.archive.objects)
			damaged := checkpointName(test.number)
			test.damage(w, damaged)
			named := map[string]bool{}
			for range test.within {
				for _, damage := range w.make().Damages {
					named[damage.Name] = true
				}
			}
			delete(named, checkpointName(test.number+1)) // it does not follow a forged one
			if !named[damaged] || len(named) != 1 {
				t.Errorf("named %v, want %s", named, damaged)
			}
		})
	}
}

// TestDamagedPage: a bucket whose page is missing or another keeps the root that was signed, until the page is back.
// Other buckets go on.
func TestDamagedPage(t *testing.T) {
	ids := inBucket(5, 3)
	tests := map[string]func(page []byte) []byte{
		"Missing":         func([]byte) []byte { return nil },
		"Empty":           func([]byte) []byte { return []byte{} },
		"Shorter":         func(page []byte) []byte { return page[:bytes.IndexByte(page, '\n')+1] },
		"NotLines":        func([]byte) []byte { return []byte("not a leaf\n") },
		"OutOfOrder":      func(page []byte) []byte { return slices.Concat(page[len(page)/3:], page[:len(page)/3]) },
		"WithoutLastLine": func(page []byte) []byte { return page[:len(page)-1] },
		"Changed":         func(page []byte) []byte { return bytes.Replace(page, []byte(" 1 "), []byte(" 2 "), 1) },
		"LeafTwice":       func(page []byte) []byte { return slices.Concat(page[:len(page)/3], page) },
		"LeafOfOtherBucket": func(page []byte) []byte {
			other := checkpoint.Leaf{LicenseID: "z", Sequence: 1, Hash: hashOf("z")}
			return append(bytes.Clone(page), other.String()...)
		},
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 0)
			for _, id := range ids {
				w.trail.extend(t, id, 1)
			}
			w.make()
			page := w.archive.names("pages")[0]
			undo := w.archive.damage(page, damage(w.archive.objects[page]))
			w.trail.extend(t, ids[1], 1)
			other := inBucket(6, 1)[0]
			w.trail.extend(t, other, 1)
			for range 2 {
				result := w.make()
				if len(result.Damages) != 1 || result.Damages[0].Name != page || len(result.Findings) != 0 {
					t.Fatalf("named %v, %v", result.Damages, result.Findings)
				}
			}
			var missing *checkpoint.ArchiveError
			if err := w.verify(ids[0]); !errors.As(err, &missing) || missing.Name != page {
				t.Errorf("proved without its page: %v", err)
			}
			if err := w.verify(other); err != nil {
				t.Errorf("another bucket is held up: %v", err)
			}
			undo()
			if err := w.verify(ids[0]); err != nil {
				t.Errorf("with its page: %v", err)
			}
			result := w.make()
			if _, leaf := w.leaf(ids[1]); leaf.Sequence != 2 || len(result.Damages) != 0 || result.Chains != 4 {
				t.Errorf("the bucket does not go on: %v, %+v", leaf, result)
			}
		})
	}
}

// TestPageThatWasPlanted: what stands under the name of a page to come is not taken for it.
func TestPageThatWasPlanted(t *testing.T) {
	w := newWorld(t, 1)
	w.make()
	planted := w.archive.names("pages")[0]
	fresh := world{t, w.trail, newArchive(t)}
	fresh.archive.damage(planted, []byte("junk"))
	if result := fresh.make(); len(result.Damages) != 1 || result.Damages[0].Name != planted || result.Chains != 0 {
		t.Errorf("got %+v", result)
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
			if _, err := maker.Make(t.Context(), now); err == nil || w.checkpoints() != 0 {
				t.Errorf("kept %d checkpoints, %v", w.checkpoints(), err)
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

func (tr faultyTrail) State(ctx context.Context, id string) (audit.State, error) {
	if tr.entries {
		return tr.trail.State(ctx, id)
	}
	return audit.State{}, errFault
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
		if result, err := maker.Make(t.Context(), now); !errors.Is(err, errFault) || w.checkpoints() != 1 {
			t.Errorf("got %+v, %v", result, err)
		}
	}
}

// manyChains is a maker over 100,000 chains.
func manyChains(b *testing.B) checkpoint.Maker {
	tr := newTrail()
	for i := range 100_000 {
		tr.setHead(license(i), audit.Head{Sequence: 3, Hash: hashOf(license(i))})
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
		if _, err := checkpoint.Prove(b.Context(), maker.Archive, verifierKey(b), license(77_777)); err != nil {
			b.Fatal(err)
		}
	}
}

// TestOtherSignatures: a checkpoint has one signature, of its key. With another one it would have two hashes.
func TestOtherSignatures(t *testing.T) {
	w := newWorld(t, 2)
	w.make()
	second := w.make().Signed
	foreign := append(bytes.Clone(second), "\u2014 someone.else/key MDEyMzQ1Njc4OQ==\n"...)
	if _, err := checkpoint.Open(verifierKey(t), foreign); err == nil {
		t.Error("a signature of someone else is taken")
	}
	w.archive.damage("latest", foreign)
	result := w.make()
	if len(result.Damages) != 1 || result.Damages[0].Name != "latest" ||
		result.Checkpoint.Previous != hashOf(string(second)) {
		t.Errorf("went on from %s, %v", result.Checkpoint.Previous, result.Damages)
	}
	if result := w.make(); len(result.Damages) != 0 {
		t.Errorf("then %v", result.Damages)
	}
}

// TestLatestOfOtherHistory: what stands under its number counts, not what the latest says.
func TestLatestOfOtherHistory(t *testing.T) {
	w := newWorld(t, 2)
	w.make()
	other := newWorld(t, 3)
	other.make()
	w.archive.damage("latest", other.archive.objects["latest"]) // of the same number, key and origin
	result := w.make()
	if len(result.Damages) != 1 || result.Checkpoint.Previous != hashOf(string(w.archive.objects[checkpointName(1)])) {
		t.Errorf("went on from %s, %v", result.Checkpoint.Previous, result.Damages)
	}
}

// TestClockOfTheFuture: a checkpoint of a time that has not come yet is named, and the next ones go on.
func TestClockOfTheFuture(t *testing.T) {
	w := newWorld(t, 1)
	if _, err := w.maker().Make(t.Context(), now.AddDate(40, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if result := w.make(); len(result.Damages) != 1 || result.Damages[0].Name != checkpointName(1) {
		t.Errorf("got %v", result.Damages)
	}
}

// TestRecheckReadsAll: every checkpoint but the newest is read again, and each is held to the one before, wherever a
// part of the whole begins or ends.
func TestRecheckReadsAll(t *testing.T) {
	t.Cleanup(checkpoint.SetRecheckedAtOnce(4))
	signed := newWorld(t, 1)
	for range 13 {
		signed.make()
	}
	for _, number := range []int{1, 4, 5, 8, 12} {
		// Another history's checkpoint of the same number is good by itself, and does not follow.
		other := newWorld(t, 2)
		for range number {
			other.make()
		}
		w := world{t, signed.trail, newArchive(t)}
		w.archive.objects = maps.Clone(signed.archive.objects)
		w.archive.damage(checkpointName(number), other.archive.objects[checkpointName(number)])
		named := map[string]bool{}
		for range 20 {
			for _, damage := range w.make().Damages {
				named[damage.Name] = true
			}
		}
		if !named[checkpointName(number)] && !named[checkpointName(number+1)] {
			t.Errorf("checkpoint %d was replaced unseen: %v", number, named)
		}
	}
}

// TestSignedEntryChanged: the entry that was signed is held to its content, not to the hash that it says.
func TestSignedEntryChanged(t *testing.T) {
	w := newWorld(t, 1)
	w.make()
	w.trail.extend(t, license(0), 1)
	w.trail.chains[license(0)][0].Actor = "another"
	if result := w.make(); len(result.Findings) != 1 || !errors.Is(result.Findings[0].Why, checkpoint.ErrRewritten) {
		t.Errorf("got %+v", result.Findings)
	}
}

// TestPageOrder: a license is in a page once, and in that of its bucket.
func TestPageOrder(t *testing.T) {
	ids := inBucket(5, 2)
	line := func(id string) string {
		return checkpoint.Leaf{LicenseID: id, Sequence: 1, Hash: hashOf(id)}.String()
	}
	other := inBucket(6, 1)[0]
	for name, page := range map[string]string{
		"Twice": line(ids[0]) + line(ids[0]), "OfOtherBucket": line(other), "NotAscending": line(ids[1]) + line(ids[0]),
	} {
		if _, err := checkpoint.OpenPage([]byte(page), 5, checkpoint.PageRoot([]byte(page))); err == nil {
			t.Errorf("%s: is read", name)
		}
	}
	good := line(ids[0]) + line(ids[1])
	if ls, err := checkpoint.OpenPage([]byte(good), 5, checkpoint.PageRoot([]byte(good))); err != nil || len(ls) != 2 {
		t.Errorf("got %v, %v", ls, err)
	}
}

// TestFollowsNumber: a checkpoint that names the hash of the one before has its number, too.
func TestFollowsNumber(t *testing.T) {
	w := newWorld(t, 1)
	first, second := w.make(), w.make()
	skipped := second.Checkpoint
	skipped.Number = 3
	if err := skipped.Follows(first.Checkpoint, first.Signed); err == nil {
		t.Error("checkpoint 3 follows checkpoint 1")
	}
}
