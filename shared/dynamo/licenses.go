// Package dynamo keeps licenses and the audit trail in DynamoDB: it implements license.Store and audit.Store.
// It speaks the domain's types outwards and the SDK's inwards, and leaves credentials, retries and tracing to
// the client that it is given. Its errors name the operation and never hold what a record says.
package dynamo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
	"openlicenser/shared/plainjson"
)

// The attributes that the indexes of the license table need and only this package knows, both S. Records of other tools lack
// them, and join the indexes with the first change that we make to them. The indexes bear the names of license.Index and have the
// projection ALL.
const (
	attrCollection = "collection" // the same in every record
	attrStanding   = "standing"   // License.Standing

	collection = "licenses"
)

// indexKeys are the partition and the sort key of each index, all of them S.
var indexKeys = map[license.Index]struct{ partition, sort string }{
	license.Newest:     {attrCollection, attrLicenseID},
	license.OfCustomer: {attrCustomerID, attrLicenseID},
	license.ByExpiry:   {attrCollection, attrExpirationDate},
	license.ByStanding: {attrStanding, attrExpirationDate},
}

// The attributes of the domain that mean something to this package.
const (
	attrLicenseID      = "licenseid"
	attrCustomerID     = "customerid"
	attrExpirationDate = "expirationdate"
	attrRequestID      = "requestid"
)

// maxKey is the longest partition key in bytes that DynamoDB takes
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html).
const maxKey = 2048

func isKey(id string) bool { return id != "" && len(id) <= maxKey }

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

// Create puts the record, unless one with its id is there.
func (s *Licenses) Create(ctx context.Context, l license.License) error {
	record := l.Record()
	record[attrCollection], record[attrStanding] = collection, string(l.Standing())
	values, err := encoder.Map(record)
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
	set[attrCollection], set[attrStanding] = collection, string(after.Standing())
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
	record, err := decodeItem(stored)
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

// List reads an index, which lags behind the table by moments. A record that cannot be understood is left out and logged,
// so that it hides no other.
func (s *Licenses) List(ctx context.Context, q license.Query) (page license.Page, err error) {
	if from, to := q.Dates(); from > to {
		return license.Page{}, nil // BETWEEN takes no such bounds
	}
	in, err := s.listInput(q)
	if err != nil {
		return license.Page{}, fmt.Errorf("list licenses: %w", err)
	}
	if from, _ := q.Dates(); len(in.ExclusiveStartKey) > 0 && indexKeys[q.Index()].sort == attrExpirationDate &&
		textOf(in.ExclusiveStartKey, attrExpirationDate) < from {
		return license.Page{}, nil // the list's end has passed the cursor meanwhile; DynamoDB refuses to begin outside of it
	}
	for range license.MaxReads {
		in.Limit = aws.Int32(int32(q.Limit - len(page.Licenses)))
		out, err := s.client.Query(ctx, in)
		if err == nil {
			err = listed(out.Items)
		}
		if err != nil {
			return license.Page{}, fmt.Errorf("list licenses: %w", err)
		}
		page.Licenses = append(page.Licenses, matching(ctx, q, out.Items)...)
		in.ExclusiveStartKey = out.LastEvaluatedKey
		if len(in.ExclusiveStartKey) == 0 || len(page.Licenses) == q.Limit {
			break
		}
	}
	page.Next, err = toPosition(q.Index(), in.ExclusiveStartKey)
	return page, err
}

func matching(ctx context.Context, q license.Query, items []item) (licenses []license.License) {
	for _, values := range items {
		l, err := toLicense(values)
		switch {
		case err != nil:
			slog.WarnContext(ctx, "a license that cannot be understood is left out of the list",
				"licenseid", textOf(values, attrLicenseID), "error", err)
		case q.Matches(l):
			licenses = append(licenses, l)
		}
	}
	return licenses
}

func (s *Licenses) listInput(q license.Query) (*dynamodb.QueryInput, error) {
	keys := indexKeys[q.Index()]
	partition := map[string]string{attrCollection: collection, attrCustomerID: q.CustomerID, attrStanding: string(q.Standing())}[keys.partition]
	start, err := fromPosition(q.Index(), partition, q.Position)
	if err != nil {
		return nil, err
	}
	in := &dynamodb.QueryInput{
		TableName:                 &s.table,
		IndexName:                 aws.String(string(q.Index())),
		KeyConditionExpression:    aws.String("#partition = :partition"),
		ExpressionAttributeNames:  map[string]string{"#partition": keys.partition},
		ExpressionAttributeValues: item{":partition": text(partition)},
		ScanIndexForward:          aws.Bool(false),
		ExclusiveStartKey:         start,
	}
	if keys.sort == attrExpirationDate {
		from, to := q.Dates()
		in.KeyConditionExpression = aws.String("#partition = :partition AND #date BETWEEN :from AND :to")
		in.ExpressionAttributeNames["#date"] = attrExpirationDate
		in.ExpressionAttributeValues[":from"], in.ExpressionAttributeValues[":to"] = text(from), text(to)
	}
	return in, nil
}

// toPosition writes the key after which a page begins as the JSON of its sort key and its license id, and no key as an
// empty text. The partition key follows from the query.
func toPosition(index license.Index, key item) (string, error) {
	if len(key) == 0 {
		return "", nil
	}
	position, err := plainjson.Marshal([]string{textOf(key, indexKeys[index].sort), textOf(key, attrLicenseID)})
	return string(position), err
}

func fromPosition(index license.Index, partition, position string) (item, error) {
	if position == "" {
		return nil, nil
	}
	var texts []string
	if err := json.Unmarshal([]byte(position), &texts); err != nil || len(texts) != 2 {
		return nil, errors.New("not a position of this list")
	}
	keys := indexKeys[index]
	return item{keys.partition: text(partition), keys.sort: text(texts[0]), attrLicenseID: text(texts[1])}, nil
}

func toLicense(values item) (license.License, error) {
	record, err := decodeItem(values)
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
