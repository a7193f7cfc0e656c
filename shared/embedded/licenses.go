package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"time"

	"go.etcd.io/bbolt"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// Licenses is the license.Store in a data folder. Each write adds to the folder's feed of changes in the same
// transaction.
type Licenses struct {
	db      *bbolt.DB
	changes *Changes
}

var _ license.Store = (*Licenses)(nil)

// Get implements license.Reader.
func (s *Licenses) Get(ctx context.Context, id string) (license.License, error) {
	record, err := s.Record(ctx, id)
	if err != nil {
		return license.License{}, err
	}
	return license.FromRecord(record)
}

// Record returns the record as it is stored, or license.ErrNotFound.
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

// Create implements license.Store.
func (s *Licenses) Create(ctx context.Context, l license.License) error {
	return s.write(ctx, func(tx *bbolt.Tx) (refusal, err error) {
		if tx.Bucket(licensesBucket).Get([]byte(l.ID)) != nil {
			return license.ErrExists, nil
		}
		return nil, s.put(tx, l.ID, nil, l.Record())
	})
}

// Update implements license.Store.
func (s *Licenses) Update(ctx context.Context, before, after license.License) error {
	return s.write(ctx, func(tx *bbolt.Tx) (refusal, err error) {
		stored, err := readExpected(tx, before)
		if stored == nil || err != nil {
			return license.ErrConflict, err
		}
		updated := maps.Clone(stored)
		set, remove := license.Delta(before, after)
		maps.Copy(updated, set)
		for _, name := range remove {
			delete(updated, name)
		}
		return nil, s.put(tx, before.ID, stored, updated)
	})
}

// Remove implements license.Store.
func (s *Licenses) Remove(ctx context.Context, l license.License) error {
	return s.write(ctx, func(tx *bbolt.Tx) (refusal, err error) {
		stored, err := readExpected(tx, l)
		if stored == nil || err != nil {
			return license.ErrConflict, err
		}
		return nil, s.put(tx, l.ID, stored, nil)
	})
}

// readExpected returns the record as it is stored, or nil where that is not the record which l was read from.
func readExpected(tx *bbolt.Tx, l license.License) (attribute.Map, error) {
	stored, err := readRecord(tx, l.ID)
	if errors.Is(err, license.ErrNotFound) {
		return nil, nil
	}
	for name, value := range l.Expectation() {
		if !reflect.DeepEqual(stored[name], value) {
			return nil, err
		}
	}
	return stored, err
}

// List implements license.Store.
func (s *Licenses) List(ctx context.Context, q license.Query) (page license.Page, err error) {
	if err := ctx.Err(); err != nil {
		return license.Page{}, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		bucket, from, to := bounds(q)
		cursor := tx.Bucket(bucket).Cursor()
		if q.Position != "" {
			to = []byte(q.Position)
		}
		key := lastBefore(cursor, to)
		for range license.MaxReads * q.Limit {
			if bytes.Compare(key, from) < 0 || len(page.Licenses) == q.Limit {
				break
			}
			page.Next = string(key)
			l, err := readLicense(tx, licenseIDOf(key))
			switch {
			case errors.Is(err, license.ErrUnreadable):
				slog.WarnContext(ctx, "a license that cannot be understood is left out of the list",
					"licenseid", licenseIDOf(key), "error", err)
			case err != nil:
				return err
			case q.Matches(l):
				page.Licenses = append(page.Licenses, l)
			}
			key, _ = cursor.Prev()
		}
		if bytes.Compare(key, from) < 0 {
			page.Next = ""
		}
		return nil
	})
	return page, err
}

// bounds returns the bucket that serves the query, and the range of keys in it: from inclusive, to exclusive.
func bounds(q license.Query) (bucket, from, to []byte) {
	first, last := q.Dates()
	switch q.Index() {
	case license.OfCustomer:
		return customersBucket, indexKey(q.CustomerID, ""), indexKey(q.CustomerID, afterAll)
	case license.ByExpiry:
		return expiriesBucket, indexKey(first, ""), indexKey(last, afterAll)
	case license.ByStanding:
		standing := string(q.Standing())
		return standingsBucket, indexKey(standing, first, ""), indexKey(standing, last, afterAll)
	default:
		return licensesBucket, []byte{0}, []byte(afterAll)
	}
}

// afterAll sorts behind every id, because UTF-8 never has this byte.
const afterAll = "\xFF"

// lastBefore returns the last key that is less than bound, and nil where there is none.
func lastBefore(cursor *bbolt.Cursor, bound []byte) []byte {
	if key, _ := cursor.Seek(bound); key == nil {
		key, _ = cursor.Last()
		return key
	}
	key, _ := cursor.Prev()
	return key
}

// write waits for its turn and for room in the feed, writes, and tells the feed's reader of the change.
func (s *Licenses) write(ctx context.Context, change func(tx *bbolt.Tx) (refusal, err error)) error {
	release, err := s.changes.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := write(ctx, s.db, change); err != nil {
		return err
	}
	s.changes.signal()
	return nil
}

// put writes the record, or removes it where updated is nil. Its index keys and the feed follow in the same
// transaction.
func (s *Licenses) put(tx *bbolt.Tx, id string, old, updated attribute.Map) (err error) {
	if licenses := tx.Bucket(licensesBucket); updated == nil {
		err = licenses.Delete([]byte(id))
	} else {
		err = putJSON(licenses, []byte(id), updated)
	}
	if err != nil {
		return err
	}
	if err := reindex(tx, id, old, updated); err != nil {
		return err
	}
	return appendChange(tx, Change{LicenseID: id, Time: time.Now(), Old: old, New: updated})
}

func readLicense(tx *bbolt.Tx, id string) (license.License, error) {
	record, err := readRecord(tx, id)
	if err != nil {
		return license.License{}, err
	}
	return license.FromRecord(record)
}

func readRecord(tx *bbolt.Tx, id string) (attribute.Map, error) {
	var record attribute.Map
	found, err := getJSON(tx.Bucket(licensesBucket), []byte(id), &record)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: license %q: %v", license.ErrUnreadable, id, err)
	case !found:
		return nil, license.ErrNotFound
	}
	return record, nil
}
