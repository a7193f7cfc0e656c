package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"iter"

	"go.etcd.io/bbolt"

	"openlicenser/shared/audit"
)

var _ audit.HeadLister = (*AuditTrail)(nil)

// headsPage is how many heads are read in one transaction. A transaction that stays open would keep the file from
// reusing space.
var headsPage = 1000

// chainHeadKey returns the key of a chain's head. Those of a bucket (audit.BucketOf) stand together.
func chainHeadKey(licenseID string) []byte {
	return append(chainHeadPrefix(audit.BucketOf(licenseID)), licenseID...)
}

func chainHeadPrefix(bucket int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(bucket)) }

// Heads implements audit.HeadLister.
func (s *AuditTrail) Heads(ctx context.Context, bucket int) iter.Seq2[audit.ChainHead, error] {
	return func(yield func(audit.ChainHead, error) bool) {
		prefix := chainHeadPrefix(bucket)
		from := prefix
		for {
			page, err := s.headsFrom(ctx, prefix, from)
			if err != nil {
				yield(audit.ChainHead{}, err)
				return
			}
			for _, head := range page {
				if !yield(head, nil) {
					return
				}
			}
			if len(page) < headsPage {
				return
			}
			from = append(bytes.Clone(prefix), page[len(page)-1].LicenseID+"\x00"...) // the least key that is greater
		}
	}
}

func (s *AuditTrail) headsFrom(ctx context.Context, prefix, from []byte) (page []audit.ChainHead, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(chainHeadsBucket).Cursor()
		key, value := cursor.Seek(from)
		for ; bytes.HasPrefix(key, prefix) && len(page) < headsPage; key, value = cursor.Next() {
			var state audit.State
			if err := unmarshalSealed(key, value, &state); err != nil {
				return err
			}
			page = append(page, state.ChainHead(string(key[len(prefix):])))
		}
		return nil
	})
	return page, err
}
