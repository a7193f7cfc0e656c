// Package stream holds what every reader of the license table's stream needs: images, which are records as a DynamoDB
// stream event shows them to a Lambda function, and the handling of batches. It knows the types of the event and of
// package attribute, and the table's key. It must not know what a record means, nor what a reader does about a change.
package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// Processor hands the changes of a batch to a function. Licenses are processed concurrently, and the changes of one
// license in their order.
type Processor struct {
	// Do processes a change. It is called concurrently. That it panics is a failure like an error. A change comes
	// again when it has failed, when one before it has, and whenever Lambda likes.
	Do func(context.Context, Change) error

	// Attrs returns what the log record of the batch tells beside the numbers of records and failures. It is called
	// after all calls of Do. It may be nil.
	Attrs func() []slog.Attr

	Concurrency int // how many licenses are processed at once; DefaultConcurrency unless set
	Log         *slog.Logger
}

// DefaultConcurrency is the number of idle connections to one host that the AWS SDK keeps. With more calls at once it
// would open new ones all the time.
const DefaultConcurrency = 10

// responseReserve is the part of the invocation's time that is kept for the response. A function that runs out of time
// returns nothing, and Lambda sends the whole batch again. With the reserve only what is left comes again.
const responseReserve = 5 * time.Second

// Handle processes a batch, and returns the records that have to come again. Lambda sends the one with the lowest
// sequence number and all after it again
// (https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html). After a failure the license's
// later records fail too, because they would be processed out of order. Other licenses go on. The error is always nil.
func (p Processor) Handle(ctx context.Context, batch events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
	if deadline, bounded := ctx.Deadline(); bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-responseReserve))
		defer cancel()
	}
	failed := make([]bool, len(batch.Records)) // each license's goroutine writes at the indexes of its own records
	p.concurrently(byLicense(batch.Records), func(indexes []int) {
		var err error
		for _, i := range indexes {
			if err == nil {
				err = p.process(ctx, batch.Records[i])
			} else {
				err = errEarlierFailed
			}
			if err != nil {
				failed[i] = true
				p.logFailure(ctx, batch.Records[i], err)
			}
		}
	})
	response := events.DynamoDBEventResponse{BatchItemFailures: []events.DynamoDBBatchItemFailure{}}
	for i, record := range batch.Records {
		if failed[i] {
			response.BatchItemFailures = append(response.BatchItemFailures,
				events.DynamoDBBatchItemFailure{ItemIdentifier: record.Change.SequenceNumber})
		}
	}
	p.logBatch(ctx, len(batch.Records), len(response.BatchItemFailures))
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
func (p Processor) concurrently(groups [][]int, do func(indexes []int)) {
	next := make(chan []int)
	var workers sync.WaitGroup
	for range min(cmp.Or(p.Concurrency, DefaultConcurrency), len(groups)) {
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

var errEarlierFailed = errors.New("an earlier record of this license failed")

// process processes one record. It returns a panic as an error, so that other licenses go on.
func (p Processor) process(ctx context.Context, record events.DynamoDBEventRecord) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	change, err := changeOf(record)
	if err != nil {
		return err
	}
	return p.Do(ctx, change)
}

func (p Processor) logFailure(ctx context.Context, record events.DynamoDBEventRecord, err error) {
	id, _ := licenseID(record)
	p.Log.LogAttrs(ctx, slog.LevelError, "record",
		slog.String("eventid", record.EventID),
		slog.String("sequencenumber", record.Change.SequenceNumber),
		slog.String("licenseid", id),
		slog.String("error", err.Error()))
}

func (p Processor) logBatch(ctx context.Context, records, failed int) {
	attrs := []slog.Attr{slog.Int("records", records), slog.Int("failed", failed)}
	if p.Attrs != nil {
		attrs = append(attrs, p.Attrs()...)
	}
	p.Log.LogAttrs(ctx, slog.LevelInfo, "batch", attrs...)
}
