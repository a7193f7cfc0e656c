package indexing_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"openlicenser/functions/index/indexing"
	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
	"openlicenser/shared/stream"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/licensetest"
)

// records is a license.Records of one record, which counts its calls.
type records struct {
	record  attribute.Map
	reads   int
	amended []license.Amendment
	err     error // of an amendment
}

func (r *records) Record(context.Context, string) (attribute.Map, error) {
	r.reads++
	if r.record == nil {
		return nil, license.ErrNotFound
	}
	return maps.Clone(r.record), nil
}

func (r *records) Amend(_ context.Context, _ string, a license.Amendment) error {
	if r.err == nil {
		r.record = a.Apply(r.record)
		r.amended = append(r.amended, a)
	}
	return r.err
}

func (r *records) Segment(context.Context, int, int) iter.Seq2[attribute.Map, error] {
	panic("nobody scans")
}

// streamed returns the change of a record as the stream tells of it.
func streamed(t *testing.T, sequenceNumber string, old, new attribute.Map) events.DynamoDBEvent {
	t.Helper()
	record := events.DynamoDBEventRecord{EventID: "event-" + sequenceNumber, EventName: "MODIFY"}
	record.Change.SequenceNumber = sequenceNumber
	record.Change.ApproximateCreationDateTime.Time = licensetest.Now
	record.Change.Keys = stream.Image{"licenseid": events.NewStringAttribute("a license")}
	var err1, err2 error
	record.Change.OldImage, err1 = stream.ImageOf(old)
	record.Change.NewImage, err2 = stream.ImageOf(new)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return events.DynamoDBEvent{Records: []events.DynamoDBEventRecord{record}}
}

// handled is what became of a batch.
type handled struct {
	Reads, Amended, Failed  int
	PutBack, TakenBack, Log any // of the log record of the batch, and all that was logged but that
}

func handle(t *testing.T, r *records, batch events.DynamoDBEvent) (got handled) {
	t.Helper()
	var log bytes.Buffer
	indexer := indexing.Indexer{Records: r, Log: telemetry.NewLogger(&log)}
	response, err := indexer.Handle(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	got = handled{Reads: r.reads, Amended: len(r.amended), Failed: len(response.BatchItemFailures)}
	var others []string
	for line := range strings.Lines(log.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		if entry["msg"] == "batch" {
			got.PutBack, got.TakenBack = entry["putback"], entry["RevocationsTakenBack"]
			if (got.TakenBack != nil) != strings.Contains(line, "CloudWatchMetrics") {
				t.Errorf("what is counted and what is a metric differ: %s", line)
			}
			continue
		}
		others = append(others, entry["level"].(string)+" "+entry["msg"].(string)+" "+entry["licenseid"].(string))
	}
	if others != nil {
		got.Log = strings.Join(others, "; ")
	}
	return got
}

func TestHandle(t *testing.T) {
	issued := licensetest.Issue(t)
	ours := issued.Record()
	revoked := licensetest.Revoke(t, issued, "why").Record()
	foreign := attribute.Map{"licenseid": issued.ID, "expirationdate": "2030-01-03", "isrevoked": false}
	mended := license.Adopt(foreign, licensetest.Now).Apply(foreign)
	const putBackLog = "WARN put back what another tool had left out a license"
	const takenBackLog = "ERROR another tool has taken a revocation back a license"
	for name, test := range map[string]struct {
		old, new, stored attribute.Map
		want             handled
	}{
		"our own issue, which lacks nothing":   {nil, ours, ours, handled{}},
		"our own change":                       {ours, revoked, revoked, handled{}},
		"a foreign issue":                      {nil, foreign, foreign, handled{Reads: 2, Amended: 1}},
		"a foreign issue that comes again":     {nil, foreign, mended, handled{Reads: 1}},
		"our own mending":                      {foreign, mended, mended, handled{}},
		"a foreign removal":                    {ours, nil, nil, handled{Reads: 1}},
		"a foreign issue of what is gone":      {nil, foreign, nil, handled{Reads: 1}},
		"a late event, of what we changed now": {nil, foreign, ours, handled{Reads: 1}},
		"a replacement of ours": {ours, foreign, foreign, handled{
			Reads: 2, Amended: 1, PutBack: 1.0, Log: putBackLog,
		}},
		"a revoked license removed and put again": {revoked, nil, mended, handled{
			Reads: 2, Amended: 1, PutBack: 1.0, TakenBack: 1.0, Log: takenBackLog + "; " + putBackLog,
		}},
		"a revocation taken back": {revoked, foreign, foreign, handled{
			Reads: 2, Amended: 1, PutBack: 1.0, TakenBack: 1.0, Log: takenBackLog + "; " + putBackLog,
		}},
		"a foreign revocation taken back": {
			license.Amendment{Set: attribute.Map{"isrevoked": true}}.Apply(mended), mended, mended,
			handled{TakenBack: 1.0, Log: takenBackLog},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &records{record: test.stored}
			if diff := cmp.Diff(test.want, handle(t, r, streamed(t, "1", test.old, test.new))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestHandleFails: what cannot be mended comes again, and others' writes at the same time end no invocation.
func TestHandleFails(t *testing.T) {
	foreign := attribute.Map{"licenseid": "a license"}
	for name, test := range map[string]struct {
		err   error
		reads int
	}{
		"fault":    {errors.New("throttled"), 1},
		"conflict": {license.ErrConflict, 10},
	} {
		t.Run(name, func(t *testing.T) {
			r := &records{record: foreign, err: test.err}
			got := handle(t, r, streamed(t, "1", nil, foreign))
			if got.Failed != 1 || got.Reads != test.reads {
				t.Errorf("got %+v", got)
			}
		})
	}
}
