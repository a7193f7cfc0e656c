package checkpoint

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Proof proves that the tree of a checkpoint holds a license's leaf.
type Proof struct {
	Checkpoint string           `json:"checkpoint"` // signed
	Index      int64            `json:"index"`      // of the leaf, from 0
	Leaf       string           `json:"leaf"`       // its line; see Leaf
	Hashes     tlog.RecordProof `json:"hashes"`     // base64, from the leaf's sibling up (RFC 6962 section 2.1.1)
}

// ErrNoLeaf reports that the latest checkpoint has no leaf of the license: its chain is younger, or there is none.
var ErrNoLeaf = errors.New("the latest checkpoint says nothing of this license")

// Prove returns the proof for a license in the latest checkpoint. It returns ErrNone where there is no checkpoint, and
// ErrNoLeaf where the license is not in it. It leaves the signature to Proof.Verify.
func Prove(ctx context.Context, archive Reader, licenseID string) (Proof, error) {
	signed, err := archive.Latest(ctx)
	if err != nil {
		return Proof{}, err
	}
	c, err := parseUnverified(signed)
	if err != nil {
		return Proof{}, err
	}
	ls, t, err := readLeaves(ctx, archive, c)
	if err != nil {
		return Proof{}, err
	}
	index, found := ls.find(licenseID)
	if !found {
		return Proof{}, ErrNoLeaf
	}
	hashes, err := tlog.ProveRecord(t.size, int64(index), t)
	if err != nil {
		return Proof{}, err
	}
	return Proof{
		Checkpoint: string(signed),
		Index:      int64(index),
		Leaf:       ls[index].String(),
		Hashes:     append(tlog.RecordProof{}, hashes...), // [] in JSON where there is none
	}, nil
}

// Verify checks that the key has signed the checkpoint, that its tree holds the leaf, and that the leaf is the
// license's. Leaf.Check then checks the chain. The proof cannot show that the checkpoint is the latest one: its
// Time tells its age.
func (p Proof) Verify(vkey, licenseID string) (Checkpoint, Leaf, error) {
	c, err := Open(vkey, []byte(p.Checkpoint))
	if err != nil {
		return Checkpoint{}, Leaf{}, err
	}
	l, err := parseLeaf(p.Leaf)
	if err != nil {
		return Checkpoint{}, Leaf{}, fmt.Errorf("leaf: %w", err)
	}
	if l.LicenseID != licenseID {
		return Checkpoint{}, Leaf{}, fmt.Errorf("the leaf is of license %s", l.LicenseID)
	}
	if p.Index < 0 || p.Index >= c.Size {
		return Checkpoint{}, Leaf{}, fmt.Errorf("leaf %d: the checkpoint has %d leaves", p.Index, c.Size)
	}
	if err := tlog.CheckRecord(p.Hashes, c.Size, c.Root, p.Index, tlog.RecordHash([]byte(p.Leaf))); err != nil {
		return Checkpoint{}, Leaf{}, fmt.Errorf("the leaf is not in the checkpoint's tree: %w", err)
	}
	return c, l, nil
}
