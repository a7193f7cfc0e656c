// Package attribute holds the attributes of a stored item in the types that DynamoDB knows, so that the
// domain can read whatever other tools wrote without knowing AWS, and so that every adapter means the
// same by it.
//
// A value is one of these Go types
// (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html):
//
//	S    string        SS  StringSet
//	N    Number        NS  NumberSet
//	B    []byte        BS  BinarySet
//	BOOL bool          L   []any
//	NULL nil           M   Map
package attribute

import (
	"encoding/json"
	"fmt"

	"openlicenser/shared/plainjson"
)

// Map holds values by attribute name. Its JSON form is DynamoDB JSON: {"notes":{"S":"…"},"version":{"N":"1"}}.
type Map map[string]any

// Number is the decimal text of an N, kept as text because DynamoDB's 38 digits fit no Go number.
type Number string

// StringSet, NumberSet and BinarySet keep the order in which they were read.
type (
	StringSet []string
	NumberSet []Number
	BinarySet [][]byte
)

// MarshalJSON writes DynamoDB JSON, names sorted. A value of a type that the package comment does not
// list is an error. A nil Map is null.
func (m Map) MarshalJSON() ([]byte, error) {
	if m == nil {
		return []byte("null"), nil
	}
	tagged, err := tagMap(m)
	if err != nil {
		return nil, err
	}
	return plainjson.Marshal(tagged)
}

// UnmarshalJSON reads DynamoDB JSON. An unknown type tag, or a value that does not fit its tag, is an error.
func (m *Map) UnmarshalJSON(data []byte) error {
	var tagged map[string]json.RawMessage
	if err := json.Unmarshal(data, &tagged); err != nil {
		return err
	}
	if tagged == nil {
		*m = nil
		return nil
	}
	*m = make(Map, len(tagged))
	for name, raw := range tagged {
		value, err := UnmarshalValue(raw)
		if err != nil {
			return fmt.Errorf("attribute %q: %w", name, err)
		}
		(*m)[name] = value
	}
	return nil
}

// MarshalValue writes one value in DynamoDB JSON, as {"S":"…"}.
func MarshalValue(value any) ([]byte, error) {
	tagged, err := tag(value)
	if err != nil {
		return nil, err
	}
	return plainjson.Marshal(tagged)
}

// UnmarshalValue reads one value in DynamoDB JSON.
func UnmarshalValue(data []byte) (any, error) {
	var tagged map[string]json.RawMessage
	if err := json.Unmarshal(data, &tagged); err != nil {
		return nil, err
	}
	if len(tagged) != 1 {
		return nil, fmt.Errorf("a value has one type tag, this one has %d", len(tagged))
	}
	for tag, raw := range tagged {
		return untag(tag, raw)
	}
	panic("unreachable: the map has one member")
}

func tag(value any) (map[string]any, error) {
	switch v := value.(type) {
	case string:
		return map[string]any{"S": v}, nil
	case Number:
		return map[string]any{"N": string(v)}, nil
	case []byte:
		return map[string]any{"B": v}, nil
	case bool:
		return map[string]any{"BOOL": v}, nil
	case nil:
		return map[string]any{"NULL": true}, nil
	case StringSet:
		return map[string]any{"SS": []string(v)}, nil
	case NumberSet:
		return map[string]any{"NS": []Number(v)}, nil
	case BinarySet:
		return map[string]any{"BS": [][]byte(v)}, nil
	case []any:
		list := make([]any, len(v))
		for i, element := range v {
			tagged, err := tag(element)
			if err != nil {
				return nil, err
			}
			list[i] = tagged
		}
		return map[string]any{"L": list}, nil
	case Map:
		tagged, err := tagMap(v)
		return map[string]any{"M": tagged}, err
	default:
		return nil, fmt.Errorf("no attribute holds a Go %T", value)
	}
}

func tagMap(m Map) (map[string]any, error) {
	tagged := make(map[string]any, len(m))
	for name, value := range m {
		v, err := tag(value)
		if err != nil {
			return nil, fmt.Errorf("attribute %q: %w", name, err)
		}
		tagged[name] = v
	}
	return tagged, nil
}

func untag(tag string, raw json.RawMessage) (any, error) {
	switch tag {
	case "S":
		return decode[string](raw)
	case "N":
		return decode[Number](raw)
	case "B":
		return decode[[]byte](raw)
	case "BOOL":
		return decode[bool](raw)
	case "NULL":
		return nil, nil
	case "SS":
		return decode[StringSet](raw)
	case "NS":
		return decode[NumberSet](raw)
	case "BS":
		return decode[BinarySet](raw)
	case "M":
		return decode[Map](raw)
	case "L":
		elements, err := decode[[]json.RawMessage](raw)
		if err != nil {
			return nil, err
		}
		list := make([]any, len(elements))
		for i, element := range elements {
			if list[i], err = UnmarshalValue(element); err != nil {
				return nil, err
			}
		}
		return list, nil
	default:
		return nil, fmt.Errorf("unknown type tag %q", tag)
	}
}

func decode[T any](raw json.RawMessage) (T, error) {
	var v *T
	if err := json.Unmarshal(raw, &v); err != nil {
		return *new(T), err
	}
	if v == nil {
		return *new(T), fmt.Errorf("null is not a %T", *new(T))
	}
	return *v, nil
}
