package telemetry

import (
	"cmp"
	"log/slog"
	"os"
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

	// How a token was made. Each token counts once.
	SignaturesKey       = "signatures" // a new signature
	ReusedFromMemoryKey = "reusedfrommemory"
	ReusedFromTableKey  = "reusedfromtable"

	// What became of a device that had no seat.
	SeatsAcquiredKey  = "seatsacquired"
	SeatsTakenOverKey = "seatstakenover" // of a device whose seat had ended
	SeatsRefusedKey   = "seatsrefused"
)

// Metrics returns the member that makes CloudWatch count a request's log record, by function and outcome, without a
// call to it. It is in the embedded metric format
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
func Metrics(now time.Time, record *Record) slog.Attr {
	metrics := []metric{{RequestsKey, "Count"}, {MillisecondsKey, "Milliseconds"}}
	for _, name := range []string{
		SignaturesKey, ReusedFromMemoryKey, ReusedFromTableKey, SeatsAcquiredKey, SeatsTakenOverKey, SeatsRefusedKey,
	} {
		if record.counted(name) { // a metric must be a member of the record
			metrics = append(metrics, metric{name, "Count"})
		}
	}
	return directive(now, [][]string{{FunctionKey, CodeKey}, {FunctionKey}}, metrics)
}

// FunctionName returns the name that Lambda has given the function, or outside of Lambda the one given. Lambda's name
// tells two deployments in one account and region apart.
func FunctionName(name string) string { return cmp.Or(os.Getenv("AWS_LAMBDA_FUNCTION_NAME"), name) }

// Metrics that set off alarms.
const (
	GapsKey         = "AuditGaps"    // changes that the audit trail has missed
	ShortSecretsKey = "ShortSecrets" // license-key secrets in force that have less than 32 bytes
	StaleKeysKey    = "StaleKeys"    // secrets and public keys that could not be read anew for too long

	ReturnedKey             = "ErasuresUndone"       // changes that left a personal value after an erasure
	RevocationsTakenBackKey = "RevocationsTakenBack" // licenses that another tool has made usable again
)

// PutBackKey is the metric of licenses of which another tool had left out what only we know.
const PutBackKey = "PutBack"

type metric struct{ Name, Unit string }

func directive(now time.Time, dimensions [][]string, metrics []metric) slog.Attr {
	type metricDirective struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []metric
	}
	return slog.Any(metricsKey, struct {
		Timestamp         int64
		CloudWatchMetrics []metricDirective
	}{now.UnixMilli(), []metricDirective{{Namespace, dimensions, metrics}}})
}
