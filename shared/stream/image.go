package stream

import (
	"errors"
	"fmt"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/attribute"
)

// Image is an item as a stream event shows it. Where there is no item, it is nil.
type Image = map[string]events.DynamoDBAttributeValue

var encoder = attribute.Encoder[events.DynamoDBAttributeValue]{
	S:    events.NewStringAttribute,
	N:    events.NewNumberAttribute,
	B:    events.NewBinaryAttribute,
	BOOL: events.NewBooleanAttribute,
	NULL: events.NewNullAttribute,
	SS:   events.NewStringSetAttribute,
	NS:   events.NewNumberSetAttribute,
	BS:   events.NewBinarySetAttribute,
	L:    events.NewListAttribute,
	M:    events.NewMapAttribute,
}

// ImageOf returns the image of a record, and nil for nil.
func ImageOf(record attribute.Map) (Image, error) {
	if record == nil {
		return nil, nil
	}
	return encoder.Map(record)
}

// RecordOf returns the record of an image. It returns nil for an image without attributes, because every item has its
// key.
func RecordOf(image Image) (attribute.Map, error) {
	if len(image) == 0 {
		return nil, nil
	}
	return attribute.DecodeMap(image, decode)
}

// decode asks for the type first: the accessors of events.DynamoDBAttributeValue panic on another.
func decode(value events.DynamoDBAttributeValue) (any, error) {
	if value == (events.DynamoDBAttributeValue{}) {
		return nil, errors.New("a value without a type") // DataType calls it binary
	}
	switch value.DataType() {
	case events.DataTypeString:
		return value.String(), nil
	case events.DataTypeNumber:
		return attribute.Number(value.Number()), nil
	case events.DataTypeBinary:
		return value.Binary(), nil
	case events.DataTypeBoolean:
		return value.Boolean(), nil
	case events.DataTypeNull:
		return nil, nil
	case events.DataTypeStringSet:
		return attribute.StringSet(value.StringSet()), nil
	case events.DataTypeNumberSet:
		return attribute.NumberSet(value.NumberSet()), nil
	case events.DataTypeBinarySet:
		return attribute.BinarySet(value.BinarySet()), nil
	case events.DataTypeMap:
		return attribute.DecodeMap(value.Map(), decode)
	case events.DataTypeList:
		return attribute.DecodeList(value.List(), decode)
	default:
		return nil, fmt.Errorf("a value of unknown type %d", value.DataType())
	}
}
