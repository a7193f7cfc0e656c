package embedded

import (
	"context"
	"errors"
	"iter"

	"go.etcd.io/bbolt"

	"openlicenser/shared/checkpoint"
	"openlicenser/shared/license"
)

// RecordHashes are the hashes of the folder's license records as they are now.
type RecordHashes struct{ Licenses *Licenses }

var _ checkpoint.RecordHashes = RecordHashes{}

// All implements checkpoint.RecordHashes.
func (r RecordHashes) All(ctx context.Context) iter.Seq2[checkpoint.RecordHash, error] {
	return func(yield func(checkpoint.RecordHash, error) bool) {
		ids, err := r.ids(ctx)
		if err != nil {
			yield(checkpoint.RecordHash{}, err)
			return
		}
		for _, id := range ids {
			hash, err := r.Of(ctx, id)
			if hash.Hash == "" && err == nil {
				continue // it was removed meanwhile
			}
			if !yield(hash, err) || err != nil {
				return
			}
		}
	}
}

func (r RecordHashes) ids(ctx context.Context) (ids []string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = r.Licenses.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(licensesBucket).ForEach(func(key, _ []byte) error {
			ids = append(ids, string(key))
			return nil
		})
	})
	return ids, err
}

// Of implements checkpoint.RecordHashes.
func (r RecordHashes) Of(ctx context.Context, licenseID string) (checkpoint.RecordHash, error) {
	record, err := r.Licenses.Record(ctx, licenseID)
	switch {
	case errors.Is(err, license.ErrNotFound):
		return checkpoint.RecordHash{}, nil
	case err != nil:
		return checkpoint.RecordHash{}, err
	}
	return checkpoint.HashOf(licenseID, record)
}
