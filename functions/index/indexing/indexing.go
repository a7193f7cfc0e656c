// Package indexing mends records after the changes that the license table's stream reports: it keeps their index
// attributes true, and puts back what another tool's write has left out. What a record lacks is the domain's business.
// Of AWS the package knows the stream's events alone.
package indexing

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/license"
	"openlicenser/shared/stream"
	"openlicenser/shared/telemetry"
)

// Indexer mends the records that a batch of stream records is about.
type Indexer struct {
	Records     license.Records // is called concurrently
	Concurrency int             // how many licenses are mended at once; stream.DefaultConcurrency unless set
	Log         *slog.Logger
}

// Handle mends the records of a batch, and returns the stream records that have to come again, as a stream.Processor
// does. They may come in any order and any number of times. The error is always nil.
func (x Indexer) Handle(ctx context.Context, batch events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
	var putBack, takenBack atomic.Int64
	return stream.Processor{
		Do: func(ctx context.Context, change stream.Change) error {
			event := license.Event{
				Old: change.Old, New: change.New, Time: change.Time, SequenceNumber: change.SequenceNumber,
			}
			var mended license.Mended
			var err error
			if event.IsHint() {
				mended, err = license.Mend(ctx, x.Records, change.LicenseID, event)
			}
			if mended.TakenBack || event.TakesRevocationBack() {
				takenBack.Add(1)
				x.logChange(ctx, slog.LevelError, "another tool has taken a revocation back", change)
			}
			if mended.PutBack {
				putBack.Add(1)
				x.logChange(ctx, slog.LevelWarn, "put back what another tool had left out", change)
			}
			return err
		},
		Attrs: func() []slog.Attr {
			attrs := telemetry.Counts(time.Now(), "index", map[string]int{
				telemetry.RevocationsTakenBackKey: int(takenBack.Load()),
			})
			if n := putBack.Load(); n > 0 {
				attrs = append(attrs, slog.Int64(telemetry.PutBackKey, n))
			}
			return attrs
		},
		Concurrency: x.Concurrency,
		Log:         x.Log,
	}.Handle(ctx, batch)
}

// logChange names the license and the change, so that someone finds both.
func (x Indexer) logChange(ctx context.Context, level slog.Level, message string, change stream.Change) {
	x.Log.LogAttrs(ctx, level, message,
		slog.String("licenseid", change.LicenseID),
		slog.String("eventid", change.EventID),
		slog.String("sequencenumber", change.SequenceNumber))
}
