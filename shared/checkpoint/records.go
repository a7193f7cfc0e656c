package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"openlicenser/shared/license"
)

// StoredHashes are the hashes of stored records as they are now. A hash is over every attribute but the index
// attributes, also those that the domain does not know.
type StoredHashes struct{ Records license.Records }

var _ RecordHashes = StoredHashes{}

// All implements RecordHashes.
func (s StoredHashes) All(ctx context.Context) iter.Seq2[RecordHash, error] {
	return func(yield func(RecordHash, error) bool) {
		for record, err := range s.Records.Segment(ctx, 0, 1) {
			var hash RecordHash
			id, _ := record[license.AttrID].(string)
			if err == nil {
				hash, err = HashOf(id, record)
			} else if record != nil {
				err = fmt.Errorf("record of license %s: %w", id, err)
			}
			if !yield(hash, err) || err != nil {
				return
			}
		}
	}
}

// Of implements RecordHashes.
func (s StoredHashes) Of(ctx context.Context, licenseID string) (RecordHash, error) {
	record, err := s.Records.Record(ctx, licenseID)
	switch {
	case errors.Is(err, license.ErrNotFound):
		return RecordHash{}, nil
	case err != nil:
		return RecordHash{}, err
	}
	return HashOf(licenseID, record)
}
