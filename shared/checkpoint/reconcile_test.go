package checkpoint_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
)

// records is a checkpoint.Records in memory, of the notes of each license.
type records map[string]string

func (r records) Hashes(context.Context) iter.Seq2[checkpoint.RecordHash, error] {
	return func(yield func(checkpoint.RecordHash, error) bool) {
		for id, notes := range r {
			if notes == "fault" {
				yield(checkpoint.RecordHash{}, errFault)
				return
			}
			if !yield(checkpoint.HashOf(id, recordOf(id, notes))) {
				return
			}
		}
	}
}

func (r records) Record(_ context.Context, id string) (attribute.Map, error) {
	notes, isThere := r[id]
	switch {
	case notes == "fault in Record":
		return nil, errFault
	case !isThere:
		return nil, nil
	}
	return recordOf(id, notes), nil
}

// setState puts the end of a chain that has left the record with these notes; none of empty ones.
func (tr *trail) setState(id string, sequence int64, notes string) {
	var record attribute.Map
	if notes != "" {
		record = recordOf(id, notes)
	}
	stored, _ := audit.HashStored(record)
	told, _ := audit.HashRecord(record, nil)
	tr.states[id] = audit.State{StoredHash: stored}
	tr.setHead(id, audit.Head{Sequence: sequence, Hash: hashOf(id), RecordHash: told})
}

// chained returns a trail whose chains, of three entries each, have left the records with the notes.
func chained(notes map[string]string) *trail {
	tr := newTrail()
	for id, text := range notes {
		tr.setState(id, 3, text)
	}
	return tr
}

func reconcile(t *testing.T, r checkpoint.Reconciler, at time.Time) checkpoint.Comparison {
	t.Helper()
	found, err := r.Reconcile(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestReconcile(t *testing.T) {
	tests := map[string]struct {
		records records
		chains  map[string]string
		want    map[string]error
	}{
		"Agree":   {records: records{"a": "1", "b": "2"}, chains: map[string]string{"a": "1", "b": "2"}},
		"Removed": {records: records{}, chains: map[string]string{"a": ""}},
		"NotRecorded": {
			records: records{"a": "2", "b": "2"},
			chains:  map[string]string{"a": "1", "b": "2"},
			want:    map[string]error{"a": checkpoint.ErrNotRecorded},
		},
		"NoChain": {
			records: records{"a": "1"},
			want:    map[string]error{"a": checkpoint.ErrNoChain},
		},
		"OlderThanTrail": {records: records{"foreign": "1"}},
		"ForeignChange": {
			records: records{"foreign": "2"},
			chains:  map[string]string{"foreign": "1"},
			want:    map[string]error{"foreign": checkpoint.ErrNotRecorded},
		},
		"ForeignIsBack": {
			records: records{"foreign": "1"},
			chains:  map[string]string{"foreign": ""},
			want:    map[string]error{"foreign": checkpoint.ErrNoChain},
		},
		"RecordIsGone": {
			records: records{"b": "2"},
			chains:  map[string]string{"a": "1", "b": "2"},
			want:    map[string]error{"a": checkpoint.ErrRemovalNotRecorded},
		},
		"BackAfterEnd": {
			records: records{"a": "1"},
			chains:  map[string]string{"a": ""},
			want:    map[string]error{"a": checkpoint.ErrNoChain},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := checkpoint.Reconciler{Records: test.records, Chains: chained(test.chains), Archive: newArchive(t)}
			wanted := func(since time.Time) (list []string) {
				for id, why := range test.want {
					sequence := 3
					if _, hasChain := test.chains[id]; !hasChain {
						sequence = 0
					}
					list = append(list, fmt.Sprint(id, sequence, since, why))
				}
				return list
			}
			found := reconcile(t, r, now)
			if diff := cmp.Diff(wanted(now), shown(found.Backlog)); diff != "" || len(found.Missed) != 0 {
				t.Errorf("at first: missed %v, backlog (-want +got):\n%s", found.Missed, diff)
			}
			found = reconcile(t, r, now.Add(25*time.Hour-time.Second))
			if diff := cmp.Diff(wanted(now), shown(found.Backlog)); diff != "" || len(found.Missed) != 0 {
				t.Errorf("a second before 25 hours: missed %v, backlog (-want +got):\n%s", found.Missed, diff)
			}
			for range 2 { // and it stays
				found = reconcile(t, r, now.Add(25*time.Hour))
				if diff := cmp.Diff(wanted(now), shown(found.Missed)); diff != "" || len(found.Backlog) != 0 {
					t.Errorf("after 25 hours: backlog %v, missed (-want +got):\n%s", found.Backlog, diff)
				}
			}
		})
	}
}

func shown(list []checkpoint.Discrepancy) (texts []string) {
	for _, d := range list {
		texts = append(texts, fmt.Sprint(d.LicenseID, d.Sequence, d.Since, d.Why))
	}
	return texts
}

// TestConsumerIsBehind: for two days each change is recorded two hours late, and nothing is missed but the one change
// that is never recorded. Each hour changes three licenses; every license changes every ten hours.
func TestConsumerIsBehind(t *testing.T) {
	const hours, behind = 48, 2
	stored, tr := records{}, newTrail()
	r := checkpoint.Reconciler{Records: stored, Chains: tr, Archive: newArchive(t)}
	change := func(hour int) (changed map[string]string) {
		changed = map[string]string{}
		for i := range 3 {
			changed[license(hour%10*3+i)] = fmt.Sprint("record of hour ", hour)
		}
		return changed
	}
	missedAt := -1
	for hour := range hours {
		for id, hash := range change(hour) {
			stored[id] = hash
		}
		if hour == 5 {
			stored["lost"] = "the change that is never recorded"
		}
		if hour >= behind {
			for id, hash := range change(hour - behind) {
				tr.setState(id, tr.heads[id].Sequence+1, hash)
			}
		}
		found := reconcile(t, r, now.Add(time.Duration(hour)*time.Hour))
		want := min(hour+1, behind) * 3
		if hour >= 5 && hour < 30 {
			want++
		}
		if len(found.Backlog) != want {
			t.Errorf("hour %d: backlog %d, want %d", hour, len(found.Backlog), want)
		}
		if len(found.Missed) > 0 && missedAt < 0 {
			missedAt = hour
		}
		if len(found.Missed) > 1 || len(found.Missed) == 1 && found.Missed[0].LicenseID != "lost" {
			t.Fatalf("hour %d: missed %v", hour, found.Missed)
		}
	}
	if missedAt != 30 {
		t.Errorf("the lost change was reported in hour %d, want 30", missedAt)
	}
}

// TestBacklogIsRemembered: it is written when it changes, and one that cannot be read is named and begun anew.
func TestBacklogIsRemembered(t *testing.T) {
	stored, tr := records{"a b": "2", "c": "2"}, chained(map[string]string{"a b": "1", "c": "1"})
	a := newArchive(t)
	r := checkpoint.Reconciler{Records: stored, Chains: tr, Archive: a}
	reconcile(t, r, now)
	const want = "a%20b 3 2026-11-23T22:00:00Z\nc 3 2026-11-23T22:00:00Z\n"
	if got := string(a.objects["backlog"]); got != want {
		t.Errorf("kept %q", got)
	}
	reconcile(t, r, now.Add(time.Hour))
	if a.writes != 1 {
		t.Errorf("%d writes", a.writes)
	}
	tr.setState("c", 4, "2")
	reconcile(t, r, now.Add(2*time.Hour))
	if got := string(a.objects["backlog"]); got != "a%20b 3 2026-11-23T22:00:00Z\n" {
		t.Errorf("kept %q", got)
	}
	for _, junk := range []string{
		"junk", "c 3 2026-11-23T22:00:00Z\na 3 2026-11-23T22:00:00Z\n", "c x 2026-11-23T22:00:00Z\n",
	} {
		a.objects["backlog"] = []byte(junk)
		found := reconcile(t, r, now.Add(30*time.Hour))
		if len(found.Damages) != 1 || found.Damages[0].Name != "backlog" || len(found.Backlog) != 1 {
			t.Errorf("%q: got %+v", junk, found)
		}
		if found := reconcile(t, r, now.Add(31*time.Hour)); len(found.Damages) != 0 || len(found.Backlog) != 1 {
			t.Errorf("then got %+v", found)
		}
	}
}

func TestReconcileFaults(t *testing.T) {
	for name, r := range map[string]checkpoint.Reconciler{
		"Records":  {Records: records{"a": "fault"}, Chains: newTrail(), Archive: newArchive(t)},
		"RecordOf": {Records: records{"a": "fault in Record"}, Chains: newTrail(), Archive: newArchive(t)},
		"Heads":    {Records: records{}, Chains: faultyHeads{newTrail()}, Archive: newArchive(t)},
		"Head":     {Records: records{"a": "1"}, Chains: faultyTrail{newTrail(), false}, Archive: newArchive(t)},
		"Archive":  {Records: records{"a": "1"}, Chains: newTrail(), Archive: faultyArchive{newArchive(t)}},
		"Put":      {Records: records{"a": "1"}, Chains: newTrail(), Archive: failing(t)},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := r.Reconcile(t.Context(), now); !errors.Is(err, errFault) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func failing(t *testing.T) *archive {
	a := newArchive(t)
	a.failAt = 1
	return a
}

// faultyHeads lists nothing.
type faultyHeads struct{ *trail }

func (faultyHeads) Heads(context.Context, int) iter.Seq2[audit.ChainHead, error] {
	return func(yield func(audit.ChainHead, error) bool) { yield(audit.ChainHead{}, errFault) }
}

// faultyArchive cannot be read.
type faultyArchive struct{ *archive }

func (faultyArchive) Get(context.Context, string) ([]byte, error) { return nil, errFault }

// TestListOfChainsLagsBehind: what the lists show is asked for again.
func TestListOfChainsLagsBehind(t *testing.T) {
	w := newWorld(t, 3)
	stored := records{}
	for i := range 3 {
		stored[license(i)] = w.trail.records[license(i)]["notes"].(string)
	}
	w.trail.lag[license(1)] = audit.Head{}
	w.trail.lag[license(2)] = audit.Head{Sequence: 1, RecordHash: "of an earlier entry"}
	delete(stored, license(0))
	found := reconcile(t, checkpoint.Reconciler{Records: stored, Chains: w.trail, Archive: w.archive}, now)
	got := slices.Collect(func(yield func(string) bool) {
		for _, d := range found.Backlog {
			yield(d.LicenseID)
		}
	})
	// The chain of the second is in no list, which is a finding where it stays so.
	if !slices.Equal(got, []string{license(0), license(1)}) {
		t.Errorf("got %v", got)
	}
}

// TestAcknowledge: one statement is settled, and no other of the same license or entry.
func TestAcknowledge(t *testing.T) {
	a := newArchive(t)
	rewritten := checkpoint.Statement{
		Kind: checkpoint.KindRewritten, LicenseID: license(1), Sequence: 3, Found: hashOf("x"),
	}
	missed, odd := rewritten, rewritten
	missed.Kind, odd.LicenseID = checkpoint.KindMissed, "../"+strings.Repeat("ü 1", 500)
	settle := func(id string, sequence int64) error {
		return checkpoint.Acknowledge(t.Context(), a, id, sequence,
			checkpoint.Acknowledgement{Reason: "restored", Actor: "me", Time: now})
	}
	if err := settle(license(1), 3); !errors.Is(err, checkpoint.ErrNoFinding) {
		t.Errorf("before the first run: %v", err)
	}
	keep := func(statements ...checkpoint.Statement) {
		t.Helper()
		if err := checkpoint.KeepStatements(t.Context(), a, statements); err != nil {
			t.Fatal(err)
		}
	}
	keep(rewritten, odd)
	writes := a.writes
	keep(rewritten, odd)
	if a.writes != writes {
		t.Error("what was found again was written again")
	}
	for id, sequence := range map[string]int64{license(1): 4, license(2): 3} {
		if err := settle(id, sequence); !errors.Is(err, checkpoint.ErrNoFinding) {
			t.Errorf("%s %d: %v", id, sequence, err)
		}
	}
	for _, id := range []string{license(1), odd.LicenseID} {
		if err := settle(id, 3); err != nil {
			t.Fatal(err)
		}
		if err := settle(id, 3); !errors.Is(err, checkpoint.ErrExists) {
			t.Errorf("again: %v", err)
		}
	}
	another := rewritten
	another.Found = hashOf("y")
	is, err := checkpoint.AcknowledgedOf(t.Context(), a, []checkpoint.Statement{missed, rewritten, another, odd})
	if err != nil || !slices.Equal(is, []bool{false, true, false, true}) {
		t.Errorf("got %v, %v", is, err)
	}
	keep(rewritten, missed)
	if err := settle(license(1), 3); err != nil { // the other one
		t.Error(err)
	}
	for _, name := range a.names("acknowledged") {
		a.objects[name] = []byte("{}")
	}
	var damage *checkpoint.ArchiveError
	is, err = checkpoint.AcknowledgedOf(t.Context(), a, []checkpoint.Statement{rewritten})
	if !errors.As(err, &damage) || is[0] {
		t.Errorf("one that was replaced: %v, %v", is, err)
	}
}

// TestUnlistedChain: a chain that no bucket lists, so that no checkpoint signs it, is a finding when it stays so.
func TestUnlistedChain(t *testing.T) {
	w := newWorld(t, 3)
	stored := records{}
	for i := range 3 {
		stored[license(i)] = w.trail.records[license(i)]["notes"].(string)
	}
	bucket := audit.BucketOf(license(1))
	w.trail.listed[bucket] = slices.DeleteFunc(w.trail.listed[bucket], func(id string) bool { return id == license(1) })
	r := checkpoint.Reconciler{Records: stored, Chains: w.trail, Archive: w.archive}
	if found := reconcile(t, r, now); len(found.Missed) != 0 || len(found.Backlog) != 1 {
		t.Errorf("at first: %+v", found)
	}
	found := reconcile(t, r, now.Add(25*time.Hour))
	if len(found.Missed) != 1 || found.Missed[0].LicenseID != license(1) ||
		!errors.Is(found.Missed[0].Why, checkpoint.ErrNotListed) {
		t.Errorf("then: %+v", found)
	}
}

// TestUnreadableChain: what someone else has written in place of a chain holds up no other.
func TestUnreadableChain(t *testing.T) {
	for _, entries := range []bool{false, true} {
		w := newWorld(t, 5)
		w.make()
		for i := range 5 {
			w.trail.extend(t, license(i), 1)
		}
		stored := records{license(1): "another"}
		for i := range 5 {
			if i != 1 {
				stored[license(i)] = w.trail.records[license(i)]["notes"].(string)
			}
		}
		broken := unreadable{w.trail, license(1), entries}
		maker := w.maker()
		maker.Trail = broken
		result, err := maker.Make(t.Context(), now)
		if err != nil || len(result.Findings) != 1 || !errors.Is(result.Findings[0].Why, audit.ErrUnreadable) {
			t.Errorf("%v, %+v", err, result)
		}
		for _, i := range []int{0, 2, 3, 4} {
			if err := w.verify(license(i)); err != nil {
				t.Errorf("%s: %v", license(i), err)
			}
		}
		r := checkpoint.Reconciler{Records: stored, Chains: broken, Archive: w.archive}
		if found := reconcile(t, r, now); len(found.Backlog) != 1 || found.Backlog[0].LicenseID != license(1) {
			t.Errorf("got %+v", found)
		}
	}
}

// unreadable is a trail in which one chain is junk: its head, or its entries.
type unreadable struct {
	*trail
	id      string
	entries bool
}

func (u unreadable) State(ctx context.Context, id string) (audit.State, error) {
	if id == u.id && !u.entries {
		return audit.State{}, fmt.Errorf("%w: junk", audit.ErrUnreadable)
	}
	return u.trail.State(ctx, id)
}

func (u unreadable) Entries(ctx context.Context, id string, after int64, limit int) ([]audit.Entry, error) {
	if id == u.id && u.entries {
		return nil, fmt.Errorf("%w: junk", audit.ErrUnreadable)
	}
	return u.trail.Entries(ctx, id, after, limit)
}

// TestBacklogOfTheFuture: what was seen by a wrong clock is seen anew.
func TestBacklogOfTheFuture(t *testing.T) {
	r := checkpoint.Reconciler{
		Records: records{"a": "2"}, Chains: chained(map[string]string{"a": "1"}), Archive: newArchive(t),
	}
	reconcile(t, r, now.AddDate(5, 0, 0))
	reconcile(t, r, now)
	if found := reconcile(t, r, now.Add(25*time.Hour)); len(found.Missed) != 1 {
		t.Errorf("got %+v", found)
	}
}

// TestForeignWithoutChain: of a license that other tools alone have written, and that the trail does not know, nothing
// is remembered.
func TestForeignWithoutChain(t *testing.T) {
	a := newArchive(t)
	r := checkpoint.Reconciler{Records: records{"foreign": "1"}, Chains: headCounter{newTrail(), t}, Archive: a}
	if found := reconcile(t, r, now); len(found.Backlog) != 0 || a.writes != 0 {
		t.Errorf("got %+v after %d writes", found, a.writes)
	}
}

// headCounter wants nobody to ask for a head.
type headCounter struct {
	*trail
	t *testing.T
}

func (c headCounter) State(ctx context.Context, id string) (audit.State, error) {
	c.t.Errorf("asked for the head of %s", id)
	return c.trail.State(ctx, id)
}

// TestChainsInOneBucket: of many chains in one bucket, in any order, each is found.
func TestChainsInOneBucket(t *testing.T) {
	ids := inBucket(5, 40)
	slices.Reverse(ids)
	hashes := map[string]string{}
	for _, id := range ids {
		hashes[id] = "hash of " + id
	}
	stored := records{}
	for id, hash := range hashes {
		stored[id] = hash
	}
	stored[ids[7]] = "another"
	found := reconcile(t, checkpoint.Reconciler{Records: stored, Chains: chained(hashes), Archive: newArchive(t)}, now)
	if len(found.Backlog) != 1 || found.Backlog[0].LicenseID != ids[7] ||
		!errors.Is(found.Backlog[0].Why, checkpoint.ErrNotRecorded) {
		t.Errorf("got %+v", found)
	}
}
