package embedded_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/bbolt"

	"openlicenser/shared/attribute"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

// folderOf600 makes a folder of as many licenses, which are several pages of the check, and returns the last of them.
// It holds as many references of others. Its data file has no page that is not in use, so all damage in it matters.
func folderOf600(t *testing.T) (path string, last license.License) {
	t.Helper()
	path = t.TempDir()
	folder := open(t, path)
	var records []attribute.Map
	for range 600 {
		last = licensetest.Issue(t)
		records = append(records, last.Record())
	}
	if err := errors.Join(folder.Licenses.Fill(records), folder.Close()); err != nil {
		t.Fatal(err)
	}
	editBuckets(t, path, func(tx *bbolt.Tx) (err error) {
		for i := range 600 {
			key := fmt.Appendf(nil, "order-%06d", i)
			err = errors.Join(err, tx.Bucket([]byte("references")).Put(key, embedded.Seal(key, []byte(`"an id"`))))
		}
		return err
	})
	compacted := filepath.Join(path, "compacted")
	from, errFrom := bbolt.Open(dataFile(path), 0o600, &bbolt.Options{NoSync: true})
	to, errTo := bbolt.Open(compacted, 0o600, &bbolt.Options{NoSync: true})
	if err := errors.Join(errFrom, errTo); err != nil {
		t.Fatal(err)
	}
	err := errors.Join(bbolt.Compact(to, from, 0), from.Close(), to.Close(), os.Rename(compacted, dataFile(path)),
		os.Remove(dataFile(path)+".sha256"))
	if err != nil {
		t.Fatal(err)
	}
	return path, last
}

func copyFolder(t *testing.T, path string) (copied string) {
	t.Helper()
	copied = t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(path)); err != nil {
		t.Fatal(err)
	}
	return copied
}

func dataFile(path string) string { return filepath.Join(path, "licenser.db") }

// enlarge makes the data file too large to be checked at once. What it adds is not in use, and not on the disk.
func enlarge(t *testing.T, path string) {
	t.Helper()
	if err := os.Truncate(dataFile(path), embedded.CheckedAtOpen+1); err != nil {
		t.Fatal(err)
	}
}

func editBytes(t *testing.T, path string, edit func(content []byte)) {
	t.Helper()
	content, err := os.ReadFile(dataFile(path))
	if err != nil {
		t.Fatal(err)
	}
	edit(content)
	if err := os.WriteFile(dataFile(path), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func editBuckets(t testing.TB, path string, edit func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(dataFile(path), 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(edit), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// replace replaces a text, which is in one place of the file, with another of its length.
func replace(t *testing.T, content []byte, old, updated string) {
	t.Helper()
	if found := bytes.Count(content, []byte(old)); found != 1 {
		t.Fatalf("%q is in the file %d times", old, found)
	}
	copy(content[bytes.Index(content, []byte(old)):], updated)
}

// findBranch returns the branch page of the references, from the second of its elements on. An element of bbolt's has
// 16 bytes: where its key lies, counted from the element, how long it is, and the number of the page that begins with
// it.
func findBranch(t *testing.T, content []byte) (element []byte) {
	t.Helper()
	const headerSize, elementSize, branch = 16, 16, 1
	pageSize := os.Getpagesize()
	for page := content[2*pageSize:]; len(page) >= pageSize; page = page[pageSize:] {
		flags, count := binary.NativeEndian.Uint16(page[8:]), binary.NativeEndian.Uint16(page[10:])
		if flags == branch && count > 2 && bytes.Contains(page[:pageSize], []byte("order-")) {
			return page[headerSize+elementSize:]
		}
	}
	t.Fatal("there is no branch page")
	return nil
}

// TestCheck: of a large file, Open reads little, Check finds every damage, and what works without a server does not
// begin.
func TestCheck(t *testing.T) {
	inBytes := func(edit func(t *testing.T, content []byte, last license.License)) func(
		*testing.T, string, license.License,
	) {
		return func(t *testing.T, path string, last license.License) {
			editBytes(t, path, func(content []byte) { edit(t, content, last) })
		}
	}
	inIndex := func(edit func(index *bbolt.Bucket, key []byte) error) func(*testing.T, string, license.License) {
		return func(t *testing.T, path string, last license.License) {
			editBuckets(t, path, func(tx *bbolt.Tx) error {
				index := tx.Bucket([]byte(license.ByExpiry.Name))
				key, _ := index.Cursor().Last()
				return edit(index, bytes.Clone(key))
			})
		}
	}
	sound, last := folderOf600(t)
	for name, test := range map[string]struct {
		damage func(t *testing.T, path string, last license.License)
		want   string
	}{
		"value": {inBytes(func(t *testing.T, content []byte, last license.License) {
			replace(t, content, `"licenseid":{"S":"`+last.ID, `"licenseid":{"S":"x`+last.ID[1:])
		}), "a checksum does not hold"},
		"key": {inBytes(func(t *testing.T, content []byte, _ license.License) {
			replace(t, content, "order-000599", "order-00059;") // which is still behind the one before
		}), "references: a checksum does not hold"},
		"index entry": {inIndex(func(index *bbolt.Bucket, key []byte) error {
			value := bytes.Clone(index.Get(key))
			value[len(value)-1] ^= 1
			return index.Put(key, value)
		}), "expiry: a checksum does not hold"},
		"missing index entry": {
			inIndex(func(index *bbolt.Bucket, key []byte) error { return index.Delete(key) }),
			"licenses: a license is missing in the index expiry",
		},
		"index entry of no license": {inIndex(func(index *bbolt.Bucket, key []byte) error {
			key = append(key[:len(key)-1], 'x')
			return index.Put(key, embedded.Seal(key, key[len(key)-len("0199d1a2-7c3e-7b5a-9d0e-3f2a1b4c5d6e"):]))
		}), "expiry: it names a license that is not there"},
		"index entry of another end": {inIndex(func(index *bbolt.Bucket, key []byte) error {
			_, id, _ := bytes.Cut(key, []byte{0})
			_, id, _ = bytes.Cut(id, []byte{0})
			key = append([]byte("1\x002001-01-01T00:00:00Z\x00"), id...)
			return index.Put(key, embedded.Seal(key, id))
		}), "expiry: it names a license that is not there"},
		"page in place of the next": {inBytes(func(t *testing.T, content []byte, _ license.License) {
			element := findBranch(t, content)
			copy(element[16+8:32], element[8:16]) // their numbers
		}), "references: keys out of order"},
		"key of a branch": {inBytes(func(t *testing.T, content []byte, _ license.License) {
			element := findBranch(t, content)
			position, size := binary.NativeEndian.Uint32(element), binary.NativeEndian.Uint32(element[4:])
			element[position+size-1]++ // its first entry is now on the page before
		}), "references: a key is not where it is looked for"},
		"number of a page": {inBytes(func(t *testing.T, content []byte, _ license.License) {
			element := findBranch(t, content)
			binary.NativeEndian.PutUint64(element[8:], 1<<20)
		}), "is damaged ("},
	} {
		t.Run(name, func(t *testing.T) {
			path := copyFolder(t, sound)
			test.damage(t, path, last)
			enlarge(t, path)
			wantDamage := func(err error) {
				t.Helper()
				if err == nil || !strings.Contains(err.Error(), dataFile(path)+" is damaged (") ||
					!strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("got %v, want %q in it", err, test.want)
				}
			}
			folder := open(t, path)
			wantDamage(folder.Check(t.Context()))
			if err := folder.Close(); err != nil {
				t.Fatal(err)
			}
			if folder, err := embedded.OpenExisting(t.Context(), path); err != nil {
				wantDamage(err)
			} else {
				folder.Close()
				t.Error("OpenExisting opens it")
			}
			if _, closeFile, err := embedded.ReadRecords(t.Context(), path); err != nil {
				wantDamage(err)
			} else {
				closeFile()
				t.Error("ReadRecords opens it")
			}
		})
	}
}

// TestCheckOfCutFile: that the end of a large file is missing is found when it is opened.
func TestCheckOfCutFile(t *testing.T) {
	path, _ := folderOf600(t)
	editBuckets(t, path, func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("plans")).Put([]byte("large"), make([]byte, embedded.CheckedAtOpen+1<<20))
	})
	if err := os.Truncate(dataFile(path), embedded.CheckedAtOpen+1); err != nil {
		t.Fatal(err)
	}
	if folder, err := embedded.Open(path); err == nil {
		folder.Close()
		t.Error("opened")
	} else if !strings.Contains(err.Error(), "bytes): restore it from a copy") {
		t.Errorf("got %v", err)
	}
}

// TestCheckWhileWriting: a sound file passes while licenses come, change and go.
func TestCheckWhileWriting(t *testing.T) {
	path, _ := folderOf600(t)
	enlarge(t, path)
	folder := open(t, path)
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for ctx.Err() == nil {
				l := licensetest.Issue(t)
				revoked := licensetest.Revoke(t, l, "why")
				err := errors.Join(folder.Licenses.Create(t.Context(), l),
					folder.Licenses.Update(t.Context(), l, revoked), folder.Licenses.Remove(t.Context(), revoked))
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 5 {
		if err := folder.CheckAgain(t.Context()); err != nil {
			t.Error(err)
		}
	}
	stop()
	writers.Wait()
	if err := folder.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("when the context has ended: %v", err)
	}
}

// TestReader: that there is no license is certain only when the file was checked.
func TestReader(t *testing.T) {
	path, last := folderOf600(t)
	enlarge(t, path)
	folder := open(t, path)
	if _, err := folder.Reader().Get(t.Context(), "none"); err == nil || errors.Is(err, license.ErrNotFound) {
		t.Errorf("before the check: %v", err)
	}
	if got, err := folder.Reader().Get(t.Context(), last.ID); err != nil || licensetest.Diff(last, got) != "" {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := folder.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := folder.Reader().Get(t.Context(), "none"); !errors.Is(err, license.ErrNotFound) {
		t.Errorf("after the check: %v", err)
	}
}

// TestDigestOfLargeFile: the digest that Close leaves is of the head alone, where it finds what bbolt does not.
func TestDigestOfLargeFile(t *testing.T) {
	sound, last := folderOf600(t)
	for name, test := range map[string]struct {
		at   func(content []byte, last license.License) int64
		want string
	}{
		"meta page": {
			func([]byte, license.License) int64 { return int64(os.Getpagesize()) + 64 }, "it is not as it was left",
		},
		"license": {func(content []byte, last license.License) int64 {
			return int64(bytes.Index(content, []byte(`"licenseid":{"S":"`+last.ID)))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			path, at := copyFolder(t, sound), int64(0)
			editBytes(t, path, func(content []byte) { at = test.at(content, last) })
			enlarge(t, path)
			if err := open(t, path).Close(); err != nil {
				t.Fatal(err)
			}
			file, err := os.OpenFile(dataFile(path), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = file.WriteAt([]byte{'!'}, at)
			if err := errors.Join(err, file.Close()); err != nil {
				t.Fatal(err)
			}
			folder, err := embedded.Open(path)
			if err == nil {
				folder.Close()
			}
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
