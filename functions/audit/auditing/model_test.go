package auditing_test

import (
	"bytes"
	"context"
	"io"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"openlicenser/functions/audit/auditing"
	"openlicenser/shared/audit"
	"openlicenser/shared/stream"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/audittest"
)

// checkScenarios runs as many scenarios as rapid's flags say (-rapid.checks), each on a new store. The licenses of
// an invocation, and invocations at the same time, take turns as the scenario says. The store is in memory: it
// waits for nothing.
func checkScenarios(t *testing.T, open func(audittest.TB) audit.Store) {
	rapid.Check(t, func(rt *rapid.T) {
		s := drawScenario(rt, "license", 40)
		var failed any // rapid ends a check by a panic, which must not leave the bubble's goroutine
		synctest.Test(t, func(*testing.T) {
			defer func() { failed = recover() }()
			r := newRunner(rt, open(rt), s)
			r.turns = &turns{}
			r.run(s.steps)
		})
		if failed != nil {
			panic(failed)
		}
	})
}

// checkExamples runs n smaller scenarios on one store, for stores that are slow.
func checkExamples(t *testing.T, store audit.Store, n int) {
	for seed := range n {
		prefix := uuid.NewString()
		s := rapid.Custom(func(rt *rapid.T) scenario { return drawScenario(rt, prefix, 20) }).Example(seed)
		newRunner(t, store, s).run(s.steps)
		if t.Failed() {
			t.Fatalf("in the scenario of seed %d", seed)
		}
	}
}

// crashAtEveryCall ends the consumer at each call of the store that one batch takes, before and after what it writes is
// durable, and delivers the batch again, as Lambda does with one that was not answered.
func crashAtEveryCall(t *testing.T, store audit.Store) {
	for call := 0; ; call++ {
		for _, f := range []fault{crashBefore, crashAfter} {
			prefix := uuid.NewString()
			records := rapid.Custom(func(rt *rapid.T) []streamRecord { return drawHistory(rt, prefix, 15) }).
				Filter(func(records []streamRecord) bool {
					hasErasure := slices.ContainsFunc(records, func(r streamRecord) bool { return r.erased })
					return len(records) >= 8 && hasErasure
				}).Example(1)
			r := newRunner(t, store, scenario{records: records})
			next := step{concurrency: 1, faults: make([]fault, call+1)}
			next.faults[call] = f
			_, answered := r.invoke("", records, next)
			r.check()
			r.deliverRest()
			if answered && call < 2*len(records) {
				t.Fatalf("call %d: the consumer did not end", call)
			}
			if answered {
				return
			}
		}
	}
}

// scenario is a stream, and how it is delivered.
type scenario struct {
	records []streamRecord
	steps   []step
}

// step is an invocation.
type step struct {
	back       int     // begins as many records before the one that comes next
	size       int     // of the batch
	duplicates []int   // records of the batch that it holds once more
	faults     []fault // of the store, by call
	failing    string  // the license of which every call fails

	concurrency int   // of the auditor
	choices     []int // whose turn it is, where calls take turns
	second      *step // another invocation at the same time, whose response nobody waits for
}

// fault is what becomes of one call of the store.
type fault int

const (
	none        fault = iota
	failBefore        // an error, and nothing was written
	failAfter         // an error, and yet it was written
	crashBefore       // the invocation ends before the call
	crashAfter        // the invocation ends after the call
	panics            // nothing was written
)

func drawScenario(t *rapid.T, prefix string, most int) scenario {
	s := scenario{records: drawHistory(t, prefix, most)}
	for range rapid.IntRange(0, 15).Draw(t, "steps") {
		next := drawStep(t, s.records)
		if rapid.IntRange(0, 2).Draw(t, "concurrent") == 0 {
			second := drawStep(t, s.records)
			next.second = &second
		}
		s.steps = append(s.steps, next)
	}
	return s
}

func drawStep(t *rapid.T, records []streamRecord) step {
	kinds := []fault{none, none, none, none, none, none, none, failBefore, failAfter, crashBefore, crashAfter, panics}
	next := step{
		back:        rapid.SampledFrom([]int{0, 0, 0, 1, 3, math.MaxInt}).Draw(t, "back"),
		size:        rapid.IntRange(1, 12).Draw(t, "size"),
		duplicates:  rapid.SliceOfN(rapid.IntRange(0, 11), 0, 3).Draw(t, "duplicates"),
		faults:      rapid.SliceOfN(rapid.SampledFrom(kinds), 0, 20).Draw(t, "faults"),
		concurrency: rapid.SampledFrom([]int{stream.DefaultConcurrency, 1, 2}).Draw(t, "concurrency"),
		choices:     rapid.SliceOfN(rapid.IntRange(0, 7), 0, 60).Draw(t, "choices"),
	}
	if len(records) > 0 && rapid.IntRange(0, 3).Draw(t, "one license fails") == 0 {
		next.failing = rapid.SampledFrom(records).Draw(t, "failing").licenseID
	}
	return next
}

func (r *runner) run(steps []step) {
	for _, next := range steps {
		r.deliver(next)
		r.check()
	}
	r.deliverRest()
}

// runner is an event source mapping.
type runner struct {
	t        audittest.TB
	store    audit.Store
	records  []streamRecord
	position int // of the record that comes next
	turns    *turns

	want      map[string][]byte // the chains as they are stored, exported, by license
	disclosed map[string][]byte // the same with what they disclose
}

func newRunner(t audittest.TB, store audit.Store, s scenario) *runner {
	t.Helper()
	r := &runner{t: t, store: store, records: s.records}
	r.want, r.disclosed = straightforward(t, s.records)
	return r
}

// straightforward delivers each record once, to a store without faults, and looks at what is then in the chains.
func straightforward(t audittest.TB, records []streamRecord) (want, disclosed map[string][]byte) {
	t.Helper()
	memory := audittest.NewMemory(t)
	plain := &runner{t: t, store: memory}
	byLicense := map[string][]streamRecord{}
	for _, record := range records {
		if failed, answered := plain.invoke("", []streamRecord{record}, step{}); len(failed) > 0 || !answered {
			t.Fatalf("the straightforward run fails at %s", record.EventID)
		}
		byLicense[record.licenseID] = append(byLicense[record.licenseID], record)
	}
	want, disclosed = map[string][]byte{}, map[string][]byte{}
	for id, changes := range byLicense {
		entries := memory.Chain(id)
		if len(entries) != len(changes) {
			t.Fatalf("%d entries for %d changes of %s", len(entries), len(changes), id)
		}
		for i, e := range entries {
			if e.EventID != changes[i].EventID || e.Gap != changes[i].gap {
				t.Fatalf("entry %d is of %s, gap %v, want %s, gap %v",
					e.Sequence, e.EventID, e.Gap, changes[i].EventID, changes[i].gap)
			}
		}
		want[id], disclosed[id] = export(t, plain.chain(id)), export(t, entries)
	}
	return want, disclosed
}

func export(t audittest.TB, entries []audit.Entry) []byte {
	var buffer bytes.Buffer
	if err := audit.WriteChain(&buffer, entries); err != nil {
		t.Fatalf("export: %v", err)
	}
	return buffer.Bytes()
}

// deliver invokes the handler, and moves to where Lambda goes on: behind the batch, to the lowest failure, or, where
// there was no answer, nowhere.
func (r *runner) deliver(next step) {
	var group sync.WaitGroup
	if next.second != nil {
		_, batch := r.batch(*next.second)
		group.Go(func() { r.invoke("second", batch, *next.second) })
	}
	begin, batch := r.batch(next)
	var failed map[string]bool
	var answered bool
	group.Go(func() { failed, answered = r.invoke("first", batch, next) })
	if r.turns != nil {
		r.turns.choices = next.choices
		r.turns.give()
	}
	group.Wait()
	if !answered {
		return
	}
	r.checkAnswer(next, batch, failed)
	r.position = min(begin+next.size, len(r.records))
	for i, record := range r.records[begin:r.position] {
		if failed[record.Change.SequenceNumber] {
			r.position = begin + i
			return
		}
	}
}

func (r *runner) batch(s step) (begin int, batch []streamRecord) {
	begin = max(0, r.position-s.back)
	batch = append(batch, r.records[begin:min(begin+s.size, len(r.records))]...)
	for _, duplicate := range s.duplicates {
		if duplicate < len(batch) {
			batch = append(batch, batch[duplicate])
		}
	}
	return begin, batch
}

// deliverRest delivers without faults what has not been delivered, and wants the chains to be complete.
func (r *runner) deliverRest() {
	r.t.Helper()
	for r.position < len(r.records) {
		before := r.position
		if r.deliver(step{size: 10}); r.position == before {
			r.t.Fatalf("stands still at record %d", before)
		}
	}
	r.check()
	if got := r.count(); got != len(r.records) {
		r.t.Errorf("%d entries of %d changes", got, len(r.records))
	}
	for id, want := range r.disclosed {
		entries := r.chain(id)
		disclosures, err := r.store.Disclosures(context.Background(), id, 1, int64(len(entries)))
		if err != nil {
			r.t.Fatalf("disclosures of %s: %v", id, err)
		}
		if got := export(r.t, audit.Disclose(entries, disclosures)); !bytes.Equal(got, want) {
			r.t.Errorf("chain of %s discloses\n%s\nand not\n%s", id, got, want)
		}
	}
}

// checkAnswer wants what was not reported to be recorded, and a failure of one license to be that of no other.
func (r *runner) checkAnswer(s step, batch []streamRecord, failed map[string]bool) {
	r.t.Helper()
	recorded := map[string]bool{}
	for id := range r.want {
		for _, e := range r.chain(id) {
			recorded[e.EventID] = true
		}
	}
	onlyOneLicenseFails := s.second == nil && !slices.ContainsFunc(s.faults, func(f fault) bool { return f != none })
	for _, record := range batch {
		switch isFailed := failed[record.Change.SequenceNumber]; {
		case !isFailed && !recorded[record.EventID]:
			r.t.Errorf("%s was neither recorded nor reported", record.EventID)
		case onlyOneLicenseFails && isFailed != (record.licenseID == s.failing):
			r.t.Errorf("%s: failed %v, and what fails is %q", record.EventID, isFailed, s.failing)
		}
	}
}

// invoke has a name for the invocation, by which turns tell it from another at the same time.
func (r *runner) invoke(name string, records []streamRecord, s step) (failed map[string]bool, answered bool) {
	store := &faultyStore{runner: r, name: name, faults: s.faults, failing: s.failing}
	batch := events.DynamoDBEvent{}
	for _, record := range records {
		batch.Records = append(batch.Records, record.DynamoDBEventRecord)
	}
	auditor := auditing.Auditor{
		Recorder:    audit.Recorder{Store: store, Nonce: nonceOf},
		Concurrency: s.concurrency,
		Log:         telemetry.NewLogger(io.Discard),
	}
	response, err := auditor.Handle(context.Background(), batch)
	if err != nil {
		r.t.Errorf("handle: %v", err)
	}
	failed = map[string]bool{}
	for _, failure := range response.BatchItemFailures {
		failed[failure.ItemIdentifier] = true
	}
	return failed, !store.dead
}

// nonceOf returns the same nonce where an event comes again.
func nonceOf(v audit.Event, value string) string { return v.ID + " " + value }

// count returns how many entries there are.
func (r *runner) count() (n int) {
	for id := range r.want {
		n += len(r.chain(id))
	}
	return n
}

func (r *runner) chain(id string) []audit.Entry {
	entries, err := r.store.Entries(context.Background(), id, 0, 1000)
	if err != nil {
		r.t.Fatalf("entries of %s: %v", id, err)
	}
	return entries
}

// check wants every chain to be a beginning of the one that is to be, to verify, and to end at its head.
func (r *runner) check() {
	r.t.Helper()
	for id := range r.want {
		entries := r.checkPrefix(id)
		v, err := audittest.VerifyChain(bytes.NewReader(export(r.t, entries)), id)
		if err != nil {
			r.t.Fatalf("chain of %s: %v", id, err)
		}
		state, err := r.store.State(context.Background(), id)
		if err != nil {
			r.t.Fatalf("head of %s: %v", id, err)
		}
		if v.Head() != state.Head {
			r.t.Fatalf("chain of %s: it ends with %+v, its head is %+v", id, v.Head(), state.Head)
		}
	}
}

// checkPrefix holds at any time, also while others write.
func (r *runner) checkPrefix(id string) []audit.Entry {
	entries := r.chain(id)
	if got := export(r.t, entries); !bytes.HasPrefix(r.want[id], got) {
		r.t.Errorf("chain of %s:\n%s\nis no beginning of\n%s", id, got, r.want[id])
	}
	return entries
}
