package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/audit"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/licensetest"
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
	s := eventSource{
		changes: folder.Changes,
		handle: func(_ context.Context, batch events.DynamoDBEvent) (response events.DynamoDBEventResponse, err error) {
			delivered = nil
			for _, record := range batch.Records {
				delivered = append(delivered, record.Change.SequenceNumber)
				if record.Change.SequenceNumber == failing {
					response.BatchItemFailures = append(
						response.BatchItemFailures, events.DynamoDBBatchItemFailure{ItemIdentifier: failing},
					)
				}
				if record.EventName != "INSERT" || record.Change.OldImage != nil ||
					record.Change.NewImage["isrevoked"].Boolean() {
					t.Errorf("record %+v", record)
				}
			}
			return response, nil
		},
	}

	if progress, err := s.deliver(t.Context()); progress || err == nil ||
		!slices.Equal(delivered, []string{"1", "2", "3"}) {
		t.Errorf("first: %v, %v, %v", delivered, progress, err)
	}
	failing = ""
	if progress, err := s.deliver(t.Context()); !progress || err != nil ||
		!slices.Equal(delivered, []string{"2", "3"}) {
		t.Errorf("second: %v, %v, %v", delivered, progress, err)
	}
	if progress, err := s.deliver(t.Context()); progress || err != nil {
		t.Errorf("third: %v, %v", progress, err)
	}
}

// TestStreamGivesUp: a change that can never be recorded goes to the failures, whole, and holds up the others no
// longer.
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
	s := eventSource{
		changes: folder.Changes, failures: filepath.Join(t.TempDir(), "failures"), log: telemetry.NewLogger(io.Discard),
	}
	s.handle = func(_ context.Context, batch events.DynamoDBEvent) (response events.DynamoDBEventResponse, err error) {
		for _, record := range batch.Records {
			if id := record.Change.Keys["licenseid"].String(); id == licenses[1].ID {
				attempts++
				response.BatchItemFailures = append(
					response.BatchItemFailures,
					events.DynamoDBBatchItemFailure{ItemIdentifier: record.Change.SequenceNumber},
				)
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
	if len(batch.Records) != 1 || image["licenseid"].String() != licenses[1].ID ||
		image["customername"].String() != licenses[1].CustomerName {
		t.Errorf("set aside: %+v", batch)
	}
	if _, err := s.deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, err := folder.Changes.Oldest(t.Context(), 10); err != nil || len(left) != 0 || attempts != maxAttempts ||
		!slices.Contains(recorded, licenses[2].ID) {
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
		s := eventSource{changes: folder.Changes, log: telemetry.NewLogger(io.Discard),
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

// failingLicenses is a handler that records every license but those.
type failingLicenses struct {
	ids      map[string]bool
	recorded []string
	batches  int
}

func (f *failingLicenses) handle(
	_ context.Context, batch events.DynamoDBEvent,
) (response events.DynamoDBEventResponse, err error) {
	f.batches++
	for _, record := range batch.Records {
		if id := record.Change.Keys["licenseid"].String(); f.ids[id] {
			response.BatchItemFailures = append(
				response.BatchItemFailures,
				events.DynamoDBBatchItemFailure{ItemIdentifier: record.Change.SequenceNumber},
			)
		} else {
			f.recorded = append(f.recorded, id)
		}
	}
	return response, nil
}

// change makes a change of the license, and wants it written in the time of a request.
func change(t *testing.T, folder *embedded.Folder, l license.License) license.License {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), integrationTimeout)
	defer cancel()
	notes := l.Notes + "."
	after, err := l.Patch(license.Patch{Notes: &notes}, license.Change{At: licensetest.Now, By: "vendor"})
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.Licenses.Update(ctx, l, after); err != nil {
		t.Fatal(err)
	}
	return after
}

// TestHopelessLicense: all changes of a license that fails are set aside together, later ones of it at once, and it
// counts anew when it was recorded.
func TestHopelessLicense(t *testing.T) {
	folder := openFolder(t)
	hopeless, other := licensetest.Issue(t), licensetest.Issue(t)
	for _, l := range []license.License{hopeless, other} {
		if err := folder.Licenses.Create(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	hopeless = change(t, folder, hopeless)
	other = change(t, folder, other)
	handler := failingLicenses{ids: map[string]bool{hopeless.ID: true}}
	s := eventSource{
		changes: folder.Changes, failures: filepath.Join(t.TempDir(), "failures"), log: telemetry.NewLogger(io.Discard),
		handle: handler.handle,
	}
	deliver := func(want bool) {
		t.Helper()
		if progress, err := s.deliver(t.Context()); progress != want || want != (err == nil) {
			t.Fatalf("got %v, %v", progress, err)
		}
	}
	wantSetAside := func(want ...string) {
		t.Helper()
		var got []string
		entries, _ := os.ReadDir(s.failures)
		for _, entry := range entries {
			got = append(got, entry.Name())
		}
		if left, err := folder.Changes.Oldest(t.Context(), 10); !slices.Equal(got, want) || len(left) > 0 ||
			err != nil {
			t.Fatalf("set aside %v, want %v; %d changes left, %v", got, want, len(left), err)
		}
	}
	for range maxAttempts - 1 {
		deliver(false)
	}
	deliver(true)
	deliver(true) // the others, which stood behind the first failure
	wantSetAside("1.json", "3.json")

	hopeless = change(t, folder, hopeless)
	deliver(true)
	wantSetAside("1.json", "3.json", "5.json")

	handler.ids = nil
	hopeless = change(t, folder, hopeless)
	deliver(true)
	handler.ids = map[string]bool{hopeless.ID: true}
	change(t, folder, hopeless)
	deliver(false)
	if len(s.attempts) != 1 || s.attempts[hopeless.ID] != 1 {
		t.Errorf("attempts %v", s.attempts)
	}
	if !slices.Contains(handler.recorded, other.ID) {
		t.Error("the other license was not recorded")
	}
}

// TestWritesWaitForTheTrail: one license that cannot be recorded delays writes, and refuses none.
func TestWritesWaitForTheTrail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := openFolder(t)
		hopeless := licensetest.Issue(t)
		if err := folder.Licenses.Create(t.Context(), hopeless); err != nil {
			t.Fatal(err)
		}
		handler := failingLicenses{ids: map[string]bool{hopeless.ID: true}}
		var log bytes.Buffer
		s := eventSource{changes: folder.Changes, failures: filepath.Join(t.TempDir(), "failures"),
			log: telemetry.NewLogger(&log), handle: handler.handle, maxBehind: 2}
		ctx, stop := context.WithCancel(t.Context())
		var streaming sync.WaitGroup
		streaming.Go(func() { s.run(ctx) })
		synctest.Wait()

		begun := time.Now()
		for range 5 {
			hopeless = change(t, folder, hopeless)
		}
		waited := time.Since(begun)
		if waited < 20*time.Second || waited > integrationTimeout {
			t.Errorf("five changes of a license that cannot be recorded took %v", waited)
		}
		time.Sleep(time.Minute)
		stop()
		streaming.Wait()
		if left, err := folder.Changes.Oldest(t.Context(), 10); len(left) > 0 || err != nil {
			t.Errorf("%d changes left, %v", len(left), err)
		}
		if n := strings.Count(log.String(), "far behind"); n < 2 || n > 6 {
			t.Errorf("said %d times in %v that the trail is far behind:\n%s", n, waited, &log)
		}
	})
}

// TestKilledUnderLoad: whenever the program is killed, every change is recorded once, in order and without a gap.
func TestKilledUnderLoad(t *testing.T) {
	data := t.TempDir()
	acknowledged := map[string]bool{}
	var mu sync.Mutex
	for range 3 {
		s := start(t, data)
		issuedNow := 0
		var clients sync.WaitGroup
		enough := make(chan struct{})
		for range 16 {
			clients.Go(func() {
				for {
					response, err := http.Post(s.url+"/licenses", "application/json", strings.NewReader(order))
					if err != nil {
						return // the server has gone
					}
					var l issued
					err = json.NewDecoder(response.Body).Decode(&l)
					response.Body.Close()
					if err != nil {
						return
					}
					mu.Lock()
					acknowledged[l.LicenseID] = true
					if issuedNow++; issuedNow == 150 {
						close(enough)
					}
					mu.Unlock()
					response, err = http.Post(s.url+"/licenses/"+l.LicenseID+"/revoke", "application/json", nil)
					if err == nil {
						response.Body.Close()
					}
				}
			})
		}
		select {
		case <-enough:
		case <-time.After(time.Minute):
			t.Fatal("the load did not come up")
		}
		s.command.Process.Kill()
		s.command.Wait()
		clients.Wait()
	}

	folder, err := embedded.Open(data)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	stream := serveCommand{Data: data}.stream(folder, telemetry.NewLogger(io.Discard))
	for progress := true; progress; {
		if progress, err = stream.deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for id := range acknowledged {
		l, err := folder.Licenses.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := folder.AuditTrail.Entries(t.Context(), id, 0, 10)
		if _, broken := audit.Verify(id, audit.Head{}, entries); err != nil || broken != nil ||
			int64(len(entries)) != l.Version {
			t.Errorf("%d entries of a license of version %d, %v, %v", len(entries), l.Version, err, broken)
		}
		for _, e := range entries {
			if e.Gap || e.Late {
				t.Errorf("entry %d of %s: gap %v, late %v", e.Sequence, id, e.Gap, e.Late)
			}
		}
	}
}
