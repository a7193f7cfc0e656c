package dynamo

import (
	"context"
	"fmt"
	"iter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"openlicenser/shared/audit"
)

// HeadsIndex is the index of the audit table that holds the heads, and no entries: of all items only they have its
// partition key, collection (S). Its sort key is licenseid (S), its projection ALL. All heads stand in one partition
// of it, which takes some 1,000 writes a second; the trail's pace is that of the vendor's changes.
const HeadsIndex = "heads"

// heads is the value of HeadsIndex's partition key.
const heads = "heads"

var _ audit.HeadLister = (*AuditTrail)(nil)

// Heads implements audit.HeadLister. The index lags behind the table by moments.
func (s *AuditTrail) Heads(ctx context.Context) iter.Seq2[audit.ChainHead, error] {
	return func(yield func(audit.ChainHead, error) bool) {
		pages := dynamodb.NewQueryPaginator(s.client, &dynamodb.QueryInput{
			TableName:                 &s.table,
			IndexName:                 aws.String(HeadsIndex),
			KeyConditionExpression:    aws.String("#collection = :collection"),
			ExpressionAttributeNames:  map[string]string{"#collection": attrCollection},
			ExpressionAttributeValues: item{":collection": text(heads)},
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err == nil {
				err = listed(page.Items)
			}
			if err != nil {
				yield(audit.ChainHead{}, fmt.Errorf("audit heads: %w", err))
				return
			}
			for _, values := range page.Items {
				// A head that cannot be read is one of nothing, and not left out: whoever lists finds fault with it.
				var head headItem
				if attributevalue.UnmarshalMap(values, &head) != nil {
					head = headItem{}
				}
				listed := audit.ChainHead{
					LicenseID: textOf(values, attrLicenseID),
					Head:      audit.Head{Sequence: head.HeadSequence, Hash: head.Hash, SequenceNumber: head.SequenceNumber, RecordHash: head.RecordHash},
				}
				if !yield(listed, nil) {
					return
				}
			}
		}
	}
}
