// Package tracing sends traces to AWS X-Ray: a subsegment for each invocation and each AWS call. Some attributes of the
// invocation's telemetry.Record become annotations. Only bootstrap knows this package, so that another tracer can take
// its place.
//
// It writes the segment documents itself, and uses the X-Ray SDK only to read the trace header. The SDK's package xray
// would double the size of a binary and its time to start (see docs/performance.md). It also panics at an address that
// it cannot read.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-xray-sdk-go/header"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"openlicenser/shared/telemetry"
)

// Tracer sends segments to the X-Ray daemon, for the invocations that Lambda traces. The zero Tracer sends none.
type Tracer struct{ daemon net.Conn }

// defaultDaemon is where Lambda runs the daemon beside the function.
const defaultDaemon = "127.0.0.1:2000"

// dialTimeout bounds the look-up of the daemon's name: Lambda ends a function that takes ten seconds to start.
const dialTimeout = time.Second

// New returns a tracer for the daemon that AWS_XRAY_DAEMON_ADDRESS names, or for the one that Lambda runs beside the
// function. It does not find out whether a daemon listens. With an error it returns the zero Tracer, which is usable.
func New() (Tracer, error) {
	address, err := daemonAddress(os.Getenv("AWS_XRAY_DAEMON_ADDRESS"))
	if err != nil {
		return Tracer{}, fmt.Errorf("AWS_XRAY_DAEMON_ADDRESS: %w", err)
	}
	daemon, err := net.DialTimeout("udp", address, dialTimeout)
	if err != nil {
		return Tracer{}, fmt.Errorf("the X-Ray daemon: %w", err)
	}
	return Tracer{daemon}, nil
}

// daemonAddress returns the UDP address in a setting. It reads the forms that AWS's SDKs read: host:port, or both of
// udp:host:port and tcp:host:port with a space between them
// (https://docs.aws.amazon.com/xray/latest/devguide/xray-sdk-go-configuration.html).
func daemonAddress(setting string) (string, error) {
	if setting == "" {
		return defaultDaemon, nil
	}
	address, known := setting, true
	if parts := strings.Split(setting, " "); len(parts) == 2 {
		slices.Sort(parts) // tcp before udp
		address, known = strings.CutPrefix(parts[1], "udp:")
		known = known && strings.HasPrefix(parts[0], "tcp:")
	}
	_, port, err := net.SplitHostPort(address)
	if !known || err != nil {
		return "", errors.New("neither host:port nor udp:host:port and tcp:host:port")
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return "", errors.New("the port is no number from 1 to 65535")
	}
	return address, nil
}

// traceHeaderKey is where aws-lambda-go puts the trace header of an invocation.
const traceHeaderKey = "x-amzn-trace-id"

// Handler traces each invocation as a subsegment of Lambda's segment, which itself cannot be annotated.
func Handler[Event, Response any](
	t Tracer, name string, handle func(context.Context, Event) (Response, error),
) func(context.Context, Event) (Response, error) {
	if t.daemon == nil {
		return handle
	}
	return func(ctx context.Context, event Event) (Response, error) {
		text, _ := ctx.Value(traceHeaderKey).(string)
		trace := header.FromString(text)
		if trace.SamplingDecision != header.Sampled || trace.TraceID == "" {
			return handle(ctx, event)
		}
		ctx, record := telemetry.Begin(ctx)
		telemetry.Note(ctx, slog.String("traceid", trace.TraceID)) // of those that X-Ray has, and no others
		invocation := begin(name, trace.TraceID, trace.ParentID)
		response, err := handle(context.WithValue(ctx, parentKey{}, parent{trace.TraceID, invocation.ID}), event)
		invocation.Annotations = annotations(record.Attrs())
		if err != nil {
			invocation.Fault = true
			invocation.because(err, false)
		}
		t.end(invocation)
		return response, err
	}
}

// annotated names the attributes by which traces can be searched.
var annotated = []string{"code", "licenseid", "customerid"}

func annotations(attrs []slog.Attr) map[string]string {
	found := map[string]string{}
	for _, attr := range attrs {
		if slices.Contains(annotated, attr.Key) {
			found[attr.Key] = attr.Value.String()
		}
	}
	return found
}

// parent is the subsegment of the invocation that a context belongs to.
type parent struct{ traceID, id string }

type parentKey struct{}

// Instrument makes each AWS call of the clients that are built from the configuration a subsegment. Calls outside of a
// traced invocation are not sent.
func (t Tracer) Instrument(cfg *aws.Config) {
	if t.daemon == nil {
		return
	}
	cfg.APIOptions = append(cfg.APIOptions, func(stack *middleware.Stack) error {
		// It comes after what puts the names of service and operation into the context.
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("XRay", t.call), middleware.After)
	})
}

func (t Tracer) call(
	ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
) (middleware.InitializeOutput, middleware.Metadata, error) {
	invocation, traced := ctx.Value(parentKey{}).(parent)
	if !traced {
		return next.HandleInitialize(ctx, in)
	}
	call := begin(awsmiddleware.GetServiceID(ctx), invocation.traceID, invocation.id)
	call.Namespace = "aws"
	out, metadata, err := next.HandleInitialize(ctx, in)
	requestID, _ := awsmiddleware.GetRequestIDMetadata(metadata)
	call.AWS = &awsCall{awsmiddleware.GetOperationName(ctx), awsmiddleware.GetRegion(ctx), requestID}
	call.responded(status(metadata, err))
	if err != nil {
		call.because(err, true)
	}
	t.end(call)
	return out, metadata, err
}

// status returns the status of AWS's last response, or zero if there was none.
func status(metadata middleware.Metadata, err error) int {
	var refusal *smithyhttp.ResponseError
	if errors.As(err, &refusal) && refusal.Response != nil {
		return refusal.HTTPStatusCode()
	}
	if response, isHTTP := awsmiddleware.GetRawResponse(metadata).(*smithyhttp.Response); isHTTP && err == nil {
		return response.StatusCode
	}
	return 0
}
