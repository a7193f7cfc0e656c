// Package dynamo keeps licenses and the audit trail in DynamoDB: it implements license.Store and audit.Store.
// It speaks the domain's types outwards and the SDK's inwards, and leaves credentials, retries and tracing to
// the client that it is given. Its errors name the operation and never hold what a record says.
package dynamo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// The indexes of the license table, both with the sort key licenseid (S) and the projection ALL. The ids that
// we make are UUIDs of version 7, which sort by time.
const (
	NewestIndex   = "newest"   // partition key collection (S)
	CustomerIndex = "customer" // partition key customerid (S)
)

// attrCollection is the partition key of NewestIndex, the same in every record. Only this package knows it:
// records of other tools lack it, and join the index with the first change that we make to them.
const (
	attrCollection = "collection" // S
	collection     = "licenses"
)

// The attributes of the domain that mean something to this package.
const (
	attrLicenseID  = "licenseid"
	attrCustomerID = "customerid"
	attrRequestID  = "requestid"
)

// maxKey is the longest partition key in bytes that DynamoDB takes
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html).
const maxKey = 2048

// LicenseAPI is what Licenses uses of a *dynamodb.Client.
type LicenseAPI interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Licenses keeps licenses in a table with the partition key licenseid (S).
//
// The SDK repeats a write whose reply was lost, and the repetition then meets the record that the first try
// wrote. Create and Update recognize their own record, by all that they wrote and the request id in it, and
// answer success.
type Licenses struct {
	client LicenseAPI
	table  string
}

var _ license.Store = (*Licenses)(nil)

// NewLicenses makes a store over a table, named by its name or ARN.
func NewLicenses(client LicenseAPI, table string) *Licenses {
	return &Licenses{client: client, table: table}
}

// Get reads with strong consistency (one read unit for each 4 KB). An id that no record can have is not
// found, like any other.
func (s *Licenses) Get(ctx context.Context, id string) (license.License, error) {
	if id == "" || len(id) > maxKey {
		return license.License{}, license.ErrNotFound
	}
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName:      &s.table,
		Key:            licenseKey(id),
		ConsistentRead: aws.Bool(true),
	})
	switch {
	case err != nil:
		return license.License{}, fmt.Errorf("get license: %w", err)
	case len(out.Item) == 0:
		return license.License{}, license.ErrNotFound
	}
	return toLicense(out.Item)
}

// Create puts the record, unless one with its id is there.
func (s *Licenses) Create(ctx context.Context, l license.License) error {
	record := l.Record()
	record[attrCollection] = collection
	values, err := toItem(record)
	if err != nil {
		return fmt.Errorf("create license: %w", err)
	}
	_, err = s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:                           &s.table,
		Item:                                values,
		ConditionExpression:                 aws.String("attribute_not_exists(#licenseid)"),
		ExpressionAttributeNames:            map[string]string{"#licenseid": attrLicenseID},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	return writeError("create license", err, license.ErrExists, record, nil)
}

// Update writes the Delta only, on condition of the Expectation, so that attributes which the domain does not
// know stay as they are.
func (s *Licenses) Update(ctx context.Context, before, after license.License) error {
	set, remove := license.Delta(before, after)
	set[attrCollection] = collection
	e, err := updateExpressions(set, remove, before.Expectation())
	if err != nil {
		return fmt.Errorf("update license: %w", err)
	}
	_, err = s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                           &s.table,
		Key:                                 licenseKey(before.ID),
		UpdateExpression:                    &e.update,
		ConditionExpression:                 &e.condition,
		ExpressionAttributeNames:            e.names,
		ExpressionAttributeValues:           e.values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	return writeError("update license", err, license.ErrConflict, set, remove)
}

// Remove deletes the record on condition of the Expectation. Where the SDK repeats a removal whose reply was lost, the
// record is gone, and the answer ErrConflict.
func (s *Licenses) Remove(ctx context.Context, l license.License) error {
	e := expressions{names: map[string]string{}, values: item{}}
	condition, err := e.expectation(l.Expectation())
	if err != nil {
		return fmt.Errorf("remove license: %w", err)
	}
	_, err = s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName:                 &s.table,
		Key:                       licenseKey(l.ID),
		ConditionExpression:       &condition,
		ExpressionAttributeNames:  e.names,
		ExpressionAttributeValues: e.values,
	})
	return writeError("remove license", err, license.ErrConflict, nil, nil)
}

// writeError answers refused for a condition that did not hold, unless the record is the one that this very
// write made.
func writeError(operation string, err, refused error, set attribute.Map, remove []string) error {
	if err == nil {
		return nil
	}
	var failed *types.ConditionalCheckFailedException
	switch {
	case !errors.As(err, &failed):
		return fmt.Errorf("%s: %w", operation, err)
	case isOwn(failed.Item, set, remove):
		return nil
	default:
		return refused
	}
}

// isOwn tells whether the stored item is what a write with a request id made.
func isOwn(stored item, set attribute.Map, remove []string) bool {
	record, err := fromItem(stored)
	if _, named := set[attrRequestID]; !named || err != nil {
		return false
	}
	for name, value := range set {
		if !reflect.DeepEqual(record[name], value) {
			return false
		}
	}
	for _, name := range remove {
		if _, present := record[name]; present {
			return false
		}
	}
	return true
}

// List reads a page of an index, which lags behind the table by moments. A record that cannot be understood
// is left out and logged, so that it hides no other; the page is then shorter, and Next still leads on.
func (s *Licenses) List(ctx context.Context, q license.Query) (license.Page, error) {
	out, err := s.client.Query(ctx, s.listInput(q))
	if err != nil {
		return license.Page{}, fmt.Errorf("list licenses: %w", err)
	}
	page := license.Page{Next: textOf(out.LastEvaluatedKey, attrLicenseID)}
	for _, values := range out.Items {
		l, err := toLicense(values)
		if err != nil {
			slog.WarnContext(ctx, "a license that cannot be understood is left out of the list",
				"licenseid", textOf(values, attrLicenseID), "error", err)
			continue
		}
		page.Licenses = append(page.Licenses, l)
	}
	return page, nil
}

func (s *Licenses) listInput(q license.Query) *dynamodb.QueryInput {
	index, attr, value := NewestIndex, attrCollection, collection
	if q.CustomerID != "" {
		index, attr, value = CustomerIndex, attrCustomerID, q.CustomerID
	}
	in := &dynamodb.QueryInput{
		TableName:                 &s.table,
		IndexName:                 &index,
		KeyConditionExpression:    aws.String("#partition = :partition"),
		ExpressionAttributeNames:  map[string]string{"#partition": attr},
		ExpressionAttributeValues: item{":partition": text(value)},
		ScanIndexForward:          aws.Bool(false),
		Limit:                     aws.Int32(int32(q.Limit)),
	}
	if q.Before != "" {
		in.ExclusiveStartKey = item{attr: text(value), attrLicenseID: text(q.Before)}
	}
	return in
}

func toLicense(values item) (license.License, error) {
	record, err := fromItem(values)
	if err != nil {
		return license.License{}, fmt.Errorf("%w: %w", license.ErrUnreadable, err)
	}
	return license.FromRecord(record)
}

func licenseKey(id string) item { return item{attrLicenseID: text(id)} }

func text(value string) types.AttributeValue { return &types.AttributeValueMemberS{Value: value} }

// textOf answers an S, or nothing.
func textOf(values item, name string) string {
	if s, isText := values[name].(*types.AttributeValueMemberS); isText {
		return s.Value
	}
	return ""
}
