package indexing_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	gocmp "github.com/google/go-cmp/cmp"

	"openlicenser/functions/index/indexing"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/stream"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/lambdatest"
)

const (
	license1 = "00000000-0000-4000-8000-000000000001"
	license2 = "00000000-0000-4000-8000-000000000002"
)

// standing is what a test expects of a record.
type standing struct {
	Standing any // the index attribute
	Issued   any // the index attribute
	Version  int64
	By       any
}

// TestEvents runs every sample event of this function, on a store that holds what was there after the event's last
// change.
func TestEvents(t *testing.T) {
	const shop = "arn:aws:iam::123456789012:user/shop"
	first, second := "2026-11-01T12:00:00.000Z "+license1, "2026-11-01T16:00:00.000Z "+license2
	want := map[string]map[string]standing{
		"insert":          {license1: {"active", first, 1, shop}},
		"modify":          {license1: {"revoked", first, 2, shop}},
		"own-change":      {license1: {"suspended", first, 2, shop}},
		"foreign-insert":  {license2: {"active", second, 0, nil}},
		"foreign-replace": {license1: {"suspended", first, 3, license.PutBackActor}},
		"remove":          {license1: {}},
		"expired":         {license1: {}},
		"batch":           {license1: {"revoked", first, 2, shop}, license2: {"active", second, 0, nil}},
	}
	sampled := lambdatest.SampleEvents[events.DynamoDBEvent](t, "../../../events/stream")
	if len(sampled) != len(want) {
		t.Fatalf("%d events for %d expectations", len(sampled), len(want))
	}
	for name, records := range want {
		t.Run(name, func(t *testing.T) {
			folder, err := embedded.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer folder.Close()
			for _, record := range sampled[name].Records {
				if record.Change.NewImage != nil {
					put(t, folder.Licenses, record)
				}
			}
			indexer := indexing.Indexer{Records: folder.Licenses, Log: telemetry.NewLogger(io.Discard)}
			response, err := indexer.Handle(t.Context(), sampled[name])
			if err != nil || len(response.BatchItemFailures) != 0 {
				t.Fatalf("failures %v, %v", response, err)
			}
			for id, expected := range records {
				record, err := folder.Licenses.Record(t.Context(), id)
				if (err != nil) != (expected == standing{}) {
					t.Fatal(err)
				}
				got := standing{
					record[license.AttrIndexStanding], record[license.AttrIndexIssued],
					license.RecordVersion(record), record["changedby"],
				}
				if diff := gocmp.Diff(expected, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", id, diff)
				}
			}
		})
	}
}

// TestMetrics: what was put back is counted, and so is a revocation that another tool took back, of the function by its
// name. Log records name the license and no value of it.
func TestMetrics(t *testing.T) {
	t.Setenv("AWS_LAMBDA_FUNCTION_NAME", "stack-IndexFunction")
	folder, err := embedded.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	sampled := lambdatest.SampleEvents[events.DynamoDBEvent](t, "../../../events/stream")
	batch := sampled["foreign-replace"]
	batch.Records[0].Change.OldImage["isrevoked"] = events.NewBooleanAttribute(true)
	put(t, folder.Licenses, batch.Records[0])
	var log bytes.Buffer
	indexer := indexing.Indexer{Records: folder.Licenses, Log: telemetry.NewLogger(&log)}
	if _, err := indexer.Handle(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"Test Customer", "rders@example.com", "order-4711", "cheque"} {
		if strings.Contains(log.String(), value) {
			t.Errorf("%q is logged: %s", value, &log)
		}
	}
	var got []string
	for line := range strings.Lines(log.String()) {
		var record struct {
			Level, LicenseID, Function    string
			PutBack, RevocationsTakenBack int
			AWS                           struct {
				CloudWatchMetrics []struct{ Metrics []struct{ Name string } }
			} `json:"_aws"`
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		text := record.Level + " " + record.LicenseID + record.Function
		for _, metrics := range record.AWS.CloudWatchMetrics {
			text += fmt.Sprint(" ", record.PutBack, record.RevocationsTakenBack, metrics.Metrics)
		}
		got = append(got, text)
	}
	want := []string{
		"ERROR " + license1, "WARN " + license1, "INFO stack-IndexFunction 1 1 [{RevocationsTakenBack}]",
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}

	log.Reset()
	if _, err := indexer.Handle(t.Context(), sampled["own-change"]); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String(), "_aws") || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("our own change logs %s", &log)
	}
}

func put(t *testing.T, store *embedded.Licenses, record events.DynamoDBEventRecord) {
	t.Helper()
	image, err := stream.RecordOf(record.Change.NewImage)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.PutRecord(t.Context(), image); err != nil {
		t.Fatal(err)
	}
}
