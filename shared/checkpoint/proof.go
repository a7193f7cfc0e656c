package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"openlicenser/shared/audit"
)

// Proof proves that the tree of a checkpoint holds a license's leaf.
type Proof struct {
	Checkpoint string      `json:"checkpoint"` // signed
	Leaf       string      `json:"leaf"`       // its line; see Leaf
	Path       []Step      `json:"path"`       // from the leaf up to the root of its bucket
	BucketPath []tlog.Hash `json:"bucketpath"` // from there up to the signed root; the bucket's bits tell the sides
}

// ErrNoLeaf reports that the latest checkpoint has no leaf of the license: its chain is younger, or there is none.
var ErrNoLeaf = errors.New("the latest checkpoint says nothing of this license")

// Prove returns the proof for a license in the latest checkpoint, which the key has signed. It reads three objects,
// whatever the number of licenses. It returns ErrNone where there is no checkpoint, ErrNoLeaf where the license is not
// in it, and an ArchiveError where an object is missing or another.
func Prove(ctx context.Context, archive Reader, vkey, licenseID string) (Proof, error) {
	signed, c, err := Latest(ctx, archive, vkey)
	if err != nil {
		return Proof{}, err
	}
	roots, err := readRoots(ctx, archive, c.Root)
	if err != nil {
		return Proof{}, err
	}
	bucket := audit.BucketOf(licenseID)
	ls, hashes, err := readPage(ctx, archive, bucket, roots[bucket])
	if err != nil {
		return Proof{}, err
	}
	index, found := ls.Find(licenseID)
	if !found {
		return Proof{}, ErrNoLeaf
	}
	proof := Proof{Checkpoint: string(signed), Leaf: ls[index].String(), Path: pathTo(hashes, index)}
	for _, step := range pathTo(roots.leafHashes(), bucket) {
		proof.BucketPath = append(proof.BucketPath, step.Hash)
	}
	return proof, nil
}

// maxPath bounds a path: a bucket has fewer than 2^64 leaves.
const maxPath = 64

// Verify checks that the key has signed the checkpoint, that its tree holds the leaf, and that the leaf is the
// license's. Leaf.Check then checks the chain. The proof cannot show that the checkpoint is the latest one: its Time
// tells its age.
func (p Proof) Verify(vkey, licenseID string) (Checkpoint, Leaf, error) {
	c, err := Open(vkey, []byte(p.Checkpoint))
	if err != nil {
		return Checkpoint{}, Leaf{}, err
	}
	l, err := p.verifyPaths(c, licenseID)
	return c, l, err
}

// verifyUnsigned does the same but for the signature, for a reader who has no key.
func (p Proof) verifyUnsigned(licenseID string) (Checkpoint, Leaf, error) {
	text, _, _ := strings.Cut(p.Checkpoint, "\n\n")
	c, err := parse(text + "\n")
	if err != nil {
		return Checkpoint{}, Leaf{}, err
	}
	l, err := p.verifyPaths(c, licenseID)
	return c, l, err
}

func (p Proof) verifyPaths(c Checkpoint, licenseID string) (Leaf, error) {
	l, err := parseLeaf(p.Leaf)
	switch {
	case err != nil:
		return Leaf{}, fmt.Errorf("leaf: %w", err)
	case l.LicenseID != licenseID:
		return Leaf{}, fmt.Errorf("the leaf is of license %s", l.LicenseID)
	case len(p.Path) > maxPath || len(p.BucketPath) != bucketBits:
		return Leaf{}, fmt.Errorf("a path of %d and %d hashes", len(p.Path), len(p.BucketPath))
	case p.root(audit.BucketOf(licenseID)) != c.Root:
		return Leaf{}, errors.New("the leaf is not in the checkpoint's tree")
	}
	return l, nil
}

// root returns the root that the paths lead to.
func (p Proof) root(bucket int) tlog.Hash {
	node := tlog.RecordHash([]byte(p.Leaf))
	for _, step := range p.Path {
		node = step.above(node)
	}
	node = tlog.RecordHash(node[:])
	for height, hash := range p.BucketPath {
		node = Step{Left: bucket>>height&1 == 1, Hash: hash}.above(node)
	}
	return node
}
