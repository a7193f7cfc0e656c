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
	path := filepath.Join(folder, databaseFile)
	if isEmpty(path) {
		return nil, nil, errNoData(folder)
	}
	db, err := openChecked(path, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true})
	if err != nil {
		return nil, nil, err
	}
	if isLarge(path) {
		if err := checkWhole(ctx, db); err != nil {
			return nil, nil, errors.Join(err, db.Close())
		}
	}
	return &Licenses{db: db, changes: newChanges(db)}, db.Close, nil
}

func errNoData(folder string) error {
	return fmt.Errorf("%s is no data folder: there is no %s in it", folder, databaseFile)
}
