package embedded

import (
	"go.etcd.io/bbolt"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// Fill puts records in one transaction, and past the feed of changes.
func (s *Licenses) Fill(records []attribute.Map) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		for _, record := range records {
			id := record[license.AttrID].(string)
			if err := putJSON(tx.Bucket(licensesBucket), []byte(id), record); err != nil {
				return err
			}
			if err := reindex(tx, id, nil, record); err != nil {
				return err
			}
		}
		return nil
	})
}
