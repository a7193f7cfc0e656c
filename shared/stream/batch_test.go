package stream_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/stream"
	"openlicenser/shared/testing/lambdatest"
)

const license1 = "00000000-0000-4000-8000-000000000001" // of the samples

func readEvent(t *testing.T, name string) events.DynamoDBEvent {
	t.Helper()
	batch, sampled := lambdatest.SampleEvents[events.DynamoDBEvent](t, "../../events/stream")[name]
	if !sampled {
		t.Fatalf("no event %s", name)
	}
	return batch
}

// newLogger returns a logger of which every byte is known.
func newLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
			if len(groups) == 0 && attr.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return attr
		},
	}))
}

// process returns the changes that do was called with and the sequence numbers of those that failed.
func process(
	t *testing.T, batch events.DynamoDBEvent, do func(stream.Change) error,
) (changes []stream.Change, failures []string) {
	t.Helper()
	processor := stream.Processor{Concurrency: 1, Log: newLogger(io.Discard)}
	processor.Do = func(_ context.Context, change stream.Change) error {
		changes = append(changes, change)
		return do(change)
	}
	response, err := processor.Handle(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	for _, failure := range response.BatchItemFailures {
		failures = append(failures, failure.ItemIdentifier)
	}
	return changes, failures
}

func succeed(stream.Change) error { return nil }

func TestChange(t *testing.T) {
	// The images of the samples are compared by one attribute each.
	type seen struct {
		stream.Change
		Old, New any
	}
	want := map[string]seen{
		"insert": {
			stream.Change{
				EventID: "c4ca4238a0b923820dcc509a6f758491", SequenceNumber: "4421584500000000017450439001",
				Stream: "2026-11-01T00:00:00.000",
				Time:   time.Date(2026, 11, 1, 13, 0, 0, 0, time.UTC), LicenseID: license1,
			},
			nil, attribute.Number("1"),
		},
		"modify": {
			stream.Change{
				EventID: "c4ca4238a0b923820dcc509a6f758492", SequenceNumber: "4421584500000000017450439002",
				Stream: "2026-11-01T00:00:00.000",
				Time:   time.Date(2026, 11, 1, 14, 0, 0, 0, time.UTC), LicenseID: license1,
			},
			attribute.Number("1"), attribute.Number("2"),
		},
		"expired": {
			stream.Change{
				EventID: "c4ca4238a0b923820dcc509a6f758495", SequenceNumber: "4421584500000000017450439003",
				Stream: "2026-11-01T00:00:00.000",
				Time:   time.Date(2026, 11, 1, 15, 0, 0, 0, time.UTC), LicenseID: license1, TimeToLive: true,
			},
			attribute.Number("2"), nil,
		},
	}
	for name, want := range want {
		t.Run(name, func(t *testing.T) {
			changes, failures := process(t, readEvent(t, name), succeed)
			if len(changes) != 1 || len(failures) != 0 {
				t.Fatalf("%d changes, failures %v", len(changes), failures)
			}
			got := seen{changes[0], changes[0].Old["version"], changes[0].New["version"]}
			if (changes[0].Old == nil) != (want.Old == nil) || (changes[0].New == nil) != (want.New == nil) {
				t.Errorf("the images are %v, %v", changes[0].Old, changes[0].New)
			}
			got.Change.Old, got.Change.New = nil, nil
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestTimeToLive: only what the service itself removes is its.
func TestTimeToLive(t *testing.T) {
	for name, change := range map[string]func(*events.DynamoDBEventRecord){
		"another type": func(r *events.DynamoDBEventRecord) { r.UserIdentity.Type = "User" },
		"another principal": func(r *events.DynamoDBEventRecord) {
			r.UserIdentity.PrincipalID = "replication.dynamodb.amazonaws.com"
		},
		"no identity": func(r *events.DynamoDBEventRecord) { r.UserIdentity = nil },
		"no removal": func(r *events.DynamoDBEventRecord) {
			r.EventName, r.Change.NewImage = "MODIFY", r.Change.OldImage
		},
	} {
		t.Run(name, func(t *testing.T) {
			batch := readEvent(t, "expired")
			change(&batch.Records[0])
			changes, failures := process(t, batch, succeed)
			if len(failures) != 0 {
				t.Fatal(failures)
			}
			if changes[0].TimeToLive {
				t.Errorf("got %+v", changes[0])
			}
		})
	}
}

// TestMalformedRecord: whatever a record holds, it is reported, handed to nobody, and does not end the function.
func TestMalformedRecord(t *testing.T) {
	for name, change := range map[string]string{
		"no keys": `{"SequenceNumber":"1","NewImage":{"licenseid":{"S":"x"}}}`,
		"key of another type": `{"SequenceNumber":"1","Keys":{"licenseid":{"N":"7"}},` +
			`"NewImage":{"licenseid":{"N":"7"}}}`,
		"empty key": `{"SequenceNumber":"1","Keys":{"licenseid":{"S":""}},"NewImage":{"licenseid":{"S":""}}}`,
		"no image":  `{"SequenceNumber":"1","Keys":{"licenseid":{"S":"x"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			var batch events.DynamoDBEvent
			text := `{"Records":[{"eventID":"e","dynamodb":` + change + `}]}`
			if err := json.Unmarshal([]byte(text), &batch); err != nil {
				t.Fatal(err)
			}
			batch.Records = append(batch.Records, readEvent(t, "insert").Records...)
			changes, failures := process(t, batch, succeed)
			if len(failures) != 1 || failures[0] != batch.Records[0].Change.SequenceNumber {
				t.Errorf("failures %v", failures)
			}
			if len(changes) != 1 || changes[0].LicenseID != license1 {
				t.Errorf("got %v, want the record that follows", changes)
			}
		})
	}
}

// TestUnknownAttributeType: the accessors of the event's type panic.
func TestUnknownAttributeType(t *testing.T) {
	batch := readEvent(t, "insert")
	batch.Records[0].Change.NewImage["odd"] = events.DynamoDBAttributeValue{}
	if changes, failures := process(t, batch, succeed); len(failures) != 1 || len(changes) != 0 {
		t.Errorf("failures %v, changes %v", failures, changes)
	}
}

// TestFailureStopsOneLicense: what failed comes again with all that follows it for the same license, and other licenses
// go on. Every failure has its log record, and the batch one.
func TestFailureStopsOneLicense(t *testing.T) {
	for name, test := range map[string]struct {
		fail   func() error
		logged string
	}{
		"error": {func() error { return errors.New("throttled") }, `throttled`},
		"panic": {func() error { panic("unforeseen") }, `"panic: unforeseen"`},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			var done []string
			processor := stream.Processor{
				Do: func(_ context.Context, change stream.Change) error {
					if change.LicenseID == license1 {
						return test.fail()
					}
					done = append(done, change.SequenceNumber)
					return nil
				},
				Attrs:       func() []slog.Attr { return []slog.Attr{slog.Int("done", len(done))} },
				Concurrency: 1,
				Log:         newLogger(&log),
			}
			response, err := processor.Handle(t.Context(), readEvent(t, "batch"))
			if err != nil {
				t.Fatal(err)
			}
			want := []events.DynamoDBBatchItemFailure{
				{ItemIdentifier: "4421584500000000017450439001"},
				{ItemIdentifier: "4421584500000000017450439002"},
				{ItemIdentifier: "4421584500000000017450439002"},
			}
			if diff := cmp.Diff(want, response.BatchItemFailures); diff != "" {
				t.Errorf("failures (-want +got):\n%s", diff)
			}
			ofOther := []string{"4421584500000000017450439004", "4421584500000000017450439005"}
			if diff := cmp.Diff(ofOther, done); diff != "" {
				t.Errorf("the other license (-want +got):\n%s", diff)
			}
			record := func(eventID, number, message string) string {
				return fmt.Sprintf("level=ERROR msg=record eventid=%s sequencenumber=%s licenseid=%s error=%s\n",
					eventID, number, license1, message)
			}
			const earlier = `"an earlier record of this license failed"`
			logged := record("c4ca4238a0b923820dcc509a6f758491", "4421584500000000017450439001", test.logged) +
				record("c4ca4238a0b923820dcc509a6f758492", "4421584500000000017450439002", earlier) +
				record("c4ca4238a0b923820dcc509a6f758492", "4421584500000000017450439002", earlier) +
				"level=INFO msg=batch records=5 failed=3 done=2\n"
			if diff := cmp.Diff(logged, log.String()); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAnswersBeforeTheFunctionIsCutOff: when a reader hangs, all records are reported in the function's time.
func TestAnswersBeforeTheFunctionIsCutOff(t *testing.T) {
	batch := readEvent(t, "batch")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		processor := stream.Processor{
			Do: func(ctx context.Context, _ stream.Change) error {
				<-ctx.Done()
				return ctx.Err()
			},
			Log: newLogger(io.Discard),
		}
		response, err := processor.Handle(ctx, batch)
		if err != nil || ctx.Err() != nil || len(response.BatchItemFailures) != len(batch.Records) {
			t.Errorf("got %+v, %v, %v", response, err, ctx.Err())
		}
	})
}

// slowReader takes 10 ms for each change, counts how many are at once, and keeps the events of each license.
type slowReader struct {
	mu       sync.Mutex
	now, top int
	eventIDs map[string][]string
}

func (r *slowReader) do(_ context.Context, change stream.Change) error {
	r.mu.Lock()
	r.now++
	r.top = max(r.top, r.now)
	r.mu.Unlock()
	time.Sleep(10 * time.Millisecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now--
	r.eventIDs[change.LicenseID] = append(r.eventIDs[change.LicenseID], change.EventID)
	return nil
}

// TestLicensesAreProcessedSideBySide: a batch takes the time of the license with the most changes, or of all by as many
// as go at once.
func TestLicensesAreProcessedSideBySide(t *testing.T) {
	for name, test := range map[string]struct {
		licenses, each, concurrency, wantAtOnce int
		want                                    time.Duration
	}{
		"fewer than go at once":  {4, 1, 0, 4, 10 * time.Millisecond},
		"as many as go at once":  {100, 1, 0, stream.DefaultConcurrency, 100 * time.Millisecond},
		"as many as are asked":   {100, 1, 100, 100, 10 * time.Millisecond},
		"one after the other":    {5, 1, 1, 1, 50 * time.Millisecond},
		"many of the same":       {1, 20, 0, 1, 200 * time.Millisecond},
		"many of each of a few":  {3, 10, 0, 3, 100 * time.Millisecond},
		"an empty batch, at all": {0, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var batch events.DynamoDBEvent
			want := map[string][]string{}
			for change := range test.each {
				for license := range test.licenses {
					record := readEvent(t, "insert").Records[0]
					id := fmt.Sprint("license ", license)
					record.EventID = fmt.Sprint(id, " change ", change)
					record.Change.SequenceNumber = fmt.Sprint(len(batch.Records) + 1)
					record.Change.Keys = stream.Image{"licenseid": events.NewStringAttribute(id)}
					batch.Records = append(batch.Records, record)
					want[id] = append(want[id], record.EventID)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				reader := &slowReader{eventIDs: map[string][]string{}}
				begun := time.Now()
				processor := stream.Processor{
					Do: reader.do, Concurrency: test.concurrency, Log: newLogger(io.Discard),
				}
				response, err := processor.Handle(t.Context(), batch)
				if err != nil || len(response.BatchItemFailures) > 0 {
					t.Fatalf("%+v, %v", response, err)
				}
				if took := time.Since(begun); took != test.want || reader.top != test.wantAtOnce {
					t.Errorf("took %v with %d at once, want %v with %d", took, reader.top, test.want, test.wantAtOnce)
				}
				if diff := cmp.Diff(want, reader.eventIDs); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			})
		})
	}
}
