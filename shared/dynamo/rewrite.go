package dynamo

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/license"
)

var _ license.Rewriter = (*Licenses)(nil)

// Rewrite implements license.Rewriter. It is one transaction. The SDK repeats a request whose response was lost with
// the same ClientRequestToken, so that the repetition succeeds without effect.
func (s *Licenses) Rewrite(ctx context.Context, id string, w license.Rewrite) error {
	for {
		isKept, err := s.transactRewrite(ctx, id, w)
		var taken *license.ReferenceTakenError
		switch {
		case isKept:
			w.Frees = ""
		case errors.Is(err, license.ErrConflict), errors.As(err, &taken):
			return err
		case err != nil:
			return fmt.Errorf("rewrite license: %w", err)
		default:
			return nil
		}
	}
}

// transactRewrite writes all or nothing. Nothing is written where isKept says that another license has the reference
// that would be freed.
func (s *Licenses) transactRewrite(ctx context.Context, id string, w license.Rewrite) (isKept bool, err error) {
	write, err := s.rewrite(id, w)
	if err != nil {
		return false, err
	}
	items := []types.TransactWriteItem{write}
	if w.Takes != "" {
		items = append(items, s.putReference(license.License{ID: id, Reference: w.Takes},
			"attribute_not_exists(#reference) OR #licenseid = :licenseid", item{":licenseid": text(id)}))
	}
	if w.Frees != "" {
		items = append(items, s.deleteReference(w.Frees, id))
	}
	reasons, err := s.transactItems(ctx, items...)
	for i, reason := range reasons {
		switch {
		case aws.ToString(reason.Code) != conditionFailed:
		case i == 0:
			return false, license.ErrConflict
		case items[i].Put != nil:
			return false, &license.ReferenceTakenError{
				Reference: w.Takes, LicenseID: textOf(reason.Item, attrLicenseID),
			}
		default:
			return true, nil
		}
	}
	return false, err
}

// rewrite returns the write of the record.
func (s *Licenses) rewrite(id string, w license.Rewrite) (write types.TransactWriteItem, err error) {
	switch {
	case w.Expected == nil:
		values, err := encoder.Map(w.Set)
		return types.TransactWriteItem{Put: &types.Put{
			TableName:                &s.table,
			Item:                     values,
			ConditionExpression:      aws.String("attribute_not_exists(#licenseid)"),
			ExpressionAttributeNames: map[string]string{"#licenseid": attrLicenseID},
		}}, err
	case w.Removes:
		e := expressions{names: map[string]string{}, values: item{}}
		condition, err := e.expectation(w.Expected)
		return types.TransactWriteItem{Delete: &types.Delete{
			TableName:                 &s.table,
			Key:                       licenseKey(id),
			ConditionExpression:       &condition,
			ExpressionAttributeNames:  e.names,
			ExpressionAttributeValues: e.values,
		}}, err
	}
	e, err := updateExpressions(w.Set, w.Remove, w.Expected)
	return types.TransactWriteItem{Update: &types.Update{
		TableName:                 &s.table,
		Key:                       licenseKey(id),
		UpdateExpression:          &e.update,
		ConditionExpression:       &e.condition,
		ExpressionAttributeNames:  e.names,
		ExpressionAttributeValues: e.values,
	}}, err
}
