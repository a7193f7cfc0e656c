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

// headsIndex is the index of the audit table that holds the heads. Its partition key is bucket (N), which entries do
// not have: audit.BucketOf the license. Its sort key is licenseid (S), and its projection ALL.
const (
	headsIndex = "heads"
	attrBucket = "bucket"
)

var _ audit.HeadLister = (*AuditTrail)(nil)

// Heads implements audit.HeadLister. It reads an index, which lags behind the table by moments. A head that cannot be
// read comes as a head of nothing and is not left out, so that whoever lists finds it.
func (s *AuditTrail) Heads(ctx context.Context, bucket int) iter.Seq2[audit.ChainHead, error] {
	return func(yield func(audit.ChainHead, error) bool) {
		listed := queriedItems(ctx, s.client, &dynamodb.QueryInput{
			TableName:                 &s.table,
			IndexName:                 aws.String(headsIndex),
			KeyConditionExpression:    aws.String("#bucket = :bucket"),
			ExpressionAttributeNames:  map[string]string{"#bucket": attrBucket},
			ExpressionAttributeValues: item{":bucket": whole(int64(bucket))},
		})
		for values, err := range listed {
			if err != nil {
				yield(audit.ChainHead{}, fmt.Errorf("audit heads: %w", err))
				return
			}
			var head headItem
			if attributevalue.UnmarshalMap(values, &head) != nil {
				head = headItem{}
			}
			if !yield(audit.ChainHead{
				LicenseID: textOf(values, attrLicenseID), Sequence: head.HeadSequence, Hash: head.Hash,
				StoredHash: head.StoredHash, ErasedSequence: head.ErasedSequence, GapSequence: head.GapSequence,
			}, nil) {
				return
			}
		}
	}
}
