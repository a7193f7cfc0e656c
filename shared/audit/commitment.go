package audit

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
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
