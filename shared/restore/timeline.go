// Package restore makes the changes of the audit trail again that a license table has forgotten, because it came back
// from a backup. It reads of a license's chain how the record was after each entry, and how it should be. It says
// what is to be done to the record that is stored, and does it. It knows neither AWS nor HTTP.
package restore

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
)

// timeline is what a chain tells of a license's record. An entry whose Gap says that the record was not as the entry
// before had left it may still be explained: the record was as an earlier entry had left it, so the table had been
// rolled back. Nothing is lost then, and the record should have what the entries in between had changed. A gap that is
// not explained hides changes, and the timeline begins anew behind it.
type timeline struct {
	moments []moment
	tracks  map[string]track // of the attributes that entries name
	rest    track            // of all others
	wanted  wanted
	version int64 // the greatest that the record ever had
}

// moment is when the record was as an entry has left it, or as one has found it.
type moment struct {
	sequence int64 // of the entry; 0: before the first
	isBefore bool  // the entry has found it so
	isThere  bool  // there was a record
	begin    int   // the first moment from which nothing is missing up to this one
}

// told is what is known of an attribute at a moment.
type told struct {
	isKnown bool
	value   json.RawMessage // as entries tell it; nil: the attribute was absent
}

// track is what is known of an attribute from each of some moments on, in their order.
type track []step

type step struct {
	moment int
	told
}

func (t track) at(moment int) (told, bool) {
	next, _ := slices.BinarySearchFunc(t, moment+1, func(s step, m int) int { return s.moment - m })
	if next == 0 {
		return told{}, false
	}
	return t[next-1].told, true
}

// with returns the track with one more step.
func (t track) with(s step) track {
	i, isThere := slices.BinarySearchFunc(t, s.moment, func(s step, m int) int { return s.moment - m })
	if isThere {
		t[i] = s
		return t
	}
	return slices.Insert(t, i, s)
}

// end is the end of a chain, and the record that is stored.
type end struct {
	storedHash string                     // of the chain's State
	values     map[string]json.RawMessage // of the record, if it is as the last entry has left it; nil otherwise
}

// endOf returns the end of a chain with a state.
func endOf(state audit.State, record attribute.Map) (end, error) {
	hash, err := audit.HashStored(record)
	if err != nil || hash != state.StoredHash {
		return end{storedHash: state.StoredHash}, err
	}
	values, err := audit.Values(record)
	return end{state.StoredHash, values}, err
}

// newTimeline returns the timeline of a chain. Its entries disclose what they can.
func newTimeline(entries []audit.Entry, last end) *timeline {
	t := &timeline{tracks: map[string]track{}}
	for i, e := range entries {
		found := t.foundBy(entries[i:], last)
		link := explained
		switch {
		case found < 0:
			found, link = t.begin(e), unexplained
		case found == len(t.moments)-1:
			link = follows
		}
		t.tell(e, found)
		t.leave(e, found)
		t.wanted.apply(e, link)
	}
	return t
}

// at returns what is known of an attribute at a moment.
func (t *timeline) at(name string, moment int) told {
	if known, isNamed := t.tracks[name].at(moment); isNamed {
		return known
	}
	known, _ := t.rest.at(moment)
	return known
}

// foundBy returns the moment as which the first of some entries has found the record, or -1 where that is not known.
func (t *timeline) foundBy(entries []audit.Entry, last end) int {
	e := entries[0]
	if len(t.moments) == 0 && isPut(e) {
		t.moments = append(t.moments, moment{})
		t.rest = track{{0, told{isKnown: true}}}
		return 0
	}
	latest := len(t.moments) - 1
	for m := latest; m >= 0; m-- {
		if t.fits(e, m) && (m == latest && !e.Gap || t.identifies(e, m) || t.confirms(entries, m, last)) {
			return m
		}
	}
	return -1
}

// isPut reports whether there was no record before an entry's change. Each record has its id.
func isPut(e audit.Entry) bool {
	id := e.Changes[license.AttrID]
	return id.Old == nil && id.New != nil
}

// fits reports whether an entry can have found the record as it was at a moment.
func (t *timeline) fits(e audit.Entry, m int) bool {
	if isPut(e) || !t.moments[m].isThere {
		return isPut(e) && !t.moments[m].isThere
	}
	for name, change := range e.Changes {
		if was := t.at(name, m); was.isKnown && !same(was.value, change.Old) {
			return false
		}
	}
	return true
}

// same reports whether two values that entries tell can be the same.
func same(a, b json.RawMessage) bool {
	return audit.Fits(a, b) || audit.Fits(b, a) || bytes.Equal(a, b)
}

// The attributes that tell one moment from another: a version counts the changes, and a time is of milliseconds.
var identifying = []string{"version", "changedtimestamp"}

// identifies reports whether an entry that fits a moment tells it from others.
func (t *timeline) identifies(e audit.Entry, m int) bool {
	return isPut(e) || slices.ContainsFunc(identifying, func(name string) bool {
		return e.Changes[name].Old != nil && t.at(name, m).isKnown
	})
}

// confirms reports whether a moment and the last entries of a chain go with the chain's end.
func (t *timeline) confirms(entries []audit.Entry, m int, last end) bool {
	for i, e := range entries {
		if i > 0 && e.Gap || isPut(e) || e.Action == audit.Deleted {
			return false
		}
	}
	if last.values != nil {
		return t.leadsBack(entries, m, last.values)
	}
	return t.leadsTo(entries, m, last.storedHash)
}

// leadsBack reports whether a record was as it was at a moment before entries changed it.
func (t *timeline) leadsBack(entries []audit.Entry, m int, values map[string]json.RawMessage) bool {
	before := maps.Clone(values)
	for _, e := range slices.Backward(entries) {
		for name, change := range e.Changes {
			setOrDelete(before, name, change.Old)
		}
	}
	return t.isAs(m, before) && t.bears(m, before, identifying...)
}

// leadsTo reports whether entries lead from a moment to a record of this hash.
func (t *timeline) leadsTo(entries []audit.Entry, m int, storedHash string) bool {
	if rest, _ := t.rest.at(m); !rest.isKnown {
		return false
	}
	values := map[string]json.RawMessage{}
	for name := range t.tracks {
		setOrDelete(values, name, t.at(name, m).value)
	}
	for _, e := range entries {
		for name, change := range e.Changes {
			setOrDelete(values, name, change.New)
		}
	}
	for _, value := range values {
		if !audit.IsDisclosed(value) {
			return false
		}
	}
	return audit.HashValues(values) == storedHash
}

func setOrDelete(values map[string]json.RawMessage, name string, value json.RawMessage) {
	if value == nil {
		delete(values, name)
	} else {
		values[name] = value
	}
}

// begin adds the moment before an entry that nothing leads to, and returns it.
func (t *timeline) begin(e audit.Entry) int {
	m := len(t.moments)
	t.moments = append(t.moments, moment{sequence: e.Sequence, isBefore: true, isThere: !isPut(e), begin: m})
	t.reset(m, told{isKnown: isPut(e)})
	return m
}

// reset says the same of all attributes from a moment on.
func (t *timeline) reset(m int, all told) {
	t.rest = t.rest.with(step{m, all})
	for name := range t.tracks {
		t.tracks[name] = t.tracks[name].with(step{m, all})
	}
}

// tell takes over what an entry tells of the moment in which it found the record. Nobody had changed the attribute
// before, back to where the timeline begins.
func (t *timeline) tell(e audit.Entry, found int) {
	for name, change := range e.Changes {
		if !t.at(name, found).isKnown {
			t.tracks[name] = t.tracks[name].with(step{t.moments[found].begin, told{true, change.Old}})
		}
	}
}

// leave adds the moment in which an entry has left the record.
func (t *timeline) leave(e audit.Entry, found int) {
	m := len(t.moments)
	t.moments = append(t.moments, moment{
		sequence: e.Sequence, isThere: e.Action != audit.Deleted, begin: t.moments[found].begin,
	})
	switch {
	case e.Action == audit.Deleted:
		t.moments[m].begin = m
		t.reset(m, told{isKnown: true})
		return
	case found < m-1:
		rest, _ := t.rest.at(found)
		for name := range t.tracks {
			if was := t.at(name, found); was.isKnown || t.at(name, m-1).isKnown {
				t.tracks[name] = t.tracks[name].with(step{m, was})
			}
		}
		t.rest = t.rest.with(step{m, rest})
	}
	for name, change := range e.Changes {
		t.tracks[name] = t.tracks[name].with(step{m, told{true, change.New}})
	}
	t.version = max(t.version, versionIn(e))
}

// versionIn returns the version that an entry tells, or 0.
func versionIn(e audit.Entry) int64 {
	record, err := audit.Attributes(map[string]json.RawMessage{"version": e.Changes["version"].New})
	if err != nil {
		return 0
	}
	return license.RecordVersion(record)
}

// isAs reports whether a record is as it was at a moment, as far as entries tell.
func (t *timeline) isAs(m int, values map[string]json.RawMessage) bool {
	if t.moments[m].isThere != (values != nil) {
		return false
	}
	for name := range t.tracks {
		if was := t.at(name, m); was.isKnown && !same(was.value, values[name]) {
			return false
		}
	}
	rest, _ := t.rest.at(m)
	for name := range values {
		if _, isNamed := t.tracks[name]; !isNamed && rest.isKnown {
			return false
		}
	}
	return true
}
