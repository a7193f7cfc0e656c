package embedded

import (
	"bytes"
	"context"
	"errors"
	"log/slog"

	"go.etcd.io/bbolt"

	"openlicenser/shared/license"
)

// List implements license.Store.
func (s *Licenses) List(ctx context.Context, q license.Query) (page license.Page, err error) {
	if err := ctx.Err(); err != nil {
		return license.Page{}, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		page, err = q.List(ctx,
			func(ctx context.Context, r license.Range, position string, limit int) ([]license.License, string, error) {
				return listRange(ctx, tx, q, r, position, limit)
			})
		return err
	})
	return page, err
}

// listRange lists a part of an index. A position is the key of the last license that was read.
func listRange(
	ctx context.Context, tx *bbolt.Tx, q license.Query, r license.Range, position string, limit int,
) (licenses []license.License, next string, err error) {
	walk := newWalk(tx.Bucket([]byte(r.Index.Name)).Cursor(), r, position)
	for range license.MaxReads * limit {
		if walk.key == nil || len(licenses) == limit {
			break
		}
		id, err := unseal(walk.key, walk.value)
		if err != nil {
			return nil, "", err
		}
		l, err := readLicense(tx, string(id))
		if errors.Is(err, license.ErrUnreadable) {
			slog.WarnContext(ctx, "a record that cannot be read is in a list", "licenseid", string(id), "error", err)
			l, err = license.Damaged(string(id)), nil
		}
		if err != nil {
			return nil, "", err
		}
		if q.Matches(l) {
			licenses = append(licenses, l)
		}
		next = string(walk.key)
		walk.advance()
	}
	if walk.key == nil {
		next = ""
	}
	return licenses, next, nil
}

// walk goes through a range of an index.
type walk struct {
	cursor     *bbolt.Cursor
	from, to   []byte // both inclusive
	descending bool
	key, value []byte // nil at the end
}

// afterAll sorts behind every text, because UTF-8 never has this byte.
const afterAll = "\xFF"

// newWalk begins behind the position, or at the begin of the range where there is none.
func newWalk(cursor *bbolt.Cursor, r license.Range, position string) *walk {
	w := &walk{
		cursor: cursor, descending: r.Descending,
		from: indexBound(r.Partition, r.From), to: append(indexBound(r.Partition, r.To), afterAll...),
	}
	begin := w.from
	if w.descending {
		begin = w.to
	}
	isBefore, isBehind := position < string(w.from), position > string(w.to)
	switch {
	case position == "":
	case isBefore && w.descending, isBehind && !w.descending:
		return w // the bounds have moved past the position
	case !isBefore && !isBehind:
		begin = []byte(position)
	}
	w.key, w.value = cursor.Seek(begin)
	switch {
	case w.descending && w.key == nil:
		w.key, w.value = cursor.Last()
	case w.descending, string(w.key) == position:
		w.step()
	}
	w.end()
	return w
}

func (w *walk) advance() {
	w.step()
	w.end()
}

func (w *walk) step() {
	if w.descending {
		w.key, w.value = w.cursor.Prev()
	} else {
		w.key, w.value = w.cursor.Next()
	}
}

// end ends the walk outside of the range.
func (w *walk) end() {
	if bytes.Compare(w.key, w.from) < 0 || bytes.Compare(w.key, w.to) > 0 {
		w.key = nil
	}
}
