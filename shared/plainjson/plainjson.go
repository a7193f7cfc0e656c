// Package plainjson writes JSON whose text stays as it is. By default encoding/json escapes <, > and & for the sake of
// HTML. Nothing here is HTML, and a text of such characters would be six times as long and might not fit where it is
// stored.
package plainjson

import (
	"bytes"
	"encoding/json"
)

// Marshal returns the JSON of v, without HTML escapes.
func Marshal(v any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), err
}
