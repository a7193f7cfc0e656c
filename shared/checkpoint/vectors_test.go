package checkpoint_test

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
)

var update = flag.Bool("update", false, "write testdata/tree.json anew")

// treeVectors is testdata/tree.json: what other verifiers are tested with.
type treeVectors struct {
	Key        string                      `json:"key"`        // as GET /audit/checkpoint-key shows it
	Leaves     []string                    `json:"leaves"`     // of all chains
	Buckets    map[string]int              `json:"buckets"`    // by license id
	Pages      map[string]string           `json:"pages"`      // by root, in hexadecimal
	Roots      map[int]string              `json:"roots"`      // by bucket; all others are SHA-256 of nothing
	Root       string                      `json:"root"`       // over the roots, in hexadecimal
	Checkpoint string                      `json:"checkpoint"` // signed
	Proofs     map[string]checkpoint.Proof `json:"proofs"`     // by license id
}

// TestTreeVectors holds the file to the code.
func TestTreeVectors(t *testing.T) {
	w := newWorld(t, 6)
	ids := append(inBucket(5, 5), inBucket(1023, 1)...)
	ids = append(ids, inBucket(0, 2)...)
	ids = append(ids, "Kunde 7/Größe M", "a-license.of_another~tool")
	for i := range 6 {
		ids = append(ids, license(i))
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for i, id := range ids {
		w.trail.extend(t, id, i%3+1)
	}
	result := w.make()
	v := treeVectors{
		Key: verifierKey(t), Buckets: map[string]int{}, Pages: map[string]string{}, Roots: map[int]string{},
		Root: hex.EncodeToString(result.Checkpoint.Root[:]), Checkpoint: string(result.Signed),
		Proofs: map[string]checkpoint.Proof{},
	}
	text, err := checkpoint.Roots(t.Context(), w.archive, result.Checkpoint.Root)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := checkpoint.OpenRoots(text, result.Checkpoint.Root)
	if err != nil {
		t.Fatal(err)
	}
	for bucket, root := range roots {
		if checkpoint.IsEmpty(root) {
			continue
		}
		page, err := checkpoint.Page(t.Context(), w.archive, root)
		if err != nil {
			t.Fatal(err)
		}
		v.Roots[bucket] = hex.EncodeToString(root[:])
		v.Pages[v.Roots[bucket]] = string(page)
	}
	for _, id := range ids {
		head := w.trail.heads[id]
		v.Leaves = append(v.Leaves, checkpoint.Leaf{LicenseID: id, Sequence: head.Sequence, Hash: head.Hash}.String())
		v.Buckets[id] = audit.BucketOf(id)
		if v.Proofs[id], err = checkpoint.Prove(t.Context(), w.archive, v.Key, id); err != nil {
			t.Fatal(err)
		}
	}
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile("testdata/tree.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/tree.json")
	if err != nil || string(want) != string(got) {
		t.Errorf("testdata/tree.json is not as the code makes it (-update writes it): %v", err)
	}
}

// TestTreeObjects: what is missing is told from what is another.
func TestTreeObjects(t *testing.T) {
	w := newWorld(t, 1)
	root := w.make().Checkpoint.Root
	for name, read := range map[string]func(tlog.Hash) error{
		"Roots": func(h tlog.Hash) error { _, err := checkpoint.Roots(t.Context(), w.archive, h); return err },
		"Page":  func(h tlog.Hash) error { _, err := checkpoint.Page(t.Context(), w.archive, h); return err },
	} {
		if err := read(tlog.Hash{1}); err != checkpoint.ErrNone {
			t.Errorf("%s: missing: %v", name, err)
		}
	}
	page := w.archive.names("pages")[0]
	hash, err := hex.DecodeString(page[len("pages/"):])
	if err != nil {
		t.Fatal(err)
	}
	w.archive.damage(page, []byte("junk"))
	w.archive.damage(rootsName(root), []byte("junk"))
	if _, err := checkpoint.Page(t.Context(), w.archive, tlog.Hash(hash)); err == nil || err == checkpoint.ErrNone {
		t.Errorf("another page: %v", err)
	}
	if _, err := checkpoint.Roots(t.Context(), w.archive, root); err == nil || err == checkpoint.ErrNone {
		t.Errorf("other roots: %v", err)
	}
}
