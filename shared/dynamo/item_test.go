package dynamo

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
)

func TestItemRoundTrips(t *testing.T) {
	want := attribute.Map{
		"b": []byte{1, 2}, "bs": attribute.BinarySet{{1}, {2}}, "flag": true, "Flag": false,
		"l":    []any{"x", attribute.Map{"deep": nil}, []any{}},
		"n":    attribute.Number("12345678901234567890123456789012345678"),
		"none": nil, "ns": attribute.NumberSet{"1", "2.5"}, "s": "<&>é", "ss": attribute.StringSet{"a", "b"},
		"m": attribute.Map{},
	}
	values, err := encoder.Map(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeItem(values)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEncoderRefusesOtherGoTypes(t *testing.T) {
	for name, value := range map[string]any{
		"int": 1, "deep in a list": []any{1}, "deep in a map": attribute.Map{"a": []any{attribute.Map{"b": 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			if values, err := encoder.Map(attribute.Map{"a": value}); err == nil {
				t.Errorf("written as %v", values)
			}
		})
	}
}

func TestDecodeItemRefusesUnknownTypes(t *testing.T) {
	unknown := &types.UnknownUnionMember{Tag: "X"}
	for name, value := range map[string]types.AttributeValue{
		"unknown":        unknown,
		"none":           nil,
		"deep in a list": &types.AttributeValueMemberL{Value: []types.AttributeValue{unknown}},
		"deep in a map":  &types.AttributeValueMemberM{Value: item{"b": unknown}},
	} {
		t.Run(name, func(t *testing.T) {
			if m, err := decodeItem(item{"a": value}); err == nil {
				t.Errorf("read as %v", m)
			}
		})
	}
}
