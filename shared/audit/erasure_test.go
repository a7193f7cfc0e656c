package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/licensetest"
)

const erasedID = "0199d1a2-7c3e-7b5a-9d0e-3f2a1b4c5d6e"

// person is the record of a license of somebody.
func person(version int, changes attribute.Map) attribute.Map {
	record := attribute.Map{
		"licenseid": erasedID, "customername": "Jo", "email": "jo@example.com", "notes": "owes a cake",
		"isrevoked":      false,
		"expirationdate": "2099-01-01T00:00:00.000Z", "changedby": "me",
		"version": attribute.Number(fmt.Sprint(version)),
	}
	maps.Copy(record, changes)
	return record
}

// forgotten is the same record after an erasure.
func forgotten(version int, mark string) attribute.Map {
	record := person(version, attribute.Map{
		"customername": license.ErasedName, "notes": "", "erased": mark, "changereason": "asked for it",
	})
	delete(record, "email")
	return record
}

// stream returns the events of a record's states, one second and one number apart.
func stream(states ...attribute.Map) (events []audit.Event) {
	var before attribute.Map
	for i, after := range states {
		events = append(events, audit.Event{
			ID: fmt.Sprint("event ", i+1), SequenceNumber: fmt.Sprint(i + 1), LicenseID: erasedID,
			Time: licensetest.Now.Add(time.Duration(i) * time.Second), Old: before, New: after,
		})
		before = after
	}
	return events
}

func recordAll(t *testing.T, store audit.Store, events ...audit.Event) {
	t.Helper()
	for _, event := range events {
		record(t, store, event)
	}
}

// life is a license that is issued, renamed, suspended with a reason that names somebody, and erased.
func life() []audit.Event {
	renamed := person(2, attribute.Map{"customername": "Joe"})
	suspended := person(3, attribute.Map{
		"customername": "Joe", "issuspended": true, "changereason": "Joe does not pay",
		"notes": strings.Repeat("cake", 99),
	})
	return stream(person(1, nil), renamed, suspended, forgotten(4, "1"))
}

// everything returns all that is stored of the chain, as text.
func everything(t *testing.T, store audit.Store) string {
	t.Helper()
	entries, errEntries := store.Entries(t.Context(), erasedID, 0, 100)
	disclosures, errDisclosures := store.Disclosures(t.Context(), erasedID, 1, 100)
	state, errState := store.State(t.Context(), erasedID)
	text, err := json.Marshal([]any{entries, disclosures, state})
	if err := errors.Join(errEntries, errDisclosures, errState, err); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// verified returns the chain with what it discloses, and what its verification reports.
func verified(t *testing.T, store audit.Store) ([]audit.Entry, []audit.Finding) {
	t.Helper()
	chain := audittest.Chain(t, store, erasedID)
	v := audit.NewVerifier(erasedID, audit.Head{})
	for _, e := range chain {
		if err := v.Next(e); err != nil {
			t.Fatal(err)
		}
	}
	if state, err := store.State(t.Context(), erasedID); err != nil || v.Head() != state.Head {
		t.Errorf("the chain leads to %+v, and its head is %+v, %v", v.Head(), state.Head, err)
	}
	return chain, v.Findings()
}

var personalTexts = []string{"Jo", "Joe", "jo@example.com", "cake", "pay"}

func wantNone(t *testing.T, text string) {
	t.Helper()
	for _, personal := range personalTexts {
		if strings.Contains(text, personal) {
			t.Errorf("%q is still there: %s", personal, text)
		}
	}
}

// TestErasure: after it, nothing that is stored has a value, and the chain is what it was.
func TestErasure(t *testing.T) {
	store := audittest.NewMemory(t)
	events := life()
	recordAll(t, store, events[:3]...)
	before, findings := verified(t, store)
	if !strings.Contains(everything(t, store), "Joe does not pay") || len(findings) != 0 {
		t.Fatalf("before: %v, %s", findings, everything(t, store))
	}
	for _, e := range before {
		text, err := json.Marshal(e.Closed())
		if err != nil {
			t.Fatal(err)
		}
		wantNone(t, string(text)) // entries never have one
	}
	record(t, store, events[3])
	wantNone(t, everything(t, store))
	chain, findings := verified(t, store)
	last := chain[3]
	if len(findings) != 0 || last.Action != audit.Erased || last.Reason != "asked for it" || last.Actor != "me" {
		t.Errorf("%v, %+v", findings, last)
	}
	if got := string(last.Changes["customername"].New); got != `{"S":"erased"}` {
		t.Errorf("it discloses the name %s", got)
	}
	for i, e := range before {
		if e.Hash != chain[i].Hash {
			t.Errorf("entry %d has another hash", i+1)
		}
		if len(chain[i].Nonces) != 0 || chain[i].ReasonNonce != "" || chain[i].Reason != "" {
			t.Errorf("entry %d discloses %+v", i+1, chain[i])
		}
	}
	if _, err := audit.Verify(erasedID, audit.Head{}, before); err != nil {
		t.Errorf("the export from before: %v", err)
	}
}

// guesses returns every text of up to three letters of a small alphabet, the values themselves among them.
func guesses() (all []string) {
	letters := []string{"", "J", "o", "e", "n", "a"}
	for _, a := range letters {
		for _, b := range letters {
			for _, c := range letters {
				all = append(all, a+b+c)
			}
		}
	}
	return all
}

// nonces returns every text in quotes that may be a nonce.
func nonces(text string) (all []string) {
	for i, part := range strings.Split(text, `"`) {
		if part = strings.TrimSuffix(part, `\`); i%2 == 1 && len(part) == 26 && strings.ToUpper(part) == part {
			all = append(all, part)
		}
	}
	return all
}

// TestGuessing: with each nonce that is left, and those of an export from before the license was renamed, no guess of
// what came later is confirmed.
func TestGuessing(t *testing.T) {
	store := audittest.NewMemory(t)
	events := life()
	record(t, store, events[0])
	exported := export(t, audittest.Chain(t, store, erasedID)...)
	recordAll(t, store, events[1:3]...)
	confirmed := func(text string) (names []string) {
		entries, err := store.Entries(t.Context(), erasedID, 1, 2) // those after the export
		if err != nil {
			t.Fatal(err)
		}
		chain := export(t, entries...)
		for _, nonce := range nonces(text) {
			for _, guess := range guesses() {
				name := json.RawMessage(fmt.Sprintf(`{"S":%q}`, guess))
				e := audit.Entry{
					Changes: map[string]audit.FieldChange{"customername": {New: name}},
					Nonces:  map[string]audit.FieldNonces{"customername": {New: nonce}},
				}
				if bytes.Contains(chain, e.Closed().Changes["customername"].New) {
					names = append(names, guess)
				}
			}
		}
		return names
	}
	if got := confirmed(everything(t, store)); !slices.Contains(got, "Joe") {
		t.Fatalf("before the erasure the nonces confirm only %q", got)
	}
	record(t, store, events[3])
	if got := confirmed(everything(t, store)); got != nil {
		t.Errorf("what is left confirms %q", got)
	}
	// The export has the name of entry 1, which entry 2 names as the old one. Of the new one it tells nothing.
	if got := confirmed(string(exported)); slices.Contains(got, "Joe") {
		t.Errorf("the export confirms %q", got)
	}
}

// TestNonces: a value that stays keeps its nonce, one that comes back gets another, and an erasure gives new ones to
// what stays.
func TestNonces(t *testing.T) {
	store := audittest.NewMemory(t)
	asked := attribute.Map{"changereason": "asked for it"}
	recordAll(t, store, stream(person(1, asked), person(2, attribute.Map{"notes": "", "changereason": "asked for it"}),
		person(3, asked), forgotten(4, "1"))...)
	entries, err := store.Entries(t.Context(), erasedID, 0, 9)
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(entries[1].Changes)); !slices.Equal(got, []string{"notes", "version"}) {
		t.Errorf("changed %v", got)
	}
	if first, again := entries[0].Changes["notes"].New, entries[2].Changes["notes"].New; bytes.Equal(first, again) {
		t.Error("a value that came back shows that it is the one from before")
	}
	reason := entries[3].Changes["changereason"]
	if len(reason.Old) == 0 || bytes.Equal(reason.Old, reason.New) {
		t.Errorf("what an erasure leaves has the nonce from before: %s", reason.New)
	}
}

// failingForget fails as often as it is told.
type failingForget struct {
	*audittest.Memory
	failures *int
}

func (f failingForget) Forget(ctx context.Context, licenseID string, before int64) error {
	if *f.failures > 0 {
		*f.failures--
		return errors.New("throttled")
	}
	return f.Memory.Forget(ctx, licenseID, before)
}

// TestErasureInterrupted: what was recorded and not forgotten is forgotten when any event of the license comes again,
// or by CompleteErasure.
func TestErasureInterrupted(t *testing.T) {
	for name, complete := range map[string]func(*testing.T, audit.Store, []audit.Event){
		"the event again": func(t *testing.T, store audit.Store, events []audit.Event) { record(t, store, events[3]) },
		"an earlier one":  func(t *testing.T, store audit.Store, events []audit.Event) { record(t, store, events[0]) },
		"the checkpoint run": func(t *testing.T, store audit.Store, _ []audit.Event) {
			if err := audit.CompleteErasure(t.Context(), store, erasedID, 4); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			store, events := failingForget{audittest.NewMemory(t), new(int)}, life()
			recordAll(t, store, events[:3]...)
			*store.failures = 1
			if err := (audit.Recorder{Store: store}).Record(t.Context(), events[3]); err == nil {
				t.Fatal("the failure is passed over")
			}
			if !strings.Contains(everything(t, store), "Joe") {
				t.Fatal("it was forgotten already")
			}
			complete(t, store, events)
			wantNone(t, everything(t, store))
			if chain, findings := verified(t, store); len(chain) != 4 || len(findings) != 0 {
				t.Errorf("%d entries, %v", len(chain), findings)
			}
		})
	}
}

// TestErasureThatIsNone: the chain itself has to say that it was erased.
func TestErasureThatIsNone(t *testing.T) {
	store, events := audittest.NewMemory(t), life()
	recordAll(t, store, events[:3]...)
	for _, sequence := range []int64{1, 3, 4, 1 << 40} {
		if err := audit.CompleteErasure(t.Context(), store, erasedID, sequence); !errors.Is(err, audit.ErrHead) {
			t.Errorf("entry %d: got %v", sequence, err)
		}
	}
	head := store.MustState(erasedID).Head
	head.ErasedSequence = 3
	store.SetHead(erasedID, head)
	if err := (audit.Recorder{Store: store}).Record(t.Context(), events[1]); !errors.Is(err, audit.ErrHead) {
		t.Errorf("a planted erasure: %v", err)
	}
	if !strings.Contains(everything(t, store), "Joe does not pay") {
		t.Error("it was forgotten")
	}
}

// TestLateAfterErasure: an event of before the erasure that comes behind it discloses nothing, and one of after it
// does.
func TestLateAfterErasure(t *testing.T) {
	renewed := forgotten(5, "1")
	renewed["expirationdate"] = "2100-01-01T00:00:00.000Z"
	again := maps.Clone(renewed)
	again["version"], again["customername"] = attribute.Number("6"), "Joe"
	last := maps.Clone(again)
	last["version"], last["isrevoked"] = attribute.Number("7"), true
	events := append(life(), stream(forgotten(4, "1"), renewed, again, last)[1:]...)
	for i := range events {
		events[i].SequenceNumber = fmt.Sprint(i + 1)
		events[i].ID = fmt.Sprint("event ", i+1)
	}
	store := audittest.NewMemory(t)
	recordAll(t, store, events[0], events[1], events[3], events[2]) // the reason that names somebody comes last
	wantNone(t, everything(t, store))
	chain, findings := verified(t, store)
	if len(findings) != 2 || !findings2(findings, 3, 4) || !chain[3].Late { // a gap, and one that is late
		t.Errorf("findings %v", findings)
	}
	recordAll(t, store, events[4], events[6], events[5])
	if !strings.Contains(everything(t, store), "Joe") {
		t.Error("what came after the erasure is not disclosed")
	}
	if chain, _ := verified(t, store); !chain[6].Late || len(chain[6].Nonces) == 0 {
		t.Errorf("got %+v", chain[6])
	}
}

func findings2(findings []audit.Finding, a, b int64) bool {
	return findings[0].Sequence == a && findings[1].Sequence == b
}

// TestLateErasure: an erasure that was held back forgets all that is there when it comes.
func TestLateErasure(t *testing.T) {
	after := forgotten(5, "1")
	after["isrevoked"] = true
	events := append(life(), stream(forgotten(4, "1"), after)[1])
	events[4].SequenceNumber, events[4].ID = "5", "event 5"
	store := audittest.NewMemory(t)
	recordAll(t, store, events[0], events[1], events[2], events[4], events[3])
	wantNone(t, everything(t, store))
	chain, findings := verified(t, store)
	if chain[4].Action != audit.Erased || !chain[4].Late || len(findings) != 2 || !findings2(findings, 4, 5) {
		t.Errorf("findings %v, %+v", findings, chain[4])
	}

	// One that is older than another erasure does not let back in what that has thrown out.
	states := stream(person(1, nil), forgotten(2, "1"), person(3, nil), forgotten(4, "2"))
	store = audittest.NewMemory(t)
	recordAll(t, store, states[0], states[3], states[1], states[2])
	wantNone(t, everything(t, store))
}

// TestChangeAfterErasure is what it is: the mark alone is no erasure.
func TestChangeAfterErasure(t *testing.T) {
	renewed := forgotten(3, "1")
	renewed["expirationdate"] = "2100-01-01T00:00:00.000Z"
	store := audittest.NewMemory(t)
	recordAll(t, store, stream(person(1, nil), forgotten(2, "1"), renewed, forgotten(4, "2"))...)
	chain, findings := verified(t, store)
	if len(findings) != 0 || chain[2].Action != audit.Renewed || chain[3].Action != audit.Erased {
		t.Errorf("findings %v, %s, %s", findings, chain[2].Action, chain[3].Action)
	}
}

// TestErasureOfWhatIsLeft: where a personal value is left, or comes back, nothing counts as erased, and somebody hears
// of it. The next erasure forgets that too.
func TestErasureOfWhatIsLeft(t *testing.T) {
	left := forgotten(4, "1")
	left["contact"] = "Joe"
	foreign := attribute.Map{"licenseid": erasedID, "customername": "Joe", "expirationdate": "2099-01-01"}
	unnamed := attribute.Map{"licenseid": erasedID, "customername": license.ErasedName, "expirationdate": "2098-01-01"}
	var told []int64
	store := audittest.NewMemory(t)
	recorder := audit.Recorder{Store: store, OnReturn: func(_ context.Context, e audit.Entry) {
		told = append(told, e.Sequence)
	}}
	events := stream(person(1, nil), left, forgotten(5, "2"), unnamed, foreign, forgotten(6, "3"))
	for n, event := range events {
		if err := recorder.Record(t.Context(), event); err != nil {
			t.Fatal(err)
		}
		isThere := strings.Contains(everything(t, store), "Jo")
		if want := []bool{true, true, false, false, true, false}[n]; isThere != want {
			t.Errorf("after entry %d a value is there: %v, want %v", n+1, isThere, want)
		}
	}
	if !slices.Equal(told, []int64{2, 5}) {
		t.Errorf("told of %v", told)
	}
	chain, findings := verified(t, store)
	var actions []audit.Action
	for _, e := range chain {
		actions = append(actions, e.Action)
	}
	want := []audit.Action{
		audit.Issued, audit.Changed, audit.Erased, audit.Changed, audit.Renewed, audit.Erased,
	}
	if diff := cmp.Diff(want, actions); diff != "" || len(findings) != 0 {
		t.Errorf("findings %v, actions (-want +got):\n%s", findings, diff)
	}
}

// TestErasureOfWhatIsGone: a removed license is erased by a record that is there for a moment. Since when it is gone
// stays as it was.
func TestErasureOfWhatIsGone(t *testing.T) {
	mark := attribute.Map{
		"licenseid": erasedID, "isrevoked": true, "isdeleted": true, "erased": "1", "version": attribute.Number("1"),
		"changedby": "me", "changereason": "asked for it",
	}
	store := audittest.NewMemory(t)
	recordAll(t, store, stream(person(1, nil), nil, mark, nil)...)
	wantNone(t, everything(t, store))
	chain, findings := verified(t, store)
	if len(chain) != 4 || len(findings) != 0 || chain[2].Action != audit.Erased || chain[3].Action != audit.Deleted ||
		chain[3].Reason != "asked for it" {
		t.Errorf("findings %v, %+v", findings, chain)
	}
	for _, at := range []time.Duration{time.Second, 2 * time.Second, time.Hour} {
		s, err := audit.StandingAt(chain, licensetest.Now.Add(at))
		removed := licensetest.Now.Add(time.Second)
		if err != nil || s.Status != audit.Absent || !s.Since.Equal(removed) || len(s.Doubts) > 0 {
			t.Errorf("after %v: %+v, %v", at, s, err)
		}
	}
	recordAll(t, store, audit.Event{
		ID: "event 5", SequenceNumber: "5", LicenseID: erasedID, New: person(1, nil),
		Time: licensetest.Now.Add(time.Hour),
	})
	if chain, findings := verified(t, store); chain[4].Action != audit.Issued || len(findings) != 0 {
		t.Errorf("issued again: %v, %+v", findings, chain[4])
	}
}

// TestAdoptedErasure: the first that the trail sees of a license may be its erasure.
func TestAdoptedErasure(t *testing.T) {
	store := audittest.NewMemory(t)
	foreign := attribute.Map{"licenseid": erasedID, "customername": "Joe", "expirationdate": "2099-01-01"}
	record(t, store, audit.Event{
		ID: "1", SequenceNumber: "1", LicenseID: erasedID, Old: foreign, New: forgotten(1, "1"), Time: licensetest.Now,
	})
	wantNone(t, everything(t, store))
	chain, findings := verified(t, store)
	if len(findings) != 0 || !chain[0].Adopted || chain[0].Action != audit.Erased {
		t.Errorf("%v, %+v", findings, chain)
	}
}

// TestWithheld: values that are not there are a finding, and forged ones are not shown.
func TestWithheld(t *testing.T) {
	store, events := audittest.NewMemory(t), life()
	recordAll(t, store, events[:3]...)
	chain := store.Chain(erasedID)
	v := audit.NewVerifier(erasedID, audit.Head{})
	withheld := slices.Clone(chain)
	withheld[1] = withheld[1].Closed()
	for _, e := range withheld {
		if err := v.Next(e); err != nil {
			t.Fatal(err)
		}
	}
	if got := v.Findings(); len(got) != 1 || got[0].Sequence != 2 || v.Withholds() {
		t.Errorf("one that is not disclosed: %v, all: %v", got, v.Withholds())
	}
	v = audit.NewVerifier(erasedID, audit.Head{})
	for _, e := range chain {
		if err := v.Next(e.Closed()); err != nil {
			t.Fatal(err)
		}
	}
	if got := v.Findings(); len(got) != 0 || !v.Withholds() {
		t.Errorf("without values: %v, %v", got, v.Withholds())
	}
	forged, _ := chain[1].Disclosure()
	forged.Changes = map[string]audit.FieldChange{"customername": {New: json.RawMessage(`{"S":"Jim"}`)}}
	shown := chain[1].Disclosed(forged)
	if text, err := json.Marshal(shown); err != nil || bytes.Contains(text, []byte("Jim")) {
		t.Errorf("a forged value is shown: %s, %v", text, err)
	}
	reason, _ := chain[2].Disclosure()
	reason.Reason = "another"
	if shown := chain[2].Disclosed(reason); shown.Reason != "" || shown.ReasonCommitment == "" {
		t.Errorf("a forged reason is shown: %+v", shown)
	}
	planted := chain[2].Closed()
	planted.Reason = "planted"
	if shown := audit.Disclose([]audit.Entry{planted}, nil)[0]; shown.Reason != "" {
		t.Errorf("a planted reason is shown: %+v", shown)
	}
}

// TestLongPersonalValue: it is committed to before anything is shortened, so that no digest of it is left.
func TestLongPersonalValue(t *testing.T) {
	store := audittest.NewMemory(t)
	long := person(1, attribute.Map{"notes": strings.Repeat("cake", 90<<10)})
	recordAll(t, store, stream(long, forgotten(2, "1"))...)
	text := everything(t, store)
	if wantNone(t, text); strings.Contains(text, `"sha256"`) {
		t.Errorf("a digest is left: %s", text)
	}
	if _, findings := verified(t, store); len(findings) != 0 {
		t.Errorf("findings %v", findings)
	}
}

// TestStreams: a restored table has another stream, whose numbers begin anew.
func TestStreams(t *testing.T) {
	store, events := audittest.NewMemory(t), life()
	for i := range events {
		events[i].Stream = "2026-11-01T11:00:00.000"
	}
	events[2].Stream, events[2].SequenceNumber = "2026-11-02T11:00:00.000", "1"
	events[3].Stream, events[3].SequenceNumber = "2026-11-02T11:00:00.000", "2"
	recordAll(t, store, events...)
	recordAll(t, store, events...)
	chain, findings := verified(t, store)
	if len(chain) != 4 || len(findings) != 0 || chain[3].Late {
		t.Errorf("%d entries, %v", len(chain), findings)
	}
	held := events[2]
	held.Stream, held.SequenceNumber, held.ID = "2026-11-01T11:00:00.000", "9", "held back"
	record(t, store, held) // of the earlier stream
	wantNone(t, everything(t, store))
	if chain, _ := verified(t, store); !chain[4].Late {
		t.Errorf("got %+v", chain[4])
	}
}
