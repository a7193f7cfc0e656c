package embedded

import (
	"context"

	"go.etcd.io/bbolt"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

var _ license.Rewriter = (*Licenses)(nil)

// Rewrite implements license.Rewriter.
func (s *Licenses) Rewrite(ctx context.Context, id string, w license.Rewrite) error {
	return s.write(ctx, func(tx *bbolt.Tx) (refusal, err error) {
		stored, isMet, err := readRewritten(tx, id, w.Expected)
		if err != nil || !isMet {
			return license.ErrConflict, err
		}
		if refusal, err := moveReferences(tx, id, w); refusal != nil || err != nil {
			return refusal, err
		}
		rewritten := w.Apply(stored)
		if err := s.put(tx, id, stored, rewritten); err != nil || !license.IsErasure(stored, rewritten) {
			return nil, err
		}
		return nil, s.db.markScrub(tx)
	})
}

// readRewritten returns the record as it is stored, and whether it is as expected. Nil is for no record.
func readRewritten(tx *bbolt.Tx, id string, expected attribute.Map) (stored attribute.Map, isMet bool, err error) {
	if expected == nil {
		return nil, tx.Bucket(licensesBucket).Get([]byte(id)) == nil, nil
	}
	stored, err = readMeeting(tx, id, expected)
	return stored, stored != nil, err
}

// moveReferences takes and frees what a rewrite says.
func moveReferences(tx *bbolt.Tx, id string, w license.Rewrite) (refusal, err error) {
	if w.Takes != "" {
		if refusal, err := takeReference(tx, w.Takes, id); refusal != nil || err != nil {
			return refusal, err
		}
	}
	if w.Frees == "" {
		return nil, nil
	}
	return nil, freeReference(tx, w.Frees, id)
}
