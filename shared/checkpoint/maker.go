package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"openlicenser/shared/audit"
)

// Trail is what a Maker reads of the audit trail.
type Trail interface {
	audit.HeadLister
	Head(ctx context.Context, licenseID string) (audit.Head, error)
	Entries(ctx context.Context, licenseID string, after int64, limit int) ([]audit.Entry, error)
}

// Maker makes checkpoints over all chains of a trail.
type Maker struct {
	Trail   Trail
	Archive Archive
	Signer  Signer
	Origin  string // of the checkpoints; also the name of their key
}

// Finding is a chain that is not a continuation of what was signed last.
type Finding struct {
	Leaf Leaf  // as it was signed; only its license id where the chain was never signed
	Why  error // ErrTailCut, ErrRewritten, or that the head cannot be read
}

// Result is what Make has made.
type Result struct {
	Checkpoint Checkpoint
	Signed     []byte
	Findings   []Finding
}

// maxAttempts bounds how often Make begins again because another process made a checkpoint of the same number.
const maxAttempts = 3

// Make makes, signs and keeps the next checkpoint, also where nothing has changed since the last one.
//
// A chain's leaf is replaced only by that of a verified continuation of the chain. A chain that was cut, replaced or
// removed keeps the leaf that was signed last. It is a Finding now and in every later run, and contradicts every later
// checkpoint. Other chains are not held up by it.
//
// Make can be repeated after any error, and two may run at the same time.
func (m Maker) Make(ctx context.Context, now time.Time) (Result, error) {
	vkey, err := VerifierKey(ctx, m.Signer, m.Origin)
	if err != nil {
		return Result{}, err
	}
	for range maxAttempts {
		result, err := m.attempt(ctx, vkey, now)
		if !errors.Is(err, ErrExists) {
			return result, err
		}
	}
	return Result{}, fmt.Errorf("%w, %d times in turn", ErrExists, maxAttempts)
}

func (m Maker) attempt(ctx context.Context, vkey string, now time.Time) (Result, error) {
	newest, err := m.newest(ctx, vkey)
	if err != nil {
		return Result{}, err
	}
	survey := survey{trail: m.Trail, signed: newest.leaves}
	ls, findings, err := survey.run(ctx)
	if err != nil {
		return Result{}, err
	}
	t, err := newTree(ls)
	if err != nil {
		return Result{}, err
	}
	c := Checkpoint{
		Origin:   m.Origin,
		Size:     t.size,
		Number:   newest.Number + 1,
		Time:     now.UTC().Truncate(time.Second),
		Previous: noPrevious,
	}
	if c.Root, err = t.root(); err != nil {
		return Result{}, err
	}
	if newest.signed != nil {
		c.Previous = hashOf(newest.signed)
	}
	signed, err := sign(ctx, m.Signer, vkey, c)
	if err != nil {
		return Result{}, err
	}
	if err := m.keep(ctx, c, signed, ls, newest.Root == c.Root && newest.signed != nil); err != nil {
		return Result{}, err
	}
	return Result{Checkpoint: c, Signed: signed, Findings: findings}, nil
}

// keep writes a checkpoint to the archive, the leaves first: no checkpoint is ever there without them.
func (m Maker) keep(ctx context.Context, c Checkpoint, signed []byte, ls leaves, hasLeaves bool) error {
	if !hasLeaves {
		if err := m.Archive.PutLeaves(ctx, c.Root, ls.text()); err != nil {
			return fmt.Errorf("keep the leaves of checkpoint %d: %w", c.Number, err)
		}
	}
	// A crash here leaves a list that no checkpoint names. It does no harm, and nobody removes it.

	err := m.Archive.Create(ctx, c.Number, signed)
	if errors.Is(err, ErrExists) && m.isOwn(ctx, c.Number, signed) {
		err = nil // an earlier request of ours created it, and its response was lost
	}
	if err != nil {
		return fmt.Errorf("keep checkpoint %d: %w", c.Number, err)
	}
	// From here on the checkpoint counts: the next one follows it. A crash here leaves Latest at the one before,
	// which is still true. The next Make finds this one by its number, and sets Latest to its own.

	if err := m.Archive.SetLatest(ctx, signed); err != nil {
		return fmt.Errorf("set checkpoint %d as the latest: %w", c.Number, err)
	}
	return nil
}

func (m Maker) isOwn(ctx context.Context, number int64, signed []byte) bool {
	kept, err := m.Archive.Checkpoint(ctx, number)
	return err == nil && bytes.Equal(kept, signed)
}

// archived is a verified checkpoint of the archive with its leaves. The zero value stands for an empty archive.
type archived struct {
	Checkpoint
	signed []byte
	leaves leaves
}

// newest returns the checkpoint with the highest number. Latest may be behind it, after a crash before SetLatest or
// after two runs whose SetLatest crossed. A checkpoint that our key has not signed, or that does not follow the one
// before it, is an error that only a person can resolve: the archive, or the key, is not ours.
func (m Maker) newest(ctx context.Context, vkey string) (archived, error) {
	var newest archived
	signed, err := m.Archive.Latest(ctx)
	switch {
	case err == nil:
		if newest.Checkpoint, err = Open(vkey, signed); err != nil {
			return archived{}, fmt.Errorf("the latest checkpoint: %w", err)
		}
		newest.signed = signed
	case !errors.Is(err, ErrNone):
		return archived{}, fmt.Errorf("the latest checkpoint: %w", err)
	}
	for {
		number := newest.Number + 1
		signed, err := m.Archive.Checkpoint(ctx, number)
		if errors.Is(err, ErrNone) {
			break
		}
		if err != nil {
			return archived{}, fmt.Errorf("checkpoint %d: %w", number, err)
		}
		next, err := Open(vkey, signed)
		if err == nil && newest.signed != nil {
			err = next.Follows(newest.Checkpoint, newest.signed)
		}
		if err == nil && next.Number != number {
			err = fmt.Errorf("it says that it is checkpoint %d", next.Number)
		}
		if err != nil {
			return archived{}, fmt.Errorf("checkpoint %d: %w", number, err)
		}
		newest = archived{Checkpoint: next, signed: signed}
	}
	if newest.signed != nil {
		newest.leaves, _, err = readLeaves(ctx, m.Archive, newest.Checkpoint)
		return newest, err
	}
	return newest, nil
}
