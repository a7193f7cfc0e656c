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
	db    *database
	added chan struct{}
	limit atomic.Uint64 // zero: no limit

	// writers has a slot for each write between its look at the length and the end of its transaction. Without a bound
	// all writes would pass the look before the first of them has ended, and the audit trail's would wait behind them.
	writers chan struct{}

	mu      sync.Mutex
	removed chan struct{} // closed with the next removal
}

func newChanges(db *database) *Changes {
	return &Changes{
		db:      db,
		added:   make(chan struct{}, 1),
		writers: make(chan struct{}, MaxWriters),
		removed: make(chan struct{}),
	}
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

func (c *Changes) signal() { notify(c.added) }

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
func (c *Changes) Length() (uint64, error) {
	oldest, newest, err := c.ends()
	if newest == 0 {
		return 0, err
	}
	return newest - oldest + 1, err
}

// ends returns the sequence numbers of the oldest and the newest change in the feed, zeros where it is empty.
func (c *Changes) ends() (oldest, newest uint64, err error) {
	err = c.db.View(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(changesBucket).Cursor()
		if first, _ := cursor.First(); first != nil {
			last, _ := cursor.Last()
			oldest, newest = binary.BigEndian.Uint64(first), binary.BigEndian.Uint64(last)
		}
		return nil
	})
	return oldest, newest, err
}

// WaitRecorded waits until every change that is in the feed now was removed. It does not wait for later ones.
func (c *Changes) WaitRecorded(ctx context.Context) error {
	_, last, err := c.ends()
	if err != nil {
		return err
	}
	for {
		removed := c.nextRemoval() // before ends, so that no removal is missed
		oldest, _, err := c.ends()
		if err != nil || oldest == 0 || oldest > last {
			return err
		}
		select {
		case <-removed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// MaxWriters bounds the writes of licenses that are under way. Further ones wait for their turn.
const MaxWriters = 256

// Limit makes writes of licenses wait while the feed has that length. It exceeds it by MaxWriters at most. Only whoever
// reads the feed may set a limit: without a reader writes would wait in vain. Reads never wait.
func (c *Changes) Limit(length uint64) { c.limit.Store(length) }

// busyReserve is the part of a write's time that is kept to report that it waited in vain.
const busyReserve = time.Second

// acquire waits until fewer than MaxWriters writes are under way and the feed is shorter than its limit. Whoever writes
// calls release afterwards. Acquire returns license.ErrBusy when the context's time is almost over.
func (c *Changes) acquire(ctx context.Context) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var timeIsOver <-chan time.Time
	if deadline, bounded := ctx.Deadline(); bounded {
		timer := time.NewTimer(time.Until(deadline) - busyReserve)
		defer timer.Stop()
		timeIsOver = timer.C
	}
	if !c.waitForTurn(ctx, timeIsOver) {
		return nil, fmt.Errorf("%w: %d changes are under way", license.ErrBusy, MaxWriters)
	}
	release = func() { <-c.writers }
	if err := c.waitForRoom(ctx, timeIsOver); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// waitForTurn waits until fewer than MaxWriters writes are under way, and reports whether that came. Where it is so
// already, the time does not matter.
func (c *Changes) waitForTurn(ctx context.Context, timeIsOver <-chan time.Time) bool {
	select {
	case c.writers <- struct{}{}:
		return true
	default:
	}
	select {
	case c.writers <- struct{}{}:
		return true
	case <-timeIsOver:
	case <-ctx.Done():
	}
	return false
}

// waitForRoom waits until the feed is shorter than its limit. It returns license.ErrBusy when the time is over.
func (c *Changes) waitForRoom(ctx context.Context, timeIsOver <-chan time.Time) error {
	limit := c.limit.Load()
	if limit == 0 {
		return nil
	}
	for {
		removed := c.nextRemoval() // before Length, so that no removal is missed
		length, err := c.Length()
		if err != nil || length < limit {
			return err
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
