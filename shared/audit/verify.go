package audit

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Verify checks that the entries are of the license, follow head without a gap, and have the hashes of their
// contents. It returns the head that the entries lead to. The error names the first entry that does not fit.
func Verify(licenseID string, head Head, entries []Entry) (Head, error) {
	v := NewVerifier(licenseID, head)
	for _, e := range entries {
		if err := v.Next(e); err != nil {
			return v.head, err
		}
	}
	return v.head, nil
}

// Finding is a gap, a late entry or a value that is not disclosed, which a chain whose hashes are right reports.
type Finding struct {
	Sequence int64 // of the entry that reports it
	Text     string
}

// Verifier checks a chain, entry by entry. A chain that was cut off at its end passes: whether Head is the chain's true
// end, only the stored head tells, or a signed checkpoint.
type Verifier struct {
	licenseID string
	head      Head
	findings  []Finding
	withheld  []withheld // since the latest erasure
	discloses bool

	record map[string]json.RawMessage // as the entries so far tell it; nil where they do not
	names  []string                   // of record, sorted; nil where they have to be sorted again
	buffer []byte
}

// NewVerifier returns a Verifier for the entries after head. From the zero Head, the beginning of the chain, it also
// makes each entry's changes to the record, and compares the record with each RecordHash.
func NewVerifier(licenseID string, head Head) *Verifier {
	return &Verifier{licenseID: licenseID, head: head}
}

// LicenseID returns the license of the chain.
func (v *Verifier) LicenseID() string { return v.licenseID }

// Head returns the head that the entries so far lead to.
func (v *Verifier) Head() Head { return v.head }

// Findings returns what the entries so far report, in their order. An entry that discloses less than it is committed to
// is a finding, unless the customer was forgotten since, or no entry discloses anything: see Withholds.
func (v *Verifier) Findings() []Finding {
	findings := slices.Clone(v.findings)
	if !v.discloses {
		return findings
	}
	for _, w := range v.withheld {
		if !v.isForgotten(w) {
			findings = append(findings, Finding{w.sequence, withheldText})
		}
	}
	slices.SortStableFunc(findings, func(a, b Finding) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return findings
}

const withheldText = "it does not disclose the values that it is committed to, and no later entry says that they " +
	"were erased"

// withheld is an entry that does not disclose all that it is committed to.
type withheld struct {
	sequence int64
	position Position
}

// Withholds reports whether the entries so far are committed to personal values, and disclose none of them.
func (v *Verifier) Withholds() bool {
	return !v.discloses && slices.ContainsFunc(v.withheld, func(w withheld) bool { return !v.isForgotten(w) })
}

func (v *Verifier) isForgotten(w withheld) bool {
	return v.head.ErasedSequence > 0 && !w.position.IsLater(v.head.erased())
}

// Next checks one more entry. The error names it, and leaves Head as it was.
func (v *Verifier) Next(e Entry) (err error) {
	if v.buffer, err = e.appendHashed(v.buffer[:0]); err != nil {
		return err
	}
	switch {
	case e.LicenseID != v.licenseID:
		return fmt.Errorf("entry %d is of license %s", e.Sequence, e.LicenseID)
	case e.Sequence != v.head.Sequence+1:
		return fmt.Errorf("entry %d stands where entry %d should", e.Sequence, v.head.Sequence+1)
	case e.Previous != v.head.Hash:
		return fmt.Errorf("entry %d does not name the hash of the entry before it", e.Sequence)
	case e.Hash != hexHash(v.buffer):
		return fmt.Errorf("entry %d was changed: it does not have the hash that it says", e.Sequence)
	case e.Format != formatVersion:
		return fmt.Errorf("entry %d has format %d: only format %d is known", e.Sequence, e.Format, formatVersion)
	}
	if err := e.checkDisclosure(); err != nil {
		return fmt.Errorf("entry %d: %w", e.Sequence, err)
	}
	if err := v.checkOrder(e); err != nil {
		return fmt.Errorf("entry %d: %w", e.Sequence, err)
	}
	if err := v.checkRecord(e); err != nil {
		return fmt.Errorf("entry %d: %w", e.Sequence, err)
	}
	if err := v.follow(e); err != nil {
		return fmt.Errorf("entry %d: %w", e.Sequence, err)
	}
	if e.Gap {
		v.report(e, "a change before this one is missing: the record was not as the entry before left it")
	}
	if e.Late {
		v.report(e, "it was recorded after later changes: its event was held back, or the chain's head was moved")
	}
	v.head = v.head.After(e)
	v.noteWithheld(e)
	return nil
}

// noteWithheld remembers what the entry does not disclose. What was before an erasure is forgotten.
func (v *Verifier) noteWithheld(e Entry) {
	v.discloses = v.discloses || len(e.Nonces) > 0 || e.ReasonNonce != ""
	if e.Action == Erased {
		v.withheld = nil
	}
	if !e.isWhole() {
		v.withheld = append(v.withheld, withheld{e.Sequence, e.Position()})
	}
}

func (v *Verifier) report(e Entry, text string) {
	v.findings = append(v.findings, Finding{Sequence: e.Sequence, Text: text})
}

// checkDisclosure checks that all that the entry discloses is part of its hash.
func (e Entry) checkDisclosure() error {
	if (e.Reason == "") != (e.ReasonNonce == "") || e.ReasonNonce != "" && e.ReasonCommitment != "" {
		return errors.New("it tells a reason that it is not committed to")
	}
	for name, nonces := range e.Nonces {
		change := e.Changes[name]
		if nonces.Old != "" && change.Old == nil || nonces.New != "" && change.New == nil {
			return fmt.Errorf("attribute %q: it has the nonce of a value that is not there", name)
		}
	}
	return nil
}

// checkOrder checks that the entry's event is later than those before it, or marked as late.
func (v *Verifier) checkOrder(e Entry) error {
	isLater := v.head == (Head{}) || e.Position().IsLater(v.head.position())
	switch {
	case !isDecimal(e.SequenceNumber):
		return fmt.Errorf("the sequence number %q of its event is not decimal", e.SequenceNumber)
	case e.Late && e.Sequence == 1:
		return errors.New("it is marked as late, and nothing was recorded before it")
	case e.Late && isLater:
		return errors.New("it is marked as late, and its event is later than those before it")
	case !e.Late && !isLater:
		return errors.New("its event is not later than those before it, and it is not marked as late")
	default:
		return nil
	}
}

// checkRecord checks that what the entry tells of the record goes with what the entries before it tell.
func (v *Verifier) checkRecord(e Entry) error {
	isKnown := !e.Gap && !e.Adopted && !e.Late // how the record was before the change
	switch {
	case e.Action == Deleted && e.RecordHash != "":
		return errors.New("it is a deletion, and says that it left a record")
	case e.Action != Deleted && e.RecordHash == "":
		return errors.New("it left no record, and is not a deletion")
	case e.Adopted && (e.Sequence != 1 || e.Gap || e.Action == Issued):
		return errors.New("it is marked as adopted: then it is the first of its chain, no gap, and issues nothing")
	case e.Late && (e.Gap || e.Adopted):
		return errors.New("it is marked as late: then it is neither a gap nor adopted")
	case isKnown && e.Action == Issued && v.head.RecordHash != "":
		return errors.New("it issues a record, and there was one already")
	case isKnown && e.Action != Issued && e.Action != Erased && v.head.RecordHash == "":
		return errors.New("it changes a record, and there was none")
	default:
		return nil
	}
}

// follow makes the entry's changes to v.record, where the entries so far tell all of it.
func (v *Verifier) follow(e Entry) error {
	switch {
	case e.Late:
		return nil // the record was changed again since
	case e.Action == Issued:
		v.record, v.names = map[string]json.RawMessage{}, nil
	case e.Gap || e.Adopted:
		v.record = nil
	}
	if v.record == nil {
		return nil
	}
	return v.applyChanges(e)
}

// applyChanges makes the entry's changes to v.record, and compares it with the entry's RecordHash.
func (v *Verifier) applyChanges(e Entry) error {
	isComplete := true // no value is a Digest
	for name, change := range e.Changes {
		change = change.closed(name, e.Nonces[name])
		before, err := canonicalRaw(change.Old)
		if err != nil {
			return err
		}
		after, err := canonicalRaw(change.New)
		if err != nil {
			return err
		}
		if e.Action == Issued && before != nil {
			return fmt.Errorf("attribute %q: the record was issued, and yet had a value before", name)
		}
		if known := v.record[name]; !bytes.Equal(before, known) && !bytes.Equal(before, shortened(known)) {
			return fmt.Errorf("attribute %q: the old value is not the one that the entries before it left", name)
		}
		if before == nil || after == nil {
			v.names = nil
		}
		if after == nil {
			delete(v.record, name)
		} else {
			v.record[name] = after
		}
		isComplete = isComplete && !isDigest(after)
	}
	if !isComplete {
		v.record = nil
		return nil
	}
	if e.Action == Deleted {
		if len(v.record) > 0 {
			return errors.New("it is a deletion, and its changes leave attributes")
		}
		return nil
	}
	if v.names == nil {
		v.names = sortedNames(v.record)
	}
	if v.buffer = appendTold(v.buffer[:0], v.names, v.record); hexHash(v.buffer) != e.RecordHash {
		return errors.New("the record that its changes lead to does not have the record hash that it says")
	}
	return nil
}

// canonicalRaw returns a JSON value in its canonical form, and nil for none.
func canonicalRaw(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if isPlain(raw) {
		return raw, nil
	}
	return appendRaw(nil, raw)
}
