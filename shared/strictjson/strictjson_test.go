package strictjson_test

import (
	"errors"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"openlicenser/shared/strictjson"
)

type named struct {
	Name string `json:"name"`
}

func TestUnmarshal(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want string
	}{
		"OK":                       {`{"name":"x"}`, "x"},
		"white space around":       {" {\"name\":\"x\"}\r\n", "x"},
		"unknown name":             {`{"other":{},"name":"x"}`, "x"},
		"name in another case":     {`{"Name":"x"}`, ""},
		"escaped surrogate pair":   {`{"name":"\ud83c\udf89"}`, "🎉"},
		"null as a member's value": {`{"name":null}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got named
			if err := strictjson.Unmarshal([]byte(test.text), &got); err != nil || got.Name != test.want {
				t.Errorf("got %q, %v", got.Name, err)
			}
		})
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                  ``,
		"half of a surrogate pair": `{"name":"\ud83c"}`,
		"not UTF-8":                "{\"name\":\"\xff\"}",
		"name twice":               `{"name":"x","name":"x"}`,
		"unknown name twice":       `{"other":[{"a":1,"a":1}]}`,
		"name twice, once escaped": `{"name":"x","n\u0061me":"x"}`,
		"value after the value":    `{"name":"x"}{}`,
		"text after the value":     `{"name":"x"}x`,
		"list":                     `[]`,
		"text":                     `"name"`,
		"number for a text":        `{"name":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			for kind, target := range map[string]any{"struct": new(named), "map": new(map[string]string)} {
				if err := strictjson.Unmarshal([]byte(text), target); err == nil {
					t.Errorf("read into a %s: %v", kind, target)
				}
			}
		})
	}
}

func TestNull(t *testing.T) {
	for _, text := range []string{`null`, " null\n"} {
		for _, target := range []any{new(named), new(map[string]any), new(string), new(any), new(*named)} {
			if err := strictjson.Unmarshal([]byte(text), target); !errors.Is(err, strictjson.ErrNull) {
				t.Errorf("%q into a %T: %v", text, target, err)
			}
		}
	}
}

func TestOptions(t *testing.T) {
	var got named
	err := strictjson.Unmarshal([]byte("{\"name\":\"x\",\"name\":\"\xff\"}"), &got,
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err != nil || got.Name != "\ufffd" {
		t.Errorf("got %q, %v", got.Name, err)
	}
	if err := strictjson.Unmarshal([]byte(`{"other":1}`), &got, json.RejectUnknownMembers(true)); err == nil {
		t.Error("an unknown name was skipped")
	}
}
