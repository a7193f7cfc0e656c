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

// MarshalValue writes one value in DynamoDB JSON, as {"S":"…"}.
func MarshalValue(value any) ([]byte, error) {
	tagged, err := tag(value)
	if err != nil {
		return nil, err
	}
	return plainjson.Marshal(tagged)
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

// TypeOf returns DynamoDB's name of a value's type, as S or BOOL, and nothing for a value that no attribute holds.
func TypeOf(value any) string {
	tagged, _ := tag(value)
	for name := range tagged {
		return name
	}
	return ""
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
