// Package api adapts handlers to API Gateway: it reads REST API proxy events, routes them, turns errors into
// answers, and logs each invocation once. It knows HTTP, and nothing of licenses.
package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/telemetry"
)

// Handler answers one request. An error is turned into an answer by the Router.
type Handler func(ctx context.Context, r Request) (Response, error)

// Routes holds handlers by method and API Gateway resource, as "POST /licenses/{licenseid}/revoke".
type Routes map[string]Handler

// Router is a Lambda function behind API Gateway.
type Router struct {
	Function string // its name, for log and metrics
	Routes   Routes
	MaxBody  int                      // bytes that its routes read; longer bodies may come cut to one more
	Fallback Handler                  // answers what no route does
	Failure  func(err error) Failure  // says what an error means to the caller
	Render   func(f Failure) Response // writes that down
	Log      *slog.Logger
}

// Failure is what a caller is told of an error.
type Failure struct {
	Status int
	Code   string // stable, for programs
	Detail string // for people, says what to do
	Fields any    // what was wrong with which field
}

// answerReserve is kept back of the invocation's time, so that an answer gets out when AWS is slow: a function that
// is cut off leaves the caller with API Gateway's answer and us without a log record.
const answerReserve = 500 * time.Millisecond

// Handle answers one event. Its error is always nil: API Gateway would answer a failed function with a body
// of its own.
func (rt Router) Handle(ctx context.Context, event events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
	ctx, record := telemetry.Begin(ctx)
	begun := time.Now()
	if deadline, bounded := ctx.Deadline(); bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-answerReserve))
		defer cancel()
	}
	route := event.HTTPMethod + " " + event.Resource
	handler, known := rt.Routes[route]
	if !known {
		handler = rt.Fallback
	}

	code := "OK"
	response, err := protect(handler)(ctx, Request{event})
	if err != nil {
		failure := rt.Failure(err)
		response, code = rt.Render(failure), failure.Code
	}
	telemetry.Note(ctx, slog.String(telemetry.CodeKey, code))
	if response.Header == nil {
		response.Header = map[string]string{}
	}
	response.Header["X-Request-Id"] = event.RequestContext.RequestID
	rt.log(ctx, record, response.Status, err,
		slog.String(telemetry.FunctionKey, telemetry.FunctionName(rt.Function)),
		slog.String("requestid", event.RequestContext.RequestID),
		slog.String("traceid", Request{event}.Header("X-Amzn-Trace-Id")),
		slog.String("route", route),
		slog.Int("status", response.Status),
		slog.Int(telemetry.RequestsKey, 1),
		slog.Float64(telemetry.MillisecondsKey, float64(time.Since(begun).Microseconds())/1000),
		telemetry.Metrics(begun, record))
	return response.event(), nil
}

func (rt Router) log(ctx context.Context, record *telemetry.Record, status int, err error, attrs ...slog.Attr) {
	level := slog.LevelInfo
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	rt.Log.LogAttrs(ctx, level, "request", append(attrs, record.Attrs()...)...)
}

// protect turns a panic into an error, so that the caller gets the documented answer.
func protect(handler Handler) Handler {
	return func(ctx context.Context, r Request) (response Response, err error) {
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
			}
		}()
		return handler(ctx, r)
	}
}

// Request is an API Gateway REST API proxy event
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html).
type Request struct{ event events.APIGatewayProxyRequest }

// ErrBodyTooLarge says that a body is longer than what a route takes.
var ErrBodyTooLarge = errors.New("the body is too large")

// Body answers the body's bytes. It answers ErrBodyTooLarge, without a copy, where there are more than limit, and
// another error where the body is base64-encoded and cannot be decoded.
func (r Request) Body(limit int) ([]byte, error) {
	if !r.event.IsBase64Encoded {
		if len(r.event.Body) > limit {
			return nil, ErrBodyTooLarge
		}
		return []byte(r.event.Body), nil
	}
	if len(r.event.Body) > base64.StdEncoding.EncodedLen(limit) {
		return nil, ErrBodyTooLarge
	}
	body, err := base64.StdEncoding.DecodeString(r.event.Body)
	if len(body) > limit {
		return nil, ErrBodyTooLarge
	}
	return body, err
}

// Method is the HTTP method.
func (r Request) Method() string { return r.event.HTTPMethod }

// Path is the path as the caller sent it, without the stage.
func (r Request) Path() string { return r.event.Path }

// URLPath is the path of the URL that the caller used, with the stage where it is a part of it.
func (r Request) URLPath() string { return r.event.RequestContext.Path }

// Header answers a header by its name, in whatever case the caller wrote it, or nothing.
func (r Request) Header(name string) string {
	for written, value := range r.event.Headers {
		if strings.EqualFold(written, name) {
			return value
		}
	}
	return ""
}

// PathParameter answers the part of the path that stands for {name} in the route.
func (r Request) PathParameter(name string) string { return r.event.PathParameters[name] }

// QueryParameters answers the query's parameters; of one that stands twice, the last.
func (r Request) QueryParameters() map[string]string { return r.event.QueryStringParameters }

// ID is API Gateway's id of the request.
func (r Request) ID() string { return r.event.RequestContext.RequestID }

// Principal is the ARN of the IAM principal that signed the request, empty on a route without authorization.
func (r Request) Principal() string { return r.event.RequestContext.Identity.UserArn }

// Response is an answer.
type Response struct {
	Status int
	Header map[string]string
	Body   []byte
}

// JSON answers v.
func JSON(status int, v any) (Response, error) { return jsonAs("application/json", status, v) }

func jsonAs(contentType string, status int, v any) (Response, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return Response{}, err
	}
	return Response{Status: status, Header: map[string]string{"Content-Type": contentType}, Body: body}, nil
}

func (r Response) event() events.APIGatewayProxyResponse {
	return events.APIGatewayProxyResponse{StatusCode: r.Status, Headers: r.Header, Body: string(r.Body)}
}
