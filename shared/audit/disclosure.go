package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
)

// FieldNonces are the nonces of an attribute's values before and after a change. That of a value which is absent, or
// was erased, is empty.
type FieldNonces struct {
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
}

// Disclosure is what an entry is committed to, and what a store keeps apart from it: personal values, and the nonces
// with which they can be held to the commitments.
type Disclosure struct {
	Sequence    int64                  `json:"-"`                 // of the entry
	Changes     map[string]FieldChange `json:"changes,omitempty"` // personal values alone
	Nonces      map[string]FieldNonces `json:"nonces,omitempty"`
	Reason      string                 `json:"reason,omitempty"`
	ReasonNonce string                 `json:"reasonnonce,omitempty"`
}

// Disclosure returns what the entry discloses, and whether it discloses anything. Where that is too long to be stored,
// values over maxLongValue are left out: whoever has one can still hold it to the commitment.
func (e Entry) Disclosure() (d Disclosure, isAny bool) {
	d = Disclosure{Sequence: e.Sequence, Nonces: e.Nonces, ReasonNonce: e.ReasonNonce}
	if e.ReasonNonce != "" {
		d.Reason = e.Reason
	}
	d.Changes = e.personalChanges(func(json.RawMessage) bool { return true })
	size := len(d.Reason)
	for _, change := range d.Changes {
		size += len(change.Old) + len(change.New)
	}
	if size > maxChanges {
		d.Changes = e.personalChanges(func(value json.RawMessage) bool { return len(value) <= maxLongValue })
	}
	return d, len(d.Nonces) > 0 || d.ReasonNonce != ""
}

// personalChanges returns the wanted values that have a nonce.
func (e Entry) personalChanges(isWanted func(json.RawMessage) bool) map[string]FieldChange {
	wanted := func(value json.RawMessage, nonce string) json.RawMessage {
		if nonce == "" || !isWanted(value) || isCommitment(value) {
			return nil
		}
		return value
	}
	changes := make(map[string]FieldChange, len(e.Nonces))
	for name, nonces := range e.Nonces {
		change := e.Changes[name]
		personal := FieldChange{wanted(change.Old, nonces.Old), wanted(change.New, nonces.New)}
		if personal.Old != nil || personal.New != nil {
			changes[name] = personal
		}
	}
	return changes
}

// Closed returns the entry as it is stored, without what it discloses: commitments take the place of personal values.
func (e Entry) Closed() Entry {
	changes := make(map[string]FieldChange, len(e.Changes))
	for name, change := range e.Changes {
		changes[name] = change.closed(name, e.Nonces[name])
	}
	e.Reason, e.ReasonCommitment, e.ReasonNonce = "", e.reasonCommitment(), ""
	e.Changes, e.Nonces = changes, nil
	return e
}

// closed returns the change with commitments in place of the values that have a nonce.
func (c FieldChange) closed(name string, nonces FieldNonces) FieldChange {
	return FieldChange{closed(c.Old, name, nonces.Old), closed(c.New, name, nonces.New)}
}

func closed(value json.RawMessage, name, nonce string) json.RawMessage {
	if nonce == "" || len(value) == 0 || isCommitment(value) {
		return value
	}
	if text, err := canonicalRaw(value); err == nil {
		value = text
	}
	return commit(nonce, name, value)
}

// reasonCommitment returns the hash that commits to the reason: that of the commitment to {"S":"<reason>"}, under the
// name "reason".
func (e Entry) reasonCommitment() string {
	if e.ReasonNonce == "" {
		return e.ReasonCommitment
	}
	value := append(appendString([]byte(`{"S":`), e.Reason), '}')
	return commitmentHash(e.ReasonNonce, reasonName, value)
}

// Disclosed returns the entry with the values that the disclosure has for it. What does not fit a commitment is left
// out: someone else has written it.
func (e Entry) Disclosed(d Disclosure) Entry {
	e = e.Closed()
	nonces := map[string]FieldNonces{}
	for name, change := range e.Changes {
		var kept FieldNonces
		change.Old, kept.Old = disclosed(name, change.Old, d.Changes[name].Old, d.Nonces[name].Old)
		change.New, kept.New = disclosed(name, change.New, d.Changes[name].New, d.Nonces[name].New)
		if kept != (FieldNonces{}) {
			e.Changes[name], nonces[name] = change, kept
		}
	}
	if len(nonces) > 0 {
		e.Nonces = nonces
	}
	shown := Entry{Reason: d.Reason, ReasonNonce: d.ReasonNonce}
	if d.ReasonNonce != "" && shown.reasonCommitment() == e.ReasonCommitment {
		e.Reason, e.ReasonNonce, e.ReasonCommitment = d.Reason, d.ReasonNonce, ""
	}
	return e
}

// disclosed returns what takes the place of a commitment. Without a value, the nonce cannot be held to it.
func disclosed(name string, commitment, value json.RawMessage, nonce string) (json.RawMessage, string) {
	switch {
	case nonce == "" || !isCommitment(commitment):
		return commitment, ""
	case len(value) == 0:
		return commitment, nonce
	}
	text, err := canonicalRaw(value)
	if err != nil || !bytes.Equal(commit(nonce, name, text), commitment) {
		return commitment, ""
	}
	return text, nonce
}

// isWhole reports whether the entry discloses all that it is committed to, as far as that is kept: of an erasure only
// what it has left.
func (e Entry) isWhole() bool {
	for name, change := range e.Changes {
		nonces := e.Nonces[name]
		lacksOld := isCommitment(change.Old) && nonces.Old == "" && e.Action != Erased
		if lacksOld || isCommitment(change.New) && nonces.New == "" {
			return false
		}
	}
	return e.ReasonCommitment == ""
}

// closeOld takes back what the entry discloses of the record before the change.
func (e Entry) closeOld() {
	for name, nonces := range e.Nonces {
		change := e.Changes[name]
		change.Old = closed(change.Old, name, nonces.Old)
		e.Changes[name] = change
		if e.Nonces[name] = (FieldNonces{New: nonces.New}); nonces.New == "" {
			delete(e.Nonces, name)
		}
	}
}

// EntryReader is what reads entries, and what they disclose. Its methods are those of a Store.
type EntryReader interface {
	Entries(ctx context.Context, licenseID string, after int64, limit int) ([]Entry, error)
	Disclosures(ctx context.Context, licenseID string, first, last int64) ([]Disclosure, error)
}

// DisclosedEntries returns entries as Store.Entries does, with what they disclose.
func DisclosedEntries(
	ctx context.Context, store EntryReader, licenseID string, after int64, limit int,
) ([]Entry, error) {
	entries, err := store.Entries(ctx, licenseID, after, limit)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	disclosures, err := store.Disclosures(ctx, licenseID, entries[0].Sequence, entries[len(entries)-1].Sequence)
	if err != nil {
		return nil, err
	}
	return Disclose(entries, disclosures), nil
}

// Disclose returns entries with what disclosures have for them, and nothing else that they may disclose themselves.
// Both are in the order of sequences.
func Disclose(entries []Entry, disclosures []Disclosure) []Entry {
	shown := slices.Clone(entries)
	for i, e := range shown {
		for len(disclosures) > 0 && disclosures[0].Sequence < e.Sequence {
			disclosures = disclosures[1:]
		}
		var d Disclosure
		if len(disclosures) > 0 && disclosures[0].Sequence == e.Sequence {
			d = disclosures[0]
		}
		shown[i] = e.Disclosed(d)
	}
	return shown
}
