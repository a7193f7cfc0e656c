package embedded

import (
	"context"

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

// SetHeadsPage sets how many heads are read in one transaction, until undo is called.
func SetHeadsPage(n int) (undo func()) {
	before := headsPage
	headsPage = n
	return func() { headsPage = before }
}

// SetRecordsPage sets how many records are read in one transaction, until undo is called.
func SetRecordsPage(n int) (undo func()) {
	before := recordsPage
	recordsPage = n
	return func() { recordsPage = before }
}

// CheckedAtOpen is the size of the largest data file that is checked whole when it is opened.
const CheckedAtOpen = checkedAtOpen

// Seal returns the value behind its checksum.
func Seal(key, value []byte) []byte { return seal(key, value) }

// CheckAgain checks the data file whole, also where it was checked before.
func (f *Folder) CheckAgain(ctx context.Context) error { return checkWhole(ctx, f.db) }
