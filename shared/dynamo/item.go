package dynamo

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/attribute"
)

// item is what the SDK calls an item.
type item = map[string]types.AttributeValue

// License records are converted here and not by package attributevalue. That package matches names without regard to
// case and takes one type for another, and both decide here whether a license may be used.

// encoder converts attributes to the SDK's values.
var encoder = attribute.Encoder[types.AttributeValue]{
	S:    func(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} },
	N:    func(v string) types.AttributeValue { return &types.AttributeValueMemberN{Value: v} },
	B:    func(v []byte) types.AttributeValue { return &types.AttributeValueMemberB{Value: v} },
	BOOL: func(v bool) types.AttributeValue { return &types.AttributeValueMemberBOOL{Value: v} },
	NULL: func() types.AttributeValue { return &types.AttributeValueMemberNULL{Value: true} },
	SS:   func(v []string) types.AttributeValue { return &types.AttributeValueMemberSS{Value: v} },
	NS:   func(v []string) types.AttributeValue { return &types.AttributeValueMemberNS{Value: v} },
	BS:   func(v [][]byte) types.AttributeValue { return &types.AttributeValueMemberBS{Value: v} },
	L:    func(v []types.AttributeValue) types.AttributeValue { return &types.AttributeValueMemberL{Value: v} },
	M:    func(v item) types.AttributeValue { return &types.AttributeValueMemberM{Value: v} },
}

// decodeItem converts an item that anybody may have written.
func decodeItem(values item) (attribute.Map, error) { return attribute.DecodeMap(values, decodeValue) }

// decodeValue refuses a type that DynamoDB did not know when this was written.
func decodeValue(value types.AttributeValue) (any, error) {
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
		return attribute.NumberSet(v.Value), nil
	case *types.AttributeValueMemberBS:
		return attribute.BinarySet(v.Value), nil
	case *types.AttributeValueMemberL:
		return attribute.DecodeList(v.Value, decodeValue)
	case *types.AttributeValueMemberM:
		return decodeItem(v.Value)
	default:
		return nil, fmt.Errorf("an attribute of unknown type (%T)", value)
	}
}
