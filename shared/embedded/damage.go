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

// checkedAtOpen is the size of the largest data file that is checked whole before it is used, which takes a second or
// two. Of a larger one Open checks what takes no longer the more licenses there are, and Folder.Check the rest.
const checkedAtOpen = 64 << 20

// isLarge reports whether a data file is too large to be checked whole when it is opened.
func isLarge(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() > checkedAtOpen
}

// digestSuffix names the file with the SHA-256 of the data file, which is there from Close to the next Open. It finds
// every damage in between, also one in pages on which bbolt would panic where nobody can recover. After a crash there
// is no digest, and what is stored is checked without it.
//
// The digest of a large file is of its head alone. It finds another file in its place, and damage to the newest meta
// page, at which bbolt would go back to the state before the last write.
const digestSuffix = ".sha256"

// headPrefix is what the digest of a head begins with.
const headPrefix = "head "

// headSize is the length of a head: two meta pages of up to 64 KiB.
const headSize = 128 << 10

// writeDigest writes the digest of the data file. It waits for a write that has begun, and lets none begin while it
// reads.
func writeDigest(db *database) error {
	tx, err := db.Begin(true)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	prefix := ""
	if isLarge(db.Path()) {
		prefix = headPrefix
	}
	digest, err := fileDigest(db.Path(), prefix)
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
	prefix := ""
	if bytes.HasPrefix(want, []byte(headPrefix)) {
		prefix = headPrefix
	}
	got, err := fileDigest(path, prefix)
	if err != nil {
		return err
	}
	if got != string(want) {
		return fmt.Errorf("data file %s is damaged (it is not as it was left): restore it from a copy; "+
			"if you have replaced it yourself, remove %s", path, path+digestSuffix)
	}
	return nil
}

// fileDigest returns the prefix and the digest of what it stands for: of the head, or without one of the whole file.
func fileDigest(path, prefix string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	content := io.Reader(file)
	if prefix == headPrefix {
		content = io.LimitReader(file, headSize)
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, content); err != nil {
		return "", err
	}
	return prefix + hex.EncodeToString(hash.Sum(nil)), nil
}

func damaged(path string, why error) error {
	return fmt.Errorf("data file %s is damaged (%w): "+
		"restore it from a copy, or move the whole folder away to begin anew", path, why)
}

// checkSize returns an error where the end of the data file is missing.
func checkSize(db *database, path string) error {
	return db.View(func(tx *bbolt.Tx) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return fmt.Errorf("%d of %d bytes", info.Size(), tx.Size())
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
