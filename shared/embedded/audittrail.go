package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"iter"

	"go.etcd.io/bbolt"

	"openlicenser/shared/audit"
)

// AuditTrail is the audit.Store in a data folder.
type AuditTrail struct{ db *database }

var _ audit.Store = (*AuditTrail)(nil)

// State implements audit.Store.
func (s *AuditTrail) State(ctx context.Context, licenseID string) (state audit.State, err error) {
	if err := ctx.Err(); err != nil {
		return audit.State{}, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		state, err = readState(tx, licenseID)
		return err
	})
	return state, err
}

// Append implements audit.Store.
func (s *AuditTrail) Append(ctx context.Context, from audit.Head, e audit.Entry, to audit.State) error {
	if e.Sequence < 1 {
		return audit.ErrNoSequence
	}
	return write(ctx, s.db, func(tx *bbolt.Tx) (refusal, err error) {
		state, err := readState(tx, e.LicenseID)
		if err != nil {
			return nil, err
		}
		key := entryKey(e.LicenseID, e.Sequence)
		if state.Head != from || tx.Bucket(auditBucket).Get(key) != nil {
			return audit.ErrConflict, nil
		}
		if err := putJSON(tx.Bucket(auditBucket), key, e.Closed()); err != nil {
			return nil, err
		}
		if d, isAny := e.Disclosure(); isAny {
			if err := putJSON(tx.Bucket(disclosuresBucket), key, d); err != nil {
				return nil, err
			}
		}
		return nil, putJSON(tx.Bucket(chainHeadsBucket), chainHeadKey(e.LicenseID), to)
	})
}

// Entries implements audit.Store.
func (s *AuditTrail) Entries(
	ctx context.Context, licenseID string, after int64, limit int,
) (entries []audit.Entry, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		for key, value := range entriesFrom(tx.Bucket(auditBucket), licenseID, after+1) {
			if len(entries) == limit {
				return nil
			}
			var e audit.Entry
			if err := unmarshalSealed(key, value, &e); err != nil {
				return err
			}
			entries = append(entries, e)
		}
		return nil
	})
	return entries, err
}

// Disclosures implements audit.Store.
func (s *AuditTrail) Disclosures(
	ctx context.Context, licenseID string, first, last int64,
) (disclosures []audit.Disclosure, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		for key, value := range entriesFrom(tx.Bucket(disclosuresBucket), licenseID, first) {
			d := audit.Disclosure{Sequence: sequenceIn(key)}
			if d.Sequence > last {
				return nil
			}
			if err := unmarshalSealed(key, value, &d); err != nil {
				return err
			}
			disclosures = append(disclosures, d)
		}
		return nil
	})
	return disclosures, err
}

// Forget implements audit.Store.
func (s *AuditTrail) Forget(ctx context.Context, licenseID string, before int64) error {
	return write(ctx, s.db, func(tx *bbolt.Tx) (refusal, err error) {
		bucket := tx.Bucket(disclosuresBucket)
		var forgotten [][]byte
		for key := range entriesFrom(bucket, licenseID, 0) {
			if sequenceIn(key) < before {
				forgotten = append(forgotten, bytes.Clone(key))
			}
		}
		if len(forgotten) == 0 {
			return nil, nil
		}
		for _, key := range forgotten {
			if err := bucket.Delete(key); err != nil {
				return nil, err
			}
		}
		return nil, s.db.markScrub(tx)
	})
}

func readState(tx *bbolt.Tx, licenseID string) (state audit.State, err error) {
	_, err = getJSON(tx.Bucket(chainHeadsBucket), chainHeadKey(licenseID), &state)
	return state, err
}

// entriesFrom returns the keys and values of a chain's entries, or of what they disclose, from a sequence on.
func entriesFrom(bucket *bbolt.Bucket, licenseID string, first int64) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		prefix := entryPrefix(licenseID)
		cursor := bucket.Cursor()
		key, value := cursor.Seek(entryKey(licenseID, first))
		for bytes.HasPrefix(key, prefix) && yield(key, value) {
			key, value = cursor.Next()
		}
	}
}

// sequenceIn returns the sequence in a key that entryKey has returned.
func sequenceIn(key []byte) int64 { return int64(binary.BigEndian.Uint64(key[len(key)-8:])) }

func entryPrefix(licenseID string) []byte { return []byte(licenseID + "\x00") }

func entryKey(licenseID string, sequence int64) []byte {
	return append(entryPrefix(licenseID), bigEndian(uint64(sequence))...)
}
