package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/functions/audit/auditing"
	"openlicenser/functions/index/indexing"
	"openlicenser/shared/audit"
	"openlicenser/shared/embedded"
	"openlicenser/shared/stream"
)

// eventSource stands in for the license table's stream and its event source mapping. It hands changes to the audit
// function in order, and again from the first that failed. A change leaves the feed when it is recorded. It also leaves
// the feed when its license has failed maxAttempts times in a row: it then goes to the failures, whole, and holds up no
// others.
type eventSource struct {
	changes  *embedded.Changes
	handle   handler
	failures string // the folder for changes that could not be recorded; made with the first
	log      *slog.Logger

	maxBehind uint64 // how many changes may wait to be recorded before writes of licenses wait too; zero: no bound

	attempts  map[string]int // failures in a row, by license
	lagLogged time.Time      // when logLag last logged
}

// handler is a function that reads the stream.
type handler func(context.Context, events.DynamoDBEvent) (events.DynamoDBEventResponse, error)

// streamHandler returns both readers of the stream as one: what either fails at has failed, and comes again for both.
func streamHandler(folder *embedded.Folder, log *slog.Logger) handler {
	readers := []handler{
		auditing.Auditor{
			Recorder: audit.Recorder{Store: folder.AuditTrail}, Concurrency: batchSize, Log: log,
		}.Handle,
		indexing.Indexer{Records: folder.Licenses, Concurrency: batchSize, Log: log}.Handle,
	}
	return func(ctx context.Context, batch events.DynamoDBEvent) (response events.DynamoDBEventResponse, err error) {
		for _, read := range readers {
			part, err := read(ctx, batch)
			if err != nil {
				return response, err
			}
			for _, failure := range part.BatchItemFailures {
				if !slices.Contains(response.BatchItemFailures, failure) {
					response.BatchItemFailures = append(response.BatchItemFailures, failure)
				}
			}
		}
		return response, nil
	}
}

const (
	batchSize    = 500 // larger than in the template: the licenses of a batch share a write to disk
	maxAttempts  = 25  // as the event source mapping's MaximumRetryAttempts in the template
	firstBackoff = 100 * time.Millisecond

	// maxBackoff makes maxAttempts take some 22 seconds. A write that waits for the feed can wait longer than that: see
	// integrationTimeout. So one license that cannot be recorded delays writes, and they are not refused.
	maxBackoff = time.Second

	maxBehind   = 10_000 // a few seconds' work
	lagLogEvery = 10 * time.Second
)

// run delivers changes until the context ends. It finishes a batch that has begun. It also bounds how many changes may
// wait.
func (s *eventSource) run(ctx context.Context) {
	s.changes.Limit(s.maxBehind)
	backoff := firstBackoff
	for ctx.Err() == nil {
		progress, err := s.deliver(context.WithoutCancel(ctx))
		wait := s.changes.Added()
		var retry <-chan time.Time
		switch {
		case err != nil:
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

// deliver hands one batch over. It reports progress when there was a batch and no failure of it is left in the feed.
func (s *eventSource) deliver(ctx context.Context) (progress bool, err error) {
	changes, err := s.changes.Oldest(ctx, batchSize)
	if err != nil || len(changes) == 0 {
		return false, err
	}
	s.logLag(changes[0])
	batch, err := newBatch(changes)
	if err != nil {
		return false, err
	}
	response, err := s.handle(ctx, batch)
	if err != nil {
		return false, err
	}
	failed, err := sequenceNumbers(response.BatchItemFailures)
	if err != nil {
		return false, err
	}
	s.countAttempts(changes, failed)
	// After a crash before the removal the batch comes again, and the trail has its entries already.
	if err := s.changes.Remove(ctx, beforeFailures(changes, failed)); err != nil || len(failed) == 0 {
		return err == nil, err
	}
	hopeless := slices.DeleteFunc(slices.Clone(changes), func(c embedded.Change) bool {
		return !failed[c.SequenceNumber] || s.attempts[c.LicenseID] < maxAttempts
	})
	if err := s.setAside(ctx, hopeless); err != nil {
		return false, err
	}
	if len(hopeless) < len(failed) {
		return false, errNotRecorded
	}
	return true, nil
}

// logLag logs now and then that the trail is far behind: when half as many changes wait as may.
func (s *eventSource) logLag(oldest embedded.Change) {
	behind, err := s.changes.Length()
	if err != nil || s.maxBehind == 0 || behind < s.maxBehind/2 || time.Since(s.lagLogged) < lagLogEvery {
		return
	}
	s.lagLogged = time.Now()
	s.log.Warn("the audit trail is far behind; at the limit, changes of licenses wait for it",
		"changes", behind, "limit", s.maxBehind, "seconds", int(time.Since(oldest.Time).Seconds()))
}

// sequenceNumbers returns the sequence numbers of the changes that failed.
func sequenceNumbers(failures []events.DynamoDBBatchItemFailure) (map[uint64]bool, error) {
	numbers := map[uint64]bool{}
	for _, failure := range failures {
		number, err := strconv.ParseUint(failure.ItemIdentifier, 10, 64)
		if err != nil {
			return nil, err
		}
		numbers[number] = true
	}
	return numbers, nil
}

// beforeFailures returns the changes before the first that failed. Those after it come again, as from a DynamoDB
// stream.
func beforeFailures(changes []embedded.Change, failed map[uint64]bool) []embedded.Change {
	first := slices.IndexFunc(changes, func(c embedded.Change) bool { return failed[c.SequenceNumber] })
	if first < 0 {
		return changes
	}
	return changes[:first]
}

// countAttempts counts failed attempts by license. It begins anew when all changes of the license were recorded. So the
// next change of a hopeless license does not hold up the others for as long as the first did.
func (s *eventSource) countAttempts(changes []embedded.Change, failed map[uint64]bool) {
	if s.attempts == nil {
		s.attempts = map[string]int{}
	}
	fails := map[string]bool{}
	for _, change := range changes {
		fails[change.LicenseID] = fails[change.LicenseID] || failed[change.SequenceNumber]
	}
	for id, isFailing := range fails {
		if isFailing {
			s.attempts[id]++
		} else {
			delete(s.attempts, id)
		}
	}
}

// setAside writes each change to a file, as Lambda writes it to a bucket, and then removes the changes from the feed.
// After a crash between the two they are written again.
func (s *eventSource) setAside(ctx context.Context, changes []embedded.Change) error {
	for _, change := range changes {
		batch, err := newBatch([]embedded.Change{change})
		if err != nil {
			return err
		}
		file := filepath.Join(s.failures, strconv.FormatUint(change.SequenceNumber, 10)+".json")
		if err := writeFailure(file, batch, time.Now()); err != nil {
			return err
		}
		s.log.Error(
			"a change could not be recorded in the audit trail and was set aside; see licenser audit replay --help",
			"licenseid", change.LicenseID, "sequencenumber", change.SequenceNumber, "file", file)
	}
	return s.changes.Remove(ctx, changes)
}

var errNotRecorded = errors.New("changes could not be recorded")

// newBatch returns the event in which Lambda would hand over the changes.
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
		record.Change.ApproximateCreationDateTime.Time = change.Time.UTC().Truncate(time.Second)
		record.Change.Keys = stream.Image{"licenseid": events.NewStringAttribute(change.LicenseID)}
		var err error
		if record.Change.OldImage, err = stream.ImageOf(change.Old); err != nil {
			return events.DynamoDBEvent{}, err
		}
		if record.Change.NewImage, err = stream.ImageOf(change.New); err != nil {
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
