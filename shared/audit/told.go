package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"openlicenser/shared/attribute"
)

// Values returns the attributes of a record as entries tell them, by name and without index attributes: canonical
// DynamoDB JSON. It returns nil for no record. A record with very many personal attributes has all of them in one,
// whose name is empty.
func Values(record attribute.Map) (map[string]json.RawMessage, error) {
	i, err := imageOf(record, nil)
	return i.values, err
}

// IsDisclosed reports whether a value that an entry tells is there itself, and no Digest or commitment in its place.
func IsDisclosed(told json.RawMessage) bool { return !isDigest(told) && !isCommitment(told) }

// IsCommitment reports whether a value that an entry tells is a commitment, whose nonce is not known here.
func IsCommitment(told json.RawMessage) bool { return isCommitment(told) }

// Fits reports whether a value of Values may be the one that an entry tells. Nil is for an attribute that is absent. A
// commitment fits any value.
func Fits(told, value json.RawMessage) bool {
	switch {
	case told == nil || value == nil:
		return told == nil && value == nil
	case isDigest(told):
		return bytes.Equal(told, digest(value).appendCanonical(nil))
	default:
		return isCommitment(told) || bytes.Equal(told, value)
	}
}

// Attributes returns values that Values has returned, or that entries disclose, as a record has them.
func Attributes(values map[string]json.RawMessage) (attribute.Map, error) {
	record := attribute.Map{}
	for name, value := range values {
		var read attribute.Map
		text := append(appendName([]byte{'{'}, 0, name), value...)
		if err := json.Unmarshal(append(text, '}'), &read); err != nil {
			return nil, fmt.Errorf("attribute %q: %w", name, err)
		}
		if folded, isFolded := read[foldedName].(attribute.Map); isFolded {
			read = folded
		}
		maps.Copy(record, read)
	}
	return record, nil
}

// HashValues returns the StoredHash of a record of such values, all of which are disclosed.
func HashValues(values map[string]json.RawMessage) string { return hashTold(values) }

// IsStamp reports whether each change changes an attribute: it says who has changed the record, when, why and in which
// request, or counts the changes.
func IsStamp(name string) bool { return slices.Contains(stamps, name) }
