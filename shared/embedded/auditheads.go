package embedded

import (
	"context"
	"iter"

	"go.etcd.io/bbolt"

	"openlicenser/shared/audit"
)

var _ audit.HeadLister = (*AuditTrail)(nil)

// headsPage is how many heads are read in one transaction. A transaction that stays open would keep the file from
// reusing space.
const headsPage = 1000

// Heads implements audit.HeadLister.
func (s *AuditTrail) Heads(ctx context.Context) iter.Seq2[audit.ChainHead, error] {
	return func(yield func(audit.ChainHead, error) bool) {
		after := []byte(nil)
		for {
			page, err := s.headsAfter(ctx, after)
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
			after = []byte(page[len(page)-1].LicenseID)
		}
	}
}

func (s *AuditTrail) headsAfter(ctx context.Context, after []byte) (page []audit.ChainHead, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(auditHeadsBucket).Cursor()
		key, value := cursor.First()
		if after != nil {
			key, value = cursor.Seek(append(after, 0)) // the least key that is greater
		}
		for ; key != nil && len(page) < headsPage; key, value = cursor.Next() {
			head := audit.ChainHead{LicenseID: string(key)}
			if err := unmarshalSealed(key, value, &head.Head); err != nil {
				return err
			}
			page = append(page, head)
		}
		return nil
	})
	return page, err
}
