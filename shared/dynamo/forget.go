package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// indexLag is how long the index of records may take to show one that was put. As a rule it is some milliseconds.
var indexLag = time.Second

// Forget implements idempotency.Store. It asks the index twice, the second time when it has caught up.
func (s *Idempotency) Forget(ctx context.Context, licenseID, except string) error {
	done := map[string]bool{except: true}
	if err := s.forgetListed(ctx, licenseID, done); err != nil {
		return fmt.Errorf("forget idempotency records: %w", err)
	}
	select {
	case <-time.After(indexLag):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := s.forgetListed(ctx, licenseID, done); err != nil {
		return fmt.Errorf("forget idempotency records: %w", err)
	}
	return nil
}

// forgetListed forgets the records that the index lists and that are not done, and adds them to those.
func (s *Idempotency) forgetListed(ctx context.Context, licenseID string, done map[string]bool) error {
	listed := queriedItems(ctx, s.client, &dynamodb.QueryInput{
		TableName:                 &s.table,
		IndexName:                 aws.String("license"),
		KeyConditionExpression:    aws.String("#licenseid = :licenseid"),
		ExpressionAttributeNames:  map[string]string{"#licenseid": attrLicenseID},
		ExpressionAttributeValues: item{":licenseid": text(licenseID)},
	})
	for values, err := range listed {
		if err != nil {
			return err
		}
		key := textOf(values, "key")
		if done[key] {
			continue
		}
		if err := s.forget(ctx, key, licenseID); err != nil {
			return err
		}
		done[key] = true
	}
	return nil
}

// forget takes fingerprint and response out of a record. One that is gone, or has made room for that of another
// license, is left as it is.
func (s *Idempotency) forget(ctx context.Context, key, licenseID string) error {
	err := s.update(ctx, key, "REMOVE #answer, #fingerprint", "#licenseid = :licenseid",
		map[string]string{"#answer": "answer", "#fingerprint": "fingerprint", "#licenseid": attrLicenseID},
		map[string]any{":licenseid": licenseID})
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return nil
	}
	return err
}
