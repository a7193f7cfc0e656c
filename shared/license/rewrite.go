package license

import (
	"context"
	"maps"
	"slices"
	"time"

	"openlicenser/shared/attribute"
)

// RestoreActor is the actor of what was restored from the audit trail.
const RestoreActor = "openlicenser-restore"

// Rewrite makes a stored record what somebody has written down of it elsewhere. Other than an Update it can concern
// attributes that the domain does not know, and it can put a record again or remove it.
type Rewrite struct {
	// Set and Remove are what changes. Where there is no record, Set is all of the new one.
	Set    attribute.Map
	Remove []string

	// Expected are the attributes that the rewrite follows from, as they are. A nil stands for one that is absent or
	// NULL. A nil Expected stands for no record.
	Expected attribute.Map

	Removes bool   // the record goes
	Takes   string // the reference that leads to the license from then on; empty: none
	Frees   string // the reference that no longer does; empty: none
}

// Rewriter rewrites stored records.
type Rewriter interface {
	// Rewrite writes the record with the id, and references, in one moment. It returns ErrConflict, and changes
	// nothing, if the stored record does not meet Expected any more, is gone, or is there against it. A
	// *ReferenceTakenError says that another license has the reference that the rewrite takes; nothing is changed
	// then. One that another license has is not freed.
	Rewrite(ctx context.Context, id string, w Rewrite) error
}

// deciding are the attributes that a rewrite goes by, whatever it changes.
var deciding = []string{
	attrVersion, attrChanged, AttrRequestID, AttrRevoked, AttrSuspended, attrDeleted, AttrErased,
}

// NewRewrite returns what makes a record another one. A nil stands for no record. The new record gets the version, the
// stamps of the change, and its index attributes; issued is the latest that it can have been issued.
func NewRewrite(before, after attribute.Map, version int64, c Change, issued time.Time) (Rewrite, error) {
	if after == nil {
		return Rewrite{Removes: true, Expected: expectedOf(before, nil)}, nil
	}
	wanted := maps.Clone(after)
	delete(wanted, attrPutBack) // it tells of a stream that may be another one now
	maps.Copy(wanted, attribute.Map{
		attrVersion: versionNumber(version), attrChanged: millis(c.At), attrChangedBy: c.By,
		attrChangeReason: c.Reason, AttrRequestID: c.RequestID,
	})
	l, err := FromRecord(wanted)
	if err != nil {
		return Rewrite{}, err
	}
	maps.DeleteFunc(wanted, func(name string, _ any) bool { return slices.Contains(IndexAttributes, name) })
	if !isTombstone(wanted) {
		maps.Copy(wanted, indexOf(l, issued))
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(before)), maps.Keys(wanted))
	w := Rewrite{}
	w.Set, w.Remove = difference(before, wanted, slices.Compact(slices.Sorted(slices.Values(names))))
	if before != nil {
		w.Expected = expectedOf(before, slices.AppendSeq(slices.Clone(w.Remove), maps.Keys(w.Set)))
	}
	w.Takes, _ = wanted[AttrReference].(string)
	if IsErasure(before, wanted) {
		w.Frees, _ = before[AttrReference].(string)
	}
	return w, nil
}

// isTombstone reports whether a record is that of a Tombstone, which has no index attributes.
func isTombstone(record attribute.Map) bool {
	for name := range record {
		if !slices.Contains(tombstone, name) {
			return false
		}
	}
	return IsMarked(record)
}

// expectedOf returns the attributes of the record that decide, and the named ones.
func expectedOf(record attribute.Map, names []string) attribute.Map {
	expected := attribute.Map{}
	for _, name := range slices.Concat(deciding, names) {
		if !slices.Contains(IndexAttributes, name) {
			expected[name] = record[name]
		}
	}
	return expected
}

// Apply returns the record as rewritten, and nil for none.
func (w Rewrite) Apply(record attribute.Map) attribute.Map {
	if w.Removes {
		return nil
	}
	if record == nil {
		record = attribute.Map{}
	}
	return Amendment{Set: w.Set, Remove: w.Remove}.Apply(record)
}

// WithoutReference returns the rewrite without the reference that it takes, which another license has.
func (w Rewrite) WithoutReference() Rewrite {
	w.Set = maps.Clone(w.Set)
	delete(w.Set, AttrReference)
	w.Takes = ""
	return w
}

// Marked returns the record as Delete marks it: revoked, and to be removed.
func Marked(record attribute.Map) attribute.Map {
	marked := maps.Clone(record)
	marked[AttrRevoked], marked[attrDeleted] = true, true
	return marked
}

// IsMarked reports whether a record is marked for removal.
func IsMarked(record attribute.Map) bool { return record[attrDeleted] == true }

// IsRestored reports whether a record is as a restoration has written it last.
func IsRestored(record attribute.Map) bool { return record[attrChangedBy] == RestoreActor }

// IsRefusal reports whether an attribute is a flag that ends or stops the use of a license.
func IsRefusal(name string) bool {
	return name == AttrRevoked || name == AttrSuspended || name == attrDeleted
}
