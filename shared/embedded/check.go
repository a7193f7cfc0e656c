package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"go.etcd.io/bbolt"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// Check checks what Open has not: all of a large data file. An error that is not the context's names the file and what
// to do. The folder can be used meanwhile. What is stored is behind checksums, so no damaged license is taken for
// another; see Reader for one that is not found.
func (f *Folder) Check(ctx context.Context) error {
	if !f.unchecked.Load() {
		return nil
	}
	if err := checkWhole(ctx, f.db); err != nil {
		return err
	}
	f.unchecked.Store(false)
	notify(f.db.scrubbing)
	return nil
}

// Reader returns the reader of licenses for products, which end at license.ErrNotFound. Damage can hide a license. So
// until a large data file has passed Check, one that is not found is another error.
func (f *Folder) Reader() license.Reader { return certainReader{f} }

type certainReader struct{ folder *Folder }

// Get implements license.Reader.
func (r certainReader) Get(ctx context.Context, id string) (license.License, error) {
	l, err := r.folder.Licenses.Get(ctx, id)
	if errors.Is(err, license.ErrNotFound) && r.folder.unchecked.Load() {
		return license.License{}, errUncertain
	}
	return l, err
}

var errUncertain = errors.New("the license is not found, but the data file is not checked yet")

// checkWhole reads everything once. Keys must ascend, which also ends a walk in a circle. Each key must be found by a
// search for it, each checksum must hold, and the indexes must name all licenses and nothing else.
//
// It reads in transactions of checkPage entries. One that stays open would keep the file from reusing space, and from
// growing. What belongs together is compared within one, so writes can go on.
func checkWhole(ctx context.Context, db *database) error {
	path := db.Path()
	names, err := bucketNames(db)
	if err != nil {
		return damaged(path, err)
	}
	for _, name := range names {
		var last []byte
		for more := true; more; {
			if err := ctx.Err(); err != nil {
				return err
			}
			if last, more, err = checkAfter(db, name, last); err != nil {
				return damaged(path, fmt.Errorf("%s: %w", name, err))
			}
			runtime.Gosched() // requests that wait come first
		}
	}
	return nil
}

func bucketNames(db *database) (names [][]byte, err error) {
	err = viewSuspect(db, func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, _ *bbolt.Bucket) error {
			names = append(names, bytes.Clone(name))
			return nil
		})
	})
	return names, err
}

// checkPage is how many entries are checked in one transaction.
const checkPage = 250

// checkAfter checks a page of a bucket's entries: those behind a key, or the first where it is nil. It returns the key
// of the last, and reports whether there may be more.
func checkAfter(db *database, name, after []byte) (last []byte, more bool, err error) {
	err = viewSuspect(db, func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(name)
		cursor := bucket.Cursor()
		key, value := cursor.First()
		if after != nil {
			key, value = cursor.Seek(append(after, 0)) // the least key that is greater
		}
		last = after
		for n := 0; key != nil && n < checkPage; n++ {
			if last != nil && bytes.Compare(last, key) >= 0 {
				return errors.New("keys out of order")
			}
			if bucket.Get(key) == nil {
				return errors.New("a key is not where it is looked for")
			}
			if err := checkEntry(tx, name, key, value); err != nil {
				return err
			}
			last = key
			key, value = cursor.Next()
		}
		last, more = bytes.Clone(last), key != nil // a key is gone with its transaction
		return nil
	})
	return last, more, err
}

func checkEntry(tx *bbolt.Tx, bucket, key, sealed []byte) error {
	value, err := unseal(key, sealed)
	if err != nil {
		return err
	}
	if string(bucket) == string(licensesBucket) {
		return checkIndexed(tx, string(key))
	}
	for _, index := range license.Indexes {
		if string(bucket) == index.Name {
			return checkIndexEntry(tx, index, key, string(value))
		}
	}
	return nil
}

// checkIndexed returns an error unless the license is in all indexes. A file of an earlier version lacks some, and
// openIndexes makes them.
func checkIndexed(tx *bbolt.Tx, id string) error {
	record, err := readRecord(tx, id)
	if err != nil {
		return err
	}
	for name, key := range indexKeys(id, record) {
		if index := tx.Bucket([]byte(name)); index != nil && index.Get(key) == nil {
			return fmt.Errorf("a license is missing in the index %s", name)
		}
	}
	return nil
}

// checkIndexEntry returns an error unless the license is there, and the key is the one that it has in the index.
func checkIndexEntry(tx *bbolt.Tx, index license.Index, key []byte, id string) error {
	sealed := tx.Bucket(licensesBucket).Get([]byte(id))
	if showsKey(sealed, index, key, id) {
		return nil
	}
	var record attribute.Map
	if sealed != nil {
		if err := unmarshalSealed([]byte(id), sealed, &record); err != nil {
			return err
		}
	}
	if string(indexKeys(id, record)[index.Name]) != string(key) {
		return errors.New("it names a license that is not there")
	}
	return nil
}

// showsKey reports whether the text of a record has the key's partition and sort key. It takes a tenth of the time of
// reading the record. Where it reports false, as for values that JSON escapes, the record must be read.
func showsKey(text []byte, index license.Index, key []byte, id string) bool {
	bound, hasID := bytes.CutSuffix(key, []byte("\x00"+id))
	partition, sort, hasSort := bytes.Cut(bound, []byte{0})
	return hasID && hasSort && showsText(text, index.Partition, partition) && showsText(text, index.Sort, sort)
}

func showsText(text []byte, attribute string, value []byte) bool {
	_, found, _ := bytes.Cut(text, []byte(`"`+attribute+`":{"S":"`))
	rest, has := bytes.CutPrefix(found, value)
	return has && bytes.HasPrefix(rest, []byte(`"}`))
}

// viewSuspect reads from a file that may be damaged. That can lead bbolt to read outside of the mapped file, or to
// panic: both become errors.
func viewSuspect(db *database, view func(tx *bbolt.Tx) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	return db.View(view)
}
