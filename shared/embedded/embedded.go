// Package embedded is the ports on one folder on disk, for running the service with nothing but Go: a bbolt
// file holds the licenses, the feed of their changes and the audit trail, and two files beside it hold the
// keys. One process at a time has the folder.
package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

const databaseFile = "licenser.db"

// The buckets of the file.
var (
	licensesBucket   = []byte("licenses")   // license id → record as DynamoDB JSON
	customersBucket  = []byte("customers")  // customer id, 0, license id → nothing
	changesBucket    = []byte("changes")    // sequence number (8 bytes, big-endian) → change as JSON
	auditBucket      = []byte("audit")      // license id, 0, sequence (8 bytes) → entry as JSON
	auditHeadsBucket = []byte("auditheads") // license id → head as JSON

	idempotencyBucket       = []byte("idempotency")       // key → record as JSON
	idempotencyExpiryBucket = []byte("idempotencyexpiry") // Unix seconds (8 bytes), key → nothing
)

// Folder is an open data folder.
type Folder struct {
	Licenses   *Licenses
	AuditTrail *AuditTrail
	Changes    *Changes
	Secrets    Secrets
	SigningKey *SigningKey

	Idempotency *Idempotency

	db *bbolt.DB
}

// batchDelay is how long a write waits for others to share its transaction with.
const batchDelay = time.Millisecond

// lockTimeout is how long Open waits for another process that has the folder.
const lockTimeout = time.Second

// Open opens the folder, and makes it with all that it holds where it does not exist. An error names the file
// and what is wrong with it.
func Open(folder string) (*Folder, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	secrets, err := openSecret(filepath.Join(folder, "license-key-secret.json"))
	if err != nil {
		return nil, err
	}
	key, err := openSigningKey(filepath.Join(folder, "token-key.pem"))
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder, databaseFile)
	db, err := openDatabase(path)
	if err != nil {
		return nil, err
	}
	changes := &Changes{db: db, added: make(chan struct{}, 1)}
	return &Folder{
		Licenses:   &Licenses{db: db, changes: changes},
		AuditTrail: &AuditTrail{db: db},
		Changes:    changes,
		Secrets:    secrets,
		SigningKey: key,

		Idempotency: &Idempotency{db: db},

		db: db,
	}, nil
}

// Close waits for running transactions and gives the folder free.
func (f *Folder) Close() error { return f.db.Close() }

func openDatabase(path string) (db *bbolt.DB, err error) {
	// A damaged file can lead bbolt to read outside of the mapped file, or to panic: both become errors.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			db, err = nil, damaged(path, fmt.Errorf("%v", v))
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout})
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("data file %s: another process has it open", path)
	case errors.Is(err, bbolterrors.ErrInvalid), errors.Is(err, bbolterrors.ErrChecksum), errors.Is(err, bbolterrors.ErrVersionMismatch):
		return nil, damaged(path, err)
	case err != nil:
		return nil, fmt.Errorf("data file %s: %w", path, err)
	}
	db.MaxBatchDelay = batchDelay
	if err := check(db, path); err != nil {
		return nil, errors.Join(damaged(path, err), db.Close())
	}
	return db, db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{licensesBucket, customersBucket, changesBucket, auditBucket, auditHeadsBucket,
			idempotencyBucket, idempotencyExpiryBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return fmt.Errorf("data file %s: %w", path, err)
			}
		}
		return nil
	})
}

func damaged(path string, why error) error {
	return fmt.Errorf("data file %s is damaged (%w): restore it from a copy, or move it away to begin anew", path, why)
}

// check reads everything once: a damage is found before the first request, not by it.
func check(db *bbolt.DB, path string) error {
	return db.View(func(tx *bbolt.Tx) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return fmt.Errorf("%d of %d bytes", info.Size(), tx.Size())
		}
		return tx.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
			return bucket.ForEach(func(key, value []byte) error {
				if len(value) > 0 && !json.Valid(value) {
					return fmt.Errorf("%s: a value is not JSON", name)
				}
				return nil
			})
		})
	})
}

// write runs change in a transaction of its own or, under load, in one that it shares with others: one
// write to disk then makes them all durable. A refusal is a definite answer of change, which has then written
// nothing; it must not be an error of the transaction, which would undo the others' changes.
func write(ctx context.Context, db *bbolt.DB, change func(tx *bbolt.Tx) (refusal, err error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var refusal error
	err := db.Batch(func(tx *bbolt.Tx) (err error) {
		refusal, err = change(tx)
		return err
	})
	if err != nil {
		return err
	}
	return refusal
}
