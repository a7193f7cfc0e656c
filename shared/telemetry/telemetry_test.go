package telemetry_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/telemetry"
	"openlicenser/shared/version"
)

var now = time.Date(2026, 11, 23, 22, 0, 0, 0, time.UTC)

// readRecord returns what a logger writes by the call.
func readRecord(t *testing.T, newLogger func(*bytes.Buffer) *slog.Logger, write func(*slog.Logger)) map[string]any {
	t.Helper()
	var log bytes.Buffer
	write(newLogger(&log))
	var record map[string]any
	if err := json.Unmarshal(log.Bytes(), &record); err != nil {
		t.Fatalf("%v: %s", err, &log)
	}
	return record
}

func forLambda(log *bytes.Buffer) *slog.Logger { return telemetry.NewLogger(log) }

func forConsole(log *bytes.Buffer) *slog.Logger { return telemetry.NewConsoleLogger(log) }

// TestRecord: a record has the level and the time where Lambda looks for them.
func TestRecord(t *testing.T) {
	zone := time.FixedZone("", 3600)
	record := readRecord(t, forLambda, func(log *slog.Logger) {
		r := slog.NewRecord(now.In(zone).Add(50*time.Millisecond), slog.LevelWarn, "what", 0)
		r.Add("time", "of the caller's own", slog.Group("group", "time", now))
		if err := log.Handler().Handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	})
	want := map[string]any{
		"timestamp": "2026-11-23T22:00:00.050Z", "level": "WARN", "msg": "what", "version": version.Number,
		"time": "of the caller's own", "group": map[string]any{"time": "2026-11-23T22:00:00Z"},
	}
	if diff := cmp.Diff(want, record); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestCounts: what is counted is a metric for CloudWatch, and what was not counted costs nothing.
func TestCounts(t *testing.T) {
	t.Setenv("AWS_LAMBDA_FUNCTION_NAME", "stack-AuditFunction")
	write := func(log *slog.Logger) {
		log.LogAttrs(t.Context(), slog.LevelInfo, "batch",
			telemetry.Counts(now, "audit", map[string]int{"Found": 2, "Lost": 1, "Nothing": 0})...)
	}
	record := readRecord(t, forLambda, write)
	metadata, isObject := record["_aws"].(map[string]any)
	want := map[string]any{
		"Timestamp": float64(now.UnixMilli()),
		"CloudWatchMetrics": []any{map[string]any{
			"Namespace":  telemetry.Namespace,
			"Dimensions": []any{[]any{"function"}},
			"Metrics": []any{
				map[string]any{"Name": "Found", "Unit": "Count"}, map[string]any{"Name": "Lost", "Unit": "Count"},
			},
		}},
	}
	if diff := cmp.Diff(want, metadata); diff != "" || !isObject {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if record["function"] != "stack-AuditFunction" || record["Found"] != 2.0 || record["Lost"] != 1.0 {
		t.Errorf("the dimension and the metrics are not members of the root: %v", record)
	}
	if _, isThere := record["Nothing"]; isThere {
		t.Errorf("counts nothing: %v", record)
	}
	if record := readRecord(t, forConsole, write); record["_aws"] != nil || record["Found"] != 2.0 {
		t.Errorf("on a console: %v", record)
	}
	if attrs := telemetry.Counts(now, "audit", map[string]int{"Nothing": 0}); attrs != nil {
		t.Errorf("where nothing was counted: %v", attrs)
	}
}
