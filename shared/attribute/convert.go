package attribute

import "fmt"

// Encoder converts values to another representation V, which has one constructor for each of DynamoDB's types. An N and
// the elements of an NS are decimal texts.
type Encoder[V any] struct {
	S    func(string) V
	N    func(string) V
	B    func([]byte) V
	BOOL func(bool) V
	NULL func() V
	SS   func([]string) V
	NS   func([]string) V
	BS   func([][]byte) V
	L    func([]V) V
	M    func(map[string]V) V
}

// Value converts one value. A Go type that the package comment does not list is an error.
func (e *Encoder[V]) Value(value any) (encoded V, err error) {
	switch v := value.(type) {
	case string:
		return e.S(v), nil
	case Number:
		return e.N(string(v)), nil
	case []byte:
		return e.B(v), nil
	case bool:
		return e.BOOL(v), nil
	case nil:
		return e.NULL(), nil
	case StringSet:
		return e.SS(v), nil
	case NumberSet:
		return e.NS(v), nil
	case BinarySet:
		return e.BS(v), nil
	case []any:
		list, err := e.list(v)
		if err != nil {
			return encoded, err
		}
		return e.L(list), nil
	case Map:
		members, err := e.Map(v)
		if err != nil {
			return encoded, err
		}
		return e.M(members), nil
	default:
		return encoded, fmt.Errorf("no attribute holds a Go %T", value)
	}
}

// Map converts a whole map. An error names the attribute.
func (e *Encoder[V]) Map(m Map) (map[string]V, error) {
	members := make(map[string]V, len(m))
	for name, value := range m {
		member, err := e.Value(value)
		if err != nil {
			return nil, fmt.Errorf("attribute %q: %w", name, err)
		}
		members[name] = member
	}
	return members, nil
}

func (e *Encoder[V]) list(elements []any) ([]V, error) {
	list := make([]V, len(elements))
	for i, element := range elements {
		var err error
		if list[i], err = e.Value(element); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// DecodeMap converts a map from another representation V, each value with decode. An error names the attribute.
func DecodeMap[V any](members map[string]V, decode func(V) (any, error)) (Map, error) {
	m := make(Map, len(members))
	for name, member := range members {
		value, err := decode(member)
		if err != nil {
			return nil, fmt.Errorf("attribute %q: %w", name, err)
		}
		m[name] = value
	}
	return m, nil
}

// DecodeList converts a list from another representation V, each element with decode.
func DecodeList[V any](list []V, decode func(V) (any, error)) ([]any, error) {
	elements := make([]any, len(list))
	for i, element := range list {
		var err error
		if elements[i], err = decode(element); err != nil {
			return nil, err
		}
	}
	return elements, nil
}
