package embedded

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"go.etcd.io/bbolt"

	"openlicenser/shared/license"
)

// ReadRecords returns the records of a folder that holds data already, to be read alone. Nothing in the folder changes,
// not even a data file of an earlier version, which Open would bring up to date. No other process may have it open to
// write. The caller calls closeFile in the end.
func ReadRecords(
	ctx context.Context, folder string,
) (records license.Records, closeFile func() error, err error) {
	db, err := openToRead(ctx, folder)
	if err != nil {
		return nil, nil, err
	}
	return &Licenses{db: db, changes: newChanges(db)}, db.Close, nil
}

// Reading is a folder that is open to be read alone.
type Reading struct {
	Records    license.Records
	AuditTrail *AuditTrail
	Unrecorded uint64 // how many changes the trail does not tell of yet

	db *database
}

// OpenToRead opens a folder that holds data already, to be read alone, as ReadRecords does. One that only an earlier
// version has opened is an error.
func OpenToRead(ctx context.Context, folder string) (*Reading, error) {
	db, err := openToRead(ctx, folder)
	if err != nil {
		return nil, err
	}
	changes := newChanges(db)
	unrecorded, err := uint64(0), checkUpToDate(db)
	if err == nil {
		unrecorded, err = changes.Length()
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Reading{&Licenses{db: db, changes: changes}, &AuditTrail{db: db}, unrecorded, db}, nil
}

// Close lets another process open the folder to write.
func (r *Reading) Close() error { return r.db.Close() }

// checkUpToDate returns an error where a data file has not what a Reading reads.
func checkUpToDate(db *database) error {
	return db.View(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{licensesBucket, changesBucket, auditBucket, chainHeadsBucket, disclosuresBucket} {
			if tx.Bucket(name) == nil {
				return fmt.Errorf("data file %s is of an earlier version: serve the folder once", db.Path())
			}
		}
		return nil
	})
}

func openToRead(ctx context.Context, folder string) (*database, error) {
	path := filepath.Join(folder, databaseFile)
	if isEmpty(path) {
		return nil, errNoData(folder)
	}
	db, err := openChecked(path, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	if isLarge(path) {
		if err := checkWhole(ctx, db); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
}

func errNoData(folder string) error {
	return fmt.Errorf("%s is no data folder: there is no %s in it", folder, databaseFile)
}
