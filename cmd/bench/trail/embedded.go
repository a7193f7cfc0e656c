//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"openlicenser/shared/checkpoint"
	"openlicenser/shared/embedded"
)

// writersAtOnce is how many share a transaction of the file.
const writersAtOnce = 1024

// openEmbedded opens a trail in a data folder, without checkpoints. It fills the folder where nobody has.
func openEmbedded(ctx context.Context, data string, licenses int) (*trail, error) {
	seeded, spare := filepath.Join(data, "seeded"), filepath.Join(data, "spare")
	for _, old := range []string{"checkpoints", "checkpoint-key.pem", "spare"} {
		if err := os.RemoveAll(filepath.Join(data, old)); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(seeded); err != nil {
		if err := fill(ctx, data, licenses); err != nil {
			return nil, err
		}
		if err := os.WriteFile(seeded, nil, 0o600); err != nil {
			return nil, err
		}
	}
	folder, err := embedded.Open(data)
	if err != nil {
		return nil, err
	}
	signer, errKey := embedded.OpenCheckpointKey(data)
	archive, errArchive := embedded.OpenCheckpoints(data)
	other, errSpare := embedded.OpenCheckpoints(spare)
	return &trail{
		size: licenses, licenses: folder.Licenses, records: folder.Licenses, store: folder.AuditTrail,
		signer: signer, archive: newCounted(archive), spare: newCounted(other),
		settle: func(ctx context.Context) error { return emptyFeed(ctx, folder.Changes) },
		close:  func() error { return errors.Join(os.RemoveAll(spare), folder.Close()) },
	}, errors.Join(errKey, errArchive, errSpare)
}

// fill makes a data folder and fills it. The feed of changes, which nobody reads meanwhile, leaves a third of the file
// empty, and the list of that in the memory of whoever opens it: so the file is packed in the end.
func fill(ctx context.Context, data string, licenses int) error {
	folder, err := embedded.Open(data)
	if err != nil {
		return err
	}
	err = seed(ctx, licenses, writersAtOnce, func() writer {
		return writer{licenses: folder.Licenses, trail: folder.AuditTrail}
	})
	if err == nil {
		err = emptyFeed(ctx, folder.Changes)
	}
	if err := errors.Join(err, folder.Close()); err != nil {
		return err
	}
	return pack(filepath.Join(data, "licenser.db"))
}

// pack replaces a file of bbolt with one that has no empty space.
func pack(path string) error {
	from, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	packed := path + ".packed"
	to, err := bbolt.Open(packed, 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		return errors.Join(err, from.Close())
	}
	const inTransaction = 64 << 20 // bytes
	err = bbolt.Compact(to, from, inTransaction)
	if err := errors.Join(err, to.Sync(), to.Close(), from.Close()); err != nil {
		return err
	}
	return errors.Join(os.Remove(path+".sha256"), os.Rename(packed, path)) // the digest is of the file that was left
}

// emptyFeed removes the changes that were recorded, as licenser serve does.
func emptyFeed(ctx context.Context, feed *embedded.Changes) error {
	for {
		changes, err := feed.Oldest(ctx, 10_000)
		if err != nil || len(changes) == 0 {
			return err
		}
		if err := feed.Remove(ctx, changes); err != nil {
			return err
		}
	}
}

// nextCheckpoint waits until the archive of a data folder has another checkpoint than the latest one.
func nextCheckpoint(ctx context.Context, archive checkpoint.Reader, latest []byte) error {
	for {
		now, err := archive.Get(ctx, "latest")
		if err != nil || string(now) != string(latest) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
