package auditing_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"openlicenser/functions/audit/auditing"
	"openlicenser/shared/audit"
	"openlicenser/shared/embedded"
	"openlicenser/shared/stream"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/lambdatest"
)

const (
	license1 = "00000000-0000-4000-8000-000000000001"
	license2 = "00000000-0000-4000-8000-000000000002"
	shop     = "arn:aws:iam::123456789012:user/shop"
)

func openTrail(t *testing.T) audit.Store {
	t.Helper()
	folder, err := embedded.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { folder.Close() })
	return folder.AuditTrail
}

func handle(t *testing.T, store audit.Store, batch events.DynamoDBEvent) (failures []string) {
	t.Helper()
	auditor := auditing.Auditor{Recorder: audit.Recorder{Store: store}, Log: telemetry.NewLogger(io.Discard)}
	response, err := auditor.Handle(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	for _, failure := range response.BatchItemFailures {
		failures = append(failures, failure.ItemIdentifier)
	}
	return failures
}

func readEvent(t *testing.T, name string) events.DynamoDBEvent {
	t.Helper()
	batch, sampled := lambdatest.SampleEvents[events.DynamoDBEvent](t, "../../../events/stream")[name]
	if !sampled {
		t.Fatalf("no event %s", name)
	}
	return batch
}

// line is what a test expects of an entry.
type line struct {
	Action            audit.Action
	Actor, Reason     string
	Time, ChangedFlag string
	Gap, TimeToLive   bool
}

func lines(t *testing.T, store audit.Store, licenseID string) (got []line) {
	t.Helper()
	entries := audittest.Chain(t, store, licenseID)
	if _, err := audit.Verify(licenseID, audit.Head{}, entries); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got = append(got, line{
			e.Action, e.Actor, e.Reason, e.Time, string(e.Changes["isrevoked"].New), e.Gap, e.TimeToLive,
		})
	}
	return got
}

// TestEvents runs every sample event of this function.
func TestEvents(t *testing.T) {
	issued := line{audit.Issued, shop, "", "2026-11-01T13:00:00Z", `{"BOOL":false}`, false, false}
	revoked := line{audit.Revoked, shop, "contract ended", "2026-11-01T14:00:00Z", `{"BOOL":true}`, false, false}
	alone := revoked // without the entry of its issue
	alone.Gap = true
	foreign := line{audit.Issued, "unknown", "", "2026-11-01T16:00:00Z", `{"BOOL":false}`, false, false}
	want := map[string]map[string][]line{
		"insert": {license1: {issued}},
		"modify": {license1: {alone}},
		"remove": {license1: {{audit.Deleted, "unknown", "", "2026-11-01T15:00:00Z", "", true, false}}},
		"expired": {license1: { // by time to live
			{audit.Deleted, audit.TimeToLiveActor, "", "2026-11-01T15:00:00Z", "", true, true},
		}},
		"own-change":     {license1: {{audit.Suspended, shop, "unpaid", "2026-11-01T14:00:00Z", "", true, false}}},
		"foreign-insert": {license2: {foreign}},
		"foreign-replace": {license1: { // what it left out comes back by a change of its own
			{audit.Reinstated, "unknown", "", "2026-11-01T15:00:00Z", "", true, false},
		}},
		"batch": { // its last record is a repetition
			license1: {issued, revoked},
			license2: {
				foreign,
				{audit.Renewed, "unknown", "", "2026-11-01T17:00:00Z", "", false, false},
			},
		},
	}
	sampled := lambdatest.SampleEvents[events.DynamoDBEvent](t, "../../../events/stream")
	if len(sampled) != len(want) {
		t.Fatalf("%d events for %d expectations", len(sampled), len(want))
	}
	for name, chains := range want {
		t.Run(name, func(t *testing.T) {
			store := openTrail(t)
			if failures := handle(t, store, readEvent(t, name)); len(failures) != 0 {
				t.Fatalf("failures %v", failures)
			}
			for id, expected := range chains {
				if diff := cmp.Diff(expected, lines(t, store, id)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", id, diff)
				}
			}
		})
	}
}

// failingStore fails the first append to the chain of one license, and no other.
type failingStore struct {
	audit.Store
	licenseID string
	fail      func() error
	failed    *bool
}

func (s failingStore) Append(ctx context.Context, from audit.Head, e audit.Entry, to audit.State) error {
	if e.LicenseID == s.licenseID && !*s.failed {
		*s.failed = true
		return s.fail()
	}
	return s.Store.Append(ctx, from, e, to)
}

// TestFailureStopsOneLicense: what failed comes again with all that follows it for the same license, in order,
// and other licenses go on.
func TestFailureStopsOneLicense(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error": func() error { return errors.New("throttled") },
		"panic": func() error { panic("unforeseen") },
	} {
		t.Run(name, func(t *testing.T) {
			store := openTrail(t)
			batch := readEvent(t, "batch")
			failures := handle(t, failingStore{store, license1, fail, new(bool)}, batch)
			want := []string{
				batch.Records[0].Change.SequenceNumber,
				batch.Records[2].Change.SequenceNumber,
				batch.Records[4].Change.SequenceNumber,
			}
			if diff := cmp.Diff(want, failures); diff != "" {
				t.Errorf("failures (-want +got):\n%s", diff)
			}
			if got := len(lines(t, store, license2)); got != 2 {
				t.Errorf("%d entries of the other license, want 2", got)
			}

			if failures := handle(t, store, batch); len(failures) != 0 {
				t.Fatalf("the second delivery failed: %v", failures)
			}
			got := lines(t, store, license1)
			if len(got) != 2 || got[0].Action != audit.Issued || got[1].Action != audit.Revoked {
				t.Errorf("got %v", got)
			}
			if got := len(lines(t, store, license2)); got != 2 {
				t.Errorf("%d entries of the other license after the second delivery, want 2", got)
			}
		})
	}
}

// hangingStore never returns before the context ends.
type hangingStore struct{ audit.Store }

func (hangingStore) State(ctx context.Context, _ string) (audit.State, error) {
	<-ctx.Done()
	return audit.State{}, ctx.Err()
}

// TestAnswersBeforeTheFunctionIsCutOff: when the store hangs, all records are reported in the function's time.
func TestAnswersBeforeTheFunctionIsCutOff(t *testing.T) {
	batch := readEvent(t, "batch")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		auditor := auditing.Auditor{
			Recorder: audit.Recorder{Store: hangingStore{}}, Log: telemetry.NewLogger(io.Discard),
		}
		response, err := auditor.Handle(ctx, batch)
		if err != nil || ctx.Err() != nil || len(response.BatchItemFailures) != len(batch.Records) {
			t.Errorf("got %+v, %v, %v", response, err, ctx.Err())
		}
	})
}

// TestMalformedRecord: what the Recorder refuses is reported, and holds up no other license.
func TestMalformedRecord(t *testing.T) {
	batch := readEvent(t, "insert")
	malformed := batch.Records[0]
	malformed.Change.SequenceNumber = "x1"
	malformed.Change.Keys = stream.Image{"licenseid": events.NewStringAttribute("x")}
	batch.Records = append([]events.DynamoDBEventRecord{malformed}, batch.Records...)
	store := openTrail(t)
	if failures := handle(t, store, batch); len(failures) != 1 || failures[0] != "x1" {
		t.Errorf("failures %v", failures)
	}
	if got := len(lines(t, store, license1)); got != 1 {
		t.Errorf("%d entries of the record that follows, want 1", got)
	}
}

// TestEveryAttributeType: records of other tools hold what they like.
func TestEveryAttributeType(t *testing.T) {
	const image = `{"licenseid":{"S":"x"},"b":{"B":"AQI="},"bs":{"BS":["AQ=="]},"flag":{"BOOL":false},` +
		`"l":{"L":[{"S":"a"},{"NULL":true}]},"m":{"M":{"deep":{"N":"1.50"}}},` +
		`"n":{"N":"12345678901234567890123456789012345678"},"none":{"NULL":true},` +
		`"ns":{"NS":["2"]},"ss":{"SS":["s"]},"empty":{"M":{}}}`
	var batch events.DynamoDBEvent
	text := fmt.Sprintf(`{"Records":[{"eventID":"e",`+
		`"dynamodb":{"SequenceNumber":"1","Keys":{"licenseid":{"S":"x"}},"NewImage":%s}}]}`, image)
	if err := json.Unmarshal([]byte(text), &batch); err != nil {
		t.Fatal(err)
	}
	store := openTrail(t)
	if failures := handle(t, store, batch); len(failures) != 0 {
		t.Fatalf("failures %v", failures)
	}
	entries := audittest.Chain(t, store, "x")
	var want map[string]json.RawMessage
	if err := json.Unmarshal([]byte(image), &want); err != nil {
		t.Fatal(err)
	}
	for name, value := range want {
		if got := entries[0].Changes[name].New; !bytes.Equal(got, value) {
			t.Errorf("%s is %s, want %s", name, got, value)
		}
	}
	if strings.TrimSpace(entries[0].Hash) == "" {
		t.Error("no hash")
	}
}

// TestGapIsReported: at error level, and as a metric.
func TestGapIsReported(t *testing.T) {
	type logged struct {
		Level, Msg, LicenseID, SequenceNumber, Function string
		Sequence, AuditGaps                             int
		AWS                                             struct {
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name, Unit string }
			}
		} `json:"_aws"`
	}
	t.Setenv("AWS_LAMBDA_FUNCTION_NAME", "stack-AuditFunction")
	run := func(t *testing.T, store audit.Store, batch events.DynamoDBEvent) (first, last logged, failures int) {
		var output bytes.Buffer
		auditor := auditing.Auditor{Recorder: audit.Recorder{Store: store}, Log: telemetry.NewLogger(&output)}
		response, err := auditor.Handle(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		written := bytes.Split(bytes.TrimSpace(output.Bytes()), []byte("\n"))
		err = errors.Join(json.Unmarshal(written[0], &first), json.Unmarshal(written[len(written)-1], &last))
		if err != nil {
			t.Fatal(err)
		}
		return first, last, len(response.BatchItemFailures)
	}
	wantMetric := func(t *testing.T, batch logged) {
		t.Helper()
		if len(batch.AWS.CloudWatchMetrics) != 1 || batch.AuditGaps != 1 || batch.Function != "stack-AuditFunction" {
			t.Fatalf("got %+v", batch)
		}
		got := batch.AWS.CloudWatchMetrics[0]
		if got.Namespace != telemetry.Namespace ||
			got.Dimensions[0][0] != "function" ||
			got.Metrics[0].Name != "AuditGaps" ||
			got.Metrics[0].Unit != "Count" {
			t.Errorf("got %+v", got)
		}
	}

	t.Run("None", func(t *testing.T) {
		_, batch, failures := run(t, openTrail(t), readEvent(t, "batch"))
		if batch.AuditGaps != 0 || batch.AWS.CloudWatchMetrics != nil || failures != 0 {
			t.Errorf("got %+v, %d failures", batch, failures)
		}
	})
	t.Run("Gap", func(t *testing.T) {
		first, batch, failures := run(t, openTrail(t), readEvent(t, "modify"))
		if first.Level != "ERROR" || first.Msg != "gap" ||
			first.LicenseID != license1 || first.Sequence != 1 || failures != 0 {
			t.Errorf("got %+v, %d failures", first, failures)
		}
		wantMetric(t, batch)
	})
	t.Run("Suppressed", func(t *testing.T) {
		store := audittest.NewMemory(t)
		store.SetHead(license1, audit.Head{
			Sequence: 1 << 40, Hash: "planted",
			Stream: "2026-11-01T00:00:00.000", SequenceNumber: "9999999999999999999999999999999999999999",
		})
		first, batch, failures := run(t, store, readEvent(t, "insert"))
		if first.Level != "ERROR" || first.Msg != "record" || first.LicenseID != license1 || failures != 1 {
			t.Errorf("got %+v, %d failures", first, failures)
		}
		wantMetric(t, batch)
	})
	t.Run("Planted", func(t *testing.T) {
		store := audittest.NewMemory(t)
		store.Plant(audit.Entry{LicenseID: license1, Sequence: 1})
		first, batch, failures := run(t, store, readEvent(t, "insert"))
		if first.Level != "ERROR" || first.Msg != "record" || first.LicenseID != license1 || failures != 1 {
			t.Errorf("got %+v, %d failures", first, failures)
		}
		wantMetric(t, batch)
	})
}

// slowStore takes the time of DynamoDB for each call, and counts how many are at once.
type slowStore struct {
	audit.Store
	mu       *sync.Mutex
	now, top *int
}

func (s slowStore) slow() {
	s.mu.Lock()
	*s.now++
	*s.top = max(*s.top, *s.now)
	s.mu.Unlock()
	time.Sleep(5 * time.Millisecond)
	s.mu.Lock()
	*s.now--
	s.mu.Unlock()
}

func (s slowStore) State(ctx context.Context, id string) (audit.State, error) {
	s.slow()
	return s.Store.State(ctx, id)
}

func (s slowStore) Append(ctx context.Context, from audit.Head, e audit.Entry, to audit.State) error {
	s.slow()
	return s.Store.Append(ctx, from, e, to)
}

// TestLicensesAreRecordedSideBySide: as many at once as the auditor is told, one license's changes in order.
func TestLicensesAreRecordedSideBySide(t *testing.T) {
	for name, test := range map[string]struct {
		licenses, each, concurrency, wantAtOnce int
		want                                    time.Duration // two calls of 5 ms for each record
	}{
		"as many as go at once": {100, 1, 0, stream.DefaultConcurrency, 100 * time.Millisecond},
		"as many as are asked":  {100, 1, 100, 100, 10 * time.Millisecond},
		"many of each of a few": {3, 10, 0, 3, 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			batch := readEvent(t, "insert")
			template := batch.Records[0]
			batch.Records = nil
			for change := range test.each {
				for license := range test.licenses {
					record := template
					id := fmt.Sprint("license ", license)
					record.EventID = fmt.Sprint(id, " change ", change)
					record.Change.SequenceNumber = fmt.Sprint(len(batch.Records) + 1)
					record.Change.Keys = map[string]events.DynamoDBAttributeValue{
						"licenseid": events.NewStringAttribute(id),
					}
					batch.Records = append(batch.Records, record)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				atOnce := 0
				memory := audittest.NewMemory(t)
				store := slowStore{memory, &sync.Mutex{}, new(int), &atOnce}
				begun := time.Now()
				auditor := auditing.Auditor{
					Recorder:    audit.Recorder{Store: store},
					Concurrency: test.concurrency,
					Log:         telemetry.NewLogger(io.Discard),
				}
				response, err := auditor.Handle(t.Context(), batch)
				if err != nil || len(response.BatchItemFailures) > 0 {
					t.Fatalf("%+v, %v", response, err)
				}
				if took := time.Since(begun); took != test.want || atOnce != test.wantAtOnce {
					t.Errorf("took %v with %d at once, want %v with %d", took, atOnce, test.want, test.wantAtOnce)
				}
				for license := range test.licenses {
					for i, e := range memory.Chain(fmt.Sprint("license ", license)) {
						if want := fmt.Sprint("license ", license, " change ", i); e.EventID != want {
							t.Errorf("entry %d is of %q, want %q", i+1, e.EventID, want)
						}
					}
				}
			})
		})
	}
}
