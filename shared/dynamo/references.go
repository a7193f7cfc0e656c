package dynamo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/license"
)

// attrReference is the key of the table of references.
const attrReference = "reference"

// Referenced implements license.Store. It reads with strong consistency.
func (s *Licenses) Referenced(ctx context.Context, reference string) (string, error) {
	if reference == "" || len(reference) > license.MaxIDBytes {
		return "", license.ErrNotFound
	}
	values, err := getItem(ctx, s.client, s.references, item{attrReference: text(reference)})
	id := textOf(values, attrLicenseID)
	switch {
	case err != nil:
		return "", fmt.Errorf("get reference: %w", err)
	case values == nil:
		return "", license.ErrNotFound
	case id == "":
		return "", errors.New("get reference: it names no license")
	}
	return id, nil
}

// putReference returns the put of a license's reference.
func (s *Licenses) putReference(l license.License, condition string, values item) types.TransactWriteItem {
	names := map[string]string{"#reference": attrReference}
	if values != nil {
		names["#licenseid"] = attrLicenseID
	}
	return types.TransactWriteItem{Put: &types.Put{
		TableName:                           &s.references,
		Item:                                item{attrReference: text(l.Reference), attrLicenseID: text(l.ID)},
		ConditionExpression:                 &condition,
		ExpressionAttributeNames:            names,
		ExpressionAttributeValues:           values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}}
}

// transact writes a license and its reference, both or neither. The license's condition that did not hold is a
// *types.ConditionalCheckFailedException, as of a write by itself. That of the reference is a
// *license.ReferenceTakenError.
func (s *Licenses) transact(ctx context.Context, reference string, write, put types.TransactWriteItem) error {
	reasons, err := s.transactItems(ctx, write, put)
	if reasons == nil {
		return err
	}
	ofLicense, ofReference := reasons[0], reasons[1]
	switch {
	case aws.ToString(ofLicense.Code) == conditionFailed:
		return &types.ConditionalCheckFailedException{Item: ofLicense.Item}
	case aws.ToString(ofReference.Code) == conditionFailed:
		return &license.ReferenceTakenError{Reference: reference, LicenseID: textOf(ofReference.Item, attrLicenseID)}
	}
	return err
}

// transactItems writes all or nothing. Where the error is that DynamoDB has canceled the transaction, there is a reason
// for each item.
func (s *Licenses) transactItems(
	ctx context.Context, items ...types.TransactWriteItem,
) (reasons []types.CancellationReason, err error) {
	err = withoutConflicts(ctx, func() error {
		_, err := s.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: items})
		return err
	})
	var canceled *types.TransactionCanceledException
	if !errors.As(err, &canceled) || len(canceled.CancellationReasons) != len(items) {
		return nil, err
	}
	return canceled.CancellationReasons, err
}

// The codes of a canceled transaction's reasons
// (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html).
const (
	conditionFailed     = "ConditionalCheckFailed"
	transactionConflict = "TransactionConflict"
)

// A write that meets another's transaction is refused, whatever its conditions. It is sent again until that is over.
const (
	conflictAttempts = 10
	conflictPause    = 50 * time.Millisecond // times the number of the attempt; half of it random
)

// withoutConflicts writes, again and again while other transactions are in the way. It returns license.ErrBusy where
// they always are.
func withoutConflicts(ctx context.Context, write func() error) error {
	for attempt := 1; ; attempt++ {
		err := write()
		if !isInTransaction(err) {
			return err
		}
		if attempt == conflictAttempts {
			return fmt.Errorf("%w: %w", license.ErrBusy, err)
		}
		pause := time.Duration(attempt) * conflictPause / 2
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", license.ErrBusy, err)
		case <-time.After(pause + rand.N(pause)):
		}
	}
}

// isInTransaction reports whether a write was refused for the transaction of another alone.
func isInTransaction(err error) bool {
	var conflict *types.TransactionConflictException
	var canceled *types.TransactionCanceledException
	switch {
	case errors.As(err, &conflict):
		return true
	case !errors.As(err, &canceled):
		return false
	}
	inTransaction := false
	for _, reason := range canceled.CancellationReasons {
		switch aws.ToString(reason.Code) {
		case transactionConflict:
			inTransaction = true
		case conditionFailed:
			return false // which is an answer
		}
	}
	return inTransaction
}
