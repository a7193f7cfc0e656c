package audit

import (
	"encoding/json"

	"openlicenser/shared/attribute"
)

// Replay makes the changes of a chain again.
type Replay struct {
	// Values are those of the record, as far as the entries disclose them: canonical DynamoDB JSON, or a commitment, or
	// a Digest. They are nil where there is no record.
	Values map[string]json.RawMessage

	// IsTold says that the entries so far tell all attributes of the record.
	IsTold bool
}

// NewReplay returns the replay of a chain without entries.
func NewReplay() *Replay { return &Replay{IsTold: true} }

// Apply makes the next entry's changes. A late entry tells of a record that was changed again since, and has none.
func (r *Replay) Apply(e Entry) {
	if e.Late {
		return
	}
	switch {
	case e.Action == Deleted:
		r.Values, r.IsTold = nil, true
		return
	case e.Action == Issued:
		r.Values, r.IsTold = map[string]json.RawMessage{}, true
	case e.Gap, e.Adopted:
		r.IsTold = false
	}
	if r.Values == nil {
		r.Values = map[string]json.RawMessage{}
	}
	for name, change := range e.Changes {
		if change.New == nil {
			delete(r.Values, name)
		} else {
			r.Values[name] = change.New
		}
	}
}

// Matches reports whether a stored record is as the replay tells it. A value that is not disclosed matches any.
func (r *Replay) Matches(record attribute.Map) (bool, error) {
	stored, err := imageOf(record, nil)
	if err != nil || !r.IsTold || (stored.values == nil) != (r.Values == nil) || len(stored.values) != len(r.Values) {
		return false, err
	}
	for name, told := range r.Values {
		if !Fits(told, stored.values[name]) {
			return false, nil
		}
	}
	return true, nil
}

// LeftBy returns the sequence of the latest entry that has left the record as it is stored, or 0.
func LeftBy(entries []Entry, record attribute.Map) (sequence int64, err error) {
	r := NewReplay()
	for _, e := range entries {
		r.Apply(e)
		isLeft, err := r.Matches(record)
		if err != nil {
			return 0, err
		}
		if isLeft && !e.Late {
			sequence = e.Sequence
		}
	}
	return sequence, nil
}
