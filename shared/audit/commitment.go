package audit

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"slices"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// A chain is for good, and a customer may ask to be forgotten. So entries hold no personal value (license.IsPersonal).
// In its place stands a commitment, {"commitment":"…"}: the SHA-256, in lower-case hexadecimal, of the JSON (RFC 8785)
//
//	["<nonce>","<name of the attribute>",<value as DynamoDB JSON>]
//
// A nonce is random, as the salt of a disclosure is in RFC 9901 section 4.2. Whoever has value and nonce can hold them
// to the commitment, and whoever has neither learns nothing from it, not even by guessing.

// commit returns the commitment to the canonical text of a value.
func commit(nonce, name string, value []byte) json.RawMessage {
	return commitmentOf(commitmentHash(nonce, name, value))
}

func commitmentHash(nonce, name string, value []byte) string {
	text := appendString([]byte{'['}, nonce)
	text = appendString(append(text, ','), name)
	return hexHash(append(append(append(text, ','), value...), ']'))
}

// unknownCommitment stands for a value whose nonce nobody knows.
var unknownCommitment = commitmentOf("")

func commitmentOf(hash string) json.RawMessage {
	return json.RawMessage(`{"commitment":"` + hash + `"}`)
}

func isCommitment(value json.RawMessage) bool {
	return bytes.HasPrefix(value, []byte(`{"commitment":`))
}

// reasonName is the name to which the reason of a change is committed.
const reasonName = "reason"

// newNonce returns 130 random bits in base32.
func newNonce(Event, string) string { return rand.Text() }

// Nonces are those of the personal values of a record, by attribute name.
type Nonces map[string]string

// image is a record as entries tell it.
type image struct {
	values map[string]json.RawMessage // canonical DynamoDB JSON; nil where there is no record
	nonces Nonces
}

// imageOf returns the image of a record, without index attributes and with the nonces of another record that was the
// same, or nearly.
func imageOf(record attribute.Map, nonces Nonces) (image, error) {
	if record == nil {
		return image{}, nil
	}
	folded := fold(license.WithoutIndex(record))
	i := image{make(map[string]json.RawMessage, len(folded)), nonces}
	for name, value := range folded {
		text, err := appendValue(nil, value)
		if err != nil {
			return image{}, attributeError(name, err)
		}
		i.values[name] = text
	}
	return i, nil
}

// A record may have thousands of attributes. The chain's head has a nonce for each personal one, and must fit where
// heads are stored, so that beyond these bounds all are committed to as one attribute.
const (
	maxPersonal      = 100
	maxPersonalNames = 8 << 10 // bytes of their names

	foldedName = "" // no attribute has this name
)

func fold(record attribute.Map) attribute.Map {
	count, bytes := 0, 0
	for name := range record {
		if license.IsPersonal(name) {
			count, bytes = count+1, bytes+len(name)
		}
	}
	if count <= maxPersonal && bytes <= maxPersonalNames {
		return record
	}
	folded, personal := attribute.Map{}, attribute.Map{}
	for name, value := range record {
		if license.IsPersonal(name) {
			personal[name] = value
		} else {
			folded[name] = value
		}
	}
	folded[foldedName] = personal
	return folded
}

// told returns the value of an attribute as the hashes have it, and nil where it is absent.
func (i image) told(name string) json.RawMessage {
	value := i.values[name]
	if value == nil || !license.IsPersonal(name) {
		return value
	}
	if nonce, isKnown := i.nonces[name]; isKnown {
		return commit(nonce, name, value)
	}
	return unknownCommitment
}

// hash returns the RecordHash of the image.
func (i image) hash() string {
	if i.values == nil {
		return ""
	}
	told := make(map[string]json.RawMessage, len(i.values))
	for name := range i.values {
		told[name] = i.told(name)
	}
	return hashTold(told)
}

// hashTold returns the RecordHash of a record whose values are as hashes have them.
func hashTold(told map[string]json.RawMessage) string {
	text := []byte{'{'}
	for n, name := range sortedNames(told) {
		text = append(appendName(text, n, name), told[name]...)
	}
	return hexHash(append(text, '}'))
}

// renewed returns the image with nonces of its own, besides those of values that are also in another image.
func (i image) renewed(same image, nonce func(name string) string) image {
	nonces := Nonces{}
	for name, value := range i.values {
		if !license.IsPersonal(name) {
			continue
		}
		if kept, isKnown := same.nonces[name]; isKnown && bytes.Equal(value, same.values[name]) {
			nonces[name] = kept
		} else {
			nonces[name] = nonce(name)
		}
	}
	return image{i.values, nonces}
}

// HashRecord returns the SHA-256 of a record in lower-case hexadecimal, as the entry has it that left the record: over
// commitments, which it makes with the nonces, in place of personal values. The text that is hashed is the record's
// DynamoDB JSON in the form of RFC 8785. The elements of a set (SS, NS, BS), which have no order, are sorted by the
// UTF-8 bytes of their texts. Numbers keep the text that DynamoDB stored, which its streams and its reads both show.
// Index attributes are no part of it: they follow from the rest. The hash of no record, nil, is "".
func HashRecord(record attribute.Map, nonces Nonces) (string, error) {
	i, err := imageOf(record, nonces)
	if err != nil {
		return "", err
	}
	return i.hash(), nil
}

// HashStored returns the SHA-256 of a record with its values, in the same form. It could confirm a guess of them, so it
// is kept only as long as the record.
func HashStored(record attribute.Map) (string, error) {
	if record == nil {
		return "", nil
	}
	text, err := appendMap(nil, license.WithoutIndex(record))
	if err != nil {
		return "", err
	}
	return hexHash(text), nil
}

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
	changes := make(map[string]FieldChange, len(e.Nonces))
	for name, nonces := range e.Nonces {
		var personal FieldChange
		if change := e.Changes[name]; nonces.Old != "" && isWanted(change.Old) && !isCommitment(change.Old) {
			personal.Old = change.Old
		}
		if change := e.Changes[name]; nonces.New != "" && isWanted(change.New) && !isCommitment(change.New) {
			personal.New = change.New
		}
		if personal.Old != nil || personal.New != nil {
			changes[name] = personal
		}
	}
	return changes
}

// Closed returns the entry without what it discloses: commitments take the place of personal values.
func (e Entry) Closed() Entry {
	changes := make(map[string]FieldChange, len(e.Changes))
	for name, change := range e.Changes {
		changes[name] = change.closed(name, e.Nonces[name])
	}
	if e.ReasonNonce != "" {
		e.Reason, e.ReasonCommitment = "", e.reasonCommitment()
	}
	e.Changes, e.Nonces, e.ReasonNonce = changes, nil, ""
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

// isWhole reports whether the entry discloses all that it is committed to, as far as that is kept: of an erasure what it
// has left alone.
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

// Disclose returns entries with what disclosures have for them. Both are in the order of sequences.
func Disclose(entries []Entry, disclosures []Disclosure) []Entry {
	shown := slices.Clone(entries)
	for i, e := range shown {
		for len(disclosures) > 0 && disclosures[0].Sequence < e.Sequence {
			disclosures = disclosures[1:]
		}
		if len(disclosures) > 0 && disclosures[0].Sequence == e.Sequence {
			shown[i] = e.Disclosed(disclosures[0])
		}
	}
	return shown
}
