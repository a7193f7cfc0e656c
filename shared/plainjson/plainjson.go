// Package plainjson writes JSON whose text stays as it is: encoding/json escapes <, > and & for the sake of HTML, which
// nothing here is, and a text six times as long may not fit where it is stored.
package plainjson

import (
	"bytes"
	"encoding/json"
)

// Marshal is json.Marshal without those escapes.
func Marshal(v any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), err
}
