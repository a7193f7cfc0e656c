package telemetry

import (
	"log/slog"
	"time"
)

// metricsKey is the member by which CloudWatch recognizes a log record that holds metrics.
const metricsKey = "_aws"

// Namespace is where CloudWatch shows the metrics.
const Namespace = "OpenLicenser"

// The dimensions and metrics of a request are attributes of its log record.
const (
	FunctionKey     = "function"
	CodeKey         = "code"
	RequestsKey     = "requests"
	MillisecondsKey = "milliseconds"
	SignaturesKey   = "signatures"
)

// Metrics makes a request's log record count in CloudWatch, by function and outcome, with no call to it: the
// embedded metric format
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
func Metrics(now time.Time, record *Record) slog.Attr {
	type metric struct{ Name, Unit string }
	type directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []metric
	}
	metrics := []metric{{RequestsKey, "Count"}, {MillisecondsKey, "Milliseconds"}}
	if record.counted(SignaturesKey) { // a metric must be a member of the record
		metrics = append(metrics, metric{SignaturesKey, "Count"})
	}
	return slog.Any(metricsKey, struct {
		Timestamp         int64
		CloudWatchMetrics []directive
	}{now.UnixMilli(), []directive{{
		Namespace:  Namespace,
		Dimensions: [][]string{{FunctionKey, CodeKey}, {FunctionKey}},
		Metrics:    metrics,
	}}})
}
