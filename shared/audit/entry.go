// Package audit is the audit trail: for each license a chain of entries, one for each change, in which every
// entry holds the hash of the one before. It derives entries from changes of stored records, appends them
// exactly once, and verifies chains. It knows no AWS and no HTTP.
package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// Action names what a change did to the license.
type Action string

// The actions. Reinstated ends a revocation or a suspension, Renewed moves the end of the license to a
// later date, and Changed is any other change.
const (
	Issued     Action = "ISSUED"
	Changed    Action = "CHANGED"
	Renewed    Action = "RENEWED"
	Revoked    Action = "REVOKED"
	Suspended  Action = "SUSPENDED"
	Reinstated Action = "REINSTATED"
	Deleted    Action = "DELETED"
)

// UnknownActor is who made a change that names nobody: one by another tool than ours.
const UnknownActor = "unknown"

// TimeToLiveActor is who made a change with Entry.TimeToLive: the principal that DynamoDB names
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html).
const TimeToLiveActor = "dynamodb.amazonaws.com"

// formatVersion is Entry.Format of the entries that are written now.
const formatVersion = 1

// Entry is one link of a chain. Its JSON, which is what is stored, exported and hashed, is canonical (RFC 8785): the
// members sorted by name, no white space, of two ways to write a string always the same one. Flags and texts that say
// nothing are left out, but for those that every entry has.
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
	RecordHash     string                 `json:"recordhash,omitempty"`    // of the record after the change, see HashRecord; none after a deletion
	Adopted        bool                   `json:"adopted,omitempty"`       // the record is older than its chain, see isAdopted
	Gap            bool                   `json:"gap,omitempty"`           // the record was not as the entry before left it: a change is missing here
	Late           bool                   `json:"late,omitempty"`          // the event is older than one that was recorded before it
	TimeToLive     bool                   `json:"timetolive,omitempty"`    // DynamoDB removed the record because its time had come
	EventID        string                 `json:"eventid"`                 // of the stream
	SequenceNumber string                 `json:"sequencenumber"`          // of the stream
	Previous       string                 `json:"previous"`                // Hash of the entry before, empty in the first
	Hash           string                 `json:"hash"`                    // see ComputeHash
}

// FieldChange holds an attribute's value before and after, in canonical DynamoDB JSON, or its Digest; absent where the
// attribute was absent.
type FieldChange struct {
	Old json.RawMessage `json:"old,omitempty"`
	New json.RawMessage `json:"new,omitempty"`
}

// Digest stands for a text that is too long to be recorded: {"bytes":70000,"sha256":"..."}. DynamoDB JSON never looks so.
type Digest struct {
	Bytes  int    `json:"bytes"`  // length of the text
	SHA256 string `json:"sha256"` // of the text, in lower-case hexadecimal
}

// ComputeHash is the SHA-256, in lower-case hexadecimal, of the entry's canonical JSON without the member "hash".
func (e Entry) ComputeHash() (string, error) {
	text, err := e.appendCanonical(nil, false)
	if err != nil {
		return "", err
	}
	return hexHash(text), nil
}

// MarshalJSON writes the canonical form.
func (e Entry) MarshalJSON() ([]byte, error) { return e.appendCanonical(nil, true) }

// Event is a change of a stored record, as the table's stream tells it.
type Event struct {
	ID             string
	SequenceNumber string // decimal; grows with each change of one license
	Time           time.Time
	LicenseID      string
	Old, New       attribute.Map // nil where the record did not, or does not, exist
	TimeToLive     bool          // the service removed the record itself
}

// entry describes the event as the entry that follows head.
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
	// A writer of ours moves the version on, or has marked what it removes. One that does neither has left actor,
	// reason and request of the change before in the record.
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

// isAdopted tells whether the event is the first of a record that is older than its chain. A deployment may begin with a
// table that others have filled: nothing is missing then. Our writers count versions from 1, and a record with a version
// has a chain wherever this package runs beside them, so one without its chain is a gap. What was adopted, and what was
// changed only by others before its whole chain was taken away, look the same here: signed checkpoints tell them apart.
func (v Event) isAdopted(head Head) bool {
	return head == (Head{}) && v.Old != nil && license.RecordVersion(v.Old) < 1
}

// maxWriterText bounds the texts by which a writer says who it is and why. Ours write at most 1,024 characters.
const maxWriterText = 4096

// setWriter names the writer. One that leaves more than ours would is not one of ours; what it left is in Changes.
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

// setRecord says what became of the record, and whether it was what the chain says that it was.
func (e *Entry) setRecord(v Event, head Head) (err error) {
	if e.Changes, err = changedFields(v.Old, v.New); err != nil {
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

// action names a change by the flags and dates that are understood. A flag that was not understood may have been set.
func action(before, after license.License) Action {
	wasRevoked := before.Revoked || before.HasProblem("isrevoked")
	wasSuspended := before.Suspended || before.HasProblem("issuspended")
	switch {
	case after.Revoked && !before.Revoked:
		return Revoked
	case wasRevoked && !after.Revoked && !after.HasProblem("isrevoked"):
		return Reinstated
	case after.Suspended && !before.Suspended:
		return Suspended
	case wasSuspended && !after.Suspended && !after.HasProblem("issuspended"):
		return Reinstated
	case before.EndIsKnown() && after.EndIsKnown() && after.EndsAt().After(before.EndsAt()):
		return Renewed
	default:
		return Changed
	}
}

// changedFields compares canonical texts: the order of a set is not a change.
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

// An item of DynamoDB holds 400 KB, and an entry of two records as large must fit into it. Entries up to maxChanges
// bytes of changes are recorded in full, which is more than a license of hundreds of URLs takes.
const (
	maxChanges   = 256 << 10
	maxLongValue = 1024
)

// shorten makes every change recordable. Changes whose canonical JSON is longer than 256 KiB hold the Digest of
// each value whose own is longer than 1 KiB; where that does not help either, the entry holds the Digest of its Changes, as
// they would be in full, in their place. Nothing goes unproven: who has the values can show that they are these.
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
