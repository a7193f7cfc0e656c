package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/licensetest"
)

func TestGap(t *testing.T) {
	ours := licensetest.Issue(t).Record()
	changed := maps.Clone(ours)
	changed["notes"] = "other"
	foreign := attribute.Map{"licenseid": "id", "expirationdate": "2030-01-01"}
	changedForeign := attribute.Map{"licenseid": "id", "expirationdate": "2031-01-01"}
	unreadable := attribute.Map{"version": attribute.Number("3"), "isrevoked": "yes"}
	type change [2]attribute.Map
	for name, test := range map[string]struct {
		changes      []change
		gap, adopted bool // of the last
	}{
		"first, issued":              {[]change{{nil, ours}}, false, false},
		"first, a foreign record":    {[]change{{foreign, changedForeign}}, false, true},
		"first, its deletion":        {[]change{{foreign, nil}}, false, true},
		"first, a record of ours":    {[]change{{ours, changed}}, true, false},
		"first, of ours, unreadable": {[]change{{unreadable, changed}}, true, false},
		"follows":                    {[]change{{nil, ours}, {ours, changed}}, false, false},
		"follows an adopted one":     {[]change{{foreign, changedForeign}, {changedForeign, ours}}, false, false},
		"a change missed":            {[]change{{nil, ours}, {changed, ours}}, true, false},
		"a foreign one missed":       {[]change{{nil, foreign}, {changedForeign, foreign}}, true, false},
		"the deletion missed":        {[]change{{nil, ours}, {nil, ours}}, true, false},
		"issued again":               {[]change{{nil, ours}, {ours, nil}, {nil, ours}}, false, false},
		"the next issue missed":      {[]change{{nil, ours}, {ours, nil}, {foreign, changedForeign}}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			store := audittest.NewMemory(t)
			var told []audit.Entry
			onGap := func(_ context.Context, e audit.Entry) { told = append(told, e) }
			recorder := audit.Recorder{Store: store, OnGap: onGap}
			for i, c := range test.changes {
				event := audit.Event{
					ID: string(rune('a' + i)), SequenceNumber: string(rune('1' + i)), LicenseID: "id",
					Old: c[0], New: c[1],
				}
				if err := recorder.Record(t.Context(), event); err != nil {
					t.Fatal(err)
				}
			}
			chain := store.Chain("id")
			last := chain[len(chain)-1]
			if len(chain) != len(test.changes) || last.Gap != test.gap || last.Adopted != test.adopted {
				t.Errorf("%d entries, gap %v, adopted %v", len(chain), last.Gap, last.Adopted)
			}
			if got := len(told) == 1 && told[0].Sequence == last.Sequence; got != test.gap {
				t.Errorf("told of %v", told)
			}
			v := audit.NewVerifier("id", audit.Head{})
			for _, e := range chain {
				if err := v.Next(e); err != nil {
					t.Fatal(err)
				}
			}
			if got := len(v.Findings()) == 1 && v.Findings()[0].Sequence == last.Sequence; got != test.gap {
				t.Errorf("findings %v", v.Findings())
			}
		})
	}
}

// TestPlantedHead: whatever stands in a head, an event is recorded, seen as a gap, or an error, and never passed over.
func TestPlantedHead(t *testing.T) {
	events := audittest.History(t, 3)
	id := events[0].LicenseID
	for name, plant := range map[string]func(*audit.Head){
		"a longer chain":        func(h *audit.Head) { h.SequenceNumber, h.Sequence = "9"+h.SequenceNumber, 1<<62 },
		"no chain, but a later": func(h *audit.Head) { *h = audit.Head{SequenceNumber: "9" + h.SequenceNumber} },
		"no number":             func(h *audit.Head) { h.SequenceNumber = "later" },
	} {
		t.Run(name, func(t *testing.T) {
			store := audittest.NewMemory(t)
			record(t, store, events[0])
			record(t, store, events[1])
			head := audit.Head{}.After(store.Chain(id)[1])
			plant(&head)
			store.SetHead(id, head)
			if err := (audit.Recorder{Store: store}).Record(t.Context(), events[2]); err == nil {
				t.Error("passed over")
			}
		})
	}
	for name, number := range map[string]string{
		"a later number": "9" + events[2].SequenceNumber, "the next event's number": events[1].SequenceNumber,
	} {
		t.Run(name, func(t *testing.T) {
			store := audittest.NewMemory(t)
			record(t, store, events[0])
			head := audit.Head{}.After(store.Chain(id)[0])
			head.SequenceNumber = number
			store.SetHead(id, head)
			record(t, store, events[1])
			record(t, store, events[2])
			if chain := store.Chain(id); len(chain) != 3 || !chain[1].Late || chain[2].EventID != events[2].ID {
				t.Errorf("got %+v", chain)
			}
		})
	}
	t.Run("another event of the same number", func(t *testing.T) {
		store := audittest.NewMemory(t)
		for _, event := range events {
			record(t, store, event)
		}
		other := events[0]
		other.ID = "another"
		record(t, store, other)
		if chain := store.Chain(id); len(chain) != 4 || !chain[3].Late || chain[3].EventID != other.ID {
			t.Errorf("got %+v", chain)
		}
	})
}

// TestLate: an event that was held back is recorded when it comes, once, and the chain says so and goes on.
func TestLate(t *testing.T) {
	events := audittest.History(t, 6)
	id := events[0].LicenseID
	store := audittest.NewMemory(t)
	var told []audit.Entry
	recorder := audit.Recorder{Store: store, OnGap: func(_ context.Context, e audit.Entry) { told = append(told, e) }}
	for _, n := range []int{0, 1, 3, 4, 2, 2, 1, 4, 5, 2, 0} {
		if err := recorder.Record(t.Context(), events[n]); err != nil {
			t.Fatal(err)
		}
	}
	var order []string
	chain := store.Chain(id)
	for _, e := range chain {
		order = append(order, e.EventID)
	}
	want := []string{events[0].ID, events[1].ID, events[3].ID, events[4].ID, events[2].ID, events[5].ID}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	if !chain[2].Gap || !chain[4].Late || chain[4].Gap || chain[5].Gap || chain[5].Late || len(told) != 2 {
		t.Errorf("%d reported; the chain is %+v", len(told), chain)
	}
	v := audit.NewVerifier(id, audit.Head{})
	for _, e := range chain {
		if err := v.Next(e); err != nil {
			t.Fatal(err)
		}
	}
	state, err := store.State(t.Context(), id)
	head := state.Head
	if err != nil || v.Head() != head || len(v.Findings()) != 2 || head.SequenceNumber != events[5].SequenceNumber {
		t.Errorf("head %+v, %v; findings %v", head, err, v.Findings())
	}
}

// TestLargestRecords: an entry fits into an item of 400 KB with all around it, and says what it does not hold.
func TestLargestRecords(t *testing.T) {
	for name, records := range audittest.Largest() {
		t.Run(name, func(t *testing.T) {
			store := audittest.NewMemory(t)
			event := audit.Event{ID: "1", SequenceNumber: "1", LicenseID: "id", Old: records[0], New: records[1]}
			if err := (audit.Recorder{Store: store}).Record(t.Context(), event); err != nil {
				t.Fatal(err)
			}
			e, state := store.Chain("id")[0], store.MustState("id")
			for what, v := range map[string]any{
				"entry": e.Closed(), "disclosure": first(e.Disclosure()), "state": state,
			} {
				text, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				if len(text) > 350<<10 {
					t.Errorf("the %s has %d bytes", what, len(text))
				}
			}
			if want, _ := audit.HashRecord(records[1], state.Nonces); e.RecordHash != want || state.RecordHash != want {
				t.Errorf("record hash %s, want %s", e.RecordHash, want)
			}
			if e.Actor != audit.UnknownActor || e.Reason != "" || len(e.Changes) == 0 || len(e.Nonces) == 0 {
				t.Errorf("by %s, because %.20q; %d changes, %d nonces",
					e.Actor, e.Reason, len(e.Changes), len(e.Nonces))
			}
			if _, err := audit.Verify("id", audit.Head{}, []audit.Entry{e}); err != nil {
				t.Error(err)
			}
		})
	}
	e := describe(t, nil, attribute.Map{"notes": string(make([]byte, 40_000))}) // 240,000 in JSON
	if len(e.Changes["notes"].New) < 240_000 {
		t.Errorf("less than 256 KiB are not disclosed whole: %.80s", e.Changes["notes"].New)
	}
	services := string(make([]byte, 50_000)) // 300,000 in JSON
	e = describe(t, nil, attribute.Map{"services": services, "plan": "pro"})
	if digest := string(e.Changes["services"].New); !strings.HasPrefix(digest, `{"bytes":3000`) {
		t.Errorf("an impersonal value of 300,000 bytes is %.80s", digest)
	}
}

func first[T any](v T, _ bool) T { return v }

// TestPlantedEntry: what someone has put behind the end of a chain is named, and in the way until it is removed.
func TestPlantedEntry(t *testing.T) {
	store, events := audittest.NewMemory(t), audittest.History(t, 3)
	recorder := audit.Recorder{Store: store}
	for _, event := range events[:2] {
		if err := recorder.Record(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
	store.Plant(audit.Entry{LicenseID: events[0].LicenseID, Sequence: 3})
	err := recorder.Record(t.Context(), events[2])
	if !errors.Is(err, audit.ErrPlanted) || !strings.Contains(err.Error(), events[0].LicenseID+", entry 3") {
		t.Errorf("got %v", err)
	}
	store.Plant(audit.Entry{LicenseID: events[0].LicenseID})
	if err := recorder.Record(t.Context(), events[2]); err != nil {
		t.Error(err)
	}
}

// movedOn is a store in which another process appends after each look at the head.
type movedOn struct {
	*audittest.Memory
	next func()
}

func (m movedOn) State(ctx context.Context, licenseID string) (audit.State, error) {
	state, err := m.Memory.State(ctx, licenseID)
	m.next()
	return state, err
}

// TestConflictIsNotPlanted: what another process has appended meanwhile stands there with its head.
func TestConflictIsNotPlanted(t *testing.T) {
	store, events := audittest.NewMemory(t), audittest.History(t, 9)
	other := 0
	recorder := audit.Recorder{Store: movedOn{store, func() {
		if err := (audit.Recorder{Store: store}).Record(t.Context(), events[other]); err != nil {
			t.Error(err)
		}
		other = min(other+1, len(events)-2)
	}}}
	if err := recorder.Record(t.Context(), events[8]); err != nil && !errors.Is(err, audit.ErrConflict) {
		t.Errorf("got %v", err)
	}
}
