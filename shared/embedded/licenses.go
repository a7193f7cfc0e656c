package embedded

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"go.etcd.io/bbolt"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// Licenses is the license.Store in a data folder. Each write adds to the folder's feed of changes in the same
// transaction.
type Licenses struct {
	db      *database
	changes *Changes
}

var (
	_ license.Store   = (*Licenses)(nil)
	_ license.Records = (*Licenses)(nil)
)

// Get implements license.Reader.
func (s *Licenses) Get(ctx context.Context, id string) (license.License, error) {
	record, err := s.Record(ctx, id)
	if err != nil {
		return license.License{}, err
	}
	return license.FromRecord(record)
}

// Create implements license.Store.
func (s *Licenses) Create(ctx context.Context, l license.License) error {
	return s.write(ctx, func(tx *bbolt.Tx) (refusal, err error) {
		if tx.Bucket(licensesBucket).Get([]byte(l.ID)) != nil {
			return license.ErrExists, nil
		}
		if l.Reference != "" {
			holder, err := readReference(tx, l.Reference)
			switch {
			case err == nil:
				return &license.ReferenceTakenError{Reference: l.Reference, LicenseID: holder}, nil
			case !errors.Is(err, license.ErrNotFound):
				return nil, err
			}
			if err := putReference(tx, l.Reference, l.ID); err != nil {
				return nil, err
			}
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
		if after.Reference != before.Reference && after.Reference != "" {
			if refusal, err := takeReference(tx, after.Reference, after.ID); refusal != nil || err != nil {
				return refusal, err
			}
		}
		set, remove := license.Delta(before, after)
		updated := license.Amendment{Set: set, Remove: remove}.Apply(stored)
		return nil, s.put(tx, before.ID, stored, updated)
	})
}

// Erase implements license.Store.
func (s *Licenses) Erase(ctx context.Context, before, after license.License, references []string) error {
	return s.write(ctx, func(tx *bbolt.Tx) (refusal, err error) {
		stored, erased, err := readErased(tx, before, after)
		if erased == nil || err != nil {
			return license.ErrConflict, err
		}
		for _, reference := range references {
			if err := freeReference(tx, reference, after.ID); err != nil {
				return nil, err
			}
		}
		if err := s.put(tx, after.ID, stored, erased); err != nil {
			return nil, err
		}
		return nil, s.db.markScrub(tx)
	})
}

// takeReference makes a reference lead to a license, unless another one has it.
func takeReference(tx *bbolt.Tx, reference, id string) (refusal, err error) {
	holder, err := readReference(tx, reference)
	switch {
	case err == nil && holder != id:
		return &license.ReferenceTakenError{Reference: reference, LicenseID: holder}, nil
	case err != nil && !errors.Is(err, license.ErrNotFound):
		return nil, err
	}
	return nil, putReference(tx, reference, id)
}

// freeReference makes a reference free, unless another license has it.
func freeReference(tx *bbolt.Tx, reference, id string) error {
	holder, err := readReference(tx, reference)
	if errors.Is(err, license.ErrNotFound) || err == nil && holder != id {
		return nil
	}
	if err != nil {
		return err
	}
	return tx.Bucket(referencesBucket).Delete([]byte(reference))
}

// readErased returns the record as it is stored, and as it is after an erasure. The latter is nil where that does not
// begin with before.
func readErased(tx *bbolt.Tx, before, after license.License) (stored, erased attribute.Map, err error) {
	if before.ID == "" {
		if tx.Bucket(licensesBucket).Get([]byte(after.ID)) != nil {
			return nil, nil, nil
		}
		return nil, after.Tombstone(), nil
	}
	stored, err = readExpected(tx, before)
	if stored == nil || err != nil {
		return nil, nil, err
	}
	set, remove := license.Delta(before, after)
	return stored, license.Amendment{Set: set, Remove: remove}.Apply(stored), nil
}

// Referenced implements license.Store.
func (s *Licenses) Referenced(ctx context.Context, reference string) (id string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		id, err = readReference(tx, reference)
		return err
	})
	return id, err
}

func readReference(tx *bbolt.Tx, reference string) (id string, err error) {
	found, err := getJSON(tx.Bucket(referencesBucket), []byte(reference), &id)
	if err == nil && !found {
		err = license.ErrNotFound
	}
	return id, err
}

func putReference(tx *bbolt.Tx, reference, id string) error {
	return putJSON(tx.Bucket(referencesBucket), []byte(reference), id)
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
	return readMeeting(tx, l.ID, l.Expectation())
}

// readMeeting returns the record as it is stored, or nil where there is none that has the expected attributes. A nil
// stands for an attribute that is absent or NULL.
func readMeeting(tx *bbolt.Tx, id string, expected attribute.Map) (attribute.Map, error) {
	stored, err := readRecord(tx, id)
	if errors.Is(err, license.ErrNotFound) {
		return nil, nil
	}
	for name, value := range expected {
		if !reflect.DeepEqual(stored[name], value) {
			return nil, err
		}
	}
	return stored, err
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
