package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/licensetest"
)

func TestMemory(t *testing.T) {
	audittest.TestStore(t, func(t *testing.T) audit.Store { return audittest.NewMemory(t) })
}

// describe records one change and returns its entry.
func describe(t *testing.T, before, after attribute.Map) audit.Entry {
	t.Helper()
	store := audittest.NewMemory(t)
	event := audit.Event{
		ID: "event-1", SequenceNumber: "1", Time: licensetest.Now, LicenseID: "id", Old: before, New: after,
	}
	if err := (audit.Recorder{Store: store}).Record(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	return store.Chain("id")[0]
}

func TestActions(t *testing.T) {
	base := licensetest.Issue(t).Record()
	with := func(changes attribute.Map) attribute.Map {
		record := maps.Clone(base)
		maps.Copy(record, changes)
		return record
	}
	devices := func(limit, epoch attribute.Number) attribute.Map {
		return with(attribute.Map{"maxdevices": limit, "seatsepoch": epoch})
	}
	set := func(name string, value any) func(attribute.Map) attribute.Map {
		return func(record attribute.Map) attribute.Map {
			record[name] = value
			return record
		}
	}
	odd, revoked := set("seatsepoch", "7"), set("isrevoked", true)
	putBack := set("changedby", license.PutBackActor)
	for name, test := range map[string]struct {
		before, after attribute.Map
		want          audit.Action
	}{
		"issued":                {nil, base, audit.Issued},
		"deleted":               {base, nil, audit.Deleted},
		"revoked":               {base, with(attribute.Map{"isrevoked": true}), audit.Revoked},
		"revocation taken back": {with(attribute.Map{"isrevoked": true}), base, audit.Reinstated},
		"suspended":             {base, with(attribute.Map{"issuspended": true}), audit.Suspended},
		"suspension taken back": {with(attribute.Map{"issuspended": true}), base, audit.Reinstated},
		"renewed":               {base, with(attribute.Map{"expirationdate": "2099-01-01"}), audit.Renewed},
		"more days of grace":    {base, with(attribute.Map{"gracedays": attribute.Number("9")}), audit.Renewed},
		"shortened":             {base, with(attribute.Map{"expirationdate": "2026-12-01"}), audit.Changed},
		"date in another form": {
			with(attribute.Map{"expirationdate": "2099-01-01"}),
			with(attribute.Map{"expirationdate": "2099-01-01T00:00:00Z"}), audit.Changed,
		},
		"revoked and renewed": {
			base, with(attribute.Map{"isrevoked": true, "expirationdate": "2099-01-01"}), audit.Revoked,
		},
		"notes":                {base, with(attribute.Map{"notes": "x"}), audit.Changed},
		"no longer understood": {base, with(attribute.Map{"isrevoked": "true"}), audit.Changed},
		"revoked, not understood": {
			with(attribute.Map{"isrevoked": true}), with(attribute.Map{"isrevoked": "true"}), audit.Changed,
		},
		"understood as revoked": {
			with(attribute.Map{"isrevoked": "true"}), with(attribute.Map{"isrevoked": true}), audit.Revoked,
		},
		"understood as in force": {with(attribute.Map{"isrevoked": "true"}), base, audit.Reinstated},
		"suspended at last": {
			with(attribute.Map{"issuspended": "yes"}), with(attribute.Map{"issuspended": true}), audit.Suspended,
		},
		"suspended no more":   {with(attribute.Map{"issuspended": "yes"}), base, audit.Reinstated},
		"date not understood": {base, with(attribute.Map{"expirationdate": "soon"}), audit.Changed},
		"date mended":         {with(attribute.Map{"expirationdate": "soon"}), base, audit.Changed},
		"revoked, date odd": {
			with(attribute.Map{"expirationdate": "soon"}),
			with(attribute.Map{"expirationdate": "soon", "isrevoked": true}), audit.Revoked,
		},
		"devices reset":                        {devices("2", "7"), devices("2", "8"), audit.DevicesReset},
		"devices reset, the limit changed too": {devices("2", "7"), devices("3", "8"), audit.DevicesReset},
		"more devices":                         {devices("2", "7"), devices("3", "7"), audit.Changed},
		"devices given":                        {base, devices("2", "7"), audit.Changed},
		"devices taken away": {
			devices("2", "7"), with(attribute.Map{"seatsepoch": attribute.Number("8")}), audit.Changed,
		},
		"epoch mended":            {odd(devices("2", "7")), devices("2", "8"), audit.DevicesReset},
		"epoch not understood":    {devices("2", "7"), odd(devices("2", "7")), audit.Changed},
		"devices reset and ended": {devices("2", "7"), revoked(devices("2", "8")), audit.Revoked},
		"devices put back": {
			with(attribute.Map{"maxdevices": attribute.Number("2")}), putBack(devices("2", "8")), audit.Changed,
		},
		"an unknown attribute": {base, with(attribute.Map{"colour": attribute.BinarySet{{1}}}), audit.Changed},
	} {
		t.Run(name, func(t *testing.T) {
			if got := describe(t, test.before, test.after).Action; got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestActor: only the change that set the actor is its.
func TestActor(t *testing.T) {
	issued := licensetest.Issue(t)
	revoked := licensetest.Revoke(t, issued, "why")
	e := describe(t, issued.Record(), revoked.Record())
	if e.Actor != revoked.ChangedBy || e.Reason != "why" || e.RequestID != revoked.RequestID {
		t.Errorf("our change: %+v", e)
	}
	deleted := revoked.Delete(licensetest.Change("a mistake"))
	e = describe(t, deleted.Record(), nil)
	if e.Action != audit.Deleted || e.Actor != deleted.ChangedBy || e.Reason != "a mistake" ||
		e.RequestID != deleted.RequestID {
		t.Errorf("our removal: %+v", e)
	}
	foreign := revoked.Record()
	foreign["isrevoked"] = false
	for name, e := range map[string]audit.Entry{
		"foreign change":      describe(t, revoked.Record(), foreign),
		"deletion":            describe(t, revoked.Record(), nil),
		"foreign new license": describe(t, nil, attribute.Map{"licenseid": "x", "expirationdate": "2030-01-01"}),
	} {
		if e.Actor != audit.UnknownActor || e.Reason != "" || e.RequestID != "" {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// TestDevicesReset: a reset names who made it and why, and changes the epoch.
func TestDevicesReset(t *testing.T) {
	issued := licensetest.Issue(t)
	issued.MaxDevices, issued.SeatsEpoch = 2, 7
	reset, err := issued.ResetDevices(licensetest.Change("all were replaced"))
	if err != nil {
		t.Fatal(err)
	}
	e := describe(t, issued.Record(), reset.Record())
	if e.Action != audit.DevicesReset || e.Actor != reset.ChangedBy || e.Reason != "all were replaced" ||
		e.RequestID != reset.RequestID || len(e.Changes["seatsepoch"].New) == 0 {
		t.Errorf("got %+v", e)
	}
}

func TestChanges(t *testing.T) {
	e := describe(t,
		attribute.Map{"same": "a", "gone": true, "changed": attribute.Number("1"), "type": "1"},
		attribute.Map{"same": "a", "new": nil, "changed": attribute.Number("2"), "type": attribute.Number("1")})
	got, err := json.Marshal(e.Changes)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"changed":{"old":{"N":"1"},"new":{"N":"2"}},"gone":{"old":{"BOOL":true}},` +
		`"new":{"new":{"NULL":true}},"type":{"old":{"S":"1"},"new":{"N":"1"}}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestIndexAttributes: they are in no entry, make none by themselves, and leave no gap where they change unseen.
func TestIndexAttributes(t *testing.T) {
	store := audittest.NewMemory(t)
	recorder := audit.Recorder{Store: store}
	foreign := attribute.Map{"licenseid": "a", "customername": "Acme"}
	indexed := license.Adopt(foreign, licensetest.Now).Apply(foreign)
	renamed := license.Adopt(attribute.Map{"licenseid": "a", "customername": "Other"}, licensetest.Now)
	other := renamed.Apply(attribute.Map{"licenseid": "a", "customername": "Other"})
	for n, images := range [][2]attribute.Map{
		{nil, foreign}, {foreign, indexed}, {indexed, foreign}, {indexed, other}, {other, nil},
	} {
		err := recorder.Record(t.Context(), audit.Event{
			ID: fmt.Sprint(n), SequenceNumber: fmt.Sprint(n + 1), LicenseID: "a", Old: images[0], New: images[1],
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, e := range store.Chain("a") {
		changes := slices.Sorted(maps.Keys(e.Changes))
		got = append(got, fmt.Sprintf("%s %s %v gap %v", e.EventID, e.Action, changes, e.Gap))
	}
	want := []string{
		"0 ISSUED [customername licenseid] gap false", "3 CHANGED [customername] gap false",
		"4 DELETED [customername licenseid] gap false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestVectors holds hashes and the exported form to those in testdata, which were computed by another program.
func TestVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/chain.json")
	if err != nil {
		t.Fatal(err)
	}
	var published struct {
		Records []struct {
			Record attribute.Map
			Nonces audit.Nonces
			Hash   string
		}
		Entries []audit.Entry
		Head    audit.Head

		Commitments []struct {
			Nonce, Name string
			Value       json.RawMessage
			Commitment  string
		}
	}
	if err := json.Unmarshal(text, &published); err != nil {
		t.Fatal(err)
	}
	if len(published.Records) < 3 || len(published.Entries) < 7 || len(published.Commitments) < 4 {
		t.Fatalf("%d records, %d entries", len(published.Records), len(published.Entries))
	}
	for i, vector := range published.Records {
		if got, err := audit.HashRecord(vector.Record, vector.Nonces); err != nil || got != vector.Hash {
			t.Errorf("record %d: got %s, %v, want %s", i, got, err, vector.Hash)
		}
	}
	for _, vector := range published.Commitments {
		e := audit.Entry{
			Changes: map[string]audit.FieldChange{vector.Name: {New: vector.Value}},
			Nonces:  map[string]audit.FieldNonces{vector.Name: {New: vector.Nonce}},
		}
		want := fmt.Sprintf(`{"commitment":%q}`, vector.Commitment)
		if got := string(e.Closed().Changes[vector.Name].New); got != want {
			t.Errorf("%s: got %s, want %s", vector.Name, got, want)
		}
	}
	v := audit.NewVerifier(published.Entries[0].LicenseID, audit.Head{})
	for _, e := range published.Entries {
		if err := v.Next(e); err != nil {
			t.Fatal(err)
		}
	}
	if v.Head() != published.Head {
		t.Errorf("ends with %+v, want %+v", v.Head(), published.Head)
	}
	if findings := v.Findings(); len(findings) != 2 || findings[0].Sequence != 4 || findings[1].Sequence != 6 {
		t.Errorf("findings %+v", findings)
	}
	exported, err := os.ReadFile("testdata/chain.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var buffer bytes.Buffer
	if err := audit.WriteChain(&buffer, published.Entries); err != nil || !bytes.Equal(buffer.Bytes(), exported) {
		t.Errorf("exported otherwise, %v:\n%s", err, buffer.Bytes())
	}
}

func TestVerifyFinds(t *testing.T) {
	store := audittest.NewMemory(t)
	events := audittest.History(t, 5)
	for _, event := range events {
		if err := (audit.Recorder{Store: store}).Record(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
	id := events[0].LicenseID
	good := store.Chain(id)
	for name, tamper := range map[string]func(entries []audit.Entry) []audit.Entry{
		"an entry removed":   func(e []audit.Entry) []audit.Entry { return append(e[:2], e[3:]...) },
		"the first removed":  func(e []audit.Entry) []audit.Entry { return e[1:] },
		"two swapped":        func(e []audit.Entry) []audit.Entry { e[2], e[3] = e[3], e[2]; return e },
		"one twice":          func(e []audit.Entry) []audit.Entry { return append(e[:3], e[2:]...) },
		"an actor changed":   func(e []audit.Entry) []audit.Entry { e[2].Actor = "someone"; return e },
		"a reason added":     func(e []audit.Entry) []audit.Entry { e[2].Reason = "x"; return e },
		"a time changed":     func(e []audit.Entry) []audit.Entry { e[0].Time = "2026-11-01T12:00:01Z"; return e },
		"the format changed": func(e []audit.Entry) []audit.Entry { e[0].Format = 1; return e },
		"a change dropped":   func(e []audit.Entry) []audit.Entry { e[4].Changes = nil; return e },
		"a hash made to fit": func(e []audit.Entry) []audit.Entry {
			e[2].Reason = "x"
			e[2].Hash, _ = e[2].ComputeHash()
			return e
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := audit.Verify(id, audit.Head{}, tamper(append([]audit.Entry(nil), good...))); err == nil {
				t.Error("not found")
			}
		})
	}
	if _, err := audit.Verify("another", audit.Head{}, good); err == nil {
		t.Error("the chain passes for that of another license")
	}
	if _, err := audit.Verify(id, audit.Head{}, good); err != nil {
		t.Errorf("the chain itself: %v", err)
	}
}

// TestSequenceNumbers: they are compared as numbers, not as text.
func TestSequenceNumbers(t *testing.T) {
	for name, test := range map[string]struct {
		numbers []string
		want    int
		err     error
	}{
		"growing in length":    {[]string{"9", "10", "100000000000000000000000000000000000000001"}, 3, nil},
		"repeated":             {[]string{"5", "5", "05"}, 1, nil},
		"from nought":          {[]string{"0", "00", "1"}, 2, nil},
		"an older one repeats": {[]string{"3", "5", "8", "20", "3", "5", "08", "20"}, 4, nil},
		"out of order":         {[]string{"20", "3"}, 2, nil},
		"late, and repeated":   {[]string{"3", "8", "20", "5", "5", "20", "8", "7", "30", "5", "7", "3"}, 6, nil},
	} {
		t.Run(name, func(t *testing.T) {
			store := audittest.NewMemory(t)
			var err error
			for _, number := range test.numbers {
				event := audit.Event{
					ID: strings.TrimLeft(number, "0"), SequenceNumber: number, LicenseID: "id",
					New: attribute.Map{"n": number},
				}
				if err = (audit.Recorder{Store: store}).Record(t.Context(), event); err != nil {
					break
				}
			}
			if got := len(store.Chain("id")); got != test.want || !errors.Is(err, test.err) {
				t.Errorf("%d entries, %v, want %d, %v", got, err, test.want, test.err)
			}
		})
	}
}
