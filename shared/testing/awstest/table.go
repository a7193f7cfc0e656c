package awstest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/uuid"
)

// tableProperty says what becomes of a property of AWS::DynamoDB::Table or AWS::DynamoDB::GlobalTable: passed on, or not. A property that is not here is an
// error, so that none is left out by accident.
var tableProperty = map[string]bool{
	"AttributeDefinitions": true, "BillingMode": true, "GlobalSecondaryIndexes": true, "KeySchema": true,
	"LocalSecondaryIndexes": true, "StreamSpecification": true,

	"TimeToLiveSpecification": false, // see EnableTimeToLive

	// Of no account for a table in memory.
	"ContributorInsightsSpecification": false, "DeletionProtectionEnabled": false, "PointInTimeRecoverySpecification": false,
	"Replicas": false, "SSESpecification": false, "TableClass": false, "TableName": false, "Tags": false,
	"WriteProvisionedThroughputSettings": false,
}

// Table answers the request that makes a table as the template declares it, but for its capacity, which is on demand. It
// has no name yet.
func (t *Template) Table(id string) (*dynamodb.CreateTableInput, error) {
	if resourceType := t.resources[id].Type; resourceType != "AWS::DynamoDB::Table" && resourceType != "AWS::DynamoDB::GlobalTable" {
		return nil, fmt.Errorf("the template has no table %s", id)
	}
	declared, err := t.evaluate(ptr(t.resources[id].Properties))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	properties := map[string]any{}
	for name, value := range declared.(map[string]any) {
		passedOn, known := tableProperty[name]
		if !known {
			return nil, fmt.Errorf("%s: the property %s is not known here", id, name)
		}
		if passedOn {
			properties[name] = value
		}
	}
	if stream, streams := properties["StreamSpecification"].(map[string]any); streams {
		stream["StreamEnabled"] = true // what CloudFormation takes for granted
	}
	properties["BillingMode"] = "PAY_PER_REQUEST"
	indexes, _ := properties["GlobalSecondaryIndexes"].([]any)
	for _, index := range indexes {
		delete(index.(map[string]any), "WriteProvisionedThroughputSettings")
	}
	text, err := json.Marshal(properties)
	if err != nil {
		return nil, err
	}
	in := &dynamodb.CreateTableInput{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(in); err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	return in, nil
}

func ptr[T any](value T) *T { return &value }

// CreateTable makes a table as the template declares it, under this name, and waits until it can be used.
func (t *Template) CreateTable(ctx context.Context, client *dynamodb.Client, id, name string) (*types.TableDescription, error) {
	in, err := t.Table(id)
	if err != nil {
		return nil, err
	}
	in.TableName = &name
	if _, err := client.CreateTable(ctx, in); err != nil {
		return nil, err
	}
	waiter := dynamodb.NewTableExistsWaiter(client, func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay = 10 * time.Millisecond })
	out, err := waiter.WaitForOutput(ctx, &dynamodb.DescribeTableInput{TableName: &name}, time.Minute)
	if err != nil {
		return nil, err
	}
	return out.Table, nil
}

// EnableTimeToLive has DynamoDB remove what expires, where the template declares that.
func (t *Template) EnableTimeToLive(ctx context.Context, client *dynamodb.Client, id, name string) error {
	property, err := t.Property(id, "TimeToLiveSpecification")
	if err != nil || property == nil {
		return err
	}
	attribute, _ := member(property, "AttributeName").(string)
	_, err = client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName:               &name,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: &attribute, Enabled: aws.Bool(true)},
	})
	return err
}

// NewTable makes one of the template's tables under a random name. It goes when the test ends.
func NewTable(t testing.TB, client *dynamodb.Client, id string) *types.TableDescription {
	t.Helper()
	template, err := ReadTemplate(nil)
	if err != nil {
		t.Fatal(err)
	}
	table, err := template.CreateTable(t.Context(), client, id, "licenser-test-"+uuid.NewString())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = client.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: table.TableName})
	})
	return table
}
