package api_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"openlicenser/shared/api"
	"openlicenser/shared/telemetry"
)

// BenchmarkAnswer routes an event, encodes an answer as long as one with a token, and writes the log record.
func BenchmarkAnswer(b *testing.B) {
	message := map[string]string{"message": strings.Repeat("a", 1200)}
	router := api.Router{
		Routes: api.Routes{"POST /verify-license": func(context.Context, api.Request) (api.Response, error) {
			return api.JSON(http.StatusOK, message)
		}},
		Log: telemetry.NewLogger(io.Discard),
	}
	event := api.Event{HTTPMethod: http.MethodPost, Resource: "/verify-license"}
	b.ReportAllocs()
	for b.Loop() {
		if response, err := router.Invoke(b.Context(), event); err != nil || response.StatusCode != http.StatusOK {
			b.Fatal(response, err)
		}
	}
}
