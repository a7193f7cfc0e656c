package telemetry

import (
	"log/slog"
	"maps"
	"slices"
	"time"
)

// Counts returns the members of a log record that CloudWatch counts by function: the counts, and what makes them
// metrics of the Namespace. A count of 0 is left out, because a metric costs for as long as it comes. Without counts
// there are no members.
func Counts(now time.Time, function string, counts map[string]int) []slog.Attr {
	attrs := []slog.Attr{slog.String(FunctionKey, FunctionName(function))}
	var metrics []metric
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if counts[name] != 0 {
			attrs = append(attrs, slog.Int(name, counts[name]))
			metrics = append(metrics, metric{name, "Count"})
		}
	}
	if len(metrics) == 0 {
		return nil
	}
	return append(attrs, directive(now, metrics))
}
