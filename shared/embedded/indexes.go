package embedded

import (
	"time"

	"go.etcd.io/bbolt"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// Each index of package license is a bucket of its name. A key is the partition, a zero byte, the sort key, another
// one, and the license id, which is also the value. As in DynamoDB the keys come from the stored index attributes, and
// a record without them is not in the index.

// indexKeys returns a record's key in each index.
func indexKeys(id string, record attribute.Map) map[string][]byte {
	keys := map[string][]byte{}
	for _, index := range license.Indexes {
		partition, _ := record[index.Partition].(string)
		sort, _ := record[index.Sort].(string)
		if partition != "" && sort != "" {
			keys[index.Name] = append(indexBound(partition, sort), "\x00"+id...)
		}
	}
	return keys
}

// indexBound returns what the keys of a partition that have the sort key begin with.
func indexBound(partition, sort string) []byte { return []byte(partition + "\x00" + sort) }

// reindex moves a license in the indexes. A nil stands for no record.
func reindex(tx *bbolt.Tx, id string, old, updated attribute.Map) error {
	before, after := indexKeys(id, old), indexKeys(id, updated)
	for _, index := range license.Indexes {
		bucket, from, to := tx.Bucket([]byte(index.Name)), before[index.Name], after[index.Name]
		if string(from) == string(to) {
			continue
		}
		if from != nil {
			if err := bucket.Delete(from); err != nil {
				return err
			}
		}
		if to != nil {
			if err := bucket.Put(to, seal(to, []byte(id))); err != nil {
				return err
			}
		}
	}
	return nil
}

// The indexes of files that were made before records had index attributes.
var earlierIndexes = []string{"customers", "expiries", "standings"}

// openIndexes makes the indexes that the file of an earlier version lacks, and gives its records their index
// attributes.
func openIndexes(tx *bbolt.Tx) error {
	complete := true
	for _, index := range license.Indexes {
		complete = complete && tx.Bucket([]byte(index.Name)) != nil
		if _, err := tx.CreateBucketIfNotExists([]byte(index.Name)); err != nil {
			return err
		}
	}
	if complete {
		return nil
	}
	for _, name := range earlierIndexes {
		if err := tx.DeleteBucket([]byte(name)); err != nil && tx.Bucket([]byte(name)) != nil {
			return err
		}
	}
	ids, err := licenseIDs(tx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		record, err := readRecord(tx, id)
		if err != nil {
			return err
		}
		adopted := license.Adopt(record, time.Now()).Apply(record)
		if err := putJSON(tx.Bucket(licensesBucket), []byte(id), adopted); err != nil {
			return err
		}
		if err := reindex(tx, id, nil, adopted); err != nil {
			return err
		}
	}
	return nil
}

func licenseIDs(tx *bbolt.Tx) (ids []string, err error) {
	if tx.Bucket(licensesBucket) == nil {
		return nil, nil // a new file
	}
	err = tx.Bucket(licensesBucket).ForEach(func(key, _ []byte) error {
		ids = append(ids, string(key))
		return nil
	})
	return ids, err
}
