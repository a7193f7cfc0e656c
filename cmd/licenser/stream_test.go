package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/license/licensetest"
	"openlicenser/shared/telemetry"
)

func openFolder(t *testing.T) *embedded.Folder {
	t.Helper()
	folder, err := embedded.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { folder.Close() })
	return folder
}

// TestDeliver: a change leaves the feed when it is recorded, and with all that follow it comes again when not.
func TestDeliver(t *testing.T) {
	folder := openFolder(t)
	for range 3 {
		if err := folder.Licenses.Create(t.Context(), licensetest.Issue(t)); err != nil {
			t.Fatal(err)
		}
	}
	var delivered []string
	failing := "2"
	s := stream{changes: folder.Changes, handle: func(_ context.Context, batch events.DynamoDBEvent) (response events.DynamoDBEventResponse, err error) {
		delivered = nil
		for _, record := range batch.Records {
			delivered = append(delivered, record.Change.SequenceNumber)
			if record.Change.SequenceNumber == failing {
				response.BatchItemFailures = append(response.BatchItemFailures, events.DynamoDBBatchItemFailure{ItemIdentifier: failing})
			}
			if record.EventName != "INSERT" || record.Change.OldImage != nil || record.Change.NewImage["isrevoked"].Boolean() {
				t.Errorf("record %+v", record)
			}
		}
		return response, nil
	}}

	if progress, err := s.deliver(t.Context()); progress || err == nil || !slices.Equal(delivered, []string{"1", "2", "3"}) {
		t.Errorf("first: %v, %v, %v", delivered, progress, err)
	}
	failing = ""
	if progress, err := s.deliver(t.Context()); !progress || err != nil || !slices.Equal(delivered, []string{"2", "3"}) {
		t.Errorf("second: %v, %v, %v", delivered, progress, err)
	}
	if progress, err := s.deliver(t.Context()); progress || err != nil {
		t.Errorf("third: %v, %v", progress, err)
	}
}

// TestStreamGivesUp: a change that can never be recorded goes to the failures, whole, and holds up the others no longer.
func TestStreamGivesUp(t *testing.T) {
	folder := openFolder(t)
	var licenses []license.License
	for range 3 {
		l := licensetest.Issue(t)
		if err := folder.Licenses.Create(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		licenses = append(licenses, l)
	}
	var recorded []string
	attempts := 0
	s := stream{changes: folder.Changes, failures: filepath.Join(t.TempDir(), "failures"), log: telemetry.NewLogger(io.Discard)}
	s.handle = func(_ context.Context, batch events.DynamoDBEvent) (response events.DynamoDBEventResponse, err error) {
		for _, record := range batch.Records {
			if id := record.Change.Keys["licenseid"].String(); id == licenses[1].ID {
				attempts++
				response.BatchItemFailures = append(response.BatchItemFailures, events.DynamoDBBatchItemFailure{ItemIdentifier: record.Change.SequenceNumber})
			} else {
				recorded = append(recorded, id)
			}
		}
		return response, nil
	}
	for range maxAttempts - 1 {
		if _, err := s.deliver(t.Context()); err == nil {
			t.Fatal("gave up too early")
		}
	}
	if _, err := s.deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	batch, err := readFailure(filepath.Join(s.failures, "2.json"))
	if err != nil {
		t.Fatal(err)
	}
	image := batch.Records[0].Change.NewImage
	if len(batch.Records) != 1 || image["licenseid"].String() != licenses[1].ID || image["customername"].String() != licenses[1].CustomerName {
		t.Errorf("set aside: %+v", batch)
	}
	if _, err := s.deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, err := folder.Changes.Oldest(t.Context(), 10); err != nil || len(left) != 0 || attempts != maxAttempts || !slices.Contains(recorded, licenses[2].ID) {
		t.Errorf("%d changes left, %v; %d attempts; recorded %v", len(left), err, attempts, recorded)
	}
}

// TestReadFailure: Lambda may write the event as a text.
func TestReadFailure(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		ok   bool
	}{
		"an object":  {`{"payload":{"Records":[{"eventID":"1"}]}}`, true},
		"a text":     {`{"payload":"{\"Records\":[{\"eventID\":\"1\"}]}"}`, true},
		"no payload": {`{"requestContext":{"condition":"RetryAttemptsExhausted"}}`, false},
		"no records": {`{"payload":{}}`, false},
		"not JSON":   {`{`, false},
		"no event":   {`{"payload":"x"}`, false},
	} {
		file := filepath.Join(t.TempDir(), "failure.json")
		if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		batch, err := readFailure(file)
		if test.ok != (err == nil && len(batch.Records) == 1) || !test.ok && !strings.Contains(fmt.Sprint(err), file) {
			t.Errorf("%s: got %+v, %v", name, batch, err)
		}
	}
}

// TestStreamRetries: a failure is tried again by itself, later and later, and not more often.
func TestStreamRetries(t *testing.T) {
	folder := openFolder(t)
	if err := folder.Licenses.Create(t.Context(), licensetest.Issue(t)); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var at []time.Duration
		begun := time.Now()
		s := stream{changes: folder.Changes, log: telemetry.NewLogger(io.Discard),
			handle: func(_ context.Context, batch events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
				at = append(at, time.Since(begun))
				if len(at) < 4 {
					return events.DynamoDBEventResponse{BatchItemFailures: []events.DynamoDBBatchItemFailure{
						{ItemIdentifier: batch.Records[0].Change.SequenceNumber}}}, nil
				}
				cancel()
				return events.DynamoDBEventResponse{}, nil
			}}
		s.run(ctx)
		want := []time.Duration{0, firstBackoff, 3 * firstBackoff, 7 * firstBackoff}
		for i := range want {
			if i >= len(at) || at[i].Round(firstBackoff) != want[i] {
				t.Fatalf("tried at %v, want %v", at, want)
			}
		}
	})
}
