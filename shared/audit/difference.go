package audit

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Difference is the change of an attribute, as people read it. An empty text stands for none.
type Difference struct{ Attribute, Old, New string }

// stamps are the attributes that each change changes. An entry tells the same in members of its own.
var stamps = []string{"version", "changedtimestamp", "changedby", "changereason", "requestid", "putback", "erased"}

// Differences returns what a change has changed, in the order of the names, without stamps. Of the first state of a
// license, and of its last, it returns nothing.
func (e Entry) Differences() (all []Difference) {
	if e.Action == Issued || e.Action == Deleted {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(e.Changes)) {
		if !slices.Contains(stamps, name) {
			change := e.Changes[name]
			all = append(all, Difference{name, valueText(change.Old), valueText(change.New)})
		}
	}
	return all
}

// notDisclosed stands for a personal value that was erased, or is too long to be kept.
const notDisclosed = "(not disclosed)"

// valueText returns the value of an attribute without its type. What is no text or number, and a Digest, stays JSON.
func valueText(value json.RawMessage) string {
	var typed map[string]any
	switch {
	case len(value) == 0:
		return ""
	case isCommitment(value):
		return notDisclosed
	}
	if json.Unmarshal(value, &typed) == nil && len(typed) == 1 {
		for _, inner := range typed {
			switch inner.(type) {
			case string, bool:
				return fmt.Sprint(inner)
			}
		}
	}
	return string(value)
}
