// Package strictjson reads JSON in which two readers cannot find two meanings, as I-JSON (RFC 7493) asks for. It knows
// nothing of what it reads.
package strictjson

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// errNull reports a null in place of a value.
var errNull = errors.New("null in place of a value")

// Unmarshal reads one JSON text into what v points to. Unless an option says otherwise, the text
//
//   - is UTF-8, and its escapes make no half of a surrogate pair,
//   - has no name twice in an object, at any depth,
//   - has names that match exactly, case included; a name that v does not have is skipped,
//   - ends with its value, but for white space,
//   - is not null: that would leave nothing in v, without a word.
//
// An error of the text is a *jsontext.SyntacticError, one of a value that does not fit v a *json.SemanticError. They
// can quote the text, so for a secret or an unknown sender say something else.
func Unmarshal(text []byte, v any, options ...json.Options) error {
	err := json.Unmarshal(text, v, options...)
	if err == nil && jsontext.Value(text).Kind() == 'n' {
		return errNull
	}
	return err
}
