package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// StoredRecords are the stored records as they are now. A hash is over every attribute but the index attributes, also
// those that the domain does not know.
type StoredRecords struct{ license.Records }

var _ Records = StoredRecords{}

// Hashes implements Records.
func (s StoredRecords) Hashes(ctx context.Context) iter.Seq2[RecordHash, error] {
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

// Record implements Records.
func (s StoredRecords) Record(ctx context.Context, licenseID string) (attribute.Map, error) {
	record, err := s.Records.Record(ctx, licenseID)
	if errors.Is(err, license.ErrNotFound) {
		return nil, nil
	}
	return record, err
}
