// Package embedded is the ports on one folder on disk, for running the service with nothing but Go: a bbolt
// file holds the licenses, the feed of their changes and the audit trail, and two files beside it hold the
// keys. One process at a time has the folder.
package embedded

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"openlicenser/shared/plainjson"
)

const databaseFile = "licenser.db"

// The buckets of the file. Each value stands behind a checksum; see seal.
var (
	licensesBucket   = []byte("licenses")   // license id → record as DynamoDB JSON
	customersBucket  = []byte("customers")  // customer id, 0, license id → nothing
	expiriesBucket   = []byte("expiries")   // expiration date, 0, license id → nothing
	standingsBucket  = []byte("standings")  // standing, 0, expiration date, 0, license id → nothing
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
	Secrets    *Secrets
	SigningKey *SigningKey

	Idempotency *Idempotency

	db *bbolt.DB
}

// batchDelay is how long a write waits for others to share its transaction with.
const batchDelay = time.Millisecond

// lockTimeout is how long Open waits for another process that has the folder.
const lockTimeout = time.Second

// Open opens the folder, and makes it with all that it holds where it does not exist. An error names the file
// and what is wrong with it. Keys are made for a new folder only: other keys would refuse every license key that was
// issued, so one that is missing beside licenses is an error, and so is a data file that is missing beside keys.
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
	isNew := isWithoutLicenses(db)
	secrets, errSecret := openSecrets(secretPath, isNew)
	key, errKey := openSigningKey(folder, isNew)
	if err := cmp.Or(errSecret, errKey); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	changes := newChanges(db)
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

// OpenExisting opens a folder that holds data, and makes nothing.
func OpenExisting(folder string) (*Folder, error) {
	if path := filepath.Join(folder, databaseFile); isEmpty(path) {
		return nil, fmt.Errorf("%s is no data folder: there is no %s in it", folder, databaseFile)
	}
	return Open(folder)
}

func isEmpty(path string) bool {
	info, err := os.Stat(path)
	return err != nil || info.Size() == 0
}

func isWithoutLicenses(db *bbolt.DB) (without bool) {
	// View answers what its function answers, which is nil.
	_ = db.View(func(tx *bbolt.Tx) error {
		key, _ := tx.Bucket(licensesBucket).Cursor().First()
		without = key == nil
		return nil
	})
	return without
}

// Close writes down what the data file is left as, and gives the folder free. The caller has ended all that writes.
func (f *Folder) Close() error {
	if f.db.Path() == "" {
		return nil // closed already
	}
	// Before the lock goes with the database: the next process may change the file at once.
	err := writeDigest(f.db)
	return errors.Join(err, f.db.Close())
}

// writeDigest waits for a write that has begun, and lets none begin while it reads.
func writeDigest(db *bbolt.DB) error {
	tx, err := db.Begin(true)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	digest, err := fileDigest(db.Path())
	if err != nil {
		return err
	}
	temporary := db.Path() + digestSuffix + ".new"
	if err := os.WriteFile(temporary, []byte(digest), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, db.Path()+digestSuffix)
}

// digestSuffix names the file that holds the SHA-256 of the data file, from Close to the next Open. It finds every damage
// in between, also one in pages on which bbolt would panic where nobody can recover. After a crash there is none, and
// what is stored is checked without it.
const digestSuffix = ".sha256"

func checkDigest(path string) error {
	want, err := os.ReadFile(path + digestSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	got, err := fileDigest(path)
	if err != nil {
		return err
	}
	if got != string(want) {
		return fmt.Errorf("data file %s is damaged (it is not as it was left): restore it from a copy; "+
			"if you have replaced it yourself, remove %s", path, path+digestSuffix)
	}
	return nil
}

func fileDigest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func openDatabase(path string) (db *bbolt.DB, err error) {
	// A damaged file can lead bbolt to read outside of the mapped file, or to panic: both become errors.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = damaged(path, fmt.Errorf("%v", v))
			if db != nil {
				err = errors.Join(err, db.Close())
			}
			db = nil
		}
	}()
	if err := checkDigest(path); err != nil {
		return nil, err
	}
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
	if err := os.Remove(path + digestSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, db.Close())
	}
	if err := check(db, path); err != nil {
		return nil, errors.Join(damaged(path, err), db.Close())
	}
	return db, db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{licensesBucket, changesBucket, auditBucket, auditHeadsBucket,
			idempotencyBucket, idempotencyExpiryBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return fmt.Errorf("data file %s: %w", path, err)
			}
		}
		return openIndexes(tx)
	})
}

func damaged(path string, why error) error {
	return fmt.Errorf("data file %s is damaged (%w): restore it from a copy, or move the whole folder away to begin anew", path, why)
}

// check reads everything once: a damage is found before the first request, not by it. Keys must ascend, which also ends
// a walk in a circle, and every value carries a checksum.
func check(db *bbolt.DB, path string) error {
	return db.View(func(tx *bbolt.Tx) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return fmt.Errorf("%d of %d bytes", info.Size(), tx.Size())
		}
		if err := tx.ForEach(checkBucket); err != nil {
			return err
		}
		return checkIndexes(tx)
	})
}

func checkBucket(name []byte, bucket *bbolt.Bucket) error {
	var last []byte
	return bucket.ForEach(func(key, value []byte) error {
		if last != nil && bytes.Compare(last, key) >= 0 {
			return fmt.Errorf("%s: keys out of order", name)
		}
		last = key
		_, err := unseal(key, value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

// seal puts a checksum of key and value before the value.
func seal(key, value []byte) []byte {
	sealed := binary.BigEndian.AppendUint32(make([]byte, 0, checksumSize+len(value)), checksum(key, value))
	return append(sealed, value...)
}

// unseal answers the value, or an error where key or value are not what was sealed.
func unseal(key, sealed []byte) ([]byte, error) {
	if len(sealed) < checksumSize || binary.BigEndian.Uint32(sealed) != checksum(key, sealed[checksumSize:]) {
		return nil, errors.New("a checksum does not hold")
	}
	return sealed[checksumSize:], nil
}

const checksumSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

func putJSON(bucket *bbolt.Bucket, key []byte, v any) error {
	text, err := plainjson.Marshal(v)
	if err != nil {
		return err
	}
	return bucket.Put(key, seal(key, text))
}

// getJSON reads into v, and tells whether there was anything to read.
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
	if self, can := v.(json.Unmarshaler); can { // without the pass in which package json looks for the end
		return self.UnmarshalJSON(text)
	}
	return json.Unmarshal(text, v)
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
