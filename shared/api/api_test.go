package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/api"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/version"
)

var errTeapot = errors.New("internal text")

func newRouter(log *bytes.Buffer) api.Router {
	return api.Router{
		Routes: api.Routes{
			"GET /ok": func(ctx context.Context, r api.Request) (api.Response, error) {
				telemetry.Note(ctx, slog.String("licenseid", "id-1"))
				telemetry.Count(ctx, "awscalls")
				telemetry.Count(ctx, "awscalls")
				return api.JSON(http.StatusOK, r.QueryParameters())
			},
			"GET /error": func(context.Context, api.Request) (api.Response, error) { return api.Response{}, errTeapot },
			"GET /panic": func(context.Context, api.Request) (api.Response, error) { panic("internal text") },
			"GET /slow": func(ctx context.Context, _ api.Request) (api.Response, error) {
				<-ctx.Done()
				return api.Response{}, ctx.Err()
			},
		},
		Fallback: func(context.Context, api.Request) (api.Response, error) {
			return api.JSON(http.StatusNotFound, "fallback")
		},
		Failure: func(err error) api.Failure {
			if errors.Is(err, errTeapot) {
				return api.Failure{
					Status: http.StatusTeapot,
					Code:   "TEAPOT",
					Detail: "Short and stout.",
					Fields: []string{"handle"},
				}
			}
			return api.Failure{Status: http.StatusInternalServerError, Code: "INTERNAL"}
		},
		Render: api.Problem,
		Log:    telemetry.NewConsoleLogger(log),
	}
}

// TestRouter compares the whole answer and the whole log record.
func TestRouter(t *testing.T) {
	for name, test := range map[string]struct {
		path    string
		status  int
		body    string
		record  map[string]any
		inError string
	}{
		"OK": {"/ok", 200, `{"a":"b"}`,
			map[string]any{"level": "INFO", "route": "GET /ok", "status": 200.0, "code": "OK", "licenseid": "id-1",
				"awscalls": 2.0}, ""},
		"ErrMapped": {"/error", 418, `{"type":"about:blank","title":"I'm a teapot","status":418,"code":"TEAPOT",` +
			`"detail":"Short and stout.","errors":["handle"]}`,
			map[string]any{"level": "INFO", "route": "GET /error", "status": 418.0, "code": "TEAPOT",
				"error": "internal text"}, ""},
		"Panic": {"/panic", 500, `{"type":"about:blank","title":"Internal Server Error","status":500,` +
			`"code":"INTERNAL"}`,
			map[string]any{"level": "ERROR", "route": "GET /panic", "status": 500.0, "code": "INTERNAL"},
			"panic: internal text\n"},
		"Fallback": {"/nowhere", 404, `"fallback"`,
			map[string]any{"level": "INFO", "route": "GET /nowhere", "status": 404.0, "code": "OK"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			event := api.Event{
				HTTPMethod:            "GET",
				Resource:              test.path,
				QueryStringParameters: map[string]string{"a": "b"},
			}
			event.RequestContext.RequestID = "request-1"
			response, err := newRouter(&log).Invoke(t.Context(), event)
			if err != nil || response.StatusCode != test.status || response.Body != test.body ||
				response.Headers["X-Request-Id"] != "request-1" {
				t.Errorf("got %+v, %v", response, err)
			}
			var record map[string]any
			if err := json.Unmarshal(log.Bytes(), &record); err != nil {
				t.Fatalf("not one record: %v: %s", err, log.Bytes())
			}
			if message, _ := record["error"].(string); test.inError != "" &&
				!bytes.HasPrefix([]byte(message), []byte(test.inError)) {
				t.Errorf("error %q", message)
			} else if test.inError != "" {
				delete(record, "error")
			}
			for _, varying := range []string{"timestamp", "milliseconds"} {
				if _, present := record[varying]; !present {
					t.Errorf("no %s", varying)
				}
				delete(record, varying)
			}
			want := map[string]any{
				"msg":       "request",
				"version":   version.Number,
				"requestid": "request-1",
			}
			for key, value := range test.record {
				want[key] = value
			}
			if diff := cmp.Diff(want, record); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFailuresArePublicToo: a web page reads why it got no answer.
func TestFailuresArePublicToo(t *testing.T) {
	router := newRouter(new(bytes.Buffer))
	router.Public = []string{"GET /error", "GET /panic"}
	for path, public := range map[string]bool{"/error": true, "/panic": true, "/slow": false} {
		ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
		defer cancel()
		response, err := router.Invoke(ctx, api.Event{HTTPMethod: "GET", Resource: path})
		if err != nil || (response.Headers["Access-Control-Allow-Origin"] == "*") != public {
			t.Errorf("%s: got %v, %v", path, response.Headers, err)
		}
	}
}

// TestAnswersBeforeTheFunctionIsCutOff: a handler that waits for AWS is stopped in time for an answer.
func TestAnswersBeforeTheFunctionIsCutOff(t *testing.T) {
	var log bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	response, err := newRouter(&log).Invoke(ctx, api.Event{HTTPMethod: "GET", Resource: "/slow"})
	if err != nil || ctx.Err() != nil || response.StatusCode != http.StatusInternalServerError {
		t.Errorf("got %+v, %v, %v", response, err, ctx.Err())
	}
}
