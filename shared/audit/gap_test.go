package audit_test

import (
	"context"
	"encoding/json"
	"maps"
	"testing"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/audit/audittest"
	"openlicenser/shared/license/licensetest"
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
			recorder := audit.Recorder{Store: store, Gap: func(_ context.Context, e audit.Entry) { told = append(told, e) }}
			for i, c := range test.changes {
				event := audit.Event{ID: string(rune('a' + i)), SequenceNumber: string(rune('1' + i)), LicenseID: "id", Old: c[0], New: c[1]}
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
		"a later number":        func(h *audit.Head) { h.SequenceNumber = "9" + h.SequenceNumber },
		"and a longer chain":    func(h *audit.Head) { h.SequenceNumber, h.Sequence = "9"+h.SequenceNumber, 1<<62 },
		"no chain, but a later": func(h *audit.Head) { *h = audit.Head{SequenceNumber: "9" + h.SequenceNumber} },
		"no number":             func(h *audit.Head) { h.SequenceNumber = "later" },
	} {
		t.Run(name, func(t *testing.T) {
			store := audittest.NewMemory(t)
			record(t, store, events[0])
			record(t, store, events[1])
			head := audit.HeadOf(store.Chain(id)[1])
			plant(&head)
			store.SetHead(id, head)
			if err := (audit.Recorder{Store: store}).Record(t.Context(), events[2]); err == nil {
				t.Error("passed over")
			}
		})
	}
	t.Run("the next event's number", func(t *testing.T) {
		store := audittest.NewMemory(t)
		record(t, store, events[0])
		head := audit.HeadOf(store.Chain(id)[0])
		head.SequenceNumber = events[1].SequenceNumber
		store.SetHead(id, head)
		record(t, store, events[1]) // passes for a repetition
		record(t, store, events[2])
		if chain := store.Chain(id); len(chain) != 2 || !chain[1].Gap {
			t.Errorf("got %+v", chain)
		}
	})
	t.Run("another event of the same number", func(t *testing.T) {
		store := audittest.NewMemory(t)
		for _, event := range events {
			record(t, store, event)
		}
		other := events[0]
		other.ID = "another"
		if err := (audit.Recorder{Store: store}).Record(t.Context(), other); err == nil {
			t.Error("passed over")
		}
	})
}

// TestLargestRecords: an entry fits into an item of 400 KB with all around it, and says what it does not hold.
func TestLargestRecords(t *testing.T) {
	forms := map[string]bool{}
	for name, records := range audittest.Largest() {
		t.Run(name, func(t *testing.T) {
			e := describe(t, records[0], records[1])
			text, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			if len(text) > 350<<10 {
				t.Errorf("an entry of %d bytes", len(text))
			}
			if want, _ := audit.HashRecord(records[1]); e.RecordHash != want {
				t.Errorf("record hash %s, want %s", e.RecordHash, want)
			}
			if e.Actor != audit.UnknownActor || e.Reason != "" {
				t.Errorf("by %s, because %.20q", e.Actor, e.Reason)
			}
			switch {
			case e.ChangesDigest != nil && len(e.Changes) == 0:
				forms["all"] = true
			case e.ChangesDigest == nil && len(e.Changes) > 0:
				forms["values"] = true
			default:
				t.Errorf("%d changes, digest %v", len(e.Changes), e.ChangesDigest)
			}
		})
	}
	if len(forms) != 2 {
		t.Errorf("only %v", forms)
	}
	e := describe(t, nil, attribute.Map{"notes": string(make([]byte, 40_000))}) // 240,000 in JSON
	if e.ChangesDigest != nil || len(e.Changes["notes"].New) < 240_000 {
		t.Errorf("changes of less than 256 KiB are not whole: %.80s", e.Changes["notes"].New)
	}
}
