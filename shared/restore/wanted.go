package restore

import (
	"encoding/json"
	"slices"
	"time"

	"openlicenser/shared/audit"
	"openlicenser/shared/license"
)

// link is how an entry goes with those before it.
type link int

const (
	follows     link = iota // it found the record as the one before had left it
	explained               // as an earlier one had left it: the table had been rolled back
	unexplained             // as no entry tells
)

// wanted is how a record should be by all entries of its chain, one after the other, also where the table had been
// rolled back in between. The later entry decides about what it changes. But what has taken the right to use the
// license away is only taken back by a change of just that, and a customer who was forgotten stays so.
type wanted struct {
	isThere  bool
	isWhole  bool // there are no attributes besides
	isErased bool // the customer was forgotten, maybe before the record was removed
	isTold   bool // entries after that tell of the customer again
	by       int64
	put      time.Time // when the record was put; zero: no entry tells
	values   map[string]wantedValue

	// lost are what the chain says before a gap that is not explained, and what nothing has decided since.
	lost []loss
}

type wantedValue struct {
	value json.RawMessage // as entries tell it; nil: the attribute is absent
	by    int64           // the entry that says so
}

// loss is a revocation, a suspension, a removal or an erasure.
type loss struct {
	what What
	by   int64 // the entry that says so
}

// attributeOf are the attributes that say what was done.
var attributeOf = map[What]string{
	Revoke: license.AttrRevoked, Suspend: license.AttrSuspended, Erase: license.AttrErased,
}

// apply makes an entry's changes.
func (w *wanted) apply(e audit.Entry, l link) {
	lost := slices.DeleteFunc(w.losses(), func(l loss) bool { return decides(e, l.what) })
	w.isTold = e.Action != audit.Erased && w.isErased && (w.isTold || tells(e))
	switch {
	case e.Action == audit.Deleted:
		*w = wanted{by: e.Sequence, isErased: w.isErased, isTold: w.isTold}
	case isPut(e) && (l == follows || w.by > 0 && !w.isThere):
		*w = wanted{isThere: true, isWhole: true, by: e.Sequence}
		w.put, _ = time.Parse(time.RFC3339, e.Time)
		w.set(e)
	case l == unexplained:
		*w = wanted{isThere: true, isWhole: isPut(e), by: e.Sequence, lost: lost}
		w.set(e)
	case w.isThere:
		w.set(e)
		w.lost = slices.DeleteFunc(w.lost, func(l loss) bool { return decides(e, l.what) })
	}
	if e.Action == audit.Erased {
		w.isErased = true
	}
}

// losses returns what would be lost if nothing before were known.
func (w *wanted) losses() []loss {
	lost := slices.Clone(w.lost)
	if !w.isThere && w.by > 0 {
		lost = append(lost, loss{Remove, w.by})
	}
	for what, name := range attributeOf {
		if v := w.values[name]; isTrue(v.value) || what == Erase && v.value != nil {
			lost = append(lost, loss{what, v.by})
		}
	}
	slices.SortFunc(lost, func(a, b loss) int { return int(a.by - b.by) })
	return lost
}

// decides reports whether an entry says what has become of a loss.
func decides(e audit.Entry, what What) bool {
	_, isNamed := e.Changes[attributeOf[what]]
	return isNamed
}

// set takes over an entry's changes.
func (w *wanted) set(e audit.Entry) {
	if w.values == nil {
		w.values = map[string]wantedValue{}
	}
	isErasure := e.Action == audit.Erased
	for name, change := range e.Changes {
		isFinal := w.isErased && !isErasure && isForgotten(name)
		if !isFinal && !(isTrue(w.values[name].value) && takesNothingBack(name, change)) {
			w.values[name] = wantedValue{change.New, e.Sequence}
		}
	}
}

// tells reports whether an entry discloses something about a customer.
func tells(e audit.Entry) bool {
	for name, change := range e.Changes {
		for _, value := range []json.RawMessage{change.Old, change.New} {
			if value == nil || audit.IsStamp(name) || !license.IsPersonal(name) || !audit.IsDisclosed(value) {
				continue
			}
			record, err := audit.Attributes(map[string]json.RawMessage{name: value})
			if err != nil || license.HoldsPersonal(record) {
				return true
			}
		}
	}
	return false
}

// isForgotten reports whether an erasure decides about an attribute, for good.
func isForgotten(name string) bool { return license.IsPersonal(name) || name == license.AttrErased }

// takesNothingBack reports whether a change leaves a flag unset that was not set before either.
func takesNothingBack(name string, change audit.FieldChange) bool {
	return license.IsRefusal(name) && !isTrue(change.Old) && !isTrue(change.New)
}

func isTrue(value json.RawMessage) bool { return string(value) == `{"BOOL":true}` }
