package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// What an archive answers, to be tested with errors.Is.
var (
	ErrNone   = errors.New("there is no such checkpoint")
	ErrExists = errors.New("there is a checkpoint of this number")
)

// Reader reads an archive. Its reads are strongly consistent.
type Reader interface {
	// Latest answers the checkpoint that was last set as the latest, or ErrNone.
	Latest(ctx context.Context) ([]byte, error)

	// Leaves answers the list of leaves whose tree has the root, or ErrNone.
	Leaves(ctx context.Context, root tlog.Hash) ([]byte, error)
}

// Archive keeps checkpoints and lists of leaves. It never forgets one.
type Archive interface {
	Reader

	// Checkpoint answers the checkpoint of a number, or ErrNone.
	Checkpoint(ctx context.Context, number int64) ([]byte, error)

	// Create keeps a checkpoint, unless there is one of its number: then it answers ErrExists and changes nothing,
	// also where that one is the same. Any other error leaves the outcome unknown.
	Create(ctx context.Context, number int64, signed []byte) error

	// SetLatest replaces what Latest answers, whole.
	SetLatest(ctx context.Context, signed []byte) error

	// PutLeaves keeps a list. That it is kept already is no error.
	PutLeaves(ctx context.Context, root tlog.Hash, list []byte) error
}

// readLeaves answers the leaves of a checkpoint and their tree. A list that is not the signed one is an error.
func readLeaves(ctx context.Context, archive Reader, c Checkpoint) (leaves, tree, error) {
	list, err := archive.Leaves(ctx, c.Root)
	if err != nil {
		return nil, tree{}, fmt.Errorf("leaves of checkpoint %d: %w", c.Number, unexpected(err))
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

// unexpected hides ErrNone: a list that is missing beside its checkpoint is a fault, not an answer.
func unexpected(err error) error {
	if errors.Is(err, ErrNone) {
		return errors.New("they are missing")
	}
	return err
}

// parseUnverified reads a signed checkpoint of our own archive without its key.
func parseUnverified(signed []byte) (Checkpoint, error) {
	text, _, found := strings.Cut(string(signed), "\n\n")
	if !found {
		return Checkpoint{}, errText
	}
	return Parse(text + "\n")
}
