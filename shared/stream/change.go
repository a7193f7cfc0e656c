package stream

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/attribute"
)

// Change is what a record of the stream tells: one change of one license, whoever made it.
type Change struct {
	EventID        string
	Stream         string // the label of the stream, which is when it was made; empty where the event names none
	SequenceNumber string // decimal; greater with each change of one license in the stream
	Time           time.Time
	LicenseID      string
	Old, New       attribute.Map // nil where the license did not, or does not, exist; at least one is there
	TimeToLive     bool          // DynamoDB removed the license itself
}

// changeOf returns the change that the record tells. It may panic on a malformed record.
func changeOf(record events.DynamoDBEventRecord) (change Change, err error) {
	id, named := licenseID(record)
	if !named {
		return change, errors.New("keys: no licenseid")
	}
	change = Change{
		EventID:        record.EventID,
		Stream:         label(record.EventSourceArn),
		SequenceNumber: record.Change.SequenceNumber,
		Time:           record.Change.ApproximateCreationDateTime.Time,
		LicenseID:      id,
		TimeToLive:     isTimeToLive(record),
	}
	if change.Old, err = RecordOf(record.Change.OldImage); err != nil {
		return change, fmt.Errorf("old image: %w", err)
	}
	if change.New, err = RecordOf(record.Change.NewImage); err != nil {
		return change, fmt.Errorf("new image: %w", err)
	}
	if change.Old == nil && change.New == nil {
		return change, errors.New("no image: the stream must be of NEW_AND_OLD_IMAGES")
	}
	return change, nil
}

// label returns the label at the end of a stream's ARN
// (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html):
//
//	arn:aws:dynamodb:eu-central-1:123456789012:table/LicenseTable/stream/2026-11-01T11:00:00.000
func label(arn string) string {
	_, label, _ := strings.Cut(arn, "/stream/")
	return label
}

// licenseID returns the id of the record's license, and whether the record names one.
func licenseID(record events.DynamoDBEventRecord) (id string, named bool) {
	key := record.Change.Keys["licenseid"]
	if key.DataType() != events.DataTypeString || key.String() == "" {
		return "", false
	}
	return key.String(), true
}

// isTimeToLive reports whether DynamoDB itself removed the item because its time had come
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html).
func isTimeToLive(record events.DynamoDBEventRecord) bool {
	return record.EventName == string(events.DynamoDBOperationTypeRemove) && record.UserIdentity != nil &&
		record.UserIdentity.Type == "Service" && record.UserIdentity.PrincipalID == "dynamodb.amazonaws.com"
}
