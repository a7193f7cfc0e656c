// Package auditing records the changes that the license table's stream reports in the audit trail. Of AWS it knows the
// stream's events alone. It must not know where the trail is stored, nor how an entry is made.
package auditing

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/audit"
	"openlicenser/shared/stream"
	"openlicenser/shared/telemetry"
)

// Auditor records the changes of a batch of stream records.
type Auditor struct {
	Recorder    audit.Recorder // its Store is called concurrently; its OnGap and OnReturn are set here
	Concurrency int            // how many licenses are recorded at once; stream.DefaultConcurrency unless set
	Log         *slog.Logger
}

// Handle records a batch, and returns the records that have to come again, as a stream.Processor does. The Recorder
// knows those that are recorded already. A license stops at its first failure, because the entries that follow would be
// out of order. The error is always nil.
func (a Auditor) Handle(ctx context.Context, batch events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
	var gaps, returned atomic.Int64
	a.Recorder.OnGap = func(ctx context.Context, e audit.Entry) {
		gaps.Add(1)
		a.log(ctx, "gap", e)
	}
	a.Recorder.OnReturn = func(ctx context.Context, e audit.Entry) {
		returned.Add(1)
		a.log(ctx, "a personal value came back after an erasure", e)
	}
	return stream.Processor{
		Do: func(ctx context.Context, change stream.Change) error {
			err := a.Recorder.Record(ctx, eventOf(change))
			if errors.Is(err, audit.ErrHead) || errors.Is(err, audit.ErrPlanted) {
				gaps.Add(1)
			}
			return err
		},
		Attrs: func() []slog.Attr {
			return telemetry.Counts(time.Now(), "audit", map[string]int{
				telemetry.GapsKey: int(gaps.Load()), telemetry.ReturnedKey: int(returned.Load()),
			})
		},
		Concurrency: a.Concurrency,
		Log:         a.Log,
	}.Handle(ctx, batch)
}

func eventOf(change stream.Change) audit.Event {
	return audit.Event{
		ID:             change.EventID,
		Stream:         change.Stream,
		SequenceNumber: change.SequenceNumber,
		Time:           change.Time,
		LicenseID:      change.LicenseID,
		Old:            change.Old,
		New:            change.New,
		TimeToLive:     change.TimeToLive,
	}
}

// log logs an entry that someone has to look at: one with a gap before it, one that is late, or one of a license whose
// customer was forgotten and is named again.
func (a Auditor) log(ctx context.Context, what string, e audit.Entry) {
	a.Log.LogAttrs(ctx, slog.LevelError, what,
		slog.String("licenseid", e.LicenseID),
		slog.Int64("sequence", e.Sequence),
		slog.Bool("late", e.Late),
		slog.String("eventid", e.EventID),
		slog.String("sequencenumber", e.SequenceNumber))
}
