package attribute_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
)

// FuzzMap: whatever is read is written, and read again as the same.
func FuzzMap(f *testing.F) {
	for _, text := range []string{
		`{}`, `null`, `{"a":{"S":"x"}}`, `{"a":{"N":"12345678901234567890123456789012345678"}}`, `{"a":{"BOOL":true}}`,
		`{"a":{"NULL":true}}`,
		`{"a":{"B":"AQI="}}`, `{"a":{"SS":["b","a"]}}`, `{"a":{"NS":["1","2.5"]}}`, `{"a":{"BS":["AQ==","Ag=="]}}`,
		`{"a":{"L":[{"S":"x"},{"M":{"b":{"NULL":true}}}]}}`, `{"a":{"M":{}},"b":{"L":[]}}`,
		`{"é<&>":{"S":"\ud83c\udf89"}}`,
		`{"a":{"B":""},"b":{"BS":[]},"c":{"SS":[]}}`, `{"a":{"NULL":false}}`, `{"a":{"B":[1,2]}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var read attribute.Map
		if json.Unmarshal(text, &read) != nil {
			return
		}
		written, err := read.MarshalJSON()
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var again attribute.Map
		if err := json.Unmarshal(written, &again); err != nil {
			t.Fatalf("%s is written as %s: %v", text, written, err)
		}
		if diff := cmp.Diff(read, again); diff != "" {
			t.Fatalf("%s is written as %s (-first +second):\n%s", text, written, diff)
		}
		if once, err := again.MarshalJSON(); err != nil || !bytes.Equal(once, written) {
			t.Fatalf("%s is written as %s, then as %s: %v", text, written, once, err)
		}
	})
}
