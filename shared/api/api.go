// Package api adapts handlers to what invokes a Lambda function over HTTP: a REST API, an HTTP API or a function URL.
// It reads their events, routes them, turns errors into responses, and logs each invocation once. It must not know what
// the handlers do: nothing of licenses.
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

// Handler returns the response to one request. The Router turns an error into a response.
type Handler func(ctx context.Context, r Request) (Response, error)

// Routes holds handlers by method and path, as "POST /licenses/{licenseid}/revoke".
type Routes map[string]Handler

// Router is a Lambda function behind HTTP.
type Router struct {
	Routes Routes
	Public []string // the routes that a web page of any origin may call (CORS)
	// MaxBody is how many bytes of a body the routes read. The front may pass on only MaxBody+1 bytes of a longer body.
	MaxBody  int
	Fallback Handler                  // handles the requests that no route matches
	Failure  func(err error) Failure  // returns what an error means to the caller
	Render   func(f Failure) Response // returns the response that says so
	Log      *slog.Logger
}

// Failure is what a caller is told of an error.
type Failure struct {
	Status     int
	Code       string            // stable, for programs
	Detail     string            // for people: what to do
	Fields     any               // what was wrong with which field
	Extensions map[string]string // further members for programs (RFC 9457 section 3.2)
	Log        string            // in place of the error's text, if that holds what the caller has sent
}

// responseReserve is kept back of the invocation's time, so that a response gets out when AWS is slow. If Lambda cuts a
// function off, the caller gets API Gateway's response, and we get no log record.
const responseReserve = 500 * time.Millisecond

// Invoke returns the response to one event, in the form that all fronts accept. The error is always nil, because API
// Gateway sends a body of its own for a function that fails.
func (rt Router) Invoke(ctx context.Context, event Event) (events.APIGatewayProxyResponse, error) {
	ctx, record := telemetry.Begin(ctx)
	begun := time.Now()
	if deadline, bounded := ctx.Deadline(); bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-responseReserve))
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
		slog.String("requestid", request.ID()),
		slog.String("route", route),
		slog.Int("status", response.Status),
		slog.Float64(telemetry.MillisecondsKey, float64(time.Since(begun).Microseconds())/1000))
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

// protect turns a panic into an error, so that the caller gets the documented response.
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

// Response is an HTTP response.
type Response struct {
	Status int
	Header map[string]string
	Body   []byte
}

// JSON returns a response whose body is v.
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
