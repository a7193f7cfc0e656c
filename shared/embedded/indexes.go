package embedded

import (
	"bytes"
	"fmt"
	"strings"

	"go.etcd.io/bbolt"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

var indexBuckets = [][]byte{customersBucket, expiriesBucket, standingsBucket}

// indexKeys returns a record's key in each index bucket: what the index is sorted by, then the license id. A record
// that an index cannot hold has no key in it.
func indexKeys(id string, record attribute.Map) map[string][]byte {
	keys := map[string][]byte{}
	if customer, isText := record[license.AttrCustomerID].(string); isText {
		keys[string(customersBucket)] = indexKey(customer, id)
	}
	if l, err := license.FromRecord(record); err == nil && l.IsReadable() {
		date := license.FormatDate(l.ExpirationDate)
		keys[string(expiriesBucket)] = indexKey(date, id)
		keys[string(standingsBucket)] = indexKey(string(l.Standing()), date, id)
	}
	return keys
}

func indexKey(parts ...string) []byte { return []byte(strings.Join(parts, "\x00")) }

// licenseIDOf returns the last part of an index key.
func licenseIDOf(key []byte) string { return string(key[bytes.LastIndexByte(key, 0)+1:]) }

// reindex moves a license in the indexes. A nil stands for no record.
func reindex(tx *bbolt.Tx, id string, old, updated attribute.Map) error {
	for bucket, key := range indexKeys(id, old) {
		if err := tx.Bucket([]byte(bucket)).Delete(key); err != nil {
			return err
		}
	}
	for bucket, key := range indexKeys(id, updated) {
		if err := tx.Bucket([]byte(bucket)).Put(key, seal(key, nil)); err != nil {
			return err
		}
	}
	return nil
}

// openIndexes makes the indexes that the file of an earlier version lacks.
func openIndexes(tx *bbolt.Tx) error {
	complete := true
	for _, name := range indexBuckets {
		complete = complete && tx.Bucket(name) != nil
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	if complete {
		return nil
	}
	return tx.Bucket(licensesBucket).ForEach(func(key, _ []byte) error {
		record, err := readRecord(tx, string(key))
		if err != nil {
			return err
		}
		return reindex(tx, string(key), nil, record)
	})
}

// checkIndexes returns an error unless the indexes name all licenses and nothing else.
func checkIndexes(tx *bbolt.Tx) error {
	licenses := tx.Bucket(licensesBucket)
	if licenses == nil {
		return nil // a new file
	}
	want := map[string]int{}
	err := licenses.ForEach(func(key, _ []byte) error {
		record, err := readRecord(tx, string(key))
		if err != nil {
			return err
		}
		for bucket, indexKey := range indexKeys(string(key), record) {
			if index := tx.Bucket([]byte(bucket)); index != nil && index.Get(indexKey) == nil {
				return fmt.Errorf("a license is missing in the index %s", bucket)
			}
			want[bucket]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, bucket := range indexBuckets {
		if index := tx.Bucket(bucket); index != nil && index.Inspect().KeyN != want[string(bucket)] {
			return fmt.Errorf("the index %s names a license that is not there", bucket)
		}
	}
	return nil
}
