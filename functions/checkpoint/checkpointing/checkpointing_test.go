package checkpointing_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/functions/checkpoint/checkpointing"
	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/embedded"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/lambdatest"
)

var now = time.Date(2026, 11, 23, 22, 0, 0, 0, time.UTC)

// fixture is a checkpointer over a data folder, with all that it logs.
type fixture struct {
	checkpointing.Checkpointer
	trail *embedded.AuditTrail
	log   *bytes.Buffer
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	path := t.TempDir()
	folder, err := embedded.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { folder.Close() })
	archive, errArchive := embedded.OpenCheckpoints(path)
	key, errKey := embedded.OpenCheckpointKey(path)
	if err := errors.Join(errArchive, errKey); err != nil {
		t.Fatal(err)
	}
	for _, event := range audittest.History(t, 3) {
		if err := (audit.Recorder{Store: folder.AuditTrail}).Record(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
	log := &bytes.Buffer{}
	return fixture{checkpointing.Checkpointer{
		Maker: checkpoint.Maker{
			Trail: folder.AuditTrail, Archive: archive, Signer: key, Origin: "openlicenser/test/audit",
		},

		Reconciler: checkpoint.Reconciler{Records: oneRecord{"1"}, Chains: oneRecord{"1"}},

		Now: func() time.Time { return now },
		Log: slog.New(slog.NewJSONHandler(log, nil)),
	}, folder.AuditTrail, log}
}

// records returns the last log record of each message.
func (f fixture) records(t *testing.T) map[string]map[string]any {
	t.Helper()
	records := map[string]map[string]any{}
	for line := range strings.Lines(f.log.String()) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		records[record["msg"].(string)] = record
	}
	return records
}

// TestSampleEvents runs every file in events/checkpoint.
func TestSampleEvents(t *testing.T) {
	for name, event := range lambdatest.SampleEvents[map[string]any](t, "../../../events/checkpoint") {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			if event["ResponseURL"] != nil {
				event["ResponseURL"] = newCloudFormation(t).URL
			}
			answer, err := f.invoke(t, event)
			if err != nil || answer != (checkpointing.Summary{Number: 1, Chains: 1}) {
				t.Fatalf("got %+v, %v", answer, err)
			}
			record := f.records(t)["checkpoint"]
			if record["level"] != "INFO" || record["number"] != 1.0 || record["chains"] != 1.0 ||
				record["function"] != "checkpoint" || record["AuditCheckpoints"] != 1.0 ||
				record["AuditChainsRewritten"] != 0.0 || record["_aws"] == nil {
				t.Errorf("logged %v", record)
			}
			metrics := fmt.Sprint(record["_aws"])
			if !strings.Contains(metrics, "map[Name:AuditChainsRewritten Unit:Count]") ||
				!strings.Contains(metrics, "Dimensions:[[function]]") ||
				!strings.Contains(metrics, "Namespace:OpenLicenser") {
				t.Errorf("the alarm's metric is not in %s", metrics)
			}
		})
	}
}

// cutTrail shows chains that were cut to nothing.
type cutTrail struct{ checkpoint.Trail }

func (cutTrail) Head(context.Context, string) (audit.Head, error) { return audit.Head{}, nil }

func (cutTrail) Heads(context.Context) iter.Seq2[audit.ChainHead, error] {
	return func(func(audit.ChainHead, error) bool) {}
}

func TestRewrittenChain(t *testing.T) {
	f := newFixture(t)
	if _, err := f.Handle(t.Context(), events.EventBridgeEvent{}); err != nil {
		t.Fatal(err)
	}
	f.Maker.Trail = cutTrail{f.trail}
	answer, err := f.Handle(t.Context(), events.EventBridgeEvent{})
	if err != nil || answer != (checkpointing.Summary{Number: 2, Chains: 1, Rewritten: 1}) {
		t.Fatalf("got %+v, %v", answer, err)
	}
	records := f.records(t)
	if records["checkpoint"]["AuditChainsRewritten"] != 1.0 {
		t.Errorf("logged %v", records["checkpoint"])
	}
	finding := records["an audit chain was rewritten"]
	if finding["level"] != "ERROR" || finding["signedsequence"] != 3.0 ||
		finding["error"] != checkpoint.ErrTailCut.Error() {
		t.Errorf("logged %v", finding)
	}
}

var errFault = errors.New("a fault")

// brokenTrail cannot be read.
type brokenTrail struct{ checkpoint.Trail }

func (brokenTrail) Heads(context.Context) iter.Seq2[audit.ChainHead, error] {
	return func(yield func(audit.ChainHead, error) bool) { yield(audit.ChainHead{}, errFault) }
}

func TestFault(t *testing.T) {
	f := newFixture(t)
	f.Maker.Trail = brokenTrail{f.trail}
	if _, err := f.Handle(t.Context(), events.EventBridgeEvent{}); !errors.Is(err, errFault) {
		t.Errorf("got %v", err)
	}
	if record := f.records(t)["checkpoint"]; record["level"] != "ERROR" || record["AuditCheckpoints"] != nil {
		t.Errorf("logged %v", record)
	}
}

// oneRecord is a side of a reconciliation with one license.
type oneRecord struct{ hash string }

func (r oneRecord) All(context.Context) iter.Seq2[checkpoint.RecordHash, error] {
	return func(yield func(checkpoint.RecordHash, error) bool) {
		yield(checkpoint.RecordHash{LicenseID: "an-id", Hash: r.hash}, nil)
	}
}

func (r oneRecord) Of(_ context.Context, id string) (checkpoint.RecordHash, error) {
	return checkpoint.RecordHash{LicenseID: id, Hash: r.hash}, nil
}

func TestReconciliation(t *testing.T) {
	f := newFixture(t)
	f.Reconciler = checkpoint.Reconciler{
		Records: oneRecord{"2"}, Chains: oneRecord{"1"}, Pause: func(context.Context) error { return nil },
	}
	answer, err := f.Handle(t.Context(), events.EventBridgeEvent{})
	if err != nil || answer.Missed != 1 {
		t.Errorf("got %+v, %v", answer, err)
	}
	records := f.records(t)
	if records["checkpoint"]["AuditChangesMissed"] != 1.0 ||
		records["the audit trail missed a change"]["licenseid"] != "an-id" {
		t.Errorf("logged %v", records)
	}
	f.Maker.Origin = "another" // a checkpoint cannot be made, and what the trail missed is reported all the same
	if answer, err := f.Handle(t.Context(), events.EventBridgeEvent{}); err == nil || answer.Missed != 1 {
		t.Errorf("without a checkpoint: %+v, %v", answer, err)
	}
	f.Maker.Origin = "openlicenser/test/audit"
	f.Reconciler.Pause = func(context.Context) error { return errFault }
	answer, err = f.Handle(t.Context(), events.EventBridgeEvent{})
	if !errors.Is(err, errFault) || answer.Number != 2 {
		t.Errorf("got %+v, %v", answer, err)
	}
}
