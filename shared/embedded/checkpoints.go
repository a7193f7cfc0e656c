package embedded

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"openlicenser/shared/checkpoint"
)

// Checkpoints is the checkpoint.Archive in a data folder: files in its folder checkpoints, with the names that the
// objects have on AWS. Whoever may write to the folder can remove them, so copies elsewhere are for who relies on them.
type Checkpoints struct{ folder string }

var _ checkpoint.Archive = Checkpoints{}

// OpenCheckpoints opens the archive in a data folder. Where there is none it makes one.
func OpenCheckpoints(dataFolder string) (Checkpoints, error) {
	c := Checkpoints{filepath.Join(dataFolder, "checkpoints")}
	for _, name := range []string{"checkpoints", "heads"} {
		if err := os.MkdirAll(filepath.Join(c.folder, name), 0o700); err != nil {
			return Checkpoints{}, err
		}
	}
	return c, nil
}

func (c Checkpoints) latestPath() string { return filepath.Join(c.folder, "latest") }

func (c Checkpoints) checkpointPath(number int64) string {
	return filepath.Join(c.folder, "checkpoints", fmt.Sprintf("%020d", number))
}

func (c Checkpoints) headsPath(root tlog.Hash) string {
	return filepath.Join(c.folder, "heads", hex.EncodeToString(root[:]))
}

// Latest implements checkpoint.Reader.
func (c Checkpoints) Latest(ctx context.Context) ([]byte, error) {
	return readKept(ctx, c.latestPath())
}

// Leaves implements checkpoint.Reader.
func (c Checkpoints) Leaves(ctx context.Context, root tlog.Hash) ([]byte, error) {
	return readKept(ctx, c.headsPath(root))
}

// Checkpoint implements checkpoint.Archive.
func (c Checkpoints) Checkpoint(ctx context.Context, number int64) ([]byte, error) {
	return readKept(ctx, c.checkpointPath(number))
}

func readKept(ctx context.Context, path string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, checkpoint.ErrNone
	}
	return content, err
}

// Create implements checkpoint.Archive. It links the file into place: of two at once the first wins, as with a rename
// it would not.
func (c Checkpoints) Create(ctx context.Context, number int64, signed []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := writeWhole(c.checkpointPath(number), signed, os.Link)
	if errors.Is(err, fs.ErrExist) {
		return checkpoint.ErrExists
	}
	return err
}

// SetLatest implements checkpoint.Archive.
func (c Checkpoints) SetLatest(ctx context.Context, signed []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return writeWhole(c.latestPath(), signed, os.Rename)
}

// PutLeaves implements checkpoint.Archive.
func (c Checkpoints) PutLeaves(ctx context.Context, root tlog.Hash, list []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return writeWhole(c.headsPath(root), list, os.Rename)
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
	first := Checkpoints{filepath.Join(dataFolder, "checkpoints")}.checkpointPath(1)
	if isEmpty(path) && !isEmpty(first) {
		return CheckpointKey{}, fmt.Errorf("file %s is missing or empty, and the checkpoints in the folder are "+
			"signed with it: restore it from a copy, or move the folder %s away to begin anew",
			path, filepath.Dir(filepath.Dir(first)))
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
