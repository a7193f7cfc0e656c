package iamtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// dynamoDBInput is the part of a request of DynamoDB that IAM looks at.
type dynamoDBInput struct {
	itemInput
	RequestItems  map[string]itemInput // by table
	TransactItems []map[string]itemInput
}

// itemInput is what a request has for one table.
type itemInput struct {
	TableName                 string
	IndexName                 string
	Key, Item                 map[string]any
	Keys                      []map[string]any
	UpdateExpression          string
	ConditionExpression       string
	KeyConditionExpression    string
	FilterExpression          string
	ProjectionExpression      string
	ExpressionAttributeNames  map[string]string
	ReturnValues              string
	Select                    string
	AttributesToGet, Expected any // of the time before expressions
}

// transacted are the actions that stand for the parts of a transaction
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html).
var transacted = map[string]string{
	"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem",
	"Get": "GetItem",
}

// calls returns the calls that a request is: a batch one for each table, a transaction one for each item.
func (in dynamoDBInput) calls(operation string) (calls []Call, err error) {
	for table, items := range in.RequestItems {
		items.TableName = table
		calls = append(calls, items.call(operation, ""))
	}
	isKnown := in.AttributesToGet == nil && in.Expected == nil
	for _, parts := range in.TransactItems {
		for part, item := range parts {
			isKnown = isKnown && transacted[part] != ""
			calls = append(calls, item.call(transacted[part], operation))
		}
	}
	if in.TableName != "" {
		calls = append(calls, in.call(operation, ""))
	}
	if len(calls) == 0 || !isKnown {
		return nil, fmt.Errorf("what dynamodb:%s is about is not known here", operation)
	}
	return calls, nil
}

// call returns the call of an action on a table or its index
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html).
func (in itemInput) call(action, enclosing string) Call {
	table := in.TableName
	if !strings.HasPrefix(table, "arn:") {
		table = arn("dynamodb", "table/"+table)
	}
	if in.IndexName != "" {
		table += "/index/" + in.IndexName
	}
	return newCall("dynamodb:"+action, table).
		With("dynamodb:Attributes", in.attributes()...).
		With("dynamodb:ReturnValues", in.ReturnValues).
		With("dynamodb:Select", in.Select).
		With("dynamodb:EnclosingOperation", enclosing)
}

// attributes returns the attributes that a request names, in order.
func (in itemInput) attributes() (attributes []string) {
	for _, values := range append(in.Keys, in.Key, in.Item) {
		attributes = slices.AppendSeq(attributes, maps.Keys(values))
	}
	for _, expression := range []string{
		in.UpdateExpression, in.ConditionExpression, in.KeyConditionExpression, in.FilterExpression,
		in.ProjectionExpression,
	} {
		attributes = append(attributes, attributesIn(expression, in.ExpressionAttributeNames)...)
	}
	slices.Sort(attributes)
	return slices.Compact(attributes)
}
