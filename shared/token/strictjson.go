package token

import (
	"errors"

	"github.com/go-json-experiment/json"
)

// strictObject reads one JSON object of UTF-8 text in which no name stands twice, and nothing else: two readers of one text must not
// come to two meanings. Numbers are float64.
func strictObject(text []byte) (object map[string]any, err error) {
	if err := json.Unmarshal(text, &object); err != nil {
		return nil, errors.New("not an object of strict JSON") // the error's own text would quote what was sent
	}
	if object == nil {
		return nil, errors.New("null")
	}
	return object, nil
}
