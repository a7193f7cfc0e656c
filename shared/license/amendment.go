package license

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"openlicenser/shared/attribute"
)

// Other tools put whole records, as they know them. With that the index attributes are gone, and so is all that only we
// know: a license that was suspended is active again. An Amendment mends both.

// Event is a change of a stored record, as the store tells of it, maybe late and more than once.
type Event struct {
	Old, New       attribute.Map // nil where the record did not, or does not, exist
	Time           time.Time
	SequenceNumber string // decimal; greater with each change of one license
}

// Amendment is what a record lacks.
type Amendment struct {
	Set    attribute.Map
	Remove []string
	// Expected holds the attributes that the amendment follows from, as they are, as far as no other tool knows them. A
	// nil stands for one that is absent.
	Expected attribute.Map
	// PutsBack says that another tool's write had left out what only we know.
	PutsBack bool
}

// IsNothing reports whether the record lacks nothing.
func (a Amendment) IsNothing() bool { return len(a.Set) == 0 && len(a.Remove) == 0 }

// Apply returns the record as amended.
func (a Amendment) Apply(record attribute.Map) attribute.Map {
	amended := maps.Clone(record)
	maps.Copy(amended, a.Set)
	for _, name := range a.Remove {
		delete(amended, name)
	}
	return amended
}

// Amended returns the names of the attributes that an Amendment sets, removes or expects. No other tool knows any of
// them.
func Amended() []string { return slices.Concat(stamps, kept, IndexAttributes) }

// stamps are the attributes that say who has put back what is kept.
var stamps = []string{attrVersion, attrChangedBy, attrChangeReason, AttrRequestID, attrPutBack}

// kept are the attributes that only we know, and that survive the writes of others. The mark of a removal is not among
// them: the removal was not acknowledged, and whoever asks for it again is named in a new mark.
var kept = []string{
	attrCreated, AttrSuspended, AttrGraceDays, AttrTokenKeyID, AttrReference, attrEmail, AttrMaxDevices, attrLease,
	attrMaxLease, attrSeatsEpoch, AttrPlan, attrUpdatesUntil, AttrErased,
}

// Adopt returns what a record lacks that was there before anybody watched. It was issued at the latest when it was
// changed, or else now.
func Adopt(record attribute.Map, now time.Time) Amendment {
	seen := instantOf(record, attrChanged)
	if !isDate(seen) {
		seen = now
	}
	return Amend(record, Event{New: record, Time: seen})
}

// IsHint reports whether a record may lack something after the event. It lacks nothing if it was whole just after: a
// later write has an event of its own. After a removal there can be a record that another tool has put again.
func (e Event) IsHint() bool { return e.New == nil || !Amend(e.New, e).IsNothing() }

// Amend returns what the record, which is stored now, lacks according to an event.
func Amend(record attribute.Map, e Event) Amendment {
	a := putBack(record, e)
	l, err := FromRecord(a.Apply(record))
	if err != nil {
		return Amendment{} // it has no id, so it is no record
	}
	old, _ := e.Old[AttrIndexIssued].(string)
	l.issued = earliest(l.issued, old)
	seen := e.Time
	for _, image := range []attribute.Map{e.Old, e.New, record} {
		if created := instantOf(image, attrCreated); isDate(created) {
			seen = created // an event's time is of seconds, and earlier than what the license says itself
		}
	}
	set, remove := difference(record, indexOf(l, seen), IndexAttributes)
	maps.Copy(a.Set, set)
	a.Remove = append(a.Remove, remove...)
	for _, name := range IndexAttributes {
		a.Expected[name] = record[name]
	}
	return a
}

// instantOf returns the instant in an attribute, or zero.
func instantOf(record attribute.Map, name string) time.Time {
	return (&recordReader{record: record}).optionalInstant(name)
}

// The stamps of a record to which something was put back.
const (
	PutBackActor  = "openlicenser-index"
	putBackReason = "put back what another tool had left out"
)

// putBack returns what has to be put back into the record after another tool has replaced it in the event. The event
// may have been handled before, and another tool may have replaced the record again since, which has an event of its
// own. So events can be handled in any order, and of each attribute the latest state counts that any of them has seen.
//
// Two things this cannot tell, in the second until a record is mended. What we take away in it comes back. And where we
// change a record that was put back after an earlier event alone, what it has stays: so what we took away since that
// event stands again. A license can then be suspended that was reinstated in that second. The trail tells.
func putBack(record attribute.Map, e Event) Amendment {
	a := Amendment{Set: attribute.Map{}, Expected: attribute.Map{}}
	version, oldVersion := RecordVersion(record), RecordVersion(e.Old)
	upTo, seen := readPutBack(record)
	isRemoval := e.New == nil && e.Old[attrDeleted] == true
	isReplaced := oldVersion > 0 && RecordVersion(e.New) == 0 && !isRemoval
	if !isReplaced || upTo != "" && !IsLater(e.SequenceNumber, upTo) {
		return a
	}
	_, oldSeen := readPutBack(e.Old)
	latestOf := func(name string) state {
		old := stateOf(e.Old, name, oldSeen)
		if old.isOurs {
			old.seenAt = e.SequenceNumber
		}
		return stateOf(record, name, seen).or(old)
	}
	isErased := latestOf(AttrErased).isThere
	wanted, mark := attribute.Map{}, e.SequenceNumber
	for _, name := range kept {
		if isErased && IsPersonal(name) {
			continue
		}
		latest := latestOf(name)
		if latest.isThere {
			wanted[name] = latest.value
		}
		switch {
		case latest.seenAt == e.SequenceNumber:
			mark += " " + name
		case latest.seenAt != "":
			mark += " " + name + "=" + latest.seenAt
		case latest.isOurs:
			mark += " " + name + "=" + seenByNone
		}
	}
	wanted[attrVersion] = versionNumber(max(version, oldVersion) + 1)
	wanted[attrChangedBy], wanted[attrChangeReason] = PutBackActor, putBackReason
	wanted[attrPutBack] = mark
	a.Set, a.Remove = difference(record, wanted, slices.Concat(stamps, kept))
	for _, name := range slices.Concat(stamps, kept) {
		a.Expected[name] = record[name]
	}
	a.PutsBack = true
	return a
}

// state is what a record tells of an attribute: its value, or that it has none.
type state struct {
	value   any
	isThere bool
	isOurs  bool   // we have set it, or taken it away, since the record was last put back
	seenAt  string // the event that has seen it, where it was put back
}

// isKnown reports whether the record tells anything. That an attribute is not there tells nothing of a record that may
// never have got it back.
func (s state) isKnown() bool { return s.isThere || s.isOurs || s.seenAt != "" }

// or returns what is to be taken for the state of an attribute, of which s is stored and old was replaced: the later
// one.
func (s state) or(old state) state {
	if old.isKnown() && !s.isOurs && (!s.isKnown() || IsLater(old.seenAt, s.seenAt)) {
		return old
	}
	return s
}

// stateOf returns the state of an attribute in a record whose attrPutBack says what was seen at which event.
func stateOf(record attribute.Map, name string, seen map[string]string) state {
	value, isThere := record[name]
	seenAt, isSeen := seen[name]
	if record[attrChangedBy] == PutBackActor && isSeen && seenAt != seenByNone {
		return state{value: value, isThere: isThere, seenAt: seenAt}
	}
	return state{value: value, isThere: isThere, isOurs: isThere || isSeen}
}

// seenByNone stands for the event that has seen what we have set since.
const seenByNone = "-"

// readPutBack reads attrPutBack. It holds the sequence number of an event, up to which the record has back what was
// left out, and the names of attributes. A name comes with the sequence number of the event that has seen its state
// last, be it that it is absent, where that is another one:
//
//	10 issuspended gracedays=7 email=-
func readPutBack(record attribute.Map) (upTo string, seen map[string]string) {
	text, _ := record[attrPutBack].(string)
	upTo, rest, _ := strings.Cut(text, " ")
	seen = map[string]string{}
	for part := range strings.FieldsSeq(rest) {
		name, at, isOther := strings.Cut(part, "=")
		if !isOther {
			at = upTo
		}
		seen[name] = at
	}
	return upTo, seen
}

// maxAmendments bounds how often a record is looked at again.
const maxAmendments = 10

// Mended says what Mend has found.
type Mended struct {
	PutBack bool // another tool had left out what only we know
	// TakenBack says that another tool has put a usable license again after the removal of a revoked one.
	TakenBack bool
}

// Mend amends the record with the id until it lacks nothing according to the event. Where others write at the same
// time, it looks again. A record that is gone lacks nothing. After an error the event can be handled again, whatever
// became of the first attempt.
func Mend(ctx context.Context, records Records, id string, e Event) (mended Mended, err error) {
	for attempt := range maxAmendments {
		record, err := records.Record(ctx, id)
		if errors.Is(err, ErrNotFound) {
			return mended, nil
		}
		if err != nil {
			return mended, err
		}
		if e.New == nil {
			mended.TakenBack = mended.TakenBack || Event{Old: e.Old, New: record}.TakesRevocationBack()
		}
		a := Amend(record, e)
		if a.IsNothing() {
			// The response to our own amendment may have been lost, and its repetition was a conflict.
			upTo, _ := readPutBack(record)
			mended.PutBack = mended.PutBack || attempt > 0 && upTo != "" && upTo == e.SequenceNumber
			return mended, nil
		}
		switch err := records.Amend(ctx, id, a); {
		case err == nil:
			mended.PutBack = mended.PutBack || a.PutsBack
		case !errors.Is(err, ErrConflict):
			return mended, err
		}
	}
	return mended, fmt.Errorf("%w %d times", ErrConflict, maxAmendments)
}

// TakesRevocationBack reports whether another tool has made a license usable that was revoked. It may only have written
// what it knew from before.
func (e Event) TakesRevocationBack() bool {
	return e.Old[AttrRevoked] == true && e.New != nil && e.New[AttrRevoked] != true &&
		RecordVersion(e.New) <= RecordVersion(e.Old)
}

// IsLater reports whether sequence number a of a stream is greater than b. Both are decimal, of up to 40 digits.
func IsLater(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) > len(b)
	}
	return a > b
}
