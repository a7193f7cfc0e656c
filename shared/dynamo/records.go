package dynamo

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// RecordsAPI is what Records uses of a *dynamodb.Client.
type RecordsAPI interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...option) (*dynamodb.GetItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...option) (*dynamodb.UpdateItemOutput, error)
	Scan(context.Context, *dynamodb.ScanInput, ...option) (*dynamodb.ScanOutput, error)
}

// Records are the records in the license table. To amend them it needs the permission for the attributes of
// license.Amended and the key, and for no others: an update returns nothing, and its condition is about these alone
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html).
type Records struct {
	client RecordsAPI
	table  string
	page   *int32 // records in a page of a scan; nil: as many as DynamoDB gives
}

var _ license.Records = (*Records)(nil)

// NewRecords returns the records of the license table with the name or ARN.
func NewRecords(client RecordsAPI, table string) *Records {
	return &Records{client: client, table: table}
}

// InPages returns the same records, which Segment then reads in pages of at most n. DynamoDB's own pages are of 1 MB,
// which at once take what a table of little capacity has for two minutes.
func (s *Records) InPages(n int32) *Records {
	return &Records{client: s.client, table: s.table, page: &n}
}

// Record implements license.Records.
func (s *Records) Record(ctx context.Context, id string) (attribute.Map, error) {
	values, err := getItem(ctx, s.client, s.table, licenseKey(id))
	switch {
	case err != nil:
		return nil, fmt.Errorf("get license: %w", err)
	case values == nil:
		return nil, license.ErrNotFound
	}
	return toRecord(values)
}

// toRecord returns the record of an item. An item with an attribute of unknown type is license.ErrUnreadable.
func toRecord(values item) (attribute.Map, error) {
	record, err := decodeItem(values)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", license.ErrUnreadable, err)
	}
	return record, nil
}

// Amend implements license.Records.
func (s *Records) Amend(ctx context.Context, id string, a license.Amendment) error {
	e, err := updateExpressions(a.Set, a.Remove, a.Expected)
	if err != nil {
		return fmt.Errorf("amend license: %w", err)
	}
	err = withoutConflicts(ctx, func() error {
		_, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName:                 &s.table,
			Key:                       licenseKey(id),
			UpdateExpression:          &e.update,
			ConditionExpression:       &e.condition,
			ExpressionAttributeNames:  e.names,
			ExpressionAttributeValues: e.values,
		})
		return err
	})
	var failed *types.ConditionalCheckFailedException
	switch {
	case errors.As(err, &failed):
		return license.ErrConflict
	case err != nil:
		return fmt.Errorf("amend license: %w", err)
	}
	return nil
}

// Segment implements license.Records. It scans the table, which costs half a read unit for each 4 KB.
func (s *Records) Segment(ctx context.Context, segment, segments int) iter.Seq2[attribute.Map, error] {
	return func(yield func(attribute.Map, error) bool) {
		pages := dynamodb.NewScanPaginator(s.client, &dynamodb.ScanInput{
			TableName: &s.table, Segment: aws.Int32(int32(segment)), TotalSegments: aws.Int32(int32(segments)),
			Limit: s.page,
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err == nil {
				err = checkListed(page.Items)
			}
			if err != nil {
				yield(nil, fmt.Errorf("scan licenses: %w", err))
				return
			}
			for _, values := range page.Items {
				record, err := toRecord(values)
				if err != nil {
					record = attribute.Map{attrLicenseID: textOf(values, attrLicenseID)}
				}
				if !yield(record, err) {
					return
				}
			}
		}
	}
}
