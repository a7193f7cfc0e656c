// Package tracing is AWS X-Ray: a subsegment for each invocation and each AWS call, with what the invocation's
// telemetry.Record holds as annotations. Only the functions' mains know it, so that another tracer can take
// its place.
package tracing

import (
	"context"
	"log/slog"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-xray-sdk-go/instrumentation/awsv2"
	"github.com/aws/aws-xray-sdk-go/strategy/ctxmissing"
	"github.com/aws/aws-xray-sdk-go/xray"
	"github.com/aws/aws-xray-sdk-go/xraylog"

	"openlicenser/shared/telemetry"
)

// Instrument makes every call of the clients that are built from the configuration a subsegment.
func Instrument(cfg *aws.Config) error {
	xray.SetLogger(xraylog.NullLogger) // its own lines are not JSON
	// Calls outside of an invocation, and invocations that Lambda does not trace, have no segment.
	err := xray.Configure(xray.Config{ContextMissingStrategy: ctxmissing.NewDefaultIgnoreErrorStrategy()})
	if err != nil {
		return err
	}
	awsv2.AWSV2Instrumentor(&cfg.APIOptions)
	return nil
}

// annotated are the attributes by which traces can be searched.
var annotated = []string{"code", "licenseid", "customerid"}

// Handler traces each invocation as a subsegment of Lambda's segment, which itself cannot be annotated.
func Handler[Event, Answer any](name string, handle func(context.Context, Event) (Answer, error)) func(context.Context, Event) (Answer, error) {
	return func(ctx context.Context, event Event) (Answer, error) {
		ctx, record := telemetry.Begin(ctx)
		ctx, segment := xray.BeginSubsegment(ctx, name)
		answer, err := handle(ctx, event)
		if segment != nil {
			annotate(segment, record.Attrs())
			segment.Close(err)
		}
		return answer, err
	}
}

func annotate(segment *xray.Segment, attrs []slog.Attr) {
	for _, attr := range attrs {
		if slices.Contains(annotated, attr.Key) {
			// It can only refuse a type or a name, and these are strings.
			_ = segment.AddAnnotation(attr.Key, attr.Value.String())
		}
	}
}
