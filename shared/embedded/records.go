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

// Segment implements license.Records. All records are in the first segment.
func (s *Licenses) Segment(ctx context.Context, segment, _ int) iter.Seq2[attribute.Map, error] {
	return func(yield func(attribute.Map, error) bool) {
		if segment > 0 {
			return
		}
		var ids []string
		err := s.db.View(func(tx *bbolt.Tx) (err error) {
			ids, err = licenseIDs(tx)
			return err
		})
		if err != nil {
			yield(nil, err)
			return
		}
		for _, id := range ids {
			record, err := s.Record(ctx, id)
			switch {
			case errors.Is(err, license.ErrNotFound):
				continue // it was removed meanwhile
			case errors.Is(err, license.ErrUnreadable):
				record = attribute.Map{license.AttrID: id}
			}
			if !yield(record, err) || err != nil && record == nil {
				return
			}
		}
	}
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
