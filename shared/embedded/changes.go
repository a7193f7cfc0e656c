package embedded

import (
	"context"
	"encoding/binary"
	"time"

	"go.etcd.io/bbolt"

	"openlicenser/shared/attribute"
)

// Changes is the feed of changes to licenses, in order: what a DynamoDB stream is on AWS. A change stays in it
// until it is removed, also across a restart.
type Changes struct {
	db    *bbolt.DB
	added chan struct{}
}

// Change is one change of a stored license.
type Change struct {
	SequenceNumber uint64        `json:"-"` // from 1
	LicenseID      string        `json:"licenseid"`
	Time           time.Time     `json:"time"`
	Old            attribute.Map `json:"old"` // null where the license did not exist
	New            attribute.Map `json:"new"` // null where it no longer exists
}

// Added receives after changes were added, at least once for all of them together.
func (c *Changes) Added() <-chan struct{} { return c.added }

func (c *Changes) signal() {
	select {
	case c.added <- struct{}{}:
	default: // the receiver has not come for the last signal yet, and will see this change too
	}
}

// Oldest answers up to limit changes, from the oldest on.
func (c *Changes) Oldest(ctx context.Context, limit int) (changes []Change, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = c.db.View(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(changesBucket).Cursor()
		for key, value := cursor.First(); key != nil && len(changes) < limit; key, value = cursor.Next() {
			change := Change{SequenceNumber: binary.BigEndian.Uint64(key)}
			if err := unmarshalSealed(key, value, &change); err != nil {
				return err
			}
			changes = append(changes, change)
		}
		return nil
	})
	return changes, err
}

// RemoveBefore removes the changes whose sequence number is less than the given one.
func (c *Changes) RemoveBefore(ctx context.Context, sequenceNumber uint64) error {
	return write(ctx, c.db, func(tx *bbolt.Tx) (refusal, err error) {
		cursor := tx.Bucket(changesBucket).Cursor()
		for key, _ := cursor.First(); key != nil && binary.BigEndian.Uint64(key) < sequenceNumber; key, _ = cursor.First() {
			if err := cursor.Delete(); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
}

func appendChange(tx *bbolt.Tx, change Change) error {
	bucket := tx.Bucket(changesBucket)
	sequence, err := bucket.NextSequence()
	if err != nil {
		return err
	}
	return putJSON(bucket, bigEndian(sequence), change)
}

func bigEndian(number uint64) []byte { return binary.BigEndian.AppendUint64(nil, number) }
