// Package audittest tests implementations of audit.Store against its contract, and has one in memory for other tests.
package audittest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/testing/licensetest"
)

// TestStore tests a store against the contract of audit.Store. Each subtest opens an empty store.
func TestStore(t *testing.T, open func(t *testing.T) audit.Store) {
	tests := map[string]func(*testing.T, audit.Store){
		"State/NoChain":             stateOfNoChain,
		"Record/ThenRead":           recordThenRead,
		"Record/RepeatedIsNoEntry":  recordRepeated,
		"Record/Concurrent":         recordConcurrently,
		"Append/ErrConflict/Stale":  appendToStaleHead,
		"Append/ErrConflict/NoHead": appendToMissingHead,
		"Append/ErrNoSequence":      appendBeforeFirst,
		"Append/Largest":            appendLargest,
		"Entries/Pages":             pages,
		"Entries/None":              noEntries,
		"Disclosures":               disclosures,
		"Forget":                    forget,
		"Heads":                     listHeads,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// History returns the events of a license that is issued and then changed n-1 times.
func History(t testing.TB, n int) []audit.Event {
	t.Helper()
	l := licensetest.Issue(t)
	var old attribute.Map
	events := make([]audit.Event, n)
	for i := range events {
		record := l.Record()
		record["notes"] = fmt.Sprint("note ", i)
		events[i] = audit.Event{
			ID:             uuid.NewString(),
			SequenceNumber: fmt.Sprintf("100000000000000000%d", 990+i), // the length of the number changes on the way
			Time:           licensetest.Now.Add(time.Duration(i) * time.Second),
			LicenseID:      l.ID,
			Old:            old,
			New:            record,
		}
		old = record
	}
	return events
}

func record(t *testing.T, store audit.Store, events []audit.Event) {
	t.Helper()
	for _, event := range events {
		if err := (audit.Recorder{Store: store}).Record(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
}

// chain returns a whole chain. It fails the test unless the chain has n entries and verifies up to the stored head.
func chain(t *testing.T, store audit.Store, licenseID string, n int) []audit.Entry {
	t.Helper()
	entries, err := store.Entries(t.Context(), licenseID, 0, n+1)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != n {
		t.Fatalf("%d entries, want %d", len(entries), n)
	}
	reached, err := audit.Verify(licenseID, audit.Head{}, entries)
	if err != nil {
		t.Fatal(err)
	}
	state, err := store.State(t.Context(), licenseID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(reached, state.Head); diff != "" {
		t.Fatalf("the entries lead elsewhere than the head (-entries +head):\n%s", diff)
	}
	return audit.Disclose(entries, disclosed(t, store, licenseID, 1, int64(n)))
}

func disclosed(t *testing.T, store audit.Store, licenseID string, first, last int64) []audit.Disclosure {
	t.Helper()
	disclosures, err := store.Disclosures(t.Context(), licenseID, first, last)
	if err != nil {
		t.Fatal(err)
	}
	return disclosures
}

func stateOfNoChain(t *testing.T, store audit.Store) {
	state, err := store.State(t.Context(), uuid.NewString())
	if diff := cmp.Diff(audit.State{}, state); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// disclosures wants each entry's own, in order, and only those that were asked for.
func disclosures(t *testing.T, store audit.Store) {
	events := History(t, 12)
	record(t, store, events)
	record(t, store, History(t, 3)) // another license's chain
	id := events[0].LicenseID
	for _, bounds := range [][2]int64{{1, 12}, {3, 5}, {10, 10}, {11, 30}, {13, 20}, {5, 4}} {
		var want, got []string
		for n := bounds[0]; n <= min(bounds[1], 12); n++ {
			want = append(want, fmt.Sprintf(`%d {"S":"note %d"}`, n, n-1))
		}
		for _, d := range disclosed(t, store, id, bounds[0], bounds[1]) {
			got = append(got, fmt.Sprintf("%d %s", d.Sequence, d.Changes["notes"].New))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", bounds, diff)
		}
	}
	state, err := store.State(t.Context(), id)
	if err != nil || len(state.Nonces["notes"]) < 26 {
		t.Fatalf("the state has the nonces %v, %v", state.Nonces, err)
	}
	if hash, err := audit.HashRecord(events[11].New, state.Nonces); err != nil || hash != state.RecordHash {
		t.Errorf("with its nonces the record has the hash %s, %v, want %s", hash, err, state.RecordHash)
	}
	if hash, err := audit.HashStored(events[11].New); err != nil || hash != state.StoredHash {
		t.Errorf("the record has the hash %s, %v, want %s", hash, err, state.StoredHash)
	}
}

func forget(t *testing.T, store audit.Store) {
	events, others := History(t, 6), History(t, 2)
	record(t, store, events)
	record(t, store, others)
	id := events[0].LicenseID
	for _, before := range []int64{4, 4, 2, 1} { // it can be repeated
		if err := store.Forget(t.Context(), id, before); err != nil {
			t.Fatal(err)
		}
		if got := disclosed(t, store, id, 1, 6); len(got) != 3 || got[0].Sequence != 4 {
			t.Errorf("%+v are left, want those of entries 4 to 6", got)
		}
	}
	if err := store.Forget(t.Context(), uuid.NewString(), 100); err != nil {
		t.Errorf("of no chain: %v", err)
	}
	if got := disclosed(t, store, others[0].LicenseID, 1, 2); len(got) != 2 {
		t.Errorf("of another license %+v are left, want all", got)
	}
	chain(t, store, id, 6)
}

func recordThenRead(t *testing.T, store audit.Store) {
	events := History(t, 12)
	record(t, store, events)
	entries := chain(t, store, events[0].LicenseID, len(events))
	for i, e := range entries {
		if e.EventID != events[i].ID || e.SequenceNumber != events[i].SequenceNumber {
			t.Errorf("entry %d is of event %s, want %s", i+1, e.EventID, events[i].ID)
		}
	}
	if entries[0].Action != audit.Issued || entries[1].Action != audit.Changed {
		t.Errorf("actions %s, %s", entries[0].Action, entries[1].Action)
	}
}

func recordRepeated(t *testing.T, store audit.Store) {
	events := History(t, 4)
	record(t, store, events[:3])
	first := chain(t, store, events[0].LicenseID, 3)
	record(t, store, events) // the whole shard again, and one more
	again := chain(t, store, events[0].LicenseID, 4)
	if diff := cmp.Diff(first, again[:3]); diff != "" {
		t.Errorf("the repetition changed entries (-first +again):\n%s", diff)
	}
}

// recordConcurrently records the same events twice at once, as two invocations with the same batch do.
func recordConcurrently(t *testing.T, store audit.Store) {
	events := History(t, 10)
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for _, event := range events {
				if err := (audit.Recorder{Store: store}).Record(t.Context(), event); err != nil {
					t.Errorf("event %s: %v", event.SequenceNumber, err)
					return
				}
			}
		})
	}
	group.Wait()
	chain(t, store, events[0].LicenseID, len(events))
}

func appendToStaleHead(t *testing.T, store audit.Store) {
	events := History(t, 2)
	record(t, store, events)
	entries := chain(t, store, events[0].LicenseID, 2)
	forged := entries[1]
	forged.Reason = "forged"
	err := store.Append(t.Context(), audit.Head{}.After(entries[0]), forged, audit.State{})
	if !errors.Is(err, audit.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	err = store.Append(t.Context(), audit.Head{}, entries[0], audit.State{})
	if !errors.Is(err, audit.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	if diff := cmp.Diff(entries, chain(t, store, events[0].LicenseID, 2)); diff != "" {
		t.Errorf("the refused append changed entries:\n%s", diff)
	}
}

func appendToMissingHead(t *testing.T, store audit.Store) {
	from := audit.Head{Sequence: 4, Hash: "4444", SequenceNumber: "4"}
	err := store.Append(t.Context(), from, audit.Entry{LicenseID: uuid.NewString(), Sequence: 5}, audit.State{})
	if !errors.Is(err, audit.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
}

// appendBeforeFirst appends entry 0, which would replace the head in a store that keeps heads among entries.
func appendBeforeFirst(t *testing.T, store audit.Store) {
	events := History(t, 2)
	record(t, store, events)
	entries := chain(t, store, events[0].LicenseID, 2)
	for _, sequence := range []int64{0, -1} {
		forged := entries[1]
		forged.Sequence = sequence
		err := store.Append(t.Context(), audit.Head{}.After(entries[1]), forged, audit.State{})
		if !errors.Is(err, audit.ErrNoSequence) {
			t.Errorf("entry %d: got %v, want ErrNoSequence", sequence, err)
		}
	}
	if diff := cmp.Diff(entries, chain(t, store, events[0].LicenseID, 2)); diff != "" {
		t.Errorf("the refused append changed entries:\n%s", diff)
	}
}

// appendLargest records changes of every value in records of 400 KB, which is DynamoDB's limit.
func appendLargest(t *testing.T, store audit.Store) {
	for name, records := range Largest() {
		t.Run(name, func(t *testing.T) {
			id := uuid.NewString()
			record(t, store, []audit.Event{
				{ID: "1", SequenceNumber: "1", LicenseID: id, New: records[0]},
				{ID: "2", SequenceNumber: "2", LicenseID: id, Old: records[0], New: records[1]},
				{ID: "3", SequenceNumber: "3", LicenseID: id, Old: records[1]},
			})
			chain(t, store, id, 3)
		})
	}
}

// Largest returns pairs of foreign records as large as DynamoDB takes them. The two of a pair have no value in common.
func Largest() map[string][2]attribute.Map {
	const size = 400 << 10
	pairs := map[string][2]attribute.Map{}
	counts := map[string]int{"one attribute": 1, "hundreds of attributes": 300, "thousands of attributes": 20000}
	for name, count := range counts {
		var pair [2]attribute.Map
		for i := range pair {
			pair[i] = attribute.Map{}
			for n := range count {
				text := strings.Repeat(string(rune('a'+i)), max(1, size/count-12))
				pair[i][fmt.Sprint("attr", n)] = text
			}
		}
		pairs[name] = pair
	}
	// The reason is bounded too. A control character takes six bytes in JSON.
	why := strings.Repeat("\x01", size-100)
	before := attribute.Map{"expirationdate": "2030-01-01", "licenseid": "x"}
	after := maps.Clone(before)
	maps.Copy(after, attribute.Map{"version": attribute.Number("1"), "changedby": "me", "changereason": why})
	pairs["the reason"] = [2]attribute.Map{before, after}
	return pairs
}

func pages(t *testing.T, store audit.Store) {
	events := History(t, 12)
	record(t, store, events)
	record(t, store, History(t, 3)) // another license's chain
	head := audit.Head{}
	for head.Sequence < 12 {
		entries, err := store.Entries(t.Context(), events[0].LicenseID, head.Sequence, 5)
		if err != nil {
			t.Fatal(err)
		}
		if want := min(5, 12-int(head.Sequence)); len(entries) != want {
			t.Fatalf("after %d: %d entries, want %d", head.Sequence, len(entries), want)
		}
		if head, err = audit.Verify(events[0].LicenseID, head, entries); err != nil {
			t.Fatal(err)
		}
	}
}

func noEntries(t *testing.T, store audit.Store) {
	entries, err := store.Entries(context.Background(), uuid.NewString(), 0, 10)
	if err != nil || len(entries) != 0 {
		t.Errorf("got %v, %v", entries, err)
	}
}

// listHeads wants a store that lists heads to list those of all chains, and no entries.
func listHeads(t *testing.T, store audit.Store) {
	lister, lists := store.(audit.HeadLister)
	if !lists {
		t.Skip("the store lists no heads")
	}
	want, got := map[string]audit.ChainHead{}, map[string]audit.ChainHead{}
	for n := 1; n <= 3; n++ {
		events := slices.Delete(History(t, n+1), 1, 2)
		record(t, store, events)
		id := events[0].LicenseID
		state, err := store.State(t.Context(), id)
		if err != nil || state.Sequence != int64(n) || (state.GapSequence == 2) != (n > 1) {
			t.Fatalf("the state is %+v, %v", state, err)
		}
		want[id] = state.ChainHead(id)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) { // a list may lag behind
		clear(got)
		for bucket := range audit.Buckets {
			for head, err := range lister.Heads(t.Context(), bucket) {
				if _, twice := got[head.LicenseID]; twice || err != nil || audit.BucketOf(head.LicenseID) != bucket {
					t.Fatalf("head %+v in bucket %d, twice: %v, %v", head, bucket, twice, err)
				}
				got[head.LicenseID] = head
			}
		}
		if cmp.Equal(want, got) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("(-want +got):\n%s", cmp.Diff(want, got))
		}
	}
	for id := range want {
		for range lister.Heads(t.Context(), audit.BucketOf(id)) { // a caller may stop early
			break
		}
	}
}

// Chain returns a license's chain, of up to 1,000 entries, with what they disclose.
func Chain(t testing.TB, store audit.Store, licenseID string) []audit.Entry {
	t.Helper()
	entries, err := audit.DisclosedEntries(t.Context(), store, licenseID, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// VerifyChain verifies an exported chain from its first entry on. The error names the first line that does not fit,
// which is that of the entry with this sequence.
func VerifyChain(r io.Reader, licenseID string) (*audit.Verifier, error) {
	v := audit.NewVerifier(licenseID, audit.Head{})
	for e, err := range audit.ReadChain(r) {
		if err != nil {
			return v, err
		}
		if err := v.Next(e); err != nil {
			return v, fmt.Errorf("line %d: %w", v.Head().Sequence+1, err)
		}
	}
	return v, nil
}
