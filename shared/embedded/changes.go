package embedded

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// Changes is the feed of changes to licenses, in order, as a DynamoDB stream is on AWS. A change stays in it until it
// is removed, also across a restart.
type Changes struct {
	db    *bbolt.DB
	added chan struct{}
	limit atomic.Uint64 // zero: no limit

	mu      sync.Mutex
	removed chan struct{} // closed with the next removal
}

func newChanges(db *bbolt.DB) *Changes {
	return &Changes{db: db, added: make(chan struct{}, 1), removed: make(chan struct{})}
}

// Change is one change of a stored license.
type Change struct {
	SequenceNumber uint64        `json:"-"` // from 1
	LicenseID      string        `json:"licenseid"`
	Time           time.Time     `json:"time"`
	Old            attribute.Map `json:"old"` // null where the license did not exist
	New            attribute.Map `json:"new"` // null where it no longer exists
}

// Added returns a channel that receives after changes were added, once or more for all of them together.
func (c *Changes) Added() <-chan struct{} { return c.added }

func (c *Changes) signal() {
	select {
	case c.added <- struct{}{}:
	default: // the last signal still waits for its receiver, who will see this change too
	}
}

// Oldest returns up to limit changes, from the oldest on.
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

// Remove removes changes. Those that are not there do not matter.
func (c *Changes) Remove(ctx context.Context, changes []Change) error {
	err := write(ctx, c.db, func(tx *bbolt.Tx) (refusal, err error) {
		for _, change := range changes {
			if err := tx.Bucket(changesBucket).Delete(bigEndian(change.SequenceNumber)); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.removed)
	c.removed = make(chan struct{})
	return nil
}

// Length returns the number of changes in the feed. Where some were removed between others, they still count.
func (c *Changes) Length() (length uint64, err error) {
	err = c.db.View(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(changesBucket).Cursor()
		if oldest, _ := cursor.First(); oldest != nil {
			newest, _ := cursor.Last()
			length = binary.BigEndian.Uint64(newest) - binary.BigEndian.Uint64(oldest) + 1
		}
		return nil
	})
	return length, err
}

// Limit makes writes of licenses wait while the feed has that length. It can exceed it by the number of writes at once.
// Only whoever reads the feed may set a limit: without a reader writes would wait in vain. Reads never wait.
func (c *Changes) Limit(length uint64) { c.limit.Store(length) }

// busyReserve is the part of a write's time that is kept to report that it waited in vain.
const busyReserve = time.Second

// waitForRoom waits until the feed is shorter than its limit. It returns license.ErrBusy when the context's time is
// almost over.
func (c *Changes) waitForRoom(ctx context.Context) error {
	limit := c.limit.Load()
	if limit == 0 {
		return nil
	}
	var timeIsOver <-chan time.Time
	for {
		removed := c.nextRemoval() // before Length, so that no removal is missed
		length, err := c.Length()
		if err != nil || length < limit {
			return err
		}
		if deadline, bounded := ctx.Deadline(); bounded && timeIsOver == nil {
			timer := time.NewTimer(time.Until(deadline) - busyReserve)
			defer timer.Stop()
			timeIsOver = timer.C
		}
		select {
		case <-removed:
			continue
		case <-timeIsOver:
		case <-ctx.Done():
		}
		return fmt.Errorf("%w: %d changes are not recorded in the audit trail yet", license.ErrBusy, length)
	}
}

// nextRemoval returns a channel that is closed with the next removal.
func (c *Changes) nextRemoval() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.removed
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
