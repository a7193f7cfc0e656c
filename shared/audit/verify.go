package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Verify checks that the entries are of the license, follow head without a gap, and that every hash holds. The
// error names the first entry that does not fit. It answers the head that the entries lead to.
func Verify(licenseID string, head Head, entries []Entry) (Head, error) {
	v := NewVerifier(licenseID, head)
	for _, e := range entries {
		if err := v.Next(e); err != nil {
			return v.head, err
		}
	}
	return v.head, nil
}

// Finding is what an intact chain itself says is wrong.
type Finding struct {
	Sequence int64 // of the entry that says it
	Text     string
}

// Verifier checks a chain, entry by entry.
type Verifier struct {
	licenseID string
	head      Head
	findings  []Finding

	record map[string]json.RawMessage // as the entries tell it, nil where they do not
	names  []string                   // of record, sorted; nil where they must be sorted anew
	buffer []byte
}

// NewVerifier begins behind head. From the zero Head, the beginning of the chain, it also follows the record through its
// changes, and holds it to each RecordHash.
func NewVerifier(licenseID string, head Head) *Verifier {
	return &Verifier{licenseID: licenseID, head: head}
}

// LicenseID is the license of the chain.
func (v *Verifier) LicenseID() string { return v.licenseID }

// Head is where the entries have led.
func (v *Verifier) Head() Head { return v.head }

// Findings are those of the entries so far.
func (v *Verifier) Findings() []Finding { return v.findings }

// End checks that the chain ends where its stored head, or a signed checkpoint, says.
func (v *Verifier) End(stored Head) error {
	if v.head != stored {
		return fmt.Errorf("the entries end with entry %d (%s), the head says entry %d (%s)",
			v.head.Sequence, v.head.Hash, stored.Sequence, stored.Hash)
	}
	return nil
}

// Next takes one entry. The error names it; the Verifier is then where it was before.
func (v *Verifier) Next(e Entry) (err error) {
	if v.buffer, err = e.appendCanonical(v.buffer[:0], false); err != nil {
		return err
	}
	switch {
	case e.LicenseID != v.licenseID:
		return fmt.Errorf("entry %d is of license %s", e.Sequence, e.LicenseID)
	case e.Sequence != v.head.Sequence+1:
		return fmt.Errorf("entry %d stands where entry %d should", e.Sequence, v.head.Sequence+1)
	case e.Previous != v.head.Hash:
		return fmt.Errorf("entry %d does not follow the entry before it", e.Sequence)
	case e.Hash != hexHash(v.buffer):
		return fmt.Errorf("entry %d was changed: its hash does not hold", e.Sequence)
	case e.Format != formatVersion:
		return fmt.Errorf("entry %d is of format %d, which is not known here", e.Sequence, e.Format)
	case !isDecimal(e.SequenceNumber) || v.head != (Head{}) && laterThan(e.SequenceNumber, v.head.SequenceNumber) == e.Late:
		return fmt.Errorf("entry %d is not of a later event than the entries before it, or of a later one and says that it is late", e.Sequence)
	}
	if err := v.follow(e); err != nil {
		return fmt.Errorf("entry %d: %w", e.Sequence, err)
	}
	if e.Gap {
		v.findings = append(v.findings, Finding{e.Sequence, "a change before this one is missing: the record was not as the chain left it"})
	}
	if e.Late {
		v.findings = append(v.findings, Finding{e.Sequence, "it was recorded after later changes: it was held back, or the chain's head had been moved"})
	}
	v.head = v.head.After(e)
	return nil
}

var (
	errNoRecord    = errors.New("it changes a record where there was none, or issues one where there was one")
	errDeleted     = errors.New("a deletion leaves no record, and nothing else does")
	errAdopted     = errors.New("only the first entry can be of a record that is older than its chain")
	errLate        = errors.New("the first entry of a chain is not late, and a late one is no gap")
	errOldValue    = errors.New("an old value is not the one that the record had")
	errRecordHash  = errors.New("its changes do not make the record of its record hash")
	errOldOfIssued = errors.New("a record that was issued had no values before")
)

// follow holds the entry's account of the record to that of the entries before it, as far as they tell.
func (v *Verifier) follow(e Entry) error {
	switch known := !e.Gap && !e.Adopted; {
	case (e.Action == Deleted) != (e.RecordHash == ""):
		return errDeleted
	case e.Adopted && (e.Sequence != 1 || e.Gap || e.Action == Issued):
		return errAdopted
	case e.Late:
		if e.Sequence == 1 || e.Gap || e.Adopted {
			return errLate
		}
		return nil // it tells of a record that was
	case known && (e.Action == Issued) != (v.head.RecordHash == ""):
		return errNoRecord
	case e.Action == Issued:
		v.record, v.names = map[string]json.RawMessage{}, nil
	case !known:
		v.record = nil
	}
	if e.ChangesDigest != nil {
		v.record = nil
	}
	if v.record == nil {
		return nil
	}
	return v.change(e)
}

// change makes the entry's changes to the record.
func (v *Verifier) change(e Entry) error {
	complete := true
	for name, change := range e.Changes {
		was, err := canonicalRaw(change.Old)
		if err != nil {
			return err
		}
		if e.Action == Issued && was != nil {
			return errOldOfIssued
		}
		if had := v.record[name]; !bytes.Equal(was, had) && !bytes.Equal(was, shortened(had)) {
			return errOldValue
		}
		becomes, err := canonicalRaw(change.New)
		if err != nil {
			return err
		}
		if becomes == nil || was == nil {
			v.names = nil
		}
		if complete = complete && !isDigest(becomes); becomes == nil {
			delete(v.record, name)
		} else {
			v.record[name] = becomes
		}
	}
	if !complete {
		v.record = nil
		return nil
	}
	if e.Action == Deleted {
		if len(v.record) > 0 {
			return errRecordHash
		}
		return nil
	}
	if v.names == nil {
		v.names = sortedNames(v.record)
	}
	if v.buffer = v.appendRecord(v.buffer[:0]); hexHash(v.buffer) != e.RecordHash {
		return errRecordHash
	}
	return nil
}

// canonicalRaw answers nil for none.
func canonicalRaw(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if isPlain(raw) {
		return raw, nil
	}
	return appendRaw(nil, raw)
}

func (v *Verifier) appendRecord(dst []byte) []byte {
	dst = append(dst, '{')
	for i, name := range v.names {
		dst = append(appendName(dst, i, name), v.record[name]...)
	}
	return append(dst, '}')
}
