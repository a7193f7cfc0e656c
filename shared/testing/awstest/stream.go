package awstest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

// Stream reads a table's stream, as an event source mapping of Lambda does.
type Stream struct {
	Client *dynamodbstreams.Client
	ARN    string
}

// FromTheStart returns the records of all shards, from the first that the stream still has (TRIM_HORIZON). It waits
// until there are n.
func (s Stream) FromTheStart(ctx context.Context, n int) ([]events.DynamoDBEventRecord, error) {
	for {
		records, err := s.readAll(ctx)
		if err != nil || len(records) >= n {
			return records, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d records are in the stream: %w", len(records), n, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s Stream) readAll(ctx context.Context) ([]events.DynamoDBEventRecord, error) {
	var records []events.DynamoDBEventRecord
	in := &dynamodbstreams.DescribeStreamInput{StreamArn: &s.ARN}
	for {
		out, err := s.Client.DescribeStream(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, shard := range out.StreamDescription.Shards { // parents come before their children
			more, err := s.readShard(ctx, shard)
			if err != nil {
				return nil, err
			}
			records = append(records, more...)
		}
		if in.ExclusiveStartShardId = out.StreamDescription.LastEvaluatedShardId; in.ExclusiveStartShardId == nil {
			return records, nil
		}
	}
}

// readShard reads until the shard ends or, of an open one, until a page is empty.
func (s Stream) readShard(ctx context.Context, shard types.Shard) ([]events.DynamoDBEventRecord, error) {
	start, err := s.Client.GetShardIterator(ctx, &dynamodbstreams.GetShardIteratorInput{
		StreamArn: &s.ARN, ShardId: shard.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		return nil, err
	}
	var records []events.DynamoDBEventRecord
	for iterator := start.ShardIterator; iterator != nil; {
		page, err := s.Client.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: iterator})
		if err != nil {
			return nil, err
		}
		for _, record := range page.Records {
			converted, err := lambdaRecord(record, s.ARN)
			if err != nil {
				return nil, err
			}
			records = append(records, converted)
		}
		if iterator = page.NextShardIterator; len(page.Records) == 0 {
			break
		}
	}
	return records, nil
}

// lambdaRecord returns the record as Lambda hands it over (https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html).
// It is written as JSON and read by the event's own decoder.
func lambdaRecord(record types.Record, arn string) (converted events.DynamoDBEventRecord, err error) {
	change := record.Dynamodb
	details := map[string]any{
		"ApproximateCreationDateTime": change.ApproximateCreationDateTime.Unix(),
		"SequenceNumber":              change.SequenceNumber,
		"SizeBytes":                   change.SizeBytes,
		"StreamViewType":              change.StreamViewType,
	}
	for name, image := range map[string]map[string]types.AttributeValue{
		"Keys": change.Keys, "OldImage": change.OldImage, "NewImage": change.NewImage,
	} {
		if image == nil {
			continue
		}
		values, err := attributevalue.FromDynamoDBStreamsMap(image)
		if err != nil {
			return converted, err
		}
		text, err := attributevalue.MarshalMapJSON(values)
		if err != nil {
			return converted, err
		}
		details[name] = json.RawMessage(text)
	}
	text, err := json.Marshal(map[string]any{
		"eventID": record.EventID, "eventName": record.EventName, "eventVersion": record.EventVersion,
		"eventSource": record.EventSource, "awsRegion": record.AwsRegion, "eventSourceARN": arn, "dynamodb": details,
	})
	if err != nil {
		return converted, err
	}
	return converted, json.Unmarshal(text, &converted)
}
