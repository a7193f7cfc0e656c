package embedded

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"openlicenser/shared/checkpoint"
)

// Checkpoints is the checkpoint.Archive in a data folder: a file for each object in its folder checkpoints. Whoever may
// write to the folder can remove them, so copies elsewhere are for who relies on them.
type Checkpoints struct{ folder string }

var _ checkpoint.Archive = Checkpoints{}

// OpenCheckpoints opens the archive in a data folder. Where there is none it makes one.
func OpenCheckpoints(dataFolder string) (Checkpoints, error) {
	c := Checkpoints{filepath.Join(dataFolder, "checkpoints")}
	return c, os.MkdirAll(c.folder, 0o700)
}

func (c Checkpoints) path(name string) string {
	return filepath.Join(c.folder, filepath.FromSlash(name))
}

// Get implements checkpoint.Reader.
func (c Checkpoints) Get(ctx context.Context, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, err := os.Open(c.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, checkpoint.ErrNone
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return checkpoint.ReadObject(file)
}

// Create implements checkpoint.Archive. It links the file into place: of two at once the first wins, as with a rename
// it would not.
func (c Checkpoints) Create(ctx context.Context, name string, content []byte) error {
	err := c.write(ctx, name, content, os.Link)
	if errors.Is(err, fs.ErrExist) {
		return checkpoint.ErrExists
	}
	return err
}

// Put implements checkpoint.Archive.
func (c Checkpoints) Put(ctx context.Context, name string, content []byte) error {
	return c.write(ctx, name, content, os.Rename)
}

func (c Checkpoints) write(ctx context.Context, name string, content []byte, place func(from, to string) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.path(name)), 0o700); err != nil {
		return err
	}
	return writeWhole(c.path(name), content, place)
}

// CheckpointKey is the checkpoint.Signer in a data folder: a PEM file in place of KMS.
type CheckpointKey struct{ key ed25519.PrivateKey }

var _ checkpoint.Signer = CheckpointKey{}

// PublicKey implements checkpoint.Signer.
func (k CheckpointKey) PublicKey(context.Context) (ed25519.PublicKey, error) {
	return k.key.Public().(ed25519.PublicKey), nil
}

// Sign implements checkpoint.Signer.
func (k CheckpointKey) Sign(_ context.Context, message []byte) ([]byte, error) {
	return ed25519.Sign(k.key, message), nil
}

// OpenCheckpointKey opens the key in a data folder. Where there are no checkpoints yet it makes one. A key that is
// missing beside checkpoints is an error, because another key could not go on from them.
func OpenCheckpointKey(dataFolder string) (CheckpointKey, error) {
	path := filepath.Join(dataFolder, "checkpoint-key.pem")
	checkpoints := filepath.Join(dataFolder, "checkpoints")
	if _, err := os.Stat(filepath.Join(checkpoints, "checkpoints")); err == nil && isEmpty(path) {
		return CheckpointKey{}, fmt.Errorf("file %s is missing or empty, and the checkpoints in the folder are "+
			"signed with it: restore it from a copy, or move the folder %s away to begin anew",
			path, checkpoints)
	}
	text, err := readOrMake(path, true, makeCheckpointKey)
	if err != nil {
		return CheckpointKey{}, err
	}
	key, err := parseKey(path, text)
	if err != nil {
		return CheckpointKey{}, err
	}
	edKey, isEd25519 := key.(ed25519.PrivateKey)
	if !isEd25519 {
		return CheckpointKey{}, fmt.Errorf("file %s: not an Ed25519 key", path)
	}
	return CheckpointKey{edKey}, nil
}

func makeCheckpointKey() ([]byte, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return marshalKey(key)
}
