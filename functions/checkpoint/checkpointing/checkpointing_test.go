package checkpointing_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/functions/checkpoint/checkpointing"
	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/embedded"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/lambdatest"
)

var now = time.Date(2026, 11, 23, 22, 0, 0, 0, time.UTC)

// fixture is a checkpointer over a data folder, with all that it logs.
type fixture struct {
	folder string
	checkpointing.Checkpointer
	trail *embedded.AuditTrail
	id    string // of the one license
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
	history := audittest.History(t, 3)
	for _, event := range history {
		if err := (audit.Recorder{Store: folder.AuditTrail}).Record(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
	id := history[0].LicenseID
	log := &bytes.Buffer{}
	return fixture{path, checkpointing.Checkpointer{
		Maker: checkpoint.Maker{
			Trail: folder.AuditTrail, Archive: archive, Signer: key, Origin: "openlicenser/test/audit",
		},
		Erasures: folder.AuditTrail,

		Reconciler: checkpoint.Reconciler{
			Records: oneRecord{id, history[2].New}, Chains: folder.AuditTrail, Archive: archive,
		},

		Now: func() time.Time { return now },
		Log: slog.New(slog.NewJSONHandler(log, nil)),
	}, folder.AuditTrail, id, log}
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
				record["AuditFindings"] != nil || record["rewritten"] != 0.0 || record["_aws"] == nil {
				t.Errorf("logged %v", record)
			}
			metrics := fmt.Sprint(record["_aws"])
			if !strings.Contains(metrics, "Metrics:[map[Name:AuditCheckpoints Unit:Count]]") ||
				!strings.Contains(metrics, "Dimensions:[[function]]") ||
				!strings.Contains(metrics, "Namespace:OpenLicenser") {
				t.Errorf("the alarm's metric is not in %s", metrics)
			}
		})
	}
}

// cutTrail shows chains that were cut to nothing.
type cutTrail struct{ checkpoint.Trail }

func (cutTrail) State(context.Context, string) (audit.State, error) { return audit.State{}, nil }

func (cutTrail) Heads(context.Context, int) iter.Seq2[audit.ChainHead, error] {
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
	if records["checkpoint"]["rewritten"] != 1.0 || records["checkpoint"]["AuditFindings"] != 1.0 {
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

func (brokenTrail) Heads(context.Context, int) iter.Seq2[audit.ChainHead, error] {
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

// TestNotCompared: a run that signs a checkpoint and compares nothing counts as none, so that someone gets to know.
func TestNotCompared(t *testing.T) {
	f := newFixture(t)
	f.Reconciler.Records = brokenRecords{errFault}
	if got, err := f.Handle(t.Context(), events.EventBridgeEvent{}); !errors.Is(err, errFault) || got.Number != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	if record := f.records(t)["checkpoint"]; record["level"] != "ERROR" || record["AuditCheckpoints"] != nil {
		t.Errorf("logged %v", record)
	}
}

// oneRecord is the license table with one license.
type oneRecord struct {
	id     string
	record attribute.Map
}

func (r oneRecord) Hashes(context.Context) iter.Seq2[checkpoint.RecordHash, error] {
	return func(yield func(checkpoint.RecordHash, error) bool) {
		yield(checkpoint.HashOf(r.id, r.record))
	}
}

func (r oneRecord) Record(context.Context, string) (attribute.Map, error) { return r.record, nil }

func another(id string) oneRecord {
	return oneRecord{id, attribute.Map{"licenseid": id, "notes": "another", "version": attribute.Number("9")}}
}

// at sets the time of the next run.
func (f *fixture) at(d time.Duration) { f.Now = func() time.Time { return now.Add(d) } }

func (f *fixture) handle(t *testing.T) checkpointing.Summary {
	t.Helper()
	summary, err := f.Handle(t.Context(), events.EventBridgeEvent{})
	if err != nil {
		t.Fatal(err)
	}
	return summary
}

func (f *fixture) acknowledge(t *testing.T, sequence int64) error {
	t.Helper()
	return checkpoint.Acknowledge(t.Context(), f.Maker.Archive, f.id, sequence, checkpoint.Acknowledgement{
		Reason: "restored from a backup", Actor: "me", Time: now,
	})
}

// TestReconciliation: a change that is not recorded is backlog, missed after 25 hours, and settled when someone says
// so.
func TestReconciliation(t *testing.T) {
	f := newFixture(t)
	f.Reconciler.Records = another(f.id)
	if got := f.handle(t); got.Missed != 0 || got.Backlog != 1 {
		t.Errorf("got %+v", got)
	}
	if record := f.records(t)["checkpoint"]; record["backlog"] != 1.0 || record["AuditFindings"] != nil ||
		record["level"] != "INFO" || record["oldestlicenseid"] != f.id ||
		record["oldestsince"] != now.Format(time.RFC3339) {
		t.Errorf("logged %v", record)
	}
	f.at(25 * time.Hour)
	if got := f.handle(t); got.Missed != 1 || got.Backlog != 0 {
		t.Errorf("got %+v", got)
	}
	finding := f.records(t)["the audit trail missed a change"]
	if f.records(t)["checkpoint"]["AuditFindings"] != 1.0 || finding["level"] != "ERROR" ||
		finding["licenseid"] != f.id || finding["sequence"] != 3.0 {
		t.Errorf("logged %v", finding)
	}
	if err := f.acknowledge(t, 3); err != nil {
		t.Fatal(err)
	}
	f.at(26 * time.Hour)
	if got := f.handle(t); got.Missed != 0 {
		t.Errorf("acknowledged: got %+v", got)
	}
	if finding := f.records(t)["the audit trail missed a change"]; finding["level"] != "INFO" ||
		finding["acknowledged"] != true {
		t.Errorf("logged %v", finding)
	}
}

// TestEachGoesOnWithoutTheOther: without a checkpoint what the trail missed is reported, and the other way round.
func TestEachGoesOnWithoutTheOther(t *testing.T) {
	f := newFixture(t)
	f.handle(t)
	f.Reconciler.Records = another(f.id)
	f.Maker.Origin = "another"
	if got, err := f.Handle(t.Context(), events.EventBridgeEvent{}); err == nil || got.Backlog != 1 || got.Number != 0 {
		t.Errorf("without a checkpoint: %+v, %v", got, err)
	}
	f.Maker.Origin = "openlicenser/test/audit"
	f.Reconciler.Chains = brokenTrail{f.trail}
	if got, err := f.Handle(t.Context(), events.EventBridgeEvent{}); !errors.Is(err, errFault) || got.Number != 2 {
		t.Errorf("without a comparison: %+v, %v", got, err)
	}
}

// TestRewrittenChainAcknowledged: the finding stays in the log, and is counted no longer.
func TestRewrittenChainAcknowledged(t *testing.T) {
	f := newFixture(t)
	f.handle(t)
	f.Maker.Trail = cutTrail{f.trail}
	if err := f.acknowledge(t, 3); !errors.Is(err, checkpoint.ErrNoFinding) {
		t.Errorf("before it was found: %v", err)
	}
	if got := f.handle(t); got.Rewritten != 1 {
		t.Errorf("got %+v", got)
	}
	if err := f.acknowledge(t, 2); !errors.Is(err, checkpoint.ErrNoFinding) {
		t.Errorf("another entry: %v", err)
	}
	if err := f.acknowledge(t, 3); err != nil {
		t.Fatal(err)
	}
	if got := f.handle(t); got.Rewritten != 0 {
		t.Errorf("got %+v", got)
	}
	if finding := f.records(t)["an audit chain was rewritten"]; finding["level"] != "INFO" {
		t.Errorf("logged %v", finding)
	}
	f.Maker.Trail = headTrail{f.trail, audit.Head{Sequence: 3, Hash: "another"}} // it was rewritten in another way
	if got := f.handle(t); got.Rewritten != 1 {
		t.Errorf("got %+v", got)
	}
}

// headTrail shows another head of each chain.
type headTrail struct {
	checkpoint.Trail
	head audit.Head
}

func (h headTrail) State(context.Context, string) (audit.State, error) {
	return audit.State{Head: h.head}, nil
}

func (h headTrail) Heads(ctx context.Context, bucket int) iter.Seq2[audit.ChainHead, error] {
	return func(yield func(audit.ChainHead, error) bool) {
		for head := range h.Trail.Heads(ctx, bucket) {
			head.Sequence, head.Hash = h.head.Sequence, h.head.Hash
			yield(head, nil)
		}
	}
}

// TestDamagedArchive: what is missing is named and counted, whether a checkpoint can be made without it or not.
func TestDamagedArchive(t *testing.T) {
	for name, test := range map[string]struct {
		object string // matches one
		number int64  // of the checkpoint that is made
	}{
		"Latest": {"latest", 2},
		"Page":   {"pages/*", 2},
		"Roots":  {"roots/*", 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.handle(t)
			damaged, err := filepath.Glob(filepath.Join(f.folder, "checkpoints", test.object))
			if err != nil || len(damaged) != 1 {
				t.Fatalf("%v, %v", damaged, err)
			}
			if err := os.WriteFile(damaged[0], []byte("junk"), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := f.Handle(t.Context(), events.EventBridgeEvent{})
			if got.Number != test.number || got.Damaged != 1 || (err == nil) != (test.number > 0) {
				t.Errorf("got %+v, %v", got, err)
			}
			records := f.records(t)
			finding := records["the archive of checkpoints is damaged"]
			isOf, _ := path.Match(test.object, fmt.Sprint(finding["object"]))
			if !isOf || finding["level"] != "ERROR" ||
				records["checkpoint"]["AuditFindings"] != 1.0 {
				t.Errorf("logged %v", records)
			}
		})
	}
}

// forgetful is a trail that fails to forget.
type forgetful struct{ audit.Store }

func (forgetful) Forget(context.Context, string, int64) error { return errFault }

// TestCompletesErasures: an erasure that was recorded and interrupted then is completed by the next run. One that
// cannot be completed fails the run, and holds up nothing else.
func TestCompletesErasures(t *testing.T) {
	f := newFixture(t)
	before := audittest.Chain(t, f.trail, f.id)
	stored, err := f.Reconciler.Records.Record(t.Context(), f.id)
	if err != nil || len(before[0].Nonces) == 0 {
		t.Fatal(err, before)
	}
	erased := attribute.Map{"licenseid": f.id, "customername": "erased", "erased": "1", "isrevoked": false}
	err = audit.Recorder{Store: forgetful{f.trail}}.Record(t.Context(), audit.Event{
		ID: "erasure", SequenceNumber: "9" + before[2].SequenceNumber, Time: now, LicenseID: f.id,
		Old: stored, New: erased,
	})
	if !errors.Is(err, errFault) {
		t.Fatalf("the erasure was not interrupted: %v", err)
	}
	f.Reconciler.Records = oneRecord{f.id, erased}

	f.Erasures = forgetful{f.trail}
	if got, err := f.Handle(t.Context(), events.EventBridgeEvent{}); !errors.Is(err, errFault) || got.Number != 1 {
		t.Errorf("where it cannot be completed: %+v, %v", got, err)
	}
	f.Erasures = f.trail
	if got := f.handle(t); got.Number != 2 || got.Rewritten+got.Missed+got.Backlog != 0 {
		t.Errorf("got %+v", got)
	}
	for _, e := range audittest.Chain(t, f.trail, f.id)[:3] {
		if len(e.Nonces) != 0 || e.ReasonNonce != "" {
			t.Errorf("entry %d still discloses %+v", e.Sequence, e)
		}
	}
}
