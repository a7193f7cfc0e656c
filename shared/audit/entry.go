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
	"fmt"
	"reflect"
	"time"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// Action names what a change did to the license.
type Action string

// The actions. Reinstated ends a revocation or a suspension. Renewed moves the end of the license to a later date.
// DevicesReset takes the seats of all devices back. Changed is any other change.
const (
	Issued     Action = "ISSUED"
	Changed    Action = "CHANGED"
	Renewed    Action = "RENEWED"
	Revoked    Action = "REVOKED"
	Suspended  Action = "SUSPENDED"
	Reinstated Action = "REINSTATED"
	Deleted    Action = "DELETED"

	DevicesReset Action = "DEVICES_RESET"
)

// UnknownActor is the actor of a change that names nobody, which is one that another tool made.
const UnknownActor = "unknown"

// TimeToLiveActor is the actor of an entry with TimeToLive: the principal that DynamoDB names for it
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html).
const TimeToLiveActor = "dynamodb.amazonaws.com"

// formatVersion is the Format of the entries that are written now.
const formatVersion = 1

// Entry is one link of a chain. Its JSON is canonical (RFC 8785): members are sorted by name, there is no white
// space, and each text has one spelling. That JSON is what is stored, exported and hashed. A member that is marked
// omitempty here is left out where it is empty.
type Entry struct {
	Format         int                    `json:"format"` // of this form: 1
	LicenseID      string                 `json:"licenseid"`
	Sequence       int64                  `json:"sequence"` // from 1, without gaps
	Time           string                 `json:"time"`     // RFC 3339, UTC, as the stream says
	Action         Action                 `json:"action"`
	Actor          string                 `json:"actor"`
	Reason         string                 `json:"reason,omitempty"`
	RequestID      string                 `json:"requestid,omitempty"`
	Changes        map[string]FieldChange `json:"changes"`                 // by attribute name
	ChangesDigest  *Digest                `json:"changesdigest,omitempty"` // in place of Changes; see shorten
	RecordHash     string                 `json:"recordhash,omitempty"`    // see HashRecord; none after a deletion
	Adopted        bool                   `json:"adopted,omitempty"`       // see isAdopted
	Gap            bool                   `json:"gap,omitempty"`           // a change before this one is missing
	Late           bool                   `json:"late,omitempty"`          // a later event was recorded first
	TimeToLive     bool                   `json:"timetolive,omitempty"`    // removed when its time had come
	EventID        string                 `json:"eventid"`                 // of the stream
	SequenceNumber string                 `json:"sequencenumber"`          // of the stream
	Previous       string                 `json:"previous"`                // Hash of the entry before; "" in the first
	Hash           string                 `json:"hash"`                    // see ComputeHash
}

// FieldChange holds an attribute's value before and after a change. Each is canonical DynamoDB JSON, or a Digest of
// that, or absent where the attribute was absent.
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

// ComputeHash returns the SHA-256 of the entry's canonical JSON without the member "hash", in lower-case hexadecimal.
func (e Entry) ComputeHash() (string, error) {
	text, err := e.appendCanonical(nil, false)
	if err != nil {
		return "", err
	}
	return hexHash(text), nil
}

// MarshalJSON returns the canonical form.
func (e Entry) MarshalJSON() ([]byte, error) { return e.appendCanonical(nil, true) }

// Event is a change of a stored record, as the table's stream reports it.
type Event struct {
	ID             string
	SequenceNumber string // decimal; greater with each change of one license
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

// entry returns the event's entry, which follows head.
func (v Event) entry(head Head, isLate bool) (e Entry, err error) {
	before, errBefore := license.FromRecord(v.Old)
	after, errAfter := license.FromRecord(v.New)
	e = Entry{
		Format:         formatVersion,
		LicenseID:      v.LicenseID,
		Sequence:       head.Sequence + 1,
		Time:           v.Time.UTC().Format(time.RFC3339Nano),
		Action:         Changed,
		Adopted:        v.isAdopted(head),
		Late:           isLate,
		TimeToLive:     v.TimeToLive && v.New == nil,
		EventID:        v.ID,
		SequenceNumber: v.SequenceNumber,
		Previous:       head.Hash,
	}
	switch {
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
	if err := e.setRecord(v, head); err != nil {
		return Entry{}, fmt.Errorf("event %s: %w", v.ID, err)
	}
	e.Hash, err = e.ComputeHash()
	return e, err
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

// setRecord sets what was changed in the record, and whether the record had been as the head left it.
func (e *Entry) setRecord(v Event, head Head) (err error) {
	e.Changes, err = changedFields(license.WithoutIndex(v.Old), license.WithoutIndex(v.New))
	if err != nil {
		return err
	}
	if err := e.shorten(); err != nil {
		return err
	}
	before, err := HashRecord(v.Old)
	if err != nil {
		return err
	}
	e.Gap = !e.Adopted && !e.Late && before != head.RecordHash
	e.RecordHash, err = HashRecord(v.New)
	return err
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

// changedFields returns the attributes whose canonical texts differ: another order of a set's elements is no change.
func changedFields(before, after attribute.Map) (map[string]FieldChange, error) {
	changes := make(map[string]FieldChange, len(after))
	for name, value := range before {
		old, err := appendValue(nil, value)
		if err != nil {
			return nil, fmt.Errorf("attribute %q: %w", name, err)
		}
		changes[name] = FieldChange{Old: old}
	}
	for name, value := range after {
		written, err := appendValue(nil, value)
		if err != nil {
			return nil, fmt.Errorf("attribute %q: %w", name, err)
		}
		if old := changes[name].Old; !bytes.Equal(old, written) {
			changes[name] = FieldChange{Old: old, New: written}
		} else {
			delete(changes, name)
		}
	}
	return changes, nil
}

// An item of DynamoDB holds 400 KB. A record can be as large, and the entry of a change holds two of them.
const (
	maxChanges   = 256 << 10 // bytes of changes that are recorded in full: enough for hundreds of URLs
	maxLongValue = 1 << 10   // bytes of a value that is never replaced by its Digest
)

// shorten makes every entry fit where entries are stored. If the canonical JSON of Changes is longer than
// maxChanges, the Digest of each value longer than maxLongValue takes its place. If Changes are too long even so,
// they become empty, and ChangesDigest is the Digest of the full ones. Whoever has the values can still prove that
// they are the recorded ones.
func (e *Entry) shorten() error {
	full, err := appendChanges(nil, e.Changes)
	if err != nil || len(full) <= maxChanges {
		return err
	}
	for name, change := range e.Changes {
		e.Changes[name] = FieldChange{Old: shortened(change.Old), New: shortened(change.New)}
	}
	short, err := appendChanges(nil, e.Changes)
	if err != nil || len(short) <= maxChanges {
		return err
	}
	e.Changes, e.ChangesDigest = map[string]FieldChange{}, digest(full)
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
