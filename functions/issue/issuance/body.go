package issuance

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"openlicenser/shared/strictjson"
)

// bodyError says why a body is not a JSON object as RFC 7493 asks for. It quotes nothing of the body.
type bodyError struct{ detail string }

func (e *bodyError) Error() string { return e.detail }

var (
	errBodyEmpty     = &bodyError{"The body is empty; send a JSON object."}
	errBodyNotBase64 = &bodyError{"The body came marked as base64 and is none; send a JSON object in UTF-8."}
	errBodyNotUTF8   = &bodyError{"The body is not in UTF-8; send a JSON object in UTF-8."}
	errBodyNotObject = &bodyError{"The body is JSON, but not an object; send {…}."}
)

// parseObject reads a JSON object. At any depth it refuses halves of surrogate pairs and a member that stands twice.
// Its error is a *bodyError.
func parseObject(body []byte) (object map[string]jsontext.Value, err error) {
	switch {
	case len(body) == 0:
		return nil, errBodyEmpty
	case !utf8.Valid(body):
		return nil, errBodyNotUTF8
	}
	err = strictjson.Unmarshal(body, &object)
	var broken *jsontext.SyntacticError
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		errors.As(err, &broken)
		const detail = "A member of the body stands twice in its object, the second time at byte %d; send each once."
		return nil, &bodyError{fmt.Sprintf(detail, broken.ByteOffset+1)}
	case errors.As(err, &broken):
		const detail = "The body is broken JSON, at byte %d; send one JSON object."
		return nil, &bodyError{fmt.Sprintf(detail, broken.ByteOffset+1)}
	case err != nil:
		return nil, errBodyNotObject
	}
	return object, nil
}
