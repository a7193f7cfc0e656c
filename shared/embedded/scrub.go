package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"

	"go.etcd.io/bbolt"
)

// What is erased must not stay in the file. But bbolt never writes over what is stored: a changed page goes to another
// place, and the one before becomes free, with all that it holds. So whoever erases sets a mark in the same
// transaction, and Scrub overwrites all pages that hold nothing any more:
//
//  1. It commits a transaction, and waits until the reads that began before have ended. From then on every page that
//     was given up by the time of the mark may be used again. Until then bbolt keeps those that a read can see.
//  2. It puts filler into buckets until no page is free. bbolt writes whole pages, with zeros behind their content. So
//     each page that was free is overwritten, by filler or by another write. Pages that are given up meanwhile hold
//     nothing that was erased.
//  3. It removes the filler, and then the mark unless there is a newer one.
//
// Nothing but bbolt writes to the file. The filler is on disk before the mark goes, so a crash leaves a mark, and the
// next Scrub goes on. Until it is removed the filler is like any other data, and other writes come between.
var (
	scrubBucket  = []byte("scrub")  // "mark" → mark as JSON; empty where there is nothing to scrub
	fillerPrefix = []byte("filler") // of the buckets of a scrub, behind it the transaction: number (8 bytes) → zeros
)

var markKey = []byte("mark")

// mark says that pages which hold nothing any more may show what was erased.
type mark struct {
	Number uint64 `json:"number"` // from 1, another with each erasure
	Change uint64 `json:"change"` // the last change in the feed by then: up to there it may hold what was erased
}

// markScrub is part of a transaction that erases, after all else that it does. Where the transaction changes a
// license, the feed holds what was before, so a scrub waits until the change is removed.
func (db *database) markScrub(tx *bbolt.Tx) error {
	number, err := tx.Bucket(scrubBucket).NextSequence()
	if err != nil {
		return err
	}
	tx.OnCommit(func() { notify(db.scrubbing) })
	return putJSON(tx.Bucket(scrubBucket), markKey, mark{number, tx.Bucket(changesBucket).Sequence()})
}

// AwaitScrub waits until there is something for Scrub to do.
func (f *Folder) AwaitScrub(ctx context.Context) error {
	for {
		removed := f.Changes.nextRemoval() // before the look, so that no removal is missed
		_, isDue, err := f.dueScrub()
		if isDue || err != nil {
			return err
		}
		select {
		case <-f.db.scrubbing:
		case <-removed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Scrub overwrites what is left in the data file of values that were erased. It does nothing where none were, while
// the feed holds a change that is older, and before a large file has passed Check. After an error it is to be called
// again, with this Folder or another of the same path. Only one call may be under way. Reads and other writes go on.
func (f *Folder) Scrub(ctx context.Context) error {
	m, isDue, err := f.dueScrub()
	if !isDue || err != nil {
		return err
	}
	end, err := f.db.beginScrub()
	if err != nil {
		return err
	}
	f.db.waitForReads()
	if err := f.db.fill(ctx, end); err != nil {
		return errors.Join(err, f.db.endScrub(mark{})) // without the filler there is room for other writes again
	}
	return f.db.endScrub(m)
}

// dueScrub returns the mark, and reports whether there is one and it is time to scrub.
func (f *Folder) dueScrub() (m mark, isDue bool, err error) {
	if f.unchecked.Load() {
		return mark{}, false, nil
	}
	err = f.db.View(func(tx *bbolt.Tx) error {
		found, err := getJSON(tx.Bucket(scrubBucket), markKey, &m)
		oldest, _ := tx.Bucket(changesBucket).Cursor().First()
		isDue = found && (oldest == nil || binary.BigEndian.Uint64(oldest) > m.Change)
		return err
	})
	return m, isDue, err
}

// beginScrub commits the first transaction of a scrub. It returns up to where the file must be overwritten. That may be
// behind the pages that bbolt knows: a write that failed, or was cut off by a crash, leaves something there.
func (db *database) beginScrub() (end int64, err error) {
	err = db.Update(func(tx *bbolt.Tx) (err error) {
		end, err = lastWritten(db.Path(), tx.Size())
		return err
	})
	return end, err
}

// lastWritten returns where the last byte of a file ends that is not zero, or from where there is none behind it.
func lastWritten(path string, from int64) (end int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		return 0, err
	}
	end = from
	for chunk := make([]byte, 64<<10); ; {
		n, err := file.Read(chunk)
		if written := bytes.TrimRight(chunk[:n], "\x00"); len(written) > 0 {
			end = from + int64(len(written))
		}
		from += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			return end, nil
		case err != nil:
			return 0, err
		}
	}
}

// fillSize is about how many bytes of pages one transaction fills. The transaction holds them in memory, and holds up
// other writes.
var fillSize = 4 << 20

// fill puts filler into buckets until no page is free, and all up to end are in use. Other writes take turns with it,
// but no more often than what is free at the beginning needs. So it ends however many pages they free.
func (db *database) fill(ctx context.Context, end int64) error {
	db.writing.Lock()
	defer db.writing.Unlock()
	pageSize := db.Info().PageSize
	most := max(1, fillSize/pageSize)
	for turns := math.MaxInt; ; turns-- {
		if err := ctx.Err(); err != nil {
			return err
		}
		free, pending, err := db.freePages(end, pageSize)
		if err != nil {
			return err
		}
		// What the transaction needs besides comes from the same pages. Where it needs less than this leaves to it, the
		// next ones fill page by page. So the file does not grow.
		left := free + pending
		pages := max(1, min(most, left-left/32-8))
		if err := db.Update(func(tx *bbolt.Tx) error { return putFiller(tx, pages, pageSize) }); err != nil {
			return err
		}
		// Pending pages are of the writes since waitForReads, so they hold nothing that was erased.
		if free, _, err = db.freePages(end, pageSize); free == 0 || err != nil {
			return err
		}
		if turns = min(turns, left/most); turns > 0 {
			db.writing.Unlock()
			db.writing.Lock() // which lets the writes that wait go first
		}
	}
}

// freePages returns how many pages are free, as of the last write, or lie up to end behind those that bbolt knows, and
// how many will be free for the next write unless a read sees them. No write may be under way.
func (db *database) freePages(end int64, pageSize int) (free, pending int, err error) {
	err = db.DB.View(func(tx *bbolt.Tx) error {
		behind := max(0, int(end-tx.Size())+pageSize-1) / pageSize
		free, pending = db.Stats().FreePageN+behind, db.Stats().PendingPageN
		return nil
	})
	return free, pending, err
}

// putFiller adds a bucket of entries that take a number of pages at least, each of them alone. bbolt splits what does
// not fit into a page: after two entries at the earliest, and then where the page is half full. It never splits four.
// So a quarter of a page each makes two in a page, and three or four in the last.
func putFiller(tx *bbolt.Tx, pages, pageSize int) error {
	bucket, err := tx.CreateBucket(append(bytes.Clone(fillerPrefix), bigEndian(uint64(tx.ID()))...))
	if err != nil {
		return err
	}
	const overhead = 64 // of an entry: more than key, checksum and what bbolt adds
	zeros := make([]byte, pageSize/4-overhead)
	for number := range 2*pages + 2 {
		key := bigEndian(uint64(number))
		if err := bucket.Put(key, seal(key, zeros)); err != nil {
			return err
		}
	}
	return nil
}

// endScrub removes the filler, a bucket in each transaction, and then the mark if it is still the one that is done. It
// begins with the last bucket, whose pages are the most likely to lie side by side: the list of free pages, which gets
// longer, goes into such alone.
func (db *database) endScrub(done mark) error {
	for isOver := false; !isOver; {
		err := db.Update(func(tx *bbolt.Tx) error {
			if last := lastFiller(tx); last != nil {
				return tx.DeleteBucket(last)
			}
			isOver = true
			var m mark
			if found, err := getJSON(tx.Bucket(scrubBucket), markKey, &m); !found || err != nil || m != done {
				return err
			}
			return tx.Bucket(scrubBucket).Delete(markKey)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lastFiller returns the name of the last bucket of filler, or nil where there is none.
func lastFiller(tx *bbolt.Tx) (last []byte) {
	cursor := tx.Cursor()
	for name, _ := cursor.Seek(fillerPrefix); bytes.HasPrefix(name, fillerPrefix); name, _ = cursor.Next() {
		last = name
	}
	return last
}
