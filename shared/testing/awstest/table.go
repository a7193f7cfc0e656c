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

	"openlicenser/shared/testing/samtemplate"
)

// tableProperty says whether a property of AWS::DynamoDB::Table or AWS::DynamoDB::GlobalTable is passed on. A property
// that is not here is an error, so that none is left out by accident.
var tableProperty = map[string]bool{
	"AttributeDefinitions": true, "BillingMode": true, "GlobalSecondaryIndexes": true, "KeySchema": true,
	"LocalSecondaryIndexes": true, "StreamSpecification": true,

	"TimeToLiveSpecification": false, // see enableTimeToLive

	// Of no account for a table in memory.
	"ContributorInsightsSpecification": false, "DeletionProtectionEnabled": false,
	"PointInTimeRecoverySpecification": false, "Replicas": false, "SSESpecification": false, "TableClass": false,
	"TableName": false, "Tags": false, "WriteProvisionedThroughputSettings": false,
}

// Table returns the request that makes a table as the template declares it, without a name. Its capacity is on demand,
// whatever the template says.
func Table(t *samtemplate.Template, id string) (*dynamodb.CreateTableInput, error) {
	if kind := t.Type(id); kind != "AWS::DynamoDB::Table" && kind != "AWS::DynamoDB::GlobalTable" {
		return nil, fmt.Errorf("the template has no table %s", id)
	}
	declared, err := t.Properties(id)
	if err != nil {
		return nil, err
	}
	properties := map[string]any{}
	for name, value := range declared {
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

// createTable makes a table as the template declares it, under a name, and waits until it can be used.
func createTable(
	ctx context.Context, client *dynamodb.Client, t *samtemplate.Template, id, name string,
) (*types.TableDescription, error) {
	in, err := Table(t, id)
	if err != nil {
		return nil, err
	}
	in.TableName = &name
	if _, err := client.CreateTable(ctx, in); err != nil {
		return nil, err
	}
	waiter := dynamodb.NewTableExistsWaiter(client, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay = 10 * time.Millisecond
	})
	out, err := waiter.WaitForOutput(ctx, &dynamodb.DescribeTableInput{TableName: &name}, time.Minute)
	if err != nil {
		return nil, err
	}
	return out.Table, nil
}

// enableTimeToLive has DynamoDB remove what expires, where the template declares that.
func enableTimeToLive(
	ctx context.Context, client *dynamodb.Client, t *samtemplate.Template, id, name string,
) error {
	property, err := t.Property(id, "TimeToLiveSpecification")
	if err != nil || property == nil {
		return err
	}
	attribute, _ := samtemplate.At(property, "AttributeName").(string)
	_, err = client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName:               &name,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: &attribute, Enabled: aws.Bool(true)},
	})
	return err
}

// NewTable makes one of the template's tables under a random name. It is deleted when the test ends.
func NewTable(t testing.TB, client *dynamodb.Client, id string) *types.TableDescription {
	t.Helper()
	template, err := samtemplate.Read()
	if err != nil {
		t.Fatal(err)
	}
	table, err := createTable(t.Context(), client, template, id, "licenser-test-"+uuid.NewString())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = client.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: table.TableName})
	})
	return table
}
