package dynamo

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// LicenseAPI is what Licenses uses of a *dynamodb.Client.
type LicenseAPI interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...option) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...option) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...option) (*dynamodb.UpdateItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...option) (*dynamodb.DeleteItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...option) (*dynamodb.QueryOutput, error)
	TransactWriteItems(
		context.Context, *dynamodb.TransactWriteItemsInput, ...option,
	) (*dynamodb.TransactWriteItemsOutput, error)
}

// Licenses keeps licenses in a table with the partition key licenseid (S), and their references in one with the
// partition key reference (S). A reference leads to the licenseid (S) that has it, and stays when the license goes.
//
// The SDK repeats a write whose response was lost, and the repetition meets the record that the first try wrote. Create
// and Update recognize it by the request id and by all else that they wrote, and then return no error.
type Licenses struct {
	client     LicenseAPI
	table      string
	references string
}

var _ license.Store = (*Licenses)(nil)

// NewLicenses returns a store in the tables with the names or ARNs. Whoever only reads licenses needs no table of
// references.
func NewLicenses(client LicenseAPI, table, references string) *Licenses {
	return &Licenses{client: client, table: table, references: references}
}

// Get implements license.Reader. It reads with strong consistency, which costs one read unit for each 4 KB. An id that
// no record can have is license.ErrNotFound like any other.
func (s *Licenses) Get(ctx context.Context, id string) (license.License, error) {
	if !isKey(id) {
		return license.License{}, license.ErrNotFound
	}
	values, err := getItem(ctx, s.client, s.table, licenseKey(id))
	switch {
	case err != nil:
		return license.License{}, fmt.Errorf("get license: %w", err)
	case values == nil:
		return license.License{}, license.ErrNotFound
	}
	return toLicense(values)
}

// Create implements license.Store.
func (s *Licenses) Create(ctx context.Context, l license.License) error {
	record := l.Record()
	put, err := s.putIfAbsent(record)
	if err != nil {
		return fmt.Errorf("create license: %w", err)
	}
	if l.Reference != "" {
		reference := s.putReference(l, "attribute_not_exists(#reference)", nil)
		err = s.transact(ctx, l.Reference, types.TransactWriteItem{Put: &put}, reference)
	} else {
		err = withoutConflicts(ctx, func() error {
			_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{
				TableName:                           put.TableName,
				Item:                                put.Item,
				ConditionExpression:                 put.ConditionExpression,
				ExpressionAttributeNames:            put.ExpressionAttributeNames,
				ReturnValuesOnConditionCheckFailure: put.ReturnValuesOnConditionCheckFailure,
			})
			return err
		})
	}
	return writeError("create license", err, license.ErrExists, record, nil)
}

// Update implements license.Store. It writes nothing but the license's Delta, on condition of its Expectation. So
// attributes that the domain does not know stay as they are.
func (s *Licenses) Update(ctx context.Context, before, after license.License) error {
	set, remove := license.Delta(before, after)
	update, err := s.update(before, set, remove)
	if err != nil {
		return fmt.Errorf("update license: %w", err)
	}
	if after.Reference != before.Reference && after.Reference != "" {
		// Another tool may have dropped the attribute, while the row is still there.
		reference := s.putReference(after, "attribute_not_exists(#reference) OR #licenseid = :licenseid",
			item{":licenseid": text(after.ID)})
		err = s.transact(ctx, after.Reference, types.TransactWriteItem{Update: &update}, reference)
	} else {
		err = withoutConflicts(ctx, func() error {
			_, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
				TableName:                           update.TableName,
				Key:                                 update.Key,
				UpdateExpression:                    update.UpdateExpression,
				ConditionExpression:                 update.ConditionExpression,
				ExpressionAttributeNames:            update.ExpressionAttributeNames,
				ExpressionAttributeValues:           update.ExpressionAttributeValues,
				ReturnValuesOnConditionCheckFailure: update.ReturnValuesOnConditionCheckFailure,
			})
			return err
		})
	}
	return writeError("update license", err, license.ErrConflict, set, remove)
}

// update returns the update of the record that before was read from.
func (s *Licenses) update(before license.License, set attribute.Map, remove []string) (types.Update, error) {
	e, err := updateExpressions(set, remove, before.Expectation())
	return types.Update{
		TableName:                           &s.table,
		Key:                                 licenseKey(before.ID),
		UpdateExpression:                    &e.update,
		ConditionExpression:                 &e.condition,
		ExpressionAttributeNames:            e.names,
		ExpressionAttributeValues:           e.values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}, err
}

// putIfAbsent returns the put of a record where there is none.
func (s *Licenses) putIfAbsent(record attribute.Map) (types.Put, error) {
	values, err := encoder.Map(record)
	return types.Put{
		TableName:                           &s.table,
		Item:                                values,
		ConditionExpression:                 aws.String("attribute_not_exists(#licenseid)"),
		ExpressionAttributeNames:            map[string]string{"#licenseid": attrLicenseID},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}, err
}

// Remove implements license.Store. It deletes the record on condition of the license's Expectation. Where the SDK
// repeats a removal whose response was lost, the record is gone, and Remove returns license.ErrConflict.
func (s *Licenses) Remove(ctx context.Context, l license.License) error {
	e := expressions{names: map[string]string{}, values: item{}}
	condition, err := e.expectation(l.Expectation())
	if err != nil {
		return fmt.Errorf("remove license: %w", err)
	}
	err = withoutConflicts(ctx, func() error {
		_, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName:                 &s.table,
			Key:                       licenseKey(l.ID),
			ConditionExpression:       &condition,
			ExpressionAttributeNames:  e.names,
			ExpressionAttributeValues: e.values,
		})
		return err
	})
	return writeError("remove license", err, license.ErrConflict, nil, nil)
}

// writeError returns what a write came to. A condition that did not hold is the error refused, unless an earlier try of
// this write made the record.
func writeError(operation string, err, refused error, set attribute.Map, remove []string) error {
	if err == nil {
		return nil
	}
	var failed *types.ConditionalCheckFailedException
	var taken *license.ReferenceTakenError
	switch {
	case errors.As(err, &taken):
		return taken
	case !errors.As(err, &failed):
		return fmt.Errorf("%s: %w", operation, err)
	case isOwn(failed.Item, set, remove):
		return nil
	default:
		return refused
	}
}

// isOwn reports whether the stored item is what a write of these changes leaves. A write without a request id is never
// recognized. The index attributes tell nothing: others set them meanwhile.
func isOwn(stored item, set attribute.Map, remove []string) bool {
	record, err := decodeItem(stored)
	if _, named := set[license.AttrRequestID]; !named || err != nil {
		return false
	}
	for name, value := range license.WithoutIndex(set) {
		if !reflect.DeepEqual(record[name], value) {
			return false
		}
	}
	for _, name := range remove {
		if _, present := record[name]; present && !slices.Contains(license.IndexAttributes, name) {
			return false
		}
	}
	return true
}

// toLicense returns the license of an item. An item with an attribute of unknown type is license.ErrUnreadable.
func toLicense(values item) (license.License, error) {
	record, err := decodeItem(values)
	if err != nil {
		return license.License{}, fmt.Errorf("%w: %w", license.ErrUnreadable, err)
	}
	return license.FromRecord(record)
}
