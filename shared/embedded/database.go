package embedded

import (
	"context"
	"sync"

	"go.etcd.io/bbolt"
)

// database is the bbolt file of a folder. It keeps account of the transactions that are under way, which Scrub needs:
// all reads go through View, and all writes through write.
type database struct {
	*bbolt.DB

	// writing is held for reading during each write. Who holds it for writing is the only one who writes.
	writing sync.RWMutex

	mu      sync.Mutex
	reading *sync.WaitGroup // the reads that have begun since the last waitForReads

	scrubbing chan struct{} // receives when there may be something to scrub
}

func newDatabase(db *bbolt.DB) *database {
	return &database{DB: db, reading: new(sync.WaitGroup), scrubbing: make(chan struct{}, 1)}
}

// View runs view in a read-only transaction, as bbolt's method does.
func (db *database) View(view func(tx *bbolt.Tx) error) error {
	db.mu.Lock()
	reading := db.reading
	reading.Add(1)
	db.mu.Unlock()
	defer reading.Done()
	return db.DB.View(view)
}

// waitForReads waits until the reads that have begun have ended. It holds up none that begins.
func (db *database) waitForReads() {
	db.mu.Lock()
	begun := db.reading
	db.reading = new(sync.WaitGroup)
	db.mu.Unlock()
	begun.Wait()
}

// write runs change in a transaction. Under load it shares the transaction with other writes, and one write to disk
// then makes all of them durable. A change that returns a refusal has written nothing. A refusal is no error of the
// transaction, which would undo the others' changes too.
func write(ctx context.Context, db *database, change func(tx *bbolt.Tx) (refusal, err error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	db.writing.RLock()
	defer db.writing.RUnlock()
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

// notify sends to a channel with room for one. Where a signal still waits for its receiver, that one will do.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
