package embedded

import (
	"bytes"
	"context"
	"time"

	"go.etcd.io/bbolt"

	"openlicenser/shared/idempotency"
)

// Idempotency is the idempotency.Store in a data folder.
type Idempotency struct{ db *database }

var _ idempotency.Store = (*Idempotency)(nil)

// Put implements idempotency.Store. Each put also removes a few expired records. One that is still there counts as
// absent.
func (s *Idempotency) Put(
	ctx context.Context, r idempotency.Record, now time.Time,
) (existing *idempotency.Record, err error) {
	err = write(ctx, s.db, func(tx *bbolt.Tx) (refusal, err error) {
		if err := removeExpired(tx, now); err != nil {
			return nil, err
		}
		if existing, err = readIdempotency(tx, r.Key); err != nil {
			return nil, err
		}
		if existing != nil && !isExpired(*existing, now) {
			return nil, nil
		}
		if existing != nil {
			if err := removeIdempotency(tx, expiryKey(*existing), []byte(r.Key)); err != nil {
				return nil, err
			}
			existing = nil
		}
		if err := putJSON(tx.Bucket(idempotencyBucket), []byte(r.Key), r); err != nil {
			return nil, err
		}
		return nil, tx.Bucket(idempotencyExpiryBucket).Put(expiryKey(r), seal(expiryKey(r), nil))
	})
	return existing, err
}

// TakeOver implements idempotency.Store.
func (s *Idempotency) TakeOver(ctx context.Context, key string, from, to time.Time) error {
	return write(ctx, s.db, func(tx *bbolt.Tx) (refusal, err error) {
		r, err := readIdempotency(tx, key)
		if err != nil {
			return nil, err
		}
		if r == nil || r.Response != nil || !r.LeaseEnds.Equal(from) {
			return idempotency.ErrInFlight, nil
		}
		r.LeaseEnds = to
		return nil, putJSON(tx.Bucket(idempotencyBucket), []byte(key), r)
	})
}

// Complete implements idempotency.Store.
func (s *Idempotency) Complete(ctx context.Context, key string, a idempotency.Response) error {
	return write(ctx, s.db, func(tx *bbolt.Tx) (refusal, err error) {
		r, err := readIdempotency(tx, key)
		switch {
		case err != nil:
			return nil, err
		case r == nil || r.Fingerprint == "":
			return idempotency.ErrGone, nil
		}
		r.Response = &a
		return nil, putJSON(tx.Bucket(idempotencyBucket), []byte(key), r)
	})
}

// Release implements idempotency.Store.
func (s *Idempotency) Release(ctx context.Context, key string) error {
	return write(ctx, s.db, func(tx *bbolt.Tx) (refusal, err error) {
		r, err := readIdempotency(tx, key)
		if r == nil || err != nil {
			return nil, err
		}
		return nil, removeIdempotency(tx, expiryKey(*r), []byte(key))
	})
}

// Forget implements idempotency.Store. It goes through all records, which are those of a day.
func (s *Idempotency) Forget(ctx context.Context, licenseID, except string) error {
	return write(ctx, s.db, func(tx *bbolt.Tx) (refusal, err error) {
		var found []idempotency.Record
		bucket := tx.Bucket(idempotencyBucket)
		err = bucket.ForEach(func(key, value []byte) error {
			var r idempotency.Record
			if err := unmarshalSealed(key, value, &r); err != nil {
				return err
			}
			if r.LicenseID == licenseID && r.Key != except {
				found = append(found, r)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, r := range found { // behind the loop, in which nothing may be written
			r.Fingerprint, r.Response = "", nil
			if err := putJSON(bucket, []byte(r.Key), r); err != nil {
				return nil, err
			}
		}
		return nil, s.db.markScrub(tx)
	})
}

// maxRemoved bounds how many records one put removes. It is more than a put adds, so that the bucket does not grow
// without end.
const maxRemoved = 10

// isExpired reports whether the second in which the record expires is over.
func isExpired(r idempotency.Record, now time.Time) bool { return r.Expires.Unix() < now.Unix() }

func removeExpired(tx *bbolt.Tx, now time.Time) error {
	until := bigEndian(uint64(now.Unix()))
	cursor := tx.Bucket(idempotencyExpiryBucket).Cursor()
	for range maxRemoved {
		key, _ := cursor.First()
		if key == nil || bytes.Compare(key[:len(until)], until) >= 0 {
			return nil
		}
		if err := removeIdempotency(tx, bytes.Clone(key), bytes.Clone(key[len(until):])); err != nil {
			return err
		}
	}
	return nil
}

func removeIdempotency(tx *bbolt.Tx, expiry, key []byte) error {
	if err := tx.Bucket(idempotencyExpiryBucket).Delete(expiry); err != nil {
		return err
	}
	return tx.Bucket(idempotencyBucket).Delete(key)
}

func expiryKey(r idempotency.Record) []byte {
	return append(bigEndian(uint64(r.Expires.Unix())), r.Key...)
}

func readIdempotency(tx *bbolt.Tx, key string) (r *idempotency.Record, err error) {
	_, err = getJSON(tx.Bucket(idempotencyBucket), []byte(key), &r)
	return r, err
}
