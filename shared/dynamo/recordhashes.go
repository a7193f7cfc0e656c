package dynamo

import (
	"context"
	"fmt"
	"iter"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"openlicenser/shared/checkpoint"
)

// ScanAPI is what RecordHashes uses of a *dynamodb.Client.
type ScanAPI interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...option) (*dynamodb.GetItemOutput, error)
	Scan(context.Context, *dynamodb.ScanInput, ...option) (*dynamodb.ScanOutput, error)
}

// RecordHashes are the hashes of the records in the license table as they are now. A hash is over every attribute, also
// those that the domain does not know.
type RecordHashes struct {
	client ScanAPI
	table  string
}

var _ checkpoint.RecordHashes = (*RecordHashes)(nil)

// NewRecordHashes returns the hashes of the license table with the name or ARN.
func NewRecordHashes(client ScanAPI, table string) *RecordHashes { return &RecordHashes{client, table} }

// All implements checkpoint.RecordHashes. It scans the table, which costs half a read unit for each 4 KB.
func (s *RecordHashes) All(ctx context.Context) iter.Seq2[checkpoint.RecordHash, error] {
	return func(yield func(checkpoint.RecordHash, error) bool) {
		pages := dynamodb.NewScanPaginator(s.client, &dynamodb.ScanInput{TableName: &s.table})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err == nil {
				err = checkListed(page.Items)
			}
			if err != nil {
				yield(checkpoint.RecordHash{}, fmt.Errorf("scan licenses: %w", err))
				return
			}
			for _, values := range page.Items {
				hash, err := hashOf(values)
				if !yield(hash, err) || err != nil {
					return
				}
			}
		}
	}
}

// Of implements checkpoint.RecordHashes. It reads with strong consistency.
func (s *RecordHashes) Of(ctx context.Context, licenseID string) (checkpoint.RecordHash, error) {
	values, err := getItem(ctx, s.client, s.table, licenseKey(licenseID))
	switch {
	case err != nil:
		return checkpoint.RecordHash{}, fmt.Errorf("get license: %w", err)
	case values == nil:
		return checkpoint.RecordHash{}, nil
	}
	return hashOf(values)
}

func hashOf(values item) (checkpoint.RecordHash, error) {
	id := textOf(values, attrLicenseID)
	record, err := decodeItem(values)
	if err != nil {
		return checkpoint.RecordHash{}, fmt.Errorf("record of license %s: %w", id, err)
	}
	return checkpoint.HashOf(id, record)
}
