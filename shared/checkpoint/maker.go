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
	Origin  string // the first line of checkpoints, and the name of their key
}

// Finding is a chain that does not go on from the head that was signed last.
type Finding struct {
	Leaf Leaf  // as signed; of a chain that was never signed, only the license id
	Why  error // ErrTailCut, ErrRewritten, or that its head cannot be read
}

// Result is a checkpoint that was made.
type Result struct {
	Checkpoint Checkpoint
	Signed     []byte
	Findings   []Finding
}

// maxAttempts bounds how often Make begins anew when another one makes the same number.
const maxAttempts = 3

// Make makes a checkpoint, also where nothing has changed since the last one: its time says until when that was so.
//
// What was signed of a chain once stays signed until the chain verifiably goes on from there. So a chain whose tail was
// cut, that was replaced or removed keeps its leaf: it is a Finding of this and of every later run, and no later
// checkpoint ever agrees with it. The others are not held up by it.
//
// It can be repeated after an error, wherever that came from, and two may run at the same time.
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
		Origin: m.Origin, Size: t.size, Number: newest.Number + 1, Time: now.UTC().Truncate(time.Second), Previous: noPrevious,
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

// keep writes a checkpoint down in an order in which it never stands without its leaves.
func (m Maker) keep(ctx context.Context, c Checkpoint, signed []byte, ls leaves, listIsKept bool) error {
	if !listIsKept {
		if err := m.Archive.PutLeaves(ctx, c.Root, ls.text()); err != nil {
			return fmt.Errorf("keep the leaves of checkpoint %d: %w", c.Number, err)
		}
	}
	// After a crash here there is a list that no checkpoint names. It does no harm; nobody removes it.

	err := m.Archive.Create(ctx, c.Number, signed)
	if errors.Is(err, ErrExists) && m.isOwn(ctx, c.Number, signed) {
		err = nil // the reply to a try of ours was lost
	}
	if err != nil {
		return fmt.Errorf("keep checkpoint %d: %w", c.Number, err)
	}
	// From here on the checkpoint is made: the next one follows it. After a crash here Latest still answers the one
	// before, which is as true as it was; the next Make finds this one by its number, and sets Latest to its own.

	if err := m.Archive.SetLatest(ctx, signed); err != nil {
		return fmt.Errorf("set checkpoint %d as the latest: %w", c.Number, err)
	}
	return nil
}

func (m Maker) isOwn(ctx context.Context, number int64, signed []byte) bool {
	kept, err := m.Archive.Checkpoint(ctx, number)
	return err == nil && bytes.Equal(kept, signed)
}

// archived is a checkpoint of the archive that was verified, and its leaves. The zero value is that of an empty archive.
type archived struct {
	Checkpoint
	signed []byte
	leaves leaves
}

// newest answers the checkpoint that the next one follows. Latest may lag behind: a crash before SetLatest leaves it so, and
// so do two runs whose SetLatest cross. A checkpoint that our key has not signed, or that does not follow the one before,
// is an error that only people can resolve: the archive is not ours, or the key is another one.
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
