package audit_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/licensetest"
)

// day is a day of the life that the tests replay.
func day(n int) time.Time { return time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n) }

// lifeOf records what each day makes of a record, and returns the chain. A nil record is none.
func lifeOf(t *testing.T, days map[int]func(attribute.Map) attribute.Map) []audit.Entry {
	t.Helper()
	store := audittest.NewMemory(t)
	var before attribute.Map
	for i, n := range slices.Sorted(maps.Keys(days)) {
		after := days[n](maps.Clone(before))
		if after != nil {
			after["version"] = attribute.Number(fmt.Sprint(i + 1))
			after["changedby"], after["changereason"] = "shop", fmt.Sprint("on day ", n)
		}
		event := audit.Event{
			ID: fmt.Sprint(n), SequenceNumber: fmt.Sprint(100 + n), Time: day(n), LicenseID: lifeID,
			Old: before, New: after,
		}
		if err := (audit.Recorder{Store: store}).Record(t.Context(), event); err != nil {
			t.Fatal(err)
		}
		before = after
	}
	return store.Chain(lifeID)
}

const lifeID = "00000000-0000-4000-8000-000000000001"

// issue makes a license that ends after day 100, with ten days of grace.
func issue(attribute.Map) attribute.Map {
	l, err := license.FromRecord(attribute.Map{
		"licenseid": lifeID, "customerid": lifeID, "customername": "c", "services": "[]", "appurls": "[]",
		"isrevoked": false, "expirationdate": license.FormatDate(day(100)), "gracedays": attribute.Number("10"),
	})
	if err != nil {
		panic(err)
	}
	return l.Record()
}

func set(name string, value any) func(attribute.Map) attribute.Map {
	return func(record attribute.Map) attribute.Map { record[name] = value; return record }
}

func remove(attribute.Map) attribute.Map { return nil }

func TestStandingAt(t *testing.T) {
	chain := lifeOf(t, map[int]func(attribute.Map) attribute.Map{
		10: issue, 20: set("notes", "x"), 30: set("isrevoked", true), 40: set("notes", "y"),
		50: set("isrevoked", false),
		60: set("issuspended", true), 70: set("issuspended", false),
		120: set("expirationdate", license.FormatDate(day(200))), 300: remove,
	})
	if len(chain) != 9 {
		t.Fatalf("%d entries", len(chain))
	}
	second := time.Second
	for _, test := range []struct {
		at      time.Time
		status  license.Status
		since   time.Time
		decided int64 // entry
		last    int64
	}{
		{day(10).Add(-second), audit.Absent, time.Time{}, 0, 0},
		{day(10), license.Active, day(10), 1, 1},
		{day(25), license.Active, day(10), 1, 2},
		{day(30).Add(-second), license.Active, day(10), 1, 2},
		{day(30), license.Revoked, day(30), 3, 3},
		{day(45), license.Revoked, day(30), 3, 4},
		{day(50), license.Active, day(50), 5, 5},
		{day(65), license.Suspended, day(60), 6, 6},
		{day(99), license.Active, day(70), 7, 7},
		{day(100), license.Grace, day(100), 1, 7},
		{day(110).Add(-second), license.Grace, day(100), 1, 7},
		{day(110), license.Expired, day(110), 1, 7},
		{day(120), license.Active, day(120), 8, 8},
		{day(200), license.Grace, day(200), 8, 8},
		{day(250), license.Expired, day(210), 8, 8},
		{day(300), audit.Absent, day(300), 9, 9},
		{day(900), audit.Absent, day(300), 9, 9},
	} {
		got, err := audit.StandingAt(chain, test.at)
		if err != nil {
			t.Fatal(err)
		}
		if got.Status != test.status || !got.Since.Equal(test.since) || got.Decided.Sequence != test.decided ||
			got.Last.Sequence != test.last || len(got.Doubts) != 0 {
			t.Errorf("%s: %s since %s by entry %d, last %d, %v; want %s since %s by entry %d, last %d", test.at,
				got.Status, got.Since, got.Decided.Sequence, got.Last.Sequence, got.Doubts,
				test.status, test.since, test.decided, test.last)
		}
		if want := test.status == license.Active || test.status == license.Grace; got.IsUsable() != want {
			t.Errorf("%s: usable %v", test.at, got.IsUsable())
		}
	}
}

// TestStandingOfExpired: a license that was issued after its end was never in its days of grace.
func TestStandingOfExpired(t *testing.T) {
	chain := lifeOf(t, map[int]func(attribute.Map) attribute.Map{150: issue})
	got, err := audit.StandingAt(chain, day(151))
	if err != nil || got.Status != license.Expired || !got.Since.Equal(day(150)) || got.Decided.Sequence != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestStandingDoubts: where the chain does not tell all, it says so, and what does not follow is unknown.
func TestStandingDoubts(t *testing.T) {
	record := licensetest.Issue(t).Record()
	foreign := attribute.Map{"licenseid": record["licenseid"], "isrevoked": true, "expirationdate": "2099-01-01"}
	with := func(record attribute.Map, name string, value any) attribute.Map {
		record = maps.Clone(record)
		record[name] = value
		return record
	}
	reinstated := with(foreign, "isrevoked", false)
	long := strings.Repeat("x", 300<<10)
	wide := attribute.Map{}
	for i := range 400 {
		wide[fmt.Sprint("attribute", i)] = strings.Repeat("y", 1000)
	}
	for name, test := range map[string]struct {
		events [][2]attribute.Map
		status license.Status
		doubt  string
	}{
		"Adopted": {[][2]attribute.Map{{foreign, with(foreign, "notes", "n")}}, audit.Unknown, "older than its chain"},
		"AdoptedAndTold": {[][2]attribute.Map{{foreign, reinstated},
			{reinstated, with(reinstated, "expirationdate", "2030-01-01")}},
			license.Active, "older than its chain"},
		"Gap": {[][2]attribute.Map{{nil, record},
			{with(record, "notes", "missing"), with(with(record, "notes", "missing"), "isrevoked", true)}},
			license.Revoked, "before entry 2 is missing"},
		"LongValue": {[][2]attribute.Map{{nil, record}, {record, with(record, "notes", long)}},
			license.Active, "do not tell the whole"},
		"DigestOfAll": {[][2]attribute.Map{{nil, record},
			{record, with(merged(record, wide), "isrevoked", true)}}, license.Revoked, "only a digest"},
	} {
		t.Run(name, func(t *testing.T) {
			store := audittest.NewMemory(t)
			id := record["licenseid"].(string)
			for i, event := range test.events {
				err := audit.Recorder{Store: store}.Record(t.Context(), audit.Event{
					ID: fmt.Sprint(i), SequenceNumber: fmt.Sprint(i + 1), Time: day(i), LicenseID: id,
					Old: event[0], New: event[1],
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			got, err := audit.StandingAt(store.Chain(id), day(9))
			if err != nil || got.Status != test.status || len(got.Doubts) != 1 ||
				!strings.Contains(got.Doubts[0], test.doubt) {
				t.Errorf("got %s, %v, %v", got.Status, got.Doubts, err)
			}
		})
	}
}

func merged(a, b attribute.Map) attribute.Map {
	a = maps.Clone(a)
	maps.Copy(a, b)
	return a
}

// TestStandingOfLateEntry: what was recorded late counts where it belongs.
func TestStandingOfLateEntry(t *testing.T) {
	record := licensetest.Issue(t).Record()
	id := record["licenseid"].(string)
	revoked, again := maps.Clone(record), maps.Clone(record)
	revoked["isrevoked"] = true
	again["notes"] = "reinstated"
	store := audittest.NewMemory(t)
	for _, n := range []int{1, 3, 2} {
		old := map[int]attribute.Map{1: nil, 2: record, 3: revoked}[n]
		err := audit.Recorder{Store: store}.Record(t.Context(), audit.Event{
			ID: fmt.Sprint(n), SequenceNumber: fmt.Sprint(n), Time: day(n), LicenseID: id,
			Old: old, New: map[int]attribute.Map{1: record, 2: revoked, 3: again}[n],
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for n, want := range map[int]license.Status{1: license.Active, 2: license.Revoked, 3: license.Active} {
		if got, err := audit.StandingAt(store.Chain(id), day(n)); err != nil || got.Status != want {
			t.Errorf("day %d: got %s, %v", n, got.Status, err)
		}
	}
}
