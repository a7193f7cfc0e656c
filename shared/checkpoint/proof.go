package checkpoint

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Proof shows that a checkpoint holds a license's leaf. Its JSON is what is served.
type Proof struct {
	Checkpoint string           `json:"checkpoint"` // signed
	Index      int64            `json:"index"`      // of the leaf, from 0
	Leaf       string           `json:"leaf"`       // its line
	Hashes     tlog.RecordProof `json:"hashes"`     // base64, from the leaf's sibling up (RFC 6962 section 2.1.1)
}

// ErrNoLeaf says that the latest checkpoint has no leaf of the license: its chain is younger, or there is none.
var ErrNoLeaf = errors.New("the latest checkpoint says nothing of this license")

// Prove answers the proof for a license in the latest checkpoint, or ErrNone or ErrNoLeaf. It checks no signature: whoever
// is given the proof does.
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
	return Proof{Checkpoint: string(signed), Index: int64(index), Leaf: ls[index].String(), Hashes: append(tlog.RecordProof{}, hashes...)}, nil
}

// Verify checks that the key has signed the checkpoint, that the leaf is in its tree, and that it is the license's. The
// chain is then checked with Leaf.Check. How old the checkpoint is, its Time tells; that it is the latest one, the proof
// cannot show.
func (p Proof) Verify(vkey, licenseID string) (Checkpoint, Leaf, error) {
	c, err := Open(vkey, []byte(p.Checkpoint))
	if err != nil {
		return Checkpoint{}, Leaf{}, err
	}
	l, err := ParseLeaf(p.Leaf)
	if err != nil {
		return Checkpoint{}, Leaf{}, fmt.Errorf("leaf: %w", err)
	}
	if l.LicenseID != licenseID {
		return Checkpoint{}, Leaf{}, fmt.Errorf("the leaf is of license %s", l.LicenseID)
	}
	if p.Index < 0 || p.Index >= c.Size {
		return Checkpoint{}, Leaf{}, fmt.Errorf("leaf %d of %d", p.Index, c.Size)
	}
	if err := tlog.CheckRecord(p.Hashes, c.Size, c.Root, p.Index, tlog.RecordHash([]byte(p.Leaf))); err != nil {
		return Checkpoint{}, Leaf{}, fmt.Errorf("the checkpoint does not hold the leaf: %w", err)
	}
	return c, l, nil
}
