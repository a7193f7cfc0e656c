package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/attribute"
	"openlicenser/shared/embedded"
)

// stream stands in for the license table's stream and its event source mapping: it hands changes to the audit
// function in order, and again from the first that failed. A change leaves the feed when it is recorded, or when it was
// tried maxAttempts times: it then goes to the failures, whole, and holds up the others no longer.
type stream struct {
	changes  *embedded.Changes
	handle   func(context.Context, events.DynamoDBEvent) (events.DynamoDBEventResponse, error)
	failures string // the folder for changes that could not be recorded; made when the first comes
	log      *slog.Logger

	stuck    uint64 // the change that failed last
	attempts int    // how often in a row
}

const (
	batchSize    = 100
	maxAttempts  = 25 // as the event source mapping's MaximumRetryAttempts in the template
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 10 * time.Second
)

// run delivers changes until the context ends.
func (s *stream) run(ctx context.Context) {
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
func (s *stream) deliver(ctx context.Context) (progress bool, err error) {
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
	failed, err := lowest(response.BatchItemFailures)
	if err != nil {
		return false, err
	}
	if failed == 0 {
		return true, s.changes.RemoveBefore(ctx, changes[len(changes)-1].SequenceNumber+1)
	}
	if err := s.changes.RemoveBefore(ctx, failed); err != nil {
		return false, err
	}
	if s.isHopeless(failed) {
		return true, s.giveUp(ctx, failed)
	}
	return false, errNotRecorded
}

// lowest answers where the changes begin that have to come again, or 0.
func lowest(failures []events.DynamoDBBatchItemFailure) (sequenceNumber uint64, err error) {
	for _, failure := range failures {
		failed, err := strconv.ParseUint(failure.ItemIdentifier, 10, 64)
		if err != nil {
			return 0, err
		}
		if sequenceNumber == 0 || failed < sequenceNumber {
			sequenceNumber = failed
		}
	}
	return sequenceNumber, nil
}

func (s *stream) isHopeless(failed uint64) bool {
	if failed != s.stuck {
		s.stuck, s.attempts = failed, 0
	}
	s.attempts++
	return s.attempts >= maxAttempts
}

// giveUp writes the oldest change down as Lambda writes it to a bucket, and takes it out of the feed. After a crash between the
// two it is written down again.
func (s *stream) giveUp(ctx context.Context, sequenceNumber uint64) error {
	changes, err := s.changes.Oldest(ctx, 1)
	if err != nil {
		return err
	}
	batch, err := newBatch(changes)
	if err != nil {
		return err
	}
	file := filepath.Join(s.failures, strconv.FormatUint(sequenceNumber, 10)+".json")
	if err := writeFailure(file, batch, time.Now()); err != nil {
		return err
	}
	s.log.Error("a change could not be recorded in the audit trail and was set aside; see licenser audit replay --help",
		"licenseid", changes[0].LicenseID, "sequencenumber", sequenceNumber, "file", file)
	return s.changes.RemoveBefore(ctx, sequenceNumber+1)
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
