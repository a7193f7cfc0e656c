package attribute_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
)

func TestMapRoundTrips(t *testing.T) {
	const text = `{"b":{"B":"AQI="},"bs":{"BS":["AQ==","Ag=="]},"flag":{"BOOL":true},` +
		`"l":{"L":[{"S":"x"},{"M":{"deep":{"NULL":true}}}]},"n":{"N":"12345678901234567890123456789012345678"},` +
		`"none":{"NULL":true},"ns":{"NS":["1","2.5"]},"s":{"S":"<&>é"},"ss":{"SS":["a","b"]}}`
	want := attribute.Map{
		"b": []byte{1, 2}, "bs": attribute.BinarySet{{1}, {2}}, "flag": true,
		"l": []any{"x", attribute.Map{"deep": nil}}, "n": attribute.Number("12345678901234567890123456789012345678"),
		"none": nil, "ns": attribute.NumberSet{"1", "2.5"}, "s": "<&>é", "ss": attribute.StringSet{"a", "b"},
	}

	var got attribute.Map
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	written, err := got.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if string(written) != text {
		t.Errorf("written:\n%s\nwant:\n%s", written, text)
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"unknown tag":             `{"a":{"X":"1"}}`,
		"no tag":                  `{"a":{}}`,
		"two tags":                `{"a":{"S":"1","N":"1"}}`,
		"bare value":              `{"a":"text"}`,
		"number as JSON number":   `{"a":{"N":1}}`,
		"flag as text":            `{"a":{"BOOL":"true"}}`,
		"null in place of a text": `{"a":{"S":null}}`,
		"unknown tag, deep":       `{"a":{"L":[{"M":{"b":{"X":1}}}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			var got attribute.Map
			if err := json.Unmarshal([]byte(text), &got); err == nil {
				t.Errorf("accepted as %v", got)
			}
		})
	}
}

func TestMarshalRefusesOtherGoTypes(t *testing.T) {
	if text, err := (attribute.Map{"a": []any{42}}).MarshalJSON(); err == nil {
		t.Errorf("an int was written as %s", text)
	}
}

func TestNilMapIsNull(t *testing.T) {
	text, err := attribute.Map(nil).MarshalJSON()
	if err != nil || string(text) != "null" {
		t.Errorf("written %s, %v", text, err)
	}
	got := attribute.Map{"a": "b"}
	if err := json.Unmarshal(text, &got); err != nil || got != nil {
		t.Errorf("read %v, %v", got, err)
	}
}
