package awstest_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/testing/awstest"
)

// TestStream: every type of attribute arrives in the event as it was written.
func TestStream(t *testing.T) {
	cfg := awstest.Config(awstest.Need(t, awstest.DynamoDBVariable))
	client := dynamodb.NewFromConfig(cfg)
	table := awstest.NewTable(t, client, "LicenseTable")
	key := map[string]types.AttributeValue{"licenseid": &types.AttributeValueMemberS{Value: "id"}}
	item := map[string]types.AttributeValue{
		"licenseid": key["licenseid"],
		"number":    &types.AttributeValueMemberN{Value: "1718622505782"},
		"binary":    &types.AttributeValueMemberB{Value: []byte{0, 255}},
		"flag":      &types.AttributeValueMemberBOOL{Value: true},
		"null":      &types.AttributeValueMemberNULL{Value: true},
		"texts":     &types.AttributeValueMemberSS{Value: []string{"a", "b"}},
		"numbers":   &types.AttributeValueMemberNS{Value: []string{"1"}},
		"binaries":  &types.AttributeValueMemberBS{Value: [][]byte{{1}}},
		"map": &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{
			"list": &types.AttributeValueMemberL{
				Value: []types.AttributeValue{&types.AttributeValueMemberS{Value: "x"}},
			},
		}},
	}
	put := &dynamodb.PutItemInput{TableName: table.TableName, Item: item}
	if _, err := client.PutItem(t.Context(), put); err != nil {
		t.Fatal(err)
	}
	remove := &dynamodb.DeleteItemInput{TableName: table.TableName, Key: key}
	if _, err := client.DeleteItem(t.Context(), remove); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream := awstest.Stream{Client: dynamodbstreams.NewFromConfig(cfg), ARN: aws.ToString(table.LatestStreamArn)}
	records, err := stream.FromTheStart(ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 2 || records[0].EventName != "INSERT" || records[1].EventName != "REMOVE" ||
		records[0].EventID == records[1].EventID {
		t.Fatalf("records %+v", records)
	}
	want := map[string]events.DynamoDBAttributeValue{
		"licenseid": events.NewStringAttribute("id"),
		"number":    events.NewNumberAttribute("1718622505782"),
		"binary":    events.NewBinaryAttribute([]byte{0, 255}),
		"flag":      events.NewBooleanAttribute(true),
		"null":      events.NewNullAttribute(),
		"texts":     events.NewStringSetAttribute([]string{"a", "b"}),
		"numbers":   events.NewNumberSetAttribute([]string{"1"}),
		"binaries":  events.NewBinarySetAttribute([][]byte{{1}}),
		"map": events.NewMapAttribute(map[string]events.DynamoDBAttributeValue{
			"list": events.NewListAttribute([]events.DynamoDBAttributeValue{events.NewStringAttribute("x")}),
		}),
	}
	whole := cmp.AllowUnexported(events.DynamoDBAttributeValue{})
	if diff := cmp.Diff(want, records[0].Change.NewImage, whole); diff != "" {
		t.Errorf("new image (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, records[1].Change.OldImage, whole); diff != "" {
		t.Errorf("old image (-want +got):\n%s", diff)
	}
	if records[0].Change.OldImage != nil || records[1].Change.NewImage != nil ||
		records[1].Change.Keys["licenseid"].String() != "id" {
		t.Errorf("records %+v", records)
	}
	if age := time.Since(records[0].Change.ApproximateCreationDateTime.Time); age < -time.Minute || age > time.Hour ||
		records[0].Change.SequenceNumber >= records[1].Change.SequenceNumber {
		t.Errorf("%v old, from %s to %s", age, records[0].Change.SequenceNumber, records[1].Change.SequenceNumber)
	}
}
