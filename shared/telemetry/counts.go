package telemetry

import (
	"log/slog"
	"maps"
	"slices"
	"time"
)

// Counts returns the members of a log record that CloudWatch counts by function: the counts, and what makes them
// metrics of the Namespace. It is for functions that handle no requests.
func Counts(now time.Time, function string, counts map[string]int) []slog.Attr {
	attrs := []slog.Attr{slog.String(FunctionKey, FunctionName(function))}
	var metrics []metric
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		attrs = append(attrs, slog.Int(name, counts[name]))
		metrics = append(metrics, metric{name, "Count"})
	}
	return append(attrs, directive(now, [][]string{{FunctionKey}}, metrics))
}
