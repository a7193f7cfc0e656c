// Package api adapts handlers to what stands in front of a Lambda function, be it a REST API, an HTTP API or a function
// URL: it reads their events, routes them, turns errors into answers, and logs each invocation once. It knows HTTP, and
// nothing of licenses.
package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/telemetry"
)

// Handler answers one request. An error is turned into an answer by the Router.
type Handler func(ctx context.Context, r Request) (Response, error)

// Routes holds handlers by method and path, as "POST /licenses/{licenseid}/revoke".
type Routes map[string]Handler

// Router is a Lambda function behind HTTP.
type Router struct {
	Function string // its name, for log and metrics
	Routes   Routes
	Public   []string                 // the routes that a web page of any origin may call (CORS)
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
	Log    string // in place of the error's text, where that holds what the caller has sent
}

// answerReserve is kept back of the invocation's time, so that an answer gets out when AWS is slow: a function that
// is cut off leaves the caller with API Gateway's answer and us without a log record.
const answerReserve = 500 * time.Millisecond

// Handle answers one event of a REST API; see Invoke.
func (rt Router) Handle(ctx context.Context, event events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
	return rt.Invoke(ctx, fromREST(event))
}

// Invoke answers one event, in the form that all fronts take. Its error is always nil: API Gateway would answer a
// failed function with a body of its own.
func (rt Router) Invoke(ctx context.Context, event Event) (events.APIGatewayProxyResponse, error) {
	ctx, record := telemetry.Begin(ctx)
	begun := time.Now()
	if deadline, bounded := ctx.Deadline(); bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-answerReserve))
		defer cancel()
	}
	route, handler, request := rt.find(event)
	if rt.Routes[route] != nil && !rt.isPublic(route) && event.isOpen() {
		handler = func(context.Context, Request) (Response, error) { return Response{}, ErrUnauthorized }
	}

	code, cause := "OK", ""
	response, err := protect(handler)(ctx, request)
	if err != nil {
		failure := rt.Failure(err)
		response, code, cause = rt.Render(failure), failure.Code, cmp.Or(failure.Log, err.Error())
	}
	telemetry.Note(ctx, slog.String(telemetry.CodeKey, code))
	if response.Header == nil {
		response.Header = map[string]string{}
	}
	response.Header["X-Request-Id"] = request.ID()
	if rt.isPublic(route) {
		maps.Copy(response.Header, CrossOrigin())
	}
	rt.log(ctx, record, response.Status, cause,
		slog.String(telemetry.FunctionKey, telemetry.FunctionName(rt.Function)),
		slog.String("requestid", request.ID()),
		slog.String("traceid", request.Header("X-Amzn-Trace-Id")),
		slog.String("route", route),
		slog.Int("status", response.Status),
		slog.Int(telemetry.RequestsKey, 1),
		slog.Float64(telemetry.MillisecondsKey, float64(time.Since(begun).Microseconds())/1000),
		telemetry.Metrics(begun, record))
	return response.event(), nil
}

func (rt Router) log(ctx context.Context, record *telemetry.Record, status int, cause string, attrs ...slog.Attr) {
	level := slog.LevelInfo
	if cause != "" {
		attrs = append(attrs, slog.String("error", cause))
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
