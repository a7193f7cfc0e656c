package dynamo

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/device"
)

// nameAttempts bounds how often the names are taken out anew because others have changed the seats meanwhile.
const nameAttempts = 10

// ForgetNames implements device.Store. It replaces the map of all seats where that is as it was read: a license can
// have more seats than an expression could name.
func (s *Devices) ForgetNames(ctx context.Context, licenseID string) error {
	for attempt := range nameAttempts {
		err := s.forgetNames(ctx, licenseID)
		var failed *types.ConditionalCheckFailedException
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &failed):
			return fmt.Errorf("forget the names of devices: %w", err)
		}
		if err := device.Pause(ctx, attempt); err != nil {
			return err
		}
	}
	return device.ErrConflict
}

func (s *Devices) forgetNames(ctx context.Context, licenseID string) error {
	values, err := getItem(ctx, s.client, s.table, licenseKey(licenseID))
	if values == nil || err != nil {
		return err
	}
	seats, isMap := values[attrSeats].(*types.AttributeValueMemberM)
	if !isMap {
		return errors.New("the seats of a license cannot be understood: " + attrSeats)
	}
	nameless, hadNames := withoutNames(seats.Value)
	if !hadNames {
		return nil
	}
	_, err = s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                &s.table,
		Key:                      licenseKey(licenseID),
		UpdateExpression:         aws.String("SET #seats = :nameless"),
		ConditionExpression:      aws.String("#seats = :seats"),
		ExpressionAttributeNames: map[string]string{"#seats": attrSeats},
		ExpressionAttributeValues: item{
			":seats": seats, ":nameless": &types.AttributeValueMemberM{Value: nameless},
		},
	})
	return err
}

// withoutNames returns the seats without their names, and whether any had one.
func withoutNames(seats item) (nameless item, hadNames bool) {
	nameless = item{}
	for id, value := range seats {
		if seat, isMap := value.(*types.AttributeValueMemberM); isMap && seat.Value[attrName] != nil {
			rest := maps.Clone(seat.Value)
			delete(rest, attrName)
			value, hadNames = &types.AttributeValueMemberM{Value: rest}, true
		}
		nameless[id] = value
	}
	return nameless, hadNames
}
