package audit

import (
	"bytes"
	"encoding/json"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

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
	return hexHash(appendTold(nil, sortedNames(told), told))
}

// appendTold appends what a RecordHash is over. The names are those of the values, sorted.
func appendTold(dst []byte, names []string, told map[string]json.RawMessage) []byte {
	dst = append(dst, '{')
	for i, name := range names {
		dst = append(appendName(dst, i, name), told[name]...)
	}
	return append(dst, '}')
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
