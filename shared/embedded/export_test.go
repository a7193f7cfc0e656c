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

// SetFillSize sets how much a scrub fills in one transaction, until undo is called.
func SetFillSize(n int) (undo func()) {
	before := fillSize
	fillSize = n
	return func() { fillSize = before }
}

// MarkScrub sets the mark of an erasure that has just been made.
func (f *Folder) MarkScrub(ctx context.Context) error {
	return write(ctx, f.db, func(tx *bbolt.Tx) (refusal, err error) { return nil, f.db.markScrub(tx) })
}

// Reading calls do within a read.
func (f *Folder) Reading(do func()) error {
	return f.db.View(func(*bbolt.Tx) error {
		do()
		return nil
	})
}

// BetweenWrites calls do while nothing is written. It lets a scrub's writes wait too.
func (f *Folder) BetweenWrites(do func()) error {
	tx, err := f.db.Begin(true)
	if err != nil {
		return err
	}
	do()
	return tx.Rollback()
}

// CheckedAtOpen is the size of the largest data file that is checked whole when it is opened.
const CheckedAtOpen = checkedAtOpen

// Seal returns the value behind its checksum.
func Seal(key, value []byte) []byte { return seal(key, value) }

// CheckAgain checks the data file whole, also where it was checked before.
func (f *Folder) CheckAgain(ctx context.Context) error { return checkWhole(ctx, f.db) }
