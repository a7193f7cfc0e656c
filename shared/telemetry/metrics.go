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

// FunctionKey is the dimension of all metrics, and an attribute of the records that hold them.
const FunctionKey = "function"

// Attributes of the record of a request. CloudWatch makes no metrics of them, each of which costs for as long as it
// comes: Logs Insights counts them when somebody asks.
const (
	CodeKey         = "code" // its outcome
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

// FunctionName returns the name that Lambda has given the function, or outside of Lambda the one given. Lambda's name
// tells two deployments in one account and region apart.
func FunctionName(name string) string { return cmp.Or(os.Getenv("AWS_LAMBDA_FUNCTION_NAME"), name) }

// Metrics that set off alarms.
const (
	GapsKey         = "AuditGaps"    // changes that the audit trail has missed
	ShortSecretsKey = "ShortSecrets" // license-key secrets in force that have less than 32 bytes

	ReturnedKey             = "ErasuresUndone"       // changes that left a personal value after an erasure
	RevocationsTakenBackKey = "RevocationsTakenBack" // licenses that another tool has made usable again
)

// StaleKeysKey is the attribute by which a metric filter counts secrets and public keys that could not be read anew for
// too long, of all functions together.
const StaleKeysKey = "StaleKeys"

// PutBackKey is the attribute of a batch that counts licenses of which another tool had left out what only we know.
const PutBackKey = "putback"

type metric struct{ Name, Unit string }

// directive returns the member that makes CloudWatch count a record. It is in the embedded metric format
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html):
// the record is one JSON object, and this a member of its root, beside the dimensions and the metrics. Lambda passes a
// record that is JSON on as it is, and CloudWatch looks for metrics in log groups of the class STANDARD.
func directive(now time.Time, metrics []metric) slog.Attr {
	type metricDirective struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []metric
	}
	return slog.Any(metricsKey, struct {
		Timestamp         int64
		CloudWatchMetrics []metricDirective
	}{now.UnixMilli(), []metricDirective{{Namespace, [][]string{{FunctionKey}}, metrics}}})
}
