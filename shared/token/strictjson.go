package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

// strictObject reads a JSON object whose member names are unique (RFC 7515 section 4, RFC 7519 section 4)
// and keep their case, in valid UTF-8, with nothing behind it. Numbers stay text.
func strictObject(text []byte) (map[string]any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if opening, err := decoder.Token(); err != nil || opening != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	object := map[string]any{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, errors.New("not JSON")
		}
		name := token.(string) // the decoder lets nothing else stand before a colon
		if _, twice := object[name]; twice {
			return nil, errors.New("a member stands twice")
		}
		var value any
		if err := decoder.Decode(&value); err != nil {
			return nil, errors.New("not JSON")
		}
		object[name] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, errors.New("not JSON")
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("something follows the object")
	}
	return object, nil
}
