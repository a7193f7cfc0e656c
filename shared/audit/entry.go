// Package audit is the audit trail. Each license has a chain of entries, one for each change, and every entry holds
// the hash of the one before it. The package derives entries from the changes of stored records, appends them
// exactly once, exports chains and verifies them.
//
// Of DynamoDB it knows what entries hold: the JSON form of a record, the ids and sequence numbers of the table's
// stream, and the name under which the time to live removes a record. It also knows how much an item holds. It knows
// nothing else of AWS, and no HTTP.
package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// Action names what a change did to the license.
type Action string

// The actions. Reinstated ends a revocation or a suspension. Renewed moves the end of the license to a later date.
// DevicesReset takes the seats of all devices back. Erased leaves no personal value. Changed is any other change.
const (
	Issued     Action = "ISSUED"
	Changed    Action = "CHANGED"
	Renewed    Action = "RENEWED"
	Revoked    Action = "REVOKED"
	Suspended  Action = "SUSPENDED"
	Reinstated Action = "REINSTATED"
	Deleted    Action = "DELETED"

	DevicesReset Action = "DEVICES_RESET"
	Erased       Action = "ERASED"
)

// UnknownActor is the actor of a change that names nobody, which is one that another tool made.
const UnknownActor = "unknown"

// TimeToLiveActor is the actor of an entry with TimeToLive: the principal that DynamoDB names for it
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html).
const TimeToLiveActor = "dynamodb.amazonaws.com"

// formatVersion is the Format of the entries that are written now.
const formatVersion = 2

// Entry is one link of a chain. Its JSON is canonical (RFC 8785): members are sorted by name, there is no white
// space, and each text has one spelling. A member that is marked omitempty here is left out where it is empty.
//
// What is hashed, and stored as the entry, has commitments in place of personal values. An entry that is shown to whom
// it may concern has the values in their place, and the nonces beside, which are no part of the hash.
type Entry struct {
	Format         int                    `json:"format"` // of this form: 2
	LicenseID      string                 `json:"licenseid"`
	Sequence       int64                  `json:"sequence"` // from 1, without gaps
	Time           string                 `json:"time"`     // RFC 3339, UTC, as the stream says
	Action         Action                 `json:"action"`
	Actor          string                 `json:"actor"`
	Reason         string                 `json:"reason,omitempty"`
	RequestID      string                 `json:"requestid,omitempty"`
	Changes        map[string]FieldChange `json:"changes"`              // by attribute name
	RecordHash     string                 `json:"recordhash,omitempty"` // see HashRecord; none after a deletion
	Adopted        bool                   `json:"adopted,omitempty"`    // see isAdopted
	Gap            bool                   `json:"gap,omitempty"`        // a change before this one is missing
	Late           bool                   `json:"late,omitempty"`       // a later event was recorded first
	TimeToLive     bool                   `json:"timetolive,omitempty"` // removed when its time had come
	EventID        string                 `json:"eventid"`              // of the stream
	Stream         string                 `json:"stream,omitempty"`     // see Position
	SequenceNumber string                 `json:"sequencenumber"`       // of the stream
	Previous       string                 `json:"previous"`             // Hash of the entry before; "" in the first
	Hash           string                 `json:"hash"`                 // see ComputeHash

	Nonces      map[string]FieldNonces `json:"nonces,omitempty"`      // of personal values in Changes
	ReasonNonce string                 `json:"reasonnonce,omitempty"` // of Reason

	// ReasonCommitment is the hash that commits to the reason, in place of Reason where that is not disclosed.
	ReasonCommitment string `json:"reasoncommitment,omitempty"`
}

// FieldChange holds an attribute's value before and after a change. Each is canonical DynamoDB JSON, or a Digest of
// that, or a commitment to it, or absent where the attribute was absent.
type FieldChange struct {
	Old json.RawMessage `json:"old,omitempty"`
	New json.RawMessage `json:"new,omitempty"`
}

// Digest stands for a text that is too long to be recorded: {"bytes":70000,"sha256":"..."}. DynamoDB JSON never
// looks like that.
type Digest struct {
	Bytes  int    `json:"bytes"`  // length of the text
	SHA256 string `json:"sha256"` // of the text, in lower-case hexadecimal
}

// ComputeHash returns the SHA-256 of the canonical JSON of the entry as it is stored, without the member "hash", in
// lower-case hexadecimal.
func (e Entry) ComputeHash() (string, error) {
	text, err := e.appendHashed(nil)
	if err != nil {
		return "", err
	}
	return hexHash(text), nil
}

// MarshalJSON returns the canonical form.
func (e Entry) MarshalJSON() ([]byte, error) { return e.appendCanonical(nil) }

// UnmarshalJSON also takes values in another spelling than the canonical one, as other programs write them.
func (e *Entry) UnmarshalJSON(text []byte) error {
	type plain Entry
	if err := json.Unmarshal(text, (*plain)(e)); err != nil {
		return err
	}
	for name, change := range e.Changes {
		old, errOld := canonicalRaw(change.Old)
		written, errNew := canonicalRaw(change.New)
		if err := errors.Join(errOld, errNew); err != nil {
			return attributeError(name, err)
		}
		e.Changes[name] = FieldChange{old, written}
	}
	return nil
}

// Position is where a change stands among those of its license. A table that was restored from a backup has another
// stream, whose numbers begin anew.
type Position struct {
	Stream string // the stream's label: when it was made, in ISO 8601, as DynamoDB writes it; empty where it has none
	Number string // decimal; greater with each change of one license
}

// IsLater reports whether p is behind another position.
func (p Position) IsLater(other Position) bool {
	if p.Stream != other.Stream {
		return p.Stream > other.Stream
	}
	return license.IsLater(p.Number, other.Number)
}

// Compare returns 1 where p is behind another position, -1 where it is before it, and 0 where both are the same.
func (p Position) Compare(other Position) int {
	switch {
	case p.IsLater(other):
		return 1
	case other.IsLater(p):
		return -1
	default:
		return 0
	}
}

// Position returns where the entry's event stood.
func (e Entry) Position() Position { return Position{e.Stream, e.SequenceNumber} }

// Event is a change of a stored record, as the table's stream reports it.
type Event struct {
	ID             string
	Stream         string // see Position
	SequenceNumber string
	Time           time.Time
	LicenseID      string
	Old, New       attribute.Map // nil where the record did not, or does not, exist
	TimeToLive     bool          // the service removed the record itself
}

// isIndexOnly reports whether nothing but index attributes has changed. They follow from the rest of a record.
func (v Event) isIndexOnly() bool {
	return v.Old != nil && v.New != nil && !reflect.DeepEqual(v.Old, v.New) &&
		reflect.DeepEqual(license.WithoutIndex(v.Old), license.WithoutIndex(v.New))
}

func (v Event) position() Position { return Position{v.Stream, v.SequenceNumber} }

// entry returns the event's entry, which follows a state, and the state after it.
func (v Event) entry(from State, isLate bool, nonce func(Event, string) string) (e Entry, to State, err error) {
	before, errBefore := license.FromRecord(v.Old)
	after, errAfter := license.FromRecord(v.New)
	e = Entry{
		Format:         formatVersion,
		LicenseID:      v.LicenseID,
		Sequence:       from.Sequence + 1,
		Time:           v.Time.UTC().Format(time.RFC3339Nano),
		Action:         Changed,
		Adopted:        v.isAdopted(from.Head),
		Late:           isLate,
		TimeToLive:     v.TimeToLive && v.New == nil,
		EventID:        v.ID,
		Stream:         v.Stream,
		SequenceNumber: v.SequenceNumber,
		Previous:       from.Hash,
	}
	switch {
	case license.IsErasure(v.Old, v.New):
		e.Action = Erased
	case v.Old == nil:
		e.Action = Issued
	case v.New == nil:
		e.Action = Deleted
	case errBefore == nil && errAfter == nil:
		e.Action = action(before, after)
	}
	// Our own writers raise the version, or mark the record before they remove it. A writer that does neither has left
	// the actor, reason and request of an earlier change in the record.
	writer := after
	if v.New == nil && before.Deleted {
		writer = before
	} else if errAfter != nil || after.Version == before.Version {
		writer = license.License{}
	}
	e.setWriter(writer)
	if e.Reason != "" {
		e.ReasonNonce = nonce(v, reasonName)
	}
	if to, err = e.setRecord(v, from, nonce); err != nil {
		return Entry{}, State{}, fmt.Errorf("event %s: %w", v.ID, err)
	}
	if isLate && from.ErasedSequence > 0 && !v.position().IsLater(from.erased()) {
		e = e.Closed() // the customer was forgotten since
	}
	if e.Hash, err = e.ComputeHash(); err != nil {
		return Entry{}, State{}, err
	}
	to.Head = from.After(e)
	return e, to, nil
}

// isAdopted reports whether the event is the first of a record that is older than its chain. Such records are in a
// table that other tools filled before the trail began, and nothing is missing then. Our own writers count versions
// from 1, and what they write is on the trail: a record with a version and no chain is a gap. A record that only
// other tools wrote, and whose whole chain was removed, looks adopted too. Signed checkpoints tell the two apart.
func (v Event) isAdopted(head Head) bool {
	return head == (Head{}) && v.Old != nil && license.RecordVersion(v.Old) < 1
}

// maxWriterText bounds the bytes of ChangedBy, ChangeReason and RequestID. Our own writers set at most 1,024
// characters.
const maxWriterText = 4096

// setWriter sets actor, reason and request. Texts that are too long are not from our own writers: the actor is unknown
// then, and the texts are in Changes.
func (e *Entry) setWriter(writer license.License) {
	e.Actor = UnknownActor
	if e.TimeToLive {
		e.Actor = TimeToLiveActor
		return
	}
	if max(len(writer.ChangedBy), len(writer.ChangeReason), len(writer.RequestID)) > maxWriterText {
		return
	}
	if writer.ChangedBy != "" {
		e.Actor, e.Reason, e.RequestID = writer.ChangedBy, writer.ChangeReason, writer.RequestID
	}
}

// setRecord sets what was changed in the record, and whether the record had been as the head left it. The state that it
// returns has what the record tells, and not the Head.
func (e *Entry) setRecord(v Event, from State, nonce func(Event, string) string) (to State, err error) {
	before, err := imageOf(v.Old, from.Nonces)
	if err != nil {
		return to, err
	}
	isAsLeft := !e.Late && !e.Adopted && before.hash() == from.RecordHash
	e.Gap = !e.Late && !e.Adopted && !isAsLeft
	if !isAsLeft {
		before = before.renewed(image{}, func(name string) string { return nonce(v, "old "+name) })
	}
	after, err := imageOf(v.New, nil)
	if err != nil {
		return to, err
	}
	kept := before
	if e.Action == Erased {
		kept = image{} // with a nonce that others may have kept, they could guess at what it was before
	}
	after = after.renewed(kept, func(name string) string { return nonce(v, "new "+name) })
	e.RecordHash = after.hash()
	e.setChanges(before, after)
	if e.Action == Erased {
		e.closeOld()
	}
	if err := e.shorten(); err != nil || e.Late {
		return State{Nonces: from.Nonces, StoredHash: from.StoredHash}, err
	}
	to.Nonces = after.nonces
	to.StoredHash, err = HashStored(v.New)
	return to, err
}

// setChanges sets the attributes whose values, or the commitments to them, differ: another order of a set's elements is
// no change.
func (e *Entry) setChanges(before, after image) {
	e.Changes, e.Nonces = map[string]FieldChange{}, map[string]FieldNonces{}
	for _, values := range []map[string]json.RawMessage{before.values, after.values} {
		for name := range values {
			if bytes.Equal(before.told(name), after.told(name)) {
				continue
			}
			e.Changes[name] = FieldChange{before.values[name], after.values[name]}
			if license.IsPersonal(name) {
				e.Nonces[name] = FieldNonces{before.nonces[name], after.nonces[name]}
			}
		}
	}
}

// action returns the name of a change from the flags and dates that can be read. A flag that could not be read
// before the change may have been set.
func action(before, after license.License) Action {
	wasRevoked := before.Revoked || !before.RevocationIsKnown()
	wasSuspended := before.Suspended || !before.SuspensionIsKnown()
	switch {
	case after.Revoked && !before.Revoked:
		return Revoked
	case wasRevoked && !after.Revoked && after.RevocationIsKnown():
		return Reinstated
	case after.Suspended && !before.Suspended:
		return Suspended
	case wasSuspended && !after.Suspended && after.SuspensionIsKnown():
		return Reinstated
	case after.ChangedBy == license.PutBackActor:
		return Changed // its end was later before another tool had left out the days of grace
	case before.SeatsEpoch != after.SeatsEpoch && before.MaxDevices > 0 && after.MaxDevices > 0 &&
		after.DevicesAreKnown():
		return DevicesReset
	case before.EndIsKnown() && after.EndIsKnown() && after.EndsAt().After(before.EndsAt()):
		return Renewed
	default:
		return Changed
	}
}

// An item of DynamoDB holds 400 KB. A record can be as large, and the entry of a change holds two of them.
const (
	maxChanges   = 256 << 10 // bytes of changes that are recorded in full: enough for hundreds of URLs
	maxLongValue = 1 << 10   // bytes of a value that is never left out
)

// shorten makes every entry fit where entries are stored. If the canonical JSON of Changes, as it is stored, is longer
// than maxChanges, the Digest of each value that is not personal and longer than maxLongValue takes its place. Whoever
// has the value can still prove that it is the recorded one.
func (e *Entry) shorten() error {
	stored, err := e.appendChanges(nil, true)
	if err != nil || len(stored) <= maxChanges {
		return err
	}
	for name, change := range e.Changes {
		if !license.IsPersonal(name) {
			e.Changes[name] = FieldChange{Old: shortened(change.Old), New: shortened(change.New)}
		}
	}
	return nil
}

func shortened(value json.RawMessage) json.RawMessage {
	if len(value) <= maxLongValue {
		return value
	}
	return digest(value).appendCanonical(nil)
}

func digest(text []byte) *Digest { return &Digest{Bytes: len(text), SHA256: hexHash(text)} }

func isDigest(value json.RawMessage) bool { return bytes.HasPrefix(value, []byte(`{"bytes":`)) }
