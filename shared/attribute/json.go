package attribute

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"openlicenser/shared/plainjson"
)

// dynamoJSON encodes a value as an object whose only name is the type's, as {"S":"…"}.
var dynamoJSON = Encoder[map[string]any]{
	S:    tagged[string]("S"),
	N:    tagged[string]("N"),
	B:    tagged[[]byte]("B"),
	BOOL: tagged[bool]("BOOL"),
	NULL: func() map[string]any { return map[string]any{"NULL": true} },
	SS:   tagged[[]string]("SS"),
	NS:   tagged[[]string]("NS"),
	BS:   tagged[[][]byte]("BS"),
	L:    tagged[[]map[string]any]("L"),
	M:    tagged[map[string]map[string]any]("M"),
}

func tagged[T any](tag string) func(T) map[string]any {
	return func(value T) map[string]any { return map[string]any{tag: value} }
}

// MarshalJSON writes DynamoDB JSON with sorted names. A value of a type that the package comment does not list is an
// error. A nil Map is null.
func (m Map) MarshalJSON() ([]byte, error) {
	if m == nil {
		return []byte("null"), nil
	}
	encoded, err := dynamoJSON.Map(m)
	if err != nil {
		return nil, err
	}
	return plainjson.Marshal(encoded)
}

// UnmarshalJSON reads DynamoDB JSON. It refuses an unknown type tag, a value that does not fit its tag, and a name that
// stands twice.
func (m *Map) UnmarshalJSON(data []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	if d.PeekKind() == 'n' {
		*m = nil
		return d.SkipValue()
	}
	read, err := readMap(d)
	if err == nil {
		*m = read
	}
	return err
}

func readMap(d *jsontext.Decoder) (Map, error) {
	if err := expect(d, '{'); err != nil {
		return nil, err
	}
	m := Map{}
	for d.PeekKind() == '"' {
		name, err := readText(d)
		if err != nil {
			return nil, err
		}
		if m[name], err = readValue(d); err != nil {
			return nil, fmt.Errorf("attribute %q: %w", name, err)
		}
	}
	return m, expect(d, '}')
}

// readValue reads the object that holds a value by its type tag.
func readValue(d *jsontext.Decoder) (any, error) {
	if err := expect(d, '{'); err != nil {
		return nil, err
	}
	tag, err := readText(d)
	if err != nil {
		return nil, err
	}
	value, err := readTagged(d, tag)
	if err != nil {
		return nil, err
	}
	return value, expect(d, '}') // a value has one type tag
}

func readTagged(d *jsontext.Decoder, tag string) (any, error) {
	switch tag {
	case "S":
		return readText(d)
	case "N":
		text, err := readText(d)
		return Number(text), err
	case "BOOL":
		return readBool(d)
	case "NULL":
		return nil, d.SkipValue()
	case "M":
		return readMap(d)
	case "L":
		return readList(d)
	case "B":
		return decode[[]byte](d)
	case "SS":
		return decode[StringSet](d)
	case "NS":
		return decode[NumberSet](d)
	case "BS":
		return decode[BinarySet](d)
	default:
		return nil, fmt.Errorf("unknown type tag %q", tag)
	}
}

func readList(d *jsontext.Decoder) ([]any, error) {
	if err := expect(d, '['); err != nil {
		return nil, err
	}
	list := []any{}
	for d.PeekKind() == '{' {
		value, err := readValue(d)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, expect(d, ']')
}

func readText(d *jsontext.Decoder) (string, error) {
	token, err := d.ReadToken()
	if err == nil && token.Kind() != '"' {
		err = fmt.Errorf("not a text but %v", token.Kind())
	}
	if err != nil {
		return "", err
	}
	return token.String(), nil
}

func readBool(d *jsontext.Decoder) (bool, error) {
	token, err := d.ReadToken()
	if err == nil && token.Kind() != 't' && token.Kind() != 'f' {
		err = fmt.Errorf("not a boolean but %v", token.Kind())
	}
	return err == nil && token.Bool(), err
}

func expect(d *jsontext.Decoder, kind jsontext.Kind) error {
	token, err := d.ReadToken()
	if err == nil && token.Kind() != kind {
		err = fmt.Errorf("%v in place of %v", token.Kind(), kind)
	}
	return err
}

func decode[T any](d *jsontext.Decoder) (v T, err error) {
	if d.PeekKind() != '[' && d.PeekKind() != '"' {
		return v, fmt.Errorf("%v is not a %T", d.PeekKind(), v)
	}
	return v, json.UnmarshalDecode(d, &v)
}
