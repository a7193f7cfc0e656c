package dynamo_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/attribute"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/testing/licensetest"
)

// oneItem returns the same item for every GetItem.
type oneItem struct {
	dynamo.LicenseAPI
	item map[string]types.AttributeValue
}

func (o oneItem) GetItem(
	context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options),
) (*dynamodb.GetItemOutput, error) {
	return &dynamodb.GetItemOutput{Item: o.item}, nil
}

// BenchmarkGet reads a record, from the SDK's types on.
func BenchmarkGet(b *testing.B) {
	l := licensetest.Issue(b)
	item := map[string]types.AttributeValue{}
	for name, value := range l.Record() {
		switch v := value.(type) {
		case string:
			item[name] = &types.AttributeValueMemberS{Value: v}
		case attribute.Number:
			item[name] = &types.AttributeValueMemberN{Value: string(v)}
		case bool:
			item[name] = &types.AttributeValueMemberBOOL{Value: v}
		default:
			b.Fatalf("%s is a %T", name, value)
		}
	}
	licenses := dynamo.NewLicenses(oneItem{item: item}, "licenses")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := licenses.Get(b.Context(), l.ID); err != nil {
			b.Fatal(err)
		}
	}
}
