// Package auditing records the changes that the license table's stream reports in the audit trail. Of AWS it knows the
// stream's events alone. It must not know where the trail is stored, nor how an entry is made.
package auditing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/audit"
	"openlicenser/shared/stream"
	"openlicenser/shared/telemetry"
)

// Auditor records the changes of a batch of stream records.
type Auditor struct {
	Recorder    audit.Recorder // its Store is called concurrently; its OnGap is set here
	Concurrency int            // how many licenses are recorded at once; 10 unless set
	Log         *slog.Logger
}

// defaultConcurrency is the number of idle connections to one host that the AWS SDK keeps. With more calls at once it
// would open new ones all the time.
const defaultConcurrency = 10

// responseReserve is the part of the invocation's time that is kept for the response. A function that runs out of time
// returns nothing, and Lambda sends the whole batch again. With the reserve only what is left comes again.
const responseReserve = 5 * time.Second

// Handle records a batch, and returns the records that have to come again. Lambda sends the one with the lowest
// sequence number and all after it again
// (https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html); the Recorder knows those
// that are recorded already. Licenses are recorded concurrently, and the records of one license in their order.
// After a failure the license's later records fail too, because its entries would be out of order. Other licenses
// go on. The error is always nil.
func (a Auditor) Handle(ctx context.Context, batch events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
	if deadline, bounded := ctx.Deadline(); bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-responseReserve))
		defer cancel()
	}
	var gaps atomic.Int64
	a.Recorder.OnGap = func(ctx context.Context, e audit.Entry) {
		gaps.Add(1)
		a.logGap(ctx, e)
	}
	failed := make([]bool, len(batch.Records)) // each license's goroutine writes at the indexes of its own records
	a.concurrently(byLicense(batch.Records), func(indexes []int) {
		var err error
		for _, i := range indexes {
			if err == nil {
				err = a.record(ctx, batch.Records[i])
			} else {
				err = errEarlierFailed
			}
			if err == nil {
				continue
			}
			if errors.Is(err, audit.ErrHead) {
				gaps.Add(1)
			}
			failed[i] = true
			a.logFailure(ctx, batch.Records[i], err)
		}
	})
	response := events.DynamoDBEventResponse{BatchItemFailures: []events.DynamoDBBatchItemFailure{}}
	for i, record := range batch.Records {
		if failed[i] {
			response.BatchItemFailures = append(response.BatchItemFailures,
				events.DynamoDBBatchItemFailure{ItemIdentifier: record.Change.SequenceNumber})
		}
	}
	attrs := []slog.Attr{
		slog.Int("records", len(batch.Records)),
		slog.Int("failed", len(response.BatchItemFailures)),
	}
	if n := int(gaps.Load()); n > 0 {
		attrs = append(attrs, telemetry.Counts(time.Now(), "audit", map[string]int{telemetry.GapsKey: n})...)
	}
	a.Log.LogAttrs(ctx, slog.LevelInfo, "batch", attrs...)
	return response, nil
}

// byLicense returns the indexes of each license's records, in their order. A record that names no license is in a group
// of its own.
func byLicense(records []events.DynamoDBEventRecord) (groups [][]int) {
	groupOf := map[string]int{}
	for i, record := range records {
		id, named := licenseID(record)
		group, exists := groupOf[id]
		if !named || !exists {
			group = len(groups)
			groupOf[id] = group
			groups = append(groups, nil)
		}
		groups[group] = append(groups[group], i)
	}
	return groups
}

// concurrently calls do with each group, Concurrency of them at once. It returns when all calls have.
func (a Auditor) concurrently(groups [][]int, do func(indexes []int)) {
	next := make(chan []int)
	var workers sync.WaitGroup
	for range min(cmp.Or(a.Concurrency, defaultConcurrency), len(groups)) {
		workers.Go(func() {
			for indexes := range next {
				do(indexes)
			}
		})
	}
	for _, indexes := range groups {
		next <- indexes
	}
	close(next)
	workers.Wait()
}

func (a Auditor) logFailure(ctx context.Context, record events.DynamoDBEventRecord, err error) {
	id, _ := licenseID(record)
	a.Log.LogAttrs(ctx, slog.LevelError, "record",
		slog.String("eventid", record.EventID),
		slog.String("sequencenumber", record.Change.SequenceNumber),
		slog.String("licenseid", id),
		slog.String("error", err.Error()))
}

// logGap logs an entry with a gap before it, or one that is late, so that someone finds out why.
func (a Auditor) logGap(ctx context.Context, e audit.Entry) {
	a.Log.LogAttrs(ctx, slog.LevelError, "gap",
		slog.String("licenseid", e.LicenseID),
		slog.Int64("sequence", e.Sequence),
		slog.Bool("late", e.Late),
		slog.String("eventid", e.EventID),
		slog.String("sequencenumber", e.SequenceNumber))
}

var errEarlierFailed = errors.New("an earlier record of this license failed")

// record records one change. It returns a panic as an error, so that other licenses go on.
func (a Auditor) record(ctx context.Context, record events.DynamoDBEventRecord) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	id, named := licenseID(record)
	if !named {
		return errors.New("keys: no licenseid")
	}
	event, err := toEvent(id, record)
	if err != nil {
		return err
	}
	return a.Recorder.Record(ctx, event)
}

// licenseID returns the id of the record's license, and whether the record names one.
func licenseID(record events.DynamoDBEventRecord) (id string, named bool) {
	key := record.Change.Keys["licenseid"]
	if key.DataType() != events.DataTypeString || key.String() == "" {
		return "", false
	}
	return key.String(), true
}

func toEvent(licenseID string, record events.DynamoDBEventRecord) (event audit.Event, err error) {
	event = audit.Event{
		ID:             record.EventID,
		SequenceNumber: record.Change.SequenceNumber,
		Time:           record.Change.ApproximateCreationDateTime.Time,
		LicenseID:      licenseID,
		TimeToLive:     isTimeToLive(record),
	}
	if event.Old, err = stream.RecordOf(record.Change.OldImage); err != nil {
		return event, fmt.Errorf("old image: %w", err)
	}
	if event.New, err = stream.RecordOf(record.Change.NewImage); err != nil {
		return event, fmt.Errorf("new image: %w", err)
	}
	if event.Old == nil && event.New == nil {
		return event, errors.New("no image: the stream must be of NEW_AND_OLD_IMAGES")
	}
	return event, nil
}

// isTimeToLive reports whether DynamoDB itself removed the item because its time had come
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html).
func isTimeToLive(record events.DynamoDBEventRecord) bool {
	return record.EventName == string(events.DynamoDBOperationTypeRemove) && record.UserIdentity != nil &&
		record.UserIdentity.Type == "Service" && record.UserIdentity.PrincipalID == audit.TimeToLiveActor
}
