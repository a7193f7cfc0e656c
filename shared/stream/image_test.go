package stream_test

import (
	"encoding/json"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/stream"
)

// TestRoundTrip also holds the image to DynamoDB JSON, which events and package attribute both write.
func TestRoundTrip(t *testing.T) {
	const text = `{"b":{"B":"AQI="},"bs":{"BS":["AQ==","Ag=="]},"flag":{"BOOL":true},` +
		`"l":{"L":[{"S":"x"},{"M":{"deep":{"NULL":true}}},{"L":[]}]},"m":{"M":{}},` +
		`"n":{"N":"12345678901234567890123456789012345678"},"none":{"NULL":true},` +
		`"ns":{"NS":["1","2.5"]},"s":{"S":"é"},"ss":{"SS":["b","a"]}}`
	want := attribute.Map{
		"b": []byte{1, 2}, "bs": attribute.BinarySet{{1}, {2}}, "flag": true,
		"l": []any{"x", attribute.Map{"deep": nil}, []any{}}, "m": attribute.Map{},
		"n": attribute.Number("12345678901234567890123456789012345678"), "none": nil,
		"ns": attribute.NumberSet{"1", "2.5"}, "s": "é", "ss": attribute.StringSet{"b", "a"},
	}
	image, err := stream.ImageOf(want)
	if err != nil {
		t.Fatal(err)
	}
	if written, err := json.Marshal(image); err != nil || string(written) != text {
		t.Errorf("the image is %s, %v", written, err)
	}
	got, err := stream.RecordOf(image)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNone(t *testing.T) {
	if image, err := stream.ImageOf(nil); image != nil || err != nil {
		t.Errorf("got %v, %v", image, err)
	}
	for name, image := range map[string]stream.Image{"absent": nil, "empty": {}} {
		if record, err := stream.RecordOf(image); record != nil || err != nil {
			t.Errorf("%s: got %v, %v", name, record, err)
		}
	}
}

func TestImageOfRefusesOtherGoTypes(t *testing.T) {
	if image, err := stream.ImageOf(attribute.Map{"a": []any{42}}); err == nil {
		t.Errorf("got %v", image)
	}
}

func TestRecordOfRefusesValuesWithoutType(t *testing.T) {
	var none events.DynamoDBAttributeValue
	for name, value := range map[string]events.DynamoDBAttributeValue{
		"at the top":     none,
		"deep in a list": events.NewListAttribute([]events.DynamoDBAttributeValue{none}),
		"deep in a map":  events.NewMapAttribute(stream.Image{"b": none}),
	} {
		t.Run(name, func(t *testing.T) {
			if record, err := stream.RecordOf(stream.Image{"a": value}); err == nil {
				t.Errorf("read as %v", record)
			}
		})
	}
}
