package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/attribute"
	"openlicenser/shared/embedded"
)

// stream stands in for the license table's stream and its event source mapping: it hands changes to the audit
// function in order, and again from the first that failed. A change leaves the feed when it is recorded.
type stream struct {
	changes *embedded.Changes
	handle  func(context.Context, events.DynamoDBEvent) (events.DynamoDBEventResponse, error)
	log     *slog.Logger
}

const (
	batchSize    = 100
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 10 * time.Second
)

// run delivers changes until the context ends.
func (s stream) run(ctx context.Context) {
	backoff := firstBackoff
	for {
		progress, err := s.deliver(ctx)
		wait := s.changes.Added()
		var retry <-chan time.Time
		switch {
		case err != nil && ctx.Err() == nil:
			s.log.Error("the audit trail is behind", "error", err.Error(), "retryin", backoff.String())
			retry, wait = time.After(backoff), nil
			backoff = min(2*backoff, maxBackoff)
		case progress:
			backoff = firstBackoff
			retry = time.After(0)
		}
		select {
		case <-ctx.Done():
			return
		case <-wait:
		case <-retry:
		}
	}
}

// deliver hands one batch over. It tells whether there was one.
func (s stream) deliver(ctx context.Context) (progress bool, err error) {
	changes, err := s.changes.Oldest(ctx, batchSize)
	if err != nil || len(changes) == 0 {
		return false, err
	}
	batch, err := newBatch(changes)
	if err != nil {
		return false, err
	}
	response, err := s.handle(ctx, batch)
	if err != nil {
		return false, err
	}
	next := changes[len(changes)-1].SequenceNumber + 1
	for _, failure := range response.BatchItemFailures {
		failed, err := strconv.ParseUint(failure.ItemIdentifier, 10, 64)
		if err != nil {
			return false, err
		}
		next = min(next, failed)
	}
	if err := s.changes.RemoveBefore(ctx, next); err != nil {
		return false, err
	}
	if len(response.BatchItemFailures) > 0 {
		return false, errNotRecorded
	}
	return true, nil
}

var errNotRecorded = errors.New("changes could not be recorded")

func newBatch(changes []embedded.Change) (events.DynamoDBEvent, error) {
	batch := events.DynamoDBEvent{Records: make([]events.DynamoDBEventRecord, len(changes))}
	for i, change := range changes {
		record := &batch.Records[i]
		sequenceNumber := strconv.FormatUint(change.SequenceNumber, 10)
		record.EventID = "local-" + sequenceNumber
		record.EventSource = "aws:dynamodb"
		record.EventName = string(eventName(change))
		record.Change.StreamViewType = string(events.DynamoDBStreamViewTypeNewAndOldImages)
		record.Change.SequenceNumber = sequenceNumber
		record.Change.ApproximateCreationDateTime = events.SecondsEpochTime{Time: change.Time.UTC().Truncate(time.Second)}
		record.Change.Keys = map[string]events.DynamoDBAttributeValue{"licenseid": events.NewStringAttribute(change.LicenseID)}
		var err error
		if record.Change.OldImage, err = toImage(change.Old); err != nil {
			return events.DynamoDBEvent{}, err
		}
		if record.Change.NewImage, err = toImage(change.New); err != nil {
			return events.DynamoDBEvent{}, err
		}
	}
	return batch, nil
}

func eventName(change embedded.Change) events.DynamoDBOperationType {
	switch {
	case change.Old == nil:
		return events.DynamoDBOperationTypeInsert
	case change.New == nil:
		return events.DynamoDBOperationTypeRemove
	default:
		return events.DynamoDBOperationTypeModify
	}
}

// toImage goes through DynamoDB JSON, which both types speak.
func toImage(record attribute.Map) (image map[string]events.DynamoDBAttributeValue, err error) {
	if record == nil {
		return nil, nil
	}
	text, err := json.Marshal(record)
	if err != nil {
		return nil, err
	}
	return image, json.Unmarshal(text, &image)
}
