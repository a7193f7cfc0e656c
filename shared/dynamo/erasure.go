package dynamo

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// Erase implements license.Store. It is one transaction, of which DynamoDB takes up to 99 references.
func (s *Licenses) Erase(ctx context.Context, before, after license.License, references []string) error {
	write, set, remove, err := s.erasure(before, after)
	if err != nil {
		return fmt.Errorf("erase license: %w", err)
	}
	references = slices.Compact(slices.Sorted(slices.Values(references)))
	for {
		others, err := s.transactErasure(ctx, write, after.ID, references)
		if len(others) == 0 {
			return writeError("erase license", err, license.ErrConflict, set, remove)
		}
		references = slices.DeleteFunc(references, func(r string) bool { return slices.Contains(others, r) })
	}
}

// erasure returns the write of an erasure to the record, and what it sets and removes.
func (s *Licenses) erasure(
	before, after license.License,
) (write types.TransactWriteItem, set attribute.Map, remove []string, err error) {
	if before.ID == "" {
		set = after.Tombstone()
		put, err := s.putIfAbsent(set)
		return types.TransactWriteItem{Put: &put}, set, nil, err
	}
	set, remove = license.Delta(before, after)
	update, err := s.update(before, set, remove)
	return types.TransactWriteItem{Update: &update}, set, remove, err
}

// transactErasure writes to the record, and deletes the rows of the references, all or nothing. It returns those that
// are of another license, because of which nothing was done. The record's condition that did not hold is a
// *types.ConditionalCheckFailedException.
func (s *Licenses) transactErasure(
	ctx context.Context, write types.TransactWriteItem, licenseID string, references []string,
) (others []string, err error) {
	items := []types.TransactWriteItem{write}
	for _, reference := range references {
		items = append(items, s.deleteReference(reference, licenseID))
	}
	reasons, err := s.transactItems(ctx, items...)
	if reasons == nil {
		return nil, err
	}
	ofLicense, ofReferences := reasons[0], reasons[1:]
	if aws.ToString(ofLicense.Code) == conditionFailed {
		return nil, &types.ConditionalCheckFailedException{Item: ofLicense.Item}
	}
	for i, reason := range ofReferences {
		if aws.ToString(reason.Code) == conditionFailed {
			others = append(others, references[i])
		}
	}
	return others, err
}

// deleteReference returns the deletion of a reference, unless another license has it.
func (s *Licenses) deleteReference(reference, licenseID string) types.TransactWriteItem {
	return types.TransactWriteItem{Delete: &types.Delete{
		TableName:                 &s.references,
		Key:                       item{attrReference: text(reference)},
		ConditionExpression:       aws.String("attribute_not_exists(#reference) OR #licenseid = :licenseid"),
		ExpressionAttributeNames:  map[string]string{"#reference": attrReference, "#licenseid": attrLicenseID},
		ExpressionAttributeValues: item{":licenseid": text(licenseID)},
	}}
}
