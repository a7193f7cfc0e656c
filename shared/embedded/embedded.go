// Package embedded keeps in one folder on disk what the service keeps on AWS, so that it runs with nothing but Go. It
// implements the ports of packages license, audit, checkpoint, idempotency and token, as far as one process on one
// machine needs them.
//
// A bbolt file holds the licenses with their indexes, the feed of their changes, the plans, the audit trail and the
// idempotency records. Files beside it hold the keys, and a folder the checkpoints. One process at a time opens the
// folder. The package knows neither AWS nor HTTP.
package embedded

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"openlicenser/shared/plainjson"
)

const databaseFile = "licenser.db"

// The buckets of the file. Each value is behind a checksum: see seal.
var (
	licensesBucket   = []byte("licenses")   // license id → record as DynamoDB JSON
	referencesBucket = []byte("references") // reference → license id
	devicesBucket    = []byte("devices")    // license id → seats as JSON
	plansBucket      = []byte("plans")      // name → record as DynamoDB JSON
	changesBucket    = []byte("changes")    // sequence number (8 bytes, big-endian) → change as JSON
	auditBucket      = []byte("audit")      // license id, 0, sequence (8 bytes) → entry as JSON
	chainHeadsBucket = []byte("chainheads") // bucket (2 bytes), license id → end of the chain as JSON

	disclosuresBucket = []byte("disclosures") // license id, 0, sequence (8 bytes) → what the entry discloses as JSON

	idempotencyBucket       = []byte("idempotency")       // key → record as JSON
	idempotencyExpiryBucket = []byte("idempotencyexpiry") // Unix seconds (8 bytes), key → nothing
)

// Folder is an open data folder.
type Folder struct {
	Licenses   *Licenses
	Devices    *Devices
	Plans      *Plans
	AuditTrail *AuditTrail
	Changes    *Changes
	Secrets    *Secrets
	SigningKey *SigningKey

	Idempotency *Idempotency

	db        *database
	unchecked atomic.Bool // see Check
}

// batchDelay is how long a write waits for others to share its transaction with.
const batchDelay = time.Millisecond

// lockTimeout is how long Open waits for another process that has the folder open.
const lockTimeout = time.Second

// Open opens the folder. Where there is none it makes one with all that it holds. An error names the file and what is
// wrong with it. Open does not read all of a large data file: whoever opens the folder calls Check afterwards.
//
// Keys are made for a new folder only, because other keys would refuse every license key that was issued. So a key that
// is missing beside licenses is an error, and so is a data file that is missing beside keys.
func Open(folder string) (*Folder, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	path := filepath.Join(folder, databaseFile)
	secretPath, keyPath := filepath.Join(folder, secretFile), filepath.Join(folder, tokenKeyFile)
	if isEmpty(path) && (!isEmpty(secretPath) || !isEmpty(keyPath)) {
		return nil, fmt.Errorf("data file %s is missing or empty, but the keys of earlier licenses are there: "+
			"restore it from a copy, or move the whole folder away to begin anew", path)
	}
	db, err := openDatabase(path)
	if err != nil {
		return nil, err
	}
	isNew, err := isWithoutLicenses(db)
	if err != nil {
		return nil, errors.Join(damaged(path, err), db.Close())
	}
	secrets, errSecret := openSecrets(secretPath, isNew)
	key, errKey := openSigningKey(folder, isNew)
	if err := cmp.Or(errSecret, errKey); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	changes := newChanges(db)
	f := &Folder{
		Licenses:   &Licenses{db: db, changes: changes},
		Devices:    &Devices{db: db},
		Plans:      &Plans{db: db},
		AuditTrail: &AuditTrail{db: db},
		Changes:    changes,
		Secrets:    secrets,
		SigningKey: key,

		Idempotency: &Idempotency{db: db},

		db: db,
	}
	f.unchecked.Store(isLarge(path))
	return f, nil
}

// OpenExisting opens a folder that holds data already, and checks it whole. Any other folder is an error.
func OpenExisting(ctx context.Context, folder string) (*Folder, error) {
	if isEmpty(filepath.Join(folder, databaseFile)) {
		return nil, errNoData(folder)
	}
	f, err := Open(folder)
	if err != nil {
		return nil, err
	}
	if err := f.Check(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func isEmpty(path string) bool {
	info, err := os.Stat(path)
	return err != nil || info.Size() == 0
}

func isWithoutLicenses(db *database) (without bool, err error) {
	err = viewSuspect(db, func(tx *bbolt.Tx) error {
		key, _ := tx.Bucket(licensesBucket).Cursor().First()
		without = key == nil
		return nil
	})
	return without, err
}

// Close writes the digest of the data file, and lets another process open the folder. All writers must have ended,
// Check and Scrub too.
func (f *Folder) Close() error {
	if f.db.Path() == "" {
		return nil // closed already
	}
	// The digest comes first: closing gives up the lock, and another process may change the file at once.
	err := writeDigest(f.db)
	return errors.Join(err, f.db.Close())
}

func openDatabase(path string) (db *database, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer closeDamaged(path, &db, &err)
	db, err = openChecked(path, &bbolt.Options{Timeout: lockTimeout})
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path + digestSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, db.Close())
	}
	db.MaxBatchDelay = batchDelay
	return db, db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{licensesBucket, referencesBucket, devicesBucket, plansBucket, changesBucket,
			auditBucket, chainHeadsBucket, disclosuresBucket, idempotencyBucket, idempotencyExpiryBucket,
			scrubBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return fmt.Errorf("data file %s: %w", path, err)
			}
		}
		return openIndexes(tx)
	})
}

// openChecked opens a data file that is as it was left, and whole. Of a large one it checks what takes no longer the
// larger the file is: the meta pages, the list of free pages and the size.
func openChecked(path string, options *bbolt.Options) (db *database, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer closeDamaged(path, &db, &err)
	if err := checkDigest(path); err != nil {
		return nil, err
	}
	opened, err := bbolt.Open(path, 0o600, options)
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("data file %s: another process has it open", path)
	case errors.Is(err, bbolterrors.ErrInvalid), errors.Is(err, bbolterrors.ErrChecksum),
		errors.Is(err, bbolterrors.ErrVersionMismatch):
		return nil, damaged(path, err)
	case err != nil:
		return nil, fmt.Errorf("data file %s: %w", path, err)
	}
	db = newDatabase(opened)
	if err := checkSize(db, path); err != nil {
		return nil, errors.Join(damaged(path, err), db.Close())
	}
	if isLarge(path) {
		return db, nil
	}
	if err := checkWhole(context.Background(), db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// closeDamaged is deferred where bbolt reads a file that may be damaged. That can lead it to read outside of the mapped
// file, or to panic: both become errors.
func closeDamaged(path string, db **database, err *error) {
	v := recover()
	if v == nil {
		return
	}
	*err = damaged(path, fmt.Errorf("%v", v))
	if *db != nil {
		*err = errors.Join(*err, (*db).Close())
	}
	*db = nil
}

func putJSON(bucket *bbolt.Bucket, key []byte, v any) error {
	text, err := plainjson.Marshal(v)
	if err != nil {
		return err
	}
	return bucket.Put(key, seal(key, text))
}

// getJSON reads the value of key into v, and reports whether there was one.
func getJSON(bucket *bbolt.Bucket, key []byte, v any) (found bool, err error) {
	sealed := bucket.Get(key)
	if sealed == nil {
		return false, nil
	}
	return true, unmarshalSealed(key, sealed, v)
}

func unmarshalSealed(key, sealed []byte, v any) error {
	text, err := unseal(key, sealed)
	if err != nil {
		return err
	}
	if self, can := v.(json.Unmarshaler); can { // package json would read the text once more, to find its end
		return self.UnmarshalJSON(text)
	}
	return json.Unmarshal(text, v)
}
