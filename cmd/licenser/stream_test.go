package main

import (
	"context"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/embedded"
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
