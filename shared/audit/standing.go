package audit

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// Standing says whether a license could be used at a moment, as its chain tells.
type Standing struct {
	Status  license.Status // at the moment; Absent or Unknown besides those of package license
	Since   time.Time      // when what the status says began; zero for Unknown, and for Absent before the first entry
	Decided Entry          // led to it; zero as Since is
	End     time.Time      // the expiration date, where Since came with time, as Decided had set it; else zero
	Last    Entry          // the latest at the moment; zero where there is none yet
	Next    Entry          // the first after the moment; zero where there is none
	Counted int            // how many entries were not after the moment
	Doubts  []string       // why the chain may not tell all
}

// What a chain tells besides the statuses of a license.
const (
	Absent  license.Status = "absent"  // there was no license: it was not issued yet, or removed
	Unknown license.Status = "unknown" // the entries do not tell enough
)

// IsUsable reports whether verification would have granted a token.
func (s Standing) IsUsable() bool { return s.Status == license.Active || s.Status == license.Grace }

func (s *Standing) doubt(format string, values ...any) {
	s.Doubts = append(s.Doubts, fmt.Sprintf(format, values...))
}

// StandingAt replays a chain, from its first entry on, to a moment. A change counts from its Time on. StandingAt trusts
// the chain's hashes, so the caller has verified it.
//
// The stream's numbers order the changes, so that a late entry counts where it belongs. Where the times do not ascend
// along the numbers, and do along the chain, the chain orders them. Where they ascend along neither, each order is
// tried, and the status is Unknown unless all lead to the same one. Whatever is out of order is a doubt.
func StandingAt(entries []Entry, at time.Time) (Standing, error) {
	chain := make([]change, len(entries))
	for i, e := range entries {
		changed, err := time.Parse(time.RFC3339Nano, e.Time)
		if err != nil {
			return Standing{}, fmt.Errorf("entry %d: %w", e.Sequence, err)
		}
		chain[i] = change{e, changed}
	}
	stream := slices.Clone(chain)
	slices.SortStableFunc(stream, comparePositions)
	if r := readUpTo(stream, at); r.isAscending() {
		return r.replay(at)
	}
	if r := readUpTo(chain, at); r.isAscending() {
		s, err := r.replay(at)
		s.doubt("the stream's numbers order the entries otherwise than the chain and the times, which are followed")
		return s, err
	}
	times := slices.Clone(stream)
	slices.SortStableFunc(times, compareTimes)
	return agreed(at, readUpTo(times, at), readUpTo(stream, at), readUpTo(chain, at))
}

// agreed replays a chain in several orders. Unless they agree on the status, it is Unknown.
func agreed(at time.Time, first reading, others ...reading) (Standing, error) {
	s, err := first.replay(at)
	if err != nil {
		return s, err
	}
	s.doubt("the times of the entries ascend neither along the chain nor along the stream's numbers")
	for _, other := range others {
		o, err := other.replay(at)
		if err != nil {
			return s, err
		}
		if o.Status != s.Status {
			s.doubt("the order of the times and that of the entries lead to different answers")
			s.Status, s.Since, s.Decided, s.End = Unknown, time.Time{}, Entry{}, time.Time{}
			return s, nil
		}
	}
	return s, nil
}

// change is an entry with its time.
type change struct {
	Entry
	at time.Time
}

func compareTimes(a, b change) int { return a.at.Compare(b.at) }

func comparePositions(a, b change) int { return a.Position().Compare(b.Position()) }

// reading is a chain in an order, divided at a moment.
type reading struct{ before, after []change }

// readUpTo divides a chain behind the last change that is not after the moment.
func readUpTo(ordered []change, at time.Time) reading {
	n := len(ordered)
	for n > 0 && ordered[n-1].at.After(at) {
		n--
	}
	return reading{ordered[:n], ordered[n:]}
}

// isAscending reports whether the times, up to the moment, ascend with the order.
func (r reading) isAscending() bool { return slices.IsSortedFunc(r.before, compareTimes) }

// replay makes the changes up to the moment again.
func (r reading) replay(at time.Time) (Standing, error) {
	p := replay{}
	p.reset()
	for _, c := range r.before {
		p.passTo(c.at)
		if err := p.apply(c); err != nil {
			return Standing{}, fmt.Errorf("entry %d: %w", c.Sequence, err)
		}
	}
	p.passTo(at)
	s := p.standing(at)
	s.Counted = len(r.before)
	if len(r.after) > 0 {
		s.Next = r.after[0].Entry
	}
	r.doubtBetween(&s)
	return s, nil
}

// doubtBetween doubts what held between the last change up to the moment and the first one after it. Whether
// a change before a late entry is missing, the next one that is not late tells.
func (r reading) doubtBetween(s *Standing) {
	next := slices.IndexFunc(r.after, func(c change) bool { return !c.Late })
	isGap := next >= 0 && r.after[next].Gap
	switch {
	case len(r.before) == 0 && len(r.after) > 0 && (isGap || r.after[0].Action != Issued):
		s.Status = Unknown
		s.doubt("the license is older than its first entry, number %d: what held before is not told", s.Next.Sequence)
	case isGap:
		s.doubt("a change before entry %d is missing, so what held between entry %d and that is not certain",
			r.after[next].Sequence, s.Last.Sequence)
	}
}

// replay is what is known of a license while its changes are made again.
type replay struct {
	told    map[string]json.RawMessage // of the record, as far as the entries tell, as their hashes have it
	values  map[string]json.RawMessage // of those, what is disclosed
	license license.License
	exists  bool
	isGone  bool                    // it was removed; the erasure of what is gone puts a record for a moment
	isTold  bool                    // what decides about the license is among the values
	expires Entry                   // that has set the expiration date
	ends    Entry                   // that has set the expiration date or the days of grace
	reached time.Time               // the time of the last entry
	begun   map[license.Status]mark // what holds, whether or not something else decides
	result  Standing                // its Last and Doubts so far
}

// mark is where something began to hold.
type mark struct {
	since time.Time
	by    Entry
	end   time.Time // as Standing.End
}

// reset forgets all of an earlier license of the same id.
func (r *replay) reset() {
	r.told, r.values = map[string]json.RawMessage{}, map[string]json.RawMessage{}
	r.begun = map[license.Status]mark{}
	r.license, r.exists, r.isTold = license.License{}, false, false
}

// standing returns what is known at the moment to which time has passed.
func (r *replay) standing(at time.Time) Standing {
	s := r.result
	s.Status = r.statusAt(at)
	if s.Status != Unknown {
		m := r.begun[s.Status]
		s.Since, s.Decided, s.End = m.since, m.by, m.end
	}
	return s
}

// apply makes an entry's changes.
func (r *replay) apply(c change) error {
	r.reached, r.result.Last = c.at, c.Entry
	if r.isGone && (c.Action == Erased || c.Action == Deleted) {
		r.doubt(c.Entry, true)
		return nil
	}
	if c.Action == Issued || c.Action == Deleted {
		r.reset()
	}
	r.exists, r.isGone = c.Action != Deleted, c.Action == Deleted
	for name, field := range c.Changes {
		r.set(name, field.New, c.Entry)
	}
	isWhole := !r.exists
	if r.exists {
		var err error
		if isWhole, err = r.read(c.Entry); err != nil {
			return err
		}
	}
	r.doubt(c.Entry, isWhole)
	r.settle(c.at, mark{since: c.at, by: c.Entry}, mark{since: c.at, by: c.Entry})
	return nil
}

// set changes one attribute. A flag that is set once more was lifted meanwhile.
func (r *replay) set(name string, value json.RawMessage, e Entry) {
	delete(r.told, name)
	delete(r.values, name)
	if value != nil {
		r.told[name] = closed(value, name, e.Nonces[name].New)
		if !isCommitment(value) {
			r.values[name] = value
		}
	}
	switch name {
	case license.AttrRevoked:
		delete(r.begun, license.Revoked)
	case license.AttrSuspended:
		delete(r.begun, license.Suspended)
	case license.AttrExpirationDate:
		r.expires, r.ends = e, e
	case license.AttrGraceDays:
		r.ends = e
	}
}

// read reads the license that the values are, and reports whether they are the whole record. Of one that is not told
// whole, what is missing is taken for readable.
func (r *replay) read(e Entry) (isWhole bool, err error) {
	record := attribute.Map{}
	for name, value := range r.values {
		text, err := json.Marshal(map[string]json.RawMessage{name: value})
		if err != nil {
			return false, err
		}
		var one attribute.Map
		if json.Unmarshal(text, &one) == nil { // else it is a Digest
			record[name] = one[name]
		}
	}
	isWhole = hashTold(r.told) == e.RecordHash
	record[license.AttrID] = e.LicenseID
	if r.license, err = license.FromRecord(record); err != nil {
		return false, err
	}
	_, knowsRevoked := record[license.AttrRevoked]
	_, knowsEnd := record[license.AttrExpirationDate]
	if r.isTold = isWhole || knowsRevoked && knowsEnd; !isWhole && r.isTold {
		r.license.Problems = slices.DeleteFunc(r.license.Problems, func(p license.FieldError) bool {
			_, isThere := record[p.Field]
			return !isThere
		})
	}
	return isWhole, nil
}

// doubt says why the values may not be the record that the entry has left, or may not have been before. What follows
// from an earlier doubt is none of its own.
func (r *replay) doubt(e Entry, isWhole bool) {
	s := &r.result
	switch {
	case e.Adopted:
		s.doubt("the license is older than its chain, which begins with entry %d: what was not changed since "+
			"is not told", e.Sequence)
	case e.Gap:
		s.doubt("a change before entry %d is missing", e.Sequence)
	case e.Late:
		s.doubt("entry %d was recorded late, behind later changes: its event was held back, or the chain's head was "+
			"moved", e.Sequence)
	case isWhole:
	case len(s.Doubts) == 0:
		s.doubt("the entries up to entry %d do not tell the whole license", e.Sequence)
	}
}

// statusAt returns the status of the license as it stands now, at an instant.
func (r *replay) statusAt(at time.Time) license.Status {
	switch {
	case !r.exists:
		return Absent
	case !r.isTold:
		return Unknown
	}
	return r.license.Status(at)
}

// passTo lets time pass up to an instant: a license comes to its end by itself.
func (r *replay) passTo(at time.Time) {
	if !r.license.EndIsKnown() {
		return
	}
	expires, ends := r.license.ExpirationDate, r.license.EndsAt()
	for _, end := range []time.Time{expires, ends} {
		if end.After(r.reached) && !end.After(at) {
			r.settle(end, mark{end, r.expires, expires}, mark{end, r.ends, expires})
		}
	}
}

// settle notes what holds from an instant on, and did not before. A license that is revoked may be suspended and
// expired as well, so that it is that when the revocation is lifted.
func (r *replay) settle(at time.Time, now, ended mark) {
	status, l := r.statusAt(at), r.license
	for _, s := range []license.Status{
		license.Revoked, license.Suspended, license.Expired, license.Grace, license.Active, license.Unreadable, Absent,
	} {
		holds, m := s == status, now
		switch s {
		case license.Revoked:
			holds = l.Revoked
		case license.Suspended:
			holds = l.Suspended
		case license.Expired:
			holds, m = r.exists && l.EndIsKnown() && !at.Before(l.EndsAt()), ended
		}
		if _, held := r.begun[s]; holds && !held {
			r.begun[s] = m
		} else if !holds {
			delete(r.begun, s)
		}
	}
}
