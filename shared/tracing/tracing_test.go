package tracing_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/bootstrap"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/lambdatest"
	"openlicenser/shared/tracing"
)

const (
	traceID  = "1-67340000-0123456789abcdef01234567"
	parentID = "0123456789abcdef"
)

// traced runs one invocation that reads an item, and answers what the daemon receives for it: calls first.
func traced(
	t *testing.T,
	header string,
	get lambdatest.Operation,
) (receive func() (lambdatest.Segment, string), err error) {
	t.Helper()
	daemon := lambdatest.NewDaemon(t)
	t.Setenv("AWS_XRAY_DAEMON_ADDRESS", daemon.Address)
	tracer, err := tracing.New()
	if err != nil {
		t.Fatal(err)
	}
	endpoint := lambdatest.NewAWS(t, map[string]lambdatest.Operation{"GetItem": get})
	cfg, err := bootstrap.AWSConfig(
		t.Context(),
		config.WithBaseEndpoint(endpoint.URL),
		config.WithRegion("eu-central-1"),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("test", "test", "")),
	)
	if err != nil {
		t.Fatal(err)
	}
	tracer.Instrument(&cfg)
	client := dynamodb.NewFromConfig(cfg)
	handle := tracing.Handler(tracer, "verify", func(ctx context.Context, table string) (string, error) {
		telemetry.Note(ctx, slog.String("code", "OK"), slog.String("customerid", "c"), slog.String("other", "o"))
		_, err := client.GetItem(ctx, &dynamodb.GetItemInput{
			TableName: &table,
			Key:       map[string]types.AttributeValue{"licenseid": &types.AttributeValueMemberS{Value: "1"}},
		})
		return "answer to " + table, err
	})
	ctx, _ := telemetry.Begin(t.Context())
	//lint:ignore SA1029 aws-lambda-go's own key
	answer, err := handle(context.WithValue(ctx, "x-amzn-trace-id", header), "licenses")
	if answer != "answer to licenses" {
		t.Errorf("answered %q", answer)
	}
	return daemon.Receive, err
}

func item(map[string]any) (int, any) { return http.StatusOK, map[string]any{} }

func TestSubsegments(t *testing.T) {
	before := time.Now()
	receive, err := traced(t, "Root="+traceID+";Parent="+parentID+";Sampled=1;Lineage=1:abc:0", item)
	if err != nil {
		t.Fatal(err)
	}
	call, text := receive()
	if call.Name != "DynamoDB" || call.Namespace != "aws" ||
		call.AWS.Operation != "GetItem" || call.AWS.Region != "eu-central-1" ||
		call.HTTP.Response.Status != http.StatusOK ||
		call.Fault ||
		call.Error {
		t.Errorf("the call: %s", text)
	}
	invocation, text := receive()
	if invocation.Name != "verify" || invocation.ParentID != parentID || invocation.Fault ||
		len(invocation.Annotations) != 2 ||
		invocation.Annotations["code"] != "OK" ||
		invocation.Annotations["customerid"] != "c" {
		t.Errorf("the invocation: %s", text)
	}
	for _, s := range []lambdatest.Segment{call, invocation} {
		if s.TraceID != traceID || s.Type != "subsegment" || len(s.ID) != 16 || s.End < s.Start ||
			s.Start < float64(before.Unix()) ||
			s.End > float64(time.Now().Unix()+1) {
			t.Errorf("subsegment %+v", s)
		}
	}
	if call.ParentID != invocation.ID || call.Start < invocation.Start || call.End > invocation.End {
		t.Errorf("the call %+v is not a part of the invocation %+v", call, invocation)
	}
}

// TestFailures: the names are those by which the service map colors its circles.
func TestFailures(t *testing.T) {
	for name, test := range map[string]struct {
		answer                    lambdatest.Operation
		status                    int
		fault, refused, throttled bool
		exception                 string
	}{
		"throttled": {lambdatest.Fault(400, "ThrottlingException"), 400, false, true, true, "ThrottlingException"},
		"denied":    {lambdatest.Fault(400, "AccessDeniedException"), 400, false, true, false, "AccessDeniedException"},
		"failed":    {lambdatest.Fault(500, "InternalServerError"), 500, true, false, false, "InternalServerError"},
		"cut off":   {func(map[string]any) (int, any) { panic(http.ErrAbortHandler) }, 0, true, false, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			receive, err := traced(t, "Root="+traceID+";Parent="+parentID+";Sampled=1", test.answer)
			if err == nil {
				t.Fatal("the call succeeded")
			}
			call, text := receive()
			if call.HTTP.Response.Status != test.status || call.Fault != test.fault || call.Error != test.refused ||
				call.Throttle != test.throttled ||
				len(call.Cause.Exceptions) != 1 ||
				test.exception != "" && call.Cause.Exceptions[0].Type != test.exception {
				t.Errorf("the call: %s", text)
			}
			if invocation, text := receive(); !invocation.Fault || len(invocation.Cause.Exceptions) != 1 {
				t.Errorf("the invocation: %s", text)
			}
		})
	}
}

// TestUntraced: what Lambda does not trace is handled, and nothing is sent: the next one received is of the next
// invocation.
func TestUntraced(t *testing.T) {
	for _, header := range []string{
		"", "Root=" + traceID + ";Parent=" + parentID + ";Sampled=0", "Root=" + traceID, "Sampled=1", "=;;",
	} {
		daemon := lambdatest.NewDaemon(t)
		t.Setenv("AWS_XRAY_DAEMON_ADDRESS", daemon.Address)
		tracer, err := tracing.New()
		if err != nil {
			t.Fatal(err)
		}
		handle := tracing.Handler(
			tracer,
			"verify",
			func(context.Context, string) (string, error) { return "", errors.New("failed") },
		)
		for _, header := range []string{header, "Root=" + traceID + ";Parent=fedcba9876543210;Sampled=1"} {
			//lint:ignore SA1029 aws-lambda-go's own key
			if _, err := handle(context.WithValue(t.Context(), "x-amzn-trace-id", header), ""); err == nil {
				t.Error("the handler's error is lost")
			}
		}
		if segment, text := daemon.Receive(); segment.ParentID != "fedcba9876543210" {
			t.Errorf("for %q: %s", header, text)
		}
	}
}

// TestDaemonAddress: what cannot be an address is an error, in bounded time, and a tracer that traces nothing.
func TestDaemonAddress(t *testing.T) {
	for setting, ok := range map[string]bool{
		"": true, "127.0.0.1:2000": true, "localhost:2000": true, "[::1]:2000": true, ":2000": true,
		"tcp:127.0.0.1:1 udp:127.0.0.1:2000": true, "udp:127.0.0.1:2000 tcp:127.0.0.1:1": true,
		"udp:[::1]:2000 tcp:[::1]:1": true,
		"nonsense":                   false, ":": false, " ": false, "::": false, "127.0.0.1": false,
		"127.0.0.1:": false, "127.0.0.1:http": false,
		"127.0.0.1:0": false, "127.0.0.1:65536": false, "127.0.0.1:-1": false, "127.0.0.1:2000:2000": false,
		"[::1:2000":          false,
		"udp:127.0.0.1:2000": false, "tcp:127.0.0.1:2000": false, "udp:127.0.0.1:2000 udp:127.0.0.1:2000": false,
		"tcp:127.0.0.1:2000 tcp:127.0.0.1:2000": false, "udp: tcp:": false, "127.0.0.1:2000 127.0.0.1:2001": false,
		"udp:127.0.0.1:2000 tcp:127.0.0.1:2000 udp:127.0.0.1:2000": false,
		"no-such-host.invalid:2000":                                false, "\x01:2000": false, "%zz:2000": false,
		"http://127.0.0.1:2000": false,
	} {
		t.Run(setting, func(t *testing.T) {
			t.Setenv("AWS_XRAY_DAEMON_ADDRESS", setting)
			began := time.Now()
			tracer, err := tracing.New()
			if (err == nil) != ok {
				t.Errorf("got %v", err)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
			wantWorks(t, tracer)
		})
	}
}

// wantWorks has a traced invocation and a call of AWS go through the tracer.
func wantWorks(t *testing.T, tracer tracing.Tracer) {
	t.Helper()
	cfg := aws.Config{}
	tracer.Instrument(&cfg)
	handle := tracing.Handler(tracer, "verify", func(_ context.Context, event string) (string, error) {
		return "answer to " + event, nil
	})
	//lint:ignore SA1029 aws-lambda-go's own key
	ctx := context.WithValue(t.Context(), "x-amzn-trace-id", "Root="+traceID+";Parent="+parentID+";Sampled=1")
	if answer, err := handle(ctx, "event"); answer != "answer to event" || err != nil {
		t.Errorf("answered %q, %v", answer, err)
	}
}
