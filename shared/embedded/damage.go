package embedded

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"

	"go.etcd.io/bbolt"
)

// digestSuffix names the file with the SHA-256 of the data file, which is there from Close to the next Open. It finds
// every damage in between, also one in pages on which bbolt would panic where nobody can recover. After a crash there
// is no digest, and what is stored is checked without it.
const digestSuffix = ".sha256"

// writeDigest writes the digest of the data file. It waits for a write that has begun, and lets none begin while it
// reads.
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

// checkDigest returns an error unless the data file is as Close left it, or there is no digest.
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

func damaged(path string, why error) error {
	return fmt.Errorf("data file %s is damaged (%w): "+
		"restore it from a copy, or move the whole folder away to begin anew", path, why)
}

// check reads everything once, so that a damage is found before the first request and not by it. Keys must ascend,
// which also ends a walk in a circle, and every checksum must hold.
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

// seal returns the value behind a checksum of key and value.
func seal(key, value []byte) []byte {
	sealed := binary.BigEndian.AppendUint32(make([]byte, 0, checksumSize+len(value)), checksum(key, value))
	return append(sealed, value...)
}

// unseal returns the value, or an error where key or value are not what was sealed.
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
