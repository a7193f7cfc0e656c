// Package audit is the audit trail: for each license a chain of entries, one for each change, in which every
// entry holds the hash of the one before. It derives entries from changes of stored records, appends them
// exactly once, and verifies chains. It knows no AWS and no HTTP.
package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/gowebpki/jcs"

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

// formatVersion is Entry.Format of the entries that are written now.
const formatVersion = 1

// Entry is one link of a chain. Its JSON is what is stored and served.
type Entry struct {
	Format         int                    `json:"format"` // of this form: 1
	LicenseID      string                 `json:"licenseid"`
	Sequence       int64                  `json:"sequence"` // from 1, without gaps
	Time           string                 `json:"time"`     // RFC 3339, UTC, as the stream says
	Action         Action                 `json:"action"`
	Actor          string                 `json:"actor"`
	Reason         string                 `json:"reason,omitempty"`
	RequestID      string                 `json:"requestid,omitempty"`
	Changes        map[string]FieldChange `json:"changes"`        // by attribute name
	EventID        string                 `json:"eventid"`        // of the stream
	SequenceNumber string                 `json:"sequencenumber"` // of the stream
	Previous       string                 `json:"previous"`       // Hash of the entry before, empty in the first
	Hash           string                 `json:"hash"`           // see ComputeHash
}

// FieldChange holds an attribute's value before and after, in DynamoDB JSON; absent where it was absent.
type FieldChange struct {
	Old json.RawMessage `json:"old,omitempty"`
	New json.RawMessage `json:"new,omitempty"`
}

// ComputeHash is the SHA-256, in lower-case hexadecimal, of the entry's canonical JSON (RFC 8785) without the
// member "hash".
func (e Entry) ComputeHash() (string, error) {
	e.Hash = ""
	text, err := json.Marshal(struct {
		Entry
		Hash string `json:"hash,omitempty"`
	}{Entry: e})
	if err != nil {
		return "", err
	}
	canonical, err := jcs.Transform(text)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:]), nil
}

// Event is a change of a stored record, as the table's stream tells it.
type Event struct {
	ID             string
	SequenceNumber string // decimal; grows with each change of one license
	Time           time.Time
	LicenseID      string
	Old, New       attribute.Map // nil where the record did not, or does not, exist
}

// entry describes the event as the entry that follows head.
func (v Event) entry(head Head) (Entry, error) {
	changes, err := changedFields(v.Old, v.New)
	if err != nil {
		return Entry{}, fmt.Errorf("event %s: %w", v.ID, err)
	}
	before, errBefore := license.FromRecord(v.Old)
	after, errAfter := license.FromRecord(v.New)
	e := Entry{
		Format:         formatVersion,
		LicenseID:      v.LicenseID,
		Sequence:       head.Sequence + 1,
		Time:           v.Time.UTC().Format(time.RFC3339Nano),
		Action:         Changed,
		Actor:          UnknownActor,
		Changes:        changes,
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
	if writer.ChangedBy != "" {
		e.Actor, e.Reason, e.RequestID = writer.ChangedBy, writer.ChangeReason, writer.RequestID
	}
	e.Hash, err = e.ComputeHash()
	return e, err
}

func action(before, after license.License) Action {
	switch {
	case after.Revoked && !before.Revoked:
		return Revoked
	case before.Revoked && !after.Revoked:
		return Reinstated
	case after.Suspended && !before.Suspended:
		return Suspended
	case before.Suspended && !after.Suspended:
		return Reinstated
	case after.EndsAt().After(before.EndsAt()):
		return Renewed
	default:
		return Changed
	}
}

func changedFields(before, after attribute.Map) (map[string]FieldChange, error) {
	changes := map[string]FieldChange{}
	for name, value := range before {
		kept, present := after[name]
		if present && reflect.DeepEqual(value, kept) {
			continue
		}
		old, err := attribute.MarshalValue(value)
		if err != nil {
			return nil, err
		}
		changes[name] = FieldChange{Old: old}
	}
	for name, value := range after {
		was, present := before[name]
		if present && reflect.DeepEqual(value, was) {
			continue
		}
		written, err := attribute.MarshalValue(value)
		if err != nil {
			return nil, err
		}
		changes[name] = FieldChange{Old: changes[name].Old, New: written}
	}
	return changes, nil
}
