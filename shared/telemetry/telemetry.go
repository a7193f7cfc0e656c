// Package telemetry gathers what is worth knowing about one invocation, and writes it as one structured
// log record. Nothing secret goes in: no license key, no token, no secret.
package telemetry

import (
	"context"
	"io"
	"log/slog"
	"sync"
)

// NewLogger writes JSON, one record a line, as CloudWatch Logs Insights reads it.
func NewLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(w, nil)) }

// Record gathers the attributes of one invocation. Its methods may be called concurrently.
type Record struct {
	mu    sync.Mutex
	attrs []slog.Attr
}

type recordKey struct{}

// Begin gives the context a Record, unless it has one already.
func Begin(ctx context.Context) (context.Context, *Record) {
	if record, begun := ctx.Value(recordKey{}).(*Record); begun {
		return ctx, record
	}
	record := &Record{}
	return context.WithValue(ctx, recordKey{}, record), record
}

// Note adds attributes to the context's Record. Without one it does nothing.
func Note(ctx context.Context, attrs ...slog.Attr) {
	if record, begun := ctx.Value(recordKey{}).(*Record); begun {
		record.mu.Lock()
		defer record.mu.Unlock()
		record.attrs = append(record.attrs, attrs...)
	}
}

// Attrs answers what was noted so far, in order.
func (r *Record) Attrs() []slog.Attr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]slog.Attr(nil), r.attrs...)
}
