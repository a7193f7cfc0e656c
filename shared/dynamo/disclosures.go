package dynamo

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/audit"
	"openlicenser/shared/plainjson"
)

// disclosureItem is what an entry discloses. Disclosure is JSON.
type disclosureItem struct {
	itemKey
	Disclosure string `dynamodbav:"disclosure"`
}

// putDisclosure returns the put of what an entry discloses. It replaces what an older copy of the table may have there:
// the put of the head decides.
func (s *AuditTrail) putDisclosure(licenseID string, d audit.Disclosure) (*types.Put, error) {
	text, err := plainjson.Marshal(d)
	if err != nil {
		return nil, err
	}
	values, err := attributevalue.MarshalMap(disclosureItem{itemKey{licenseID, d.Sequence}, string(text)})
	return &types.Put{TableName: &s.disclosures, Item: values}, err
}

// Disclosures implements audit.Store. It reads with strong consistency.
func (s *AuditTrail) Disclosures(
	ctx context.Context, licenseID string, first, last int64,
) (disclosures []audit.Disclosure, err error) {
	if first > last {
		return nil, nil
	}
	in, err := s.queryDisclosures(licenseID, "BETWEEN :first AND :last", map[string]any{":first": first, ":last": last})
	if err != nil {
		return nil, err
	}
	err = s.eachDisclosure(ctx, in, func(values item) error {
		if err := checkKey(values, licenseKey(licenseID)); err != nil {
			return err
		}
		var stored disclosureItem
		if err := attributevalue.UnmarshalMap(values, &stored); err != nil {
			return fmt.Errorf("%w: %w", audit.ErrUnreadable, err)
		}
		var d audit.Disclosure
		if err := json.Unmarshal([]byte(stored.Disclosure), &d); err != nil {
			return fmt.Errorf("%w: entry %d: %w", audit.ErrUnreadable, stored.Sequence, err)
		}
		d.Sequence = stored.Sequence
		disclosures = append(disclosures, d)
		return nil
	})
	return disclosures, err
}

// Forget implements audit.Store. It reads nothing but keys, with strong consistency, and deletes one item after the
// other.
func (s *AuditTrail) Forget(ctx context.Context, licenseID string, before int64) error {
	in, err := s.queryDisclosures(licenseID, "< :before", map[string]any{":before": before})
	if err != nil {
		return err
	}
	in.Select = types.SelectSpecificAttributes
	in.ProjectionExpression = aws.String("#licenseid, #sequence")
	return s.eachDisclosure(ctx, in, func(values item) error {
		_, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: &s.disclosures,
			Key:       item{attrLicenseID: values[attrLicenseID], "sequence": values["sequence"]},
		})
		return err
	})
}

func (s *AuditTrail) queryDisclosures(
	licenseID, sequences string, values map[string]any,
) (*dynamodb.QueryInput, error) {
	marshalled, err := attributevalue.MarshalMap(values)
	if err != nil {
		return nil, fmt.Errorf("audit disclosures: %w", err)
	}
	marshalled[":licenseid"] = text(licenseID)
	return &dynamodb.QueryInput{
		TableName:                 &s.disclosures,
		KeyConditionExpression:    aws.String("#licenseid = :licenseid AND #sequence " + sequences),
		ExpressionAttributeNames:  map[string]string{"#licenseid": attrLicenseID, "#sequence": "sequence"},
		ExpressionAttributeValues: marshalled,
		ConsistentRead:            aws.Bool(true),
	}, nil
}

func (s *AuditTrail) eachDisclosure(ctx context.Context, in *dynamodb.QueryInput, do func(item) error) error {
	for values, err := range queriedItems(ctx, s.client, in) {
		if err == nil {
			err = do(values)
		}
		if err != nil {
			return fmt.Errorf("audit disclosures: %w", err)
		}
	}
	return nil
}
