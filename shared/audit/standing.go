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
	Since   time.Time      // from when on; zero for Unknown, and for Absent before the first entry
	Decided Entry          // led to it; zero as Since is
	Last    Entry          // the latest at the moment; zero where there is none yet
	Doubts  []string       // why the chain may not tell all
}

// What a chain tells besides the statuses of a license.
const (
	Absent  license.Status = "absent"  // there was no license: it was not issued yet, or removed
	Unknown license.Status = "unknown" // the entries do not tell enough
)

// IsUsable reports whether verification would have granted a token.
func (s Standing) IsUsable() bool { return s.Status == license.Active || s.Status == license.Grace }

// StandingAt replays a chain, from its first entry on, to a moment. A change counts from its Time on. StandingAt trusts
// the chain's hashes, so the caller has verified it. The order of changes is that of the stream, so that a late entry
// counts where it belongs.
func StandingAt(entries []Entry, at time.Time) (Standing, error) {
	r := replay{values: map[string]json.RawMessage{}, standing: Standing{Status: Absent}}
	ordered := slices.Clone(entries)
	slices.SortStableFunc(ordered, func(a, b Entry) int {
		switch {
		case license.IsLater(b.SequenceNumber, a.SequenceNumber):
			return -1
		case license.IsLater(a.SequenceNumber, b.SequenceNumber):
			return 1
		}
		return 0
	})
	for _, e := range ordered {
		changed, err := time.Parse(time.RFC3339Nano, e.Time)
		if err != nil {
			return Standing{}, fmt.Errorf("entry %d: %w", e.Sequence, err)
		}
		if changed.After(at) {
			break
		}
		r.passTo(changed)
		if err := r.apply(e, changed); err != nil {
			return Standing{}, fmt.Errorf("entry %d: %w", e.Sequence, err)
		}
	}
	r.passTo(at)
	return r.standing, nil
}

// replay is what is known of a license while its changes are made again.
type replay struct {
	values   map[string]json.RawMessage // of the record, as far as the entries tell
	license  license.License
	isWhole  bool  // the values are all of the record
	isTold   bool  // what decides about the license is among the values
	end      Entry // that has set when the license ends
	reached  time.Time
	standing Standing
}

// apply makes an entry's changes.
func (r *replay) apply(e Entry, changed time.Time) error {
	r.reached = changed
	for name, change := range e.Changes {
		if change.New == nil {
			delete(r.values, name)
		} else {
			r.values[name] = change.New
		}
		if name == license.AttrExpirationDate || name == license.AttrGraceDays {
			r.end = e
		}
	}
	if e.Action == Issued || e.Action == Deleted {
		r.end = e
	}
	r.applyFlags(e)
	if e.Action == Deleted {
		r.values, r.isTold = map[string]json.RawMessage{}, true
		r.become(Absent, changed, e)
		r.standing.Last = e
		return nil
	}
	if err := r.read(e); err != nil {
		return err
	}
	r.become(r.statusAt(changed), changed, e)
	r.standing.Last = e
	return nil
}

// applyFlags sets what the action itself says, where the entry has only a digest of its changes.
func (r *replay) applyFlags(e Entry) {
	if e.ChangesDigest == nil {
		return
	}
	yes, no := json.RawMessage(`{"BOOL":true}`), json.RawMessage(`{"BOOL":false}`)
	switch e.Action {
	case Revoked:
		r.values[license.AttrRevoked] = yes
	case Suspended:
		r.values[license.AttrSuspended] = yes
	case Reinstated:
		r.values[license.AttrRevoked], r.values[license.AttrSuspended] = no, no
	}
}

// read reads the license that the values are, and doubts where they are not the whole record.
func (r *replay) read(e Entry) error {
	record := attribute.Map{}
	for name, value := range r.values {
		text, err := json.Marshal(map[string]json.RawMessage{name: value})
		if err != nil {
			return err
		}
		var one attribute.Map
		if json.Unmarshal(text, &one) == nil { // else it is a Digest
			record[name] = one[name]
		}
	}
	hash, err := HashRecord(record)
	if err != nil {
		return err
	}
	r.isWhole = hash == e.RecordHash
	record[license.AttrID] = e.LicenseID
	if r.license, err = license.FromRecord(record); err != nil {
		return err
	}
	_, knowsRevoked := record[license.AttrRevoked]
	_, knowsEnd := record[license.AttrExpirationDate]
	r.isTold = r.isWhole || knowsRevoked && knowsEnd && r.license.RevocationIsKnown() && r.license.EndIsKnown()
	if !r.isWhole || e.Gap {
		r.doubt(e)
	}
	return nil
}

// doubt says why the values are not the record that the entry has left, or may not have been before. What follows from
// an earlier doubt is none of its own.
func (r *replay) doubt(e Entry) {
	text := "the entries up to entry %d do not tell the whole license"
	switch {
	case e.Adopted:
		text = "the license is older than its chain, which begins with entry %d: what was not changed since is not told"
	case e.Gap:
		text = "a change before entry %d is missing"
	case e.ChangesDigest != nil:
		text = "entry %d has only a digest of its changes"
	case len(r.standing.Doubts) > 0:
		return
	}
	r.standing.Doubts = append(r.standing.Doubts, fmt.Sprintf(text, e.Sequence))
}

// statusAt returns the status of the license as it stands now, at an instant. Of a record that is not told whole, what
// is missing is taken for readable.
func (r *replay) statusAt(at time.Time) license.Status {
	status := r.license.Status(at)
	switch {
	case !r.isTold:
		return Unknown
	case status != license.Unreadable || r.isWhole:
		return status
	case at.Before(r.license.ExpirationDate):
		return license.Active
	}
	return license.Grace
}

// passTo lets time pass up to an instant: a license comes to its end by itself.
func (r *replay) passTo(at time.Time) {
	if r.standing.Last.Sequence == 0 || r.standing.Status == Absent || !r.isTold || !r.license.EndIsKnown() {
		return
	}
	for _, end := range []time.Time{r.license.ExpirationDate, r.license.EndsAt()} {
		if end.After(r.reached) && !end.After(at) {
			r.become(r.statusAt(end), end, r.end)
		}
	}
}

// become changes the status, where it is another one.
func (r *replay) become(status license.Status, since time.Time, decided Entry) {
	s := &r.standing
	if s.Status == status && s.Last.Sequence != 0 {
		return
	}
	s.Status, s.Since, s.Decided = status, since, decided
	if status == Unknown {
		s.Since, s.Decided = time.Time{}, Entry{}
	}
}
