package embedded

import (
	"context"
	"errors"
	"iter"

	"go.etcd.io/bbolt"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// Record implements license.Records.
func (s *Licenses) Record(ctx context.Context, id string) (record attribute.Map, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		record, err = readRecord(tx, id)
		return err
	})
	return record, err
}

// Amend implements license.Records. Other than the writes of the API it does not wait for room in the feed: whoever
// reads the feed amends.
func (s *Licenses) Amend(ctx context.Context, id string, a license.Amendment) error {
	err := write(ctx, s.db, func(tx *bbolt.Tx) (refusal, err error) {
		stored, err := readMeeting(tx, id, a.Expected)
		if stored == nil || err != nil {
			return license.ErrConflict, err
		}
		return nil, s.put(tx, id, stored, a.Apply(stored))
	})
	if err == nil {
		s.changes.signal()
	}
	return err
}

// recordsPage is how many records are read in one transaction. A transaction that stays open would keep the file from
// reusing space.
var recordsPage = 100

// Segment implements license.Records. All records are in the first segment.
func (s *Licenses) Segment(ctx context.Context, segment, _ int) iter.Seq2[attribute.Map, error] {
	return func(yield func(attribute.Map, error) bool) {
		if segment > 0 {
			return
		}
		for from := []byte(nil); ; {
			page, err := s.recordsFrom(ctx, from)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, record := range page {
				if !yield(record.values, record.err) {
					return
				}
			}
			if len(page) < recordsPage {
				return
			}
			from = []byte(page[len(page)-1].id + "\x00") // the least key that is greater
		}
	}
}

// storedRecord is a record of a page, or why it cannot be read.
type storedRecord struct {
	id     string
	values attribute.Map
	err    error
}

func (s *Licenses) recordsFrom(ctx context.Context, from []byte) (page []storedRecord, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(licensesBucket).Cursor()
		for key, _ := cursor.Seek(from); key != nil && len(page) < recordsPage; key, _ = cursor.Next() {
			record := storedRecord{id: string(key)}
			if record.values, record.err = readRecord(tx, record.id); record.err != nil {
				record.values = attribute.Map{license.AttrID: record.id}
			}
			page = append(page, record)
		}
		return nil
	})
	return page, err
}

// PutRecord writes a record as another tool would: whole, whatever was there.
func (s *Licenses) PutRecord(ctx context.Context, record attribute.Map) error {
	id, isText := record[license.AttrID].(string)
	if !isText || id == "" {
		return errors.New("the record has no " + license.AttrID)
	}
	return s.write(ctx, func(tx *bbolt.Tx) (refusal, err error) {
		old, err := readRecord(tx, id)
		if err != nil && !errors.Is(err, license.ErrNotFound) {
			return nil, err
		}
		return nil, s.put(tx, id, old, record)
	})
}
