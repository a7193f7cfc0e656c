package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Errors of an archive, to be tested with errors.Is.
var (
	ErrNone   = errors.New("there is no such checkpoint")
	ErrExists = errors.New("there is a checkpoint of this number already")
)

// Reader reads an archive. Its reads are strongly consistent.
type Reader interface {
	// Latest returns the signed checkpoint that was last set as the latest, or ErrNone.
	Latest(ctx context.Context) ([]byte, error)

	// Leaves returns the list of leaves whose tree has the root, or ErrNone.
	Leaves(ctx context.Context, root tlog.Hash) ([]byte, error)
}

// Archive keeps checkpoints and lists of leaves, for ever.
type Archive interface {
	Reader

	// Checkpoint returns the signed checkpoint with a number, or ErrNone.
	Checkpoint(ctx context.Context, number int64) ([]byte, error)

	// Create keeps a checkpoint. If there is one with its number already, even the same one, Create returns ErrExists
	// and changes nothing. Any other error leaves the outcome unknown.
	Create(ctx context.Context, number int64, signed []byte) error

	// SetLatest replaces what Latest returns. A reader sees the old one or the new one, and nothing between.
	SetLatest(ctx context.Context, signed []byte) error

	// PutLeaves keeps a list. To put the same list again is no error.
	PutLeaves(ctx context.Context, root tlog.Hash, list []byte) error
}

// readLeaves returns the leaves of a checkpoint and their tree. A list that is not the signed one is an error.
func readLeaves(ctx context.Context, archive Reader, c Checkpoint) (leaves, tree, error) {
	list, err := archive.Leaves(ctx, c.Root)
	if err != nil {
		return nil, tree{}, fmt.Errorf("leaves of checkpoint %d: %w", c.Number, hideNone(err))
	}
	ls, err := parseLeaves(list)
	if err != nil {
		return nil, tree{}, fmt.Errorf("leaves of checkpoint %d: %w", c.Number, err)
	}
	t, err := newTree(ls)
	if err != nil {
		return nil, tree{}, err
	}
	root, err := t.root()
	if err != nil {
		return nil, tree{}, err
	}
	if root != c.Root || t.size != c.Size {
		return nil, tree{}, fmt.Errorf("the leaves of checkpoint %d are not those that were signed", c.Number)
	}
	return ls, t, nil
}

// hideNone returns another error in place of ErrNone. A list that is missing beside its checkpoint is a fault, and
// ErrNone would tell the caller that there is no checkpoint yet.
func hideNone(err error) error {
	if errors.Is(err, ErrNone) {
		return errors.New("missing in the archive")
	}
	return err
}

// parseUnverified reads a signed checkpoint without checking its signature.
func parseUnverified(signed []byte) (Checkpoint, error) {
	text, _, found := strings.Cut(string(signed), "\n\n")
	if !found {
		return Checkpoint{}, errText
	}
	return parse(text + "\n")
}
