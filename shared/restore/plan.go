package restore

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
)

// What is to be done to a record.
type What string

// What can be done to a record, in the order in which all of one kind are done. A change that takes several of these
// together is the first of them.
const (
	Erase     What = "erase"   // the customer is forgotten again
	Revoke    What = "revoke"  // and whatever else the trail says
	Suspend   What = "suspend" // likewise
	Remove    What = "remove"
	Change    What = "change"
	Issue     What = "issue" // it is put again where there is none
	None      What = "none"
	LeftAlone What = "left alone" // somebody has to look at it
)

// Plan says what is to be done to the record of a license, and why.
type Plan struct {
	LicenseID string `json:"licenseid"`
	What      What   `json:"what"`
	From      int64  `json:"from,omitempty"` // the first of the entries whose changes are made again; 0: none
	To        int64  `json:"to,omitempty"`   // the last
	Found     string `json:"found"`          // names attributes, and none of their values

	// IsShort says that the change gives the license an earlier end, or fewer devices.
	IsShort bool `json:"-"`

	// MayPass says that the trail may only be a moment behind.
	MayPass bool `json:"-"`

	before  attribute.Map   // the record as it is stored
	writes  []attribute.Map // what it is written as, one after the other; nil: it is removed
	version int64           // that it gets first
	issued  time.Time       // when it was put last; zero: the trail does not tell
}

// IsToDo reports whether there is something to be done.
func (p Plan) IsToDo() bool { return len(p.writes) > 0 }

// Round returns when the plan's turn is, from 0 to Rounds-1: erasures, what takes the right to use a license away, and
// then the rest.
func (p Plan) Round() int {
	switch {
	case p.What == Erase:
		return 0
	case p.What == Revoke || p.What == Suspend || p.What == Remove || p.IsShort:
		return 1
	}
	return 2
}

// markName is the attribute that says that a record is to be removed.
const markName = "isdeleted"

// Rounds is how many turns there are.
const Rounds = 3

// planner makes the plan for one record.
type planner struct {
	*timeline
	record attribute.Map
	values map[string]json.RawMessage // of the record, as entries tell them
	mark   string                     // of an erasure
	base   int                        // the moment as which the record was found; -1: none
	exact  bool                       // it is just as it was then
}

// plan returns the plan for the record that is stored now, nil for none. mark is what no erasure had before.
func (t *timeline) plan(licenseID string, record attribute.Map, mark string) (Plan, error) {
	values, err := audit.Values(record)
	if err != nil {
		return Plan{}, err
	}
	p := planner{timeline: t, record: record, values: values, mark: mark}
	p.base, p.exact = t.baseOf(values)
	var made Plan
	switch {
	case record == nil && !t.wanted.isThere && t.wanted.isErased && t.wanted.isTold:
		made = p.eraseRemoved(licenseID)
	case record == nil && (!t.wanted.isThere || isTrue(t.wanted.values[markName].value)):
		made = Plan{What: None, Found: "it is gone, and so says the trail"}
	case record == nil:
		made, err = p.issue()
	case !t.wanted.isThere || license.IsRestored(record) && license.IsMarked(record):
		made, err = p.remove()
	default:
		made, err = p.change()
	}
	made.LicenseID, made.before = licenseID, record
	made.version = max(license.RecordVersion(record), t.version) + 1
	made.issued = t.wanted.put
	return made, err
}

// baseOf returns the latest moment as which a record was found, and whether it is just as it was then. If it is not,
// another tool has changed it since, and has left what our own writers change each time.
func (t *timeline) baseOf(values map[string]json.RawMessage) (base int, exact bool) {
	for m := len(t.moments) - 1; m >= 0; m-- {
		if t.isAs(m, values) && t.bears(m, values, identifying...) {
			return m, true
		}
	}
	for m := len(t.moments) - 1; m >= 0 && values != nil; m-- {
		if t.bearsStamps(m, values) {
			return m, false
		}
	}
	return -1, false
}

// bears reports whether a record has one of the attributes as it was at a moment. Of no record nothing is asked.
func (t *timeline) bears(m int, values map[string]json.RawMessage, names ...string) bool {
	return values == nil || slices.ContainsFunc(names, func(name string) bool {
		was := t.at(name, m)
		return was.isKnown && was.value != nil && bytes.Equal(was.value, values[name])
	})
}

func (t *timeline) bearsStamps(m int, values map[string]json.RawMessage) bool {
	if values["version"] == nil {
		was := t.at("version", m)
		return was.isKnown && was.value == nil && t.bears(m, values, "changedtimestamp")
	}
	for _, name := range []string{"version", "requestid", "createdtimestamp"} {
		if was := t.at(name, m); !was.isKnown || !bytes.Equal(was.value, values[name]) {
			return false
		}
	}
	return true
}
