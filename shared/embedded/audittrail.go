package embedded

import (
	"bytes"
	"context"

	"go.etcd.io/bbolt"

	"openlicenser/shared/audit"
)

// AuditTrail is the audit.Store in a data folder.
type AuditTrail struct{ db *database }

var _ audit.Store = (*AuditTrail)(nil)

// Head implements audit.Store.
func (s *AuditTrail) Head(ctx context.Context, licenseID string) (head audit.Head, err error) {
	if err := ctx.Err(); err != nil {
		return audit.Head{}, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		head, err = readHead(tx, licenseID)
		return err
	})
	return head, err
}

// Append implements audit.Store.
func (s *AuditTrail) Append(ctx context.Context, from audit.Head, e audit.Entry) error {
	if e.Sequence < 1 {
		return audit.ErrNoSequence
	}
	return write(ctx, s.db, func(tx *bbolt.Tx) (refusal, err error) {
		head, err := readHead(tx, e.LicenseID)
		if err != nil {
			return nil, err
		}
		key := entryKey(e.LicenseID, e.Sequence)
		if head != from || tx.Bucket(auditBucket).Get(key) != nil {
			return audit.ErrConflict, nil
		}
		if err := putJSON(tx.Bucket(auditBucket), key, e); err != nil {
			return nil, err
		}
		return nil, putJSON(tx.Bucket(chainHeadsBucket), chainHeadKey(e.LicenseID), from.After(e))
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
		prefix := entryPrefix(licenseID)
		cursor := tx.Bucket(auditBucket).Cursor()
		key, value := cursor.Seek(entryKey(licenseID, after+1))
		for ; bytes.HasPrefix(key, prefix) && len(entries) < limit; key, value = cursor.Next() {
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

func readHead(tx *bbolt.Tx, licenseID string) (head audit.Head, err error) {
	_, err = getJSON(tx.Bucket(chainHeadsBucket), chainHeadKey(licenseID), &head)
	return head, err
}

func entryPrefix(licenseID string) []byte { return []byte(licenseID + "\x00") }

func entryKey(licenseID string, sequence int64) []byte {
	return append(entryPrefix(licenseID), bigEndian(uint64(sequence))...)
}
