// Package telemetry gathers what is worth knowing about one invocation, and writes it as one structured log record. No
// license key, token or secret may go into it.
package telemetry

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"openlicenser/shared/version"
)

// NewLogger returns a logger that writes JSON, one record a line, as Lambda and CloudWatch Logs Insights read it. Each
// record names the version that wrote it.
func NewLogger(w io.Writer) *slog.Logger { return newLogger(w, asLambdaReads) }

// NewConsoleLogger returns a logger that leaves out what only CloudWatch reads.
func NewConsoleLogger(w io.Writer) *slog.Logger {
	return newLogger(w, func(groups []string, attr slog.Attr) slog.Attr {
		if len(groups) == 0 && attr.Key == metricsKey {
			return slog.Attr{}
		}
		return asLambdaReads(groups, attr)
	})
}

func newLogger(w io.Writer, replace func(groups []string, attr slog.Attr) slog.Attr) *slog.Logger {
	handler := slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: replace})
	return slog.New(handler).With(slog.String("version", version.Number))
}

// timestampKey is where Lambda looks for a record's time, in the form of RFC 3339. It takes a record without one to be
// of the level INFO, and adds a time of its own
// (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html).
const timestampKey = "timestamp"

// asLambdaReads gives a record's time its name and form: in UTC, with milliseconds.
func asLambdaReads(groups []string, attr slog.Attr) slog.Attr {
	if len(groups) == 0 && attr.Key == slog.TimeKey && attr.Value.Kind() == slog.KindTime {
		return slog.String(timestampKey, attr.Value.Time().UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	}
	return attr
}

// Record gathers what is worth knowing about one invocation. Its methods may be called concurrently.
type Record struct {
	mu     sync.Mutex
	attrs  []slog.Attr
	counts map[string]int
}

type recordKey struct{}

// Begin returns the context's Record, or a context with a new one if it has none.
func Begin(ctx context.Context) (context.Context, *Record) {
	if record, begun := ctx.Value(recordKey{}).(*Record); begun {
		return ctx, record
	}
	record := &Record{counts: map[string]int{}}
	return context.WithValue(ctx, recordKey{}, record), record
}

// Note adds attributes to the context's Record. Without a Record it does nothing.
func Note(ctx context.Context, attrs ...slog.Attr) {
	if record, begun := ctx.Value(recordKey{}).(*Record); begun {
		record.mu.Lock()
		defer record.mu.Unlock()
		record.attrs = append(record.attrs, attrs...)
	}
}

// Count adds one to a number of the context's Record. Without a Record it does nothing.
func Count(ctx context.Context, name string) {
	if record, begun := ctx.Value(recordKey{}).(*Record); begun {
		record.mu.Lock()
		defer record.mu.Unlock()
		record.counts[name]++
	}
}

// Attrs returns what was noted so far, in order, and then what was counted.
func (r *Record) Attrs() []slog.Attr {
	r.mu.Lock()
	defer r.mu.Unlock()
	attrs := slices.Clone(r.attrs)
	for _, name := range slices.Sorted(maps.Keys(r.counts)) {
		attrs = append(attrs, slog.Int(name, r.counts[name]))
	}
	return attrs
}
