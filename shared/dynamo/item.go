package dynamo

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/attribute"
)

// item is what the SDK calls an item.
type item = map[string]types.AttributeValue

// toItem writes license records for the SDK. It is explicit, where attributevalue guesses: that package
// matches names without regard to case and takes one type for another, and both decide here whether a
// license may be used.
func toItem(m attribute.Map) (item, error) {
	values := make(item, len(m))
	for name, value := range m {
		v, err := toValue(value)
		if err != nil {
			return nil, fmt.Errorf("attribute %q: %w", name, err)
		}
		values[name] = v
	}
	return values, nil
}

// toValue fails for a Go type that package attribute does not list.
func toValue(value any) (types.AttributeValue, error) {
	switch v := value.(type) {
	case string:
		return &types.AttributeValueMemberS{Value: v}, nil
	case attribute.Number:
		return &types.AttributeValueMemberN{Value: string(v)}, nil
	case []byte:
		return &types.AttributeValueMemberB{Value: v}, nil
	case bool:
		return &types.AttributeValueMemberBOOL{Value: v}, nil
	case nil:
		return &types.AttributeValueMemberNULL{Value: true}, nil
	case attribute.StringSet:
		return &types.AttributeValueMemberSS{Value: v}, nil
	case attribute.NumberSet:
		return &types.AttributeValueMemberNS{Value: convert[string](v)}, nil
	case attribute.BinarySet:
		return &types.AttributeValueMemberBS{Value: v}, nil
	case []any:
		return toList(v)
	case attribute.Map:
		members, err := toItem(v)
		return &types.AttributeValueMemberM{Value: members}, err
	default:
		return nil, fmt.Errorf("no attribute holds a Go %T", value)
	}
}

func toList(elements []any) (types.AttributeValue, error) {
	list := make([]types.AttributeValue, len(elements))
	for i, element := range elements {
		v, err := toValue(element)
		if err != nil {
			return nil, err
		}
		list[i] = v
	}
	return &types.AttributeValueMemberL{Value: list}, nil
}

// fromItem reads an item that anybody may have written.
func fromItem(values item) (attribute.Map, error) {
	m := make(attribute.Map, len(values))
	for name, value := range values {
		v, err := fromValue(value)
		if err != nil {
			return nil, fmt.Errorf("attribute %q: %w", name, err)
		}
		m[name] = v
	}
	return m, nil
}

// fromValue fails for a type that DynamoDB did not know when this was written.
func fromValue(value types.AttributeValue) (any, error) {
	switch v := value.(type) {
	case *types.AttributeValueMemberS:
		return v.Value, nil
	case *types.AttributeValueMemberN:
		return attribute.Number(v.Value), nil
	case *types.AttributeValueMemberB:
		return v.Value, nil
	case *types.AttributeValueMemberBOOL:
		return v.Value, nil
	case *types.AttributeValueMemberNULL:
		return nil, nil
	case *types.AttributeValueMemberSS:
		return attribute.StringSet(v.Value), nil
	case *types.AttributeValueMemberNS:
		return attribute.NumberSet(convert[attribute.Number](v.Value)), nil
	case *types.AttributeValueMemberBS:
		return attribute.BinarySet(v.Value), nil
	case *types.AttributeValueMemberL:
		return fromList(v.Value)
	case *types.AttributeValueMemberM:
		return fromItem(v.Value)
	default:
		return nil, fmt.Errorf("an attribute of unknown type (%T)", value)
	}
}

func fromList(values []types.AttributeValue) (any, error) {
	list := make([]any, len(values))
	for i, value := range values {
		v, err := fromValue(value)
		if err != nil {
			return nil, err
		}
		list[i] = v
	}
	return list, nil
}

func convert[To, From ~string](texts []From) []To {
	converted := make([]To, len(texts))
	for i, text := range texts {
		converted[i] = To(text)
	}
	return converted
}
