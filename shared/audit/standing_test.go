package audit_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/licensetest"
)

// day is a day of the life that the tests replay.
func day(n int) time.Time { return time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n) }

// lifeOf records what each day makes of a record, and returns the chain. A nil record is none.
func lifeOf(t audittest.TB, days map[int]func(attribute.Map) attribute.Map) []audit.Entry {
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
		if err := (audit.Recorder{Store: store}).Record(context.Background(), event); err != nil {
			t.Fatalf("day %d: %v", n, err)
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

// TestStandingSince: since when a status holds, and by whom, whatever else was so meanwhile.
func TestStandingSince(t *testing.T) {
	set2 := func(first, second string, value any) func(attribute.Map) attribute.Map {
		return func(r attribute.Map) attribute.Map { return set(second, value)(set(first, value)(r)) }
	}
	shorter := func(r attribute.Map) attribute.Map { delete(r, "gracedays"); return r }
	type days = map[int]func(attribute.Map) attribute.Map
	for name, test := range map[string]struct {
		days    days
		status  license.Status
		since   int // day
		decided int64
		end     int // day; 0: none
	}{
		"RevocationLiftedOfSuspended": {
			days{1: issue, 20: set("issuspended", true), 30: set("isrevoked", true), 40: set("isrevoked", false)},
			license.Suspended, 20, 2, 0},
		"SuspensionLiftedOfRevoked": {
			days{1: issue, 20: set("issuspended", true), 30: set("isrevoked", true), 40: set("issuspended", false)},
			license.Revoked, 30, 3, 0},
		"ReinstatedWhenExpired": {
			days{1: issue, 20: set("isrevoked", true), 150: set("isrevoked", false)}, license.Expired, 110, 1, 100},
		"ReinstatedInGrace": {
			days{1: issue, 20: set("isrevoked", true), 105: set("isrevoked", false), 106: set("notes", "")},
			license.Expired, 110, 1, 100},
		"SuspendedAgain": {
			days{1: issue, 20: set("issuspended", true), 30: set("issuspended", false), 40: set("issuspended", true)},
			license.Suspended, 40, 4, 0},
		"GraceChanged": {
			days{1: issue, 50: set("gracedays", attribute.Number("20"))}, license.Expired, 120, 2, 100},
		"EndChanged": {
			days{1: issue, 50: set("expirationdate", license.FormatDate(day(60)))}, license.Expired, 70, 2, 60},
		"GraceEnded": {days{1: issue, 105: shorter}, license.Expired, 105, 2, 0},
		"StillEnded": {days{1: issue, 150: set("expirationdate", license.FormatDate(day(99)))},
			license.Expired, 110, 1, 100},
		"IssuedAgain": {days{1: issue, 20: set2("isrevoked", "issuspended", true), 30: remove, 40: issue},
			license.Expired, 110, 4, 100},
		"IssuedAfterItsEnd": {days{150: issue}, license.Expired, 150, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := audit.StandingAt(lifeOf(t, test.days), day(160))
			if err != nil {
				t.Fatal(err)
			}
			var end time.Time
			if test.end > 0 {
				end = day(test.end)
			}
			if got.Status != test.status || !got.Since.Equal(day(test.since)) ||
				got.Decided.Sequence != test.decided || !got.End.Equal(end) || len(got.Doubts) != 0 {
				t.Errorf("%s since %s by entry %d, end %s, %v",
					got.Status, got.Since, got.Decided.Sequence, got.End, got.Doubts)
			}
		})
	}
	got, err := audit.StandingAt(lifeOf(t, days{1: issue, 50: set("gracedays", attribute.Number("20"))}), day(105))
	if err != nil || got.Status != license.Grace || got.Decided.Sequence != 1 || !got.End.Equal(got.Since) {
		t.Errorf("in grace: %+v, %v", got, err)
	}
}

// told records events, on days 0, 2, 4 and so on, each with the record before and after it.
func told(t *testing.T, id string, events ...[2]attribute.Map) []audit.Entry {
	t.Helper()
	store := audittest.NewMemory(t)
	for i, event := range events {
		err := audit.Recorder{Store: store}.Record(t.Context(), audit.Event{
			ID: fmt.Sprint(i), SequenceNumber: fmt.Sprint(i + 1), Time: day(2 * i), LicenseID: id,
			Old: event[0], New: event[1],
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return store.Chain(id)
}

func with(record attribute.Map, name string, value any) attribute.Map {
	record = maps.Clone(record)
	record[name] = value
	return record
}

// TestStandingDoubts: where the chain does not tell all, it says so, and what does not follow is unknown.
func TestStandingDoubts(t *testing.T) {
	record := licensetest.Issue(t).Record()
	foreign := attribute.Map{"licenseid": record["licenseid"], "isrevoked": true, "expirationdate": "2099-01-01"}
	reinstated := with(foreign, "isrevoked", false)
	graced := with(with(reinstated, "expirationdate", license.FormatDate(day(15))), "gracedays", attribute.Number("99"))
	graceless := maps.Clone(reinstated)
	delete(graceless, "expirationdate")
	toldGraced := [][2]attribute.Map{{foreign, reinstated}, {graceless, graced}}
	suspended := with(record, "issuspended", true)
	missing := with(record, "notes", "missing")
	odd := with(record, "customername", false)
	long := strings.Repeat("x", 300<<10)
	type events = [][2]attribute.Map
	for name, test := range map[string]struct {
		events events
		at     int // day
		status license.Status
		doubts []string
	}{
		"Adopted": {events{{foreign, with(foreign, "notes", "n")}}, 9, audit.Unknown, []string{"older than its chain"}},
		"AdoptedAndTold": {events{{foreign, reinstated},
			{reinstated, with(reinstated, "expirationdate", "2030-01-01")}}, 9, license.Active,
			[]string{"older than its chain"}},
		"AdoptedInGrace":     {toldGraced, 20, license.Grace, []string{"older than", "before entry 2"}},
		"AdoptedBeforeGrace": {toldGraced, 14, license.Active, []string{"older than", "before entry 2"}},
		"AdoptedUnreadable": {events{{foreign, with(graced, "issuspended", "yes")}}, 9, license.Unreadable,
			[]string{"older than its chain"}},
		"BeforeAdopted":  {events{{foreign, reinstated}}, -1, audit.Unknown, []string{"older than its first entry"}},
		"BeforeFirstGap": {events{{record, suspended}}, -1, audit.Unknown, []string{"older than its first entry"}},
		"FirstGap":       {events{{record, suspended}}, 0, audit.Unknown, []string{"before entry 1 is missing"}},
		"RemovedAdopted": {events{{foreign, nil}}, 0, audit.Absent, []string{"older than its chain"}},
		"Gap": {events{{nil, record}, {missing, with(missing, "isrevoked", true)}}, 9, license.Revoked,
			[]string{"before entry 2 is missing"}},
		"BeforeGap": {events{{nil, record}, {missing, with(missing, "isrevoked", true)}}, 1, license.Active,
			[]string{"before entry 2 is missing, so what held between entry 1"}},
		"BeforeGapLater": {events{{nil, record}, {record, suspended}, {missing, record}}, 1, license.Active, nil},
		"RemovedInGap": {events{{nil, record}, {missing, nil}}, 9, audit.Absent,
			[]string{"before entry 2 is missing"}},
		"IssuedAgain": {events{{nil, suspended}, {nil, record}}, 9, license.Active,
			[]string{"before entry 2 is missing"}},
		"IssueMissed": {events{{nil, record}, {record, nil}, {record, missing}}, 9, audit.Unknown,
			[]string{"before entry 3 is missing"}},
		"Unreadable": {events{{nil, odd}}, 9, license.Unreadable, nil},
		"LongValue": {events{{nil, record}, {record, with(record, "services", long)}, {with(record, "services", long),
			with(suspended, "services", long)}}, 9, license.Suspended, []string{"up to entry 2 do not tell the whole"}},
		"LongPersonalValue": {events{{nil, record}, {record, with(record, "notes", long)}, {with(record, "notes", long),
			with(suspended, "notes", long)}}, 9, license.Suspended, nil},
	} {
		t.Run(name, func(t *testing.T) {
			chain := told(t, record["licenseid"].(string), test.events...)
			got, err := audit.StandingAt(chain, day(test.at))
			if err != nil || got.Status != test.status || !areIn(got.Doubts, test.doubts) {
				t.Errorf("got %s, %q, %v", got.Status, got.Doubts, err)
			}
		})
	}
}

// areIn reports whether each text has its part.
func areIn(texts, parts []string) bool {
	return slices.EqualFunc(texts, parts, strings.Contains)
}

// TestStandingSinceGap: who has revoked a license once more, after the reinstatement is missing.
func TestStandingSinceGap(t *testing.T) {
	record := licensetest.Issue(t).Record()
	for _, flag := range []string{"isrevoked", "issuspended"} {
		set := with(record, flag, true)
		events := [][2]attribute.Map{{nil, record}, {record, set}, {record, set}}
		got, err := audit.StandingAt(told(t, record["licenseid"].(string), events...), day(9))
		if err != nil || got.Decided.Sequence != 3 || !got.Since.Equal(day(4)) {
			t.Errorf("%s: %+v, %v", flag, got, err)
		}
	}
}

// TestStandingOutOfOrder: where times and orders disagree, the answer is the one that all of them give.
func TestStandingOutOfOrder(t *testing.T) {
	untold, neither, ofOther := "do not tell the whole", "ascend neither", "order the entries otherwise"
	late, unlike := "recorded late", "different answers"
	type step struct {
		number, day int
		flag        string // changed
	}
	for name, test := range map[string]struct {
		steps  []step // after the issue as number 10 on day 0
		at     int    // day
		status license.Status
		doubts []string
	}{
		"TimesBack": {[]step{{20, 10, "isrevoked"}, {30, 5, "notes"}}, 7, audit.Unknown,
			[]string{untold, neither, unlike}},
		"TimesBackAgreed": {[]step{{20, 10, "notes"}, {30, 5, "isrevoked"}}, 12, license.Revoked,
			[]string{untold, neither}},
		"TimesBackLater": {[]step{{20, 10, "isrevoked"}, {30, 5, "notes"}}, 4, license.Active, nil},
		"RevokedFirst": {[]step{{20, 5, "isrevoked"}, {30, 10, "notes"}, {40, 8, "email"}}, 9, license.Revoked,
			[]string{untold, neither}},
		"OtherStream":       {[]step{{5, 5, "isrevoked"}}, 7, license.Revoked, []string{late, ofOther}},
		"OtherStreamBefore": {[]step{{5, 5, "isrevoked"}}, 3, license.Active, []string{ofOther}},
		"SameNumber":        {[]step{{10, 5, "isrevoked"}}, 7, license.Revoked, []string{late}},
	} {
		t.Run(name, func(t *testing.T) {
			store := audittest.NewMemory(t)
			record := licensetest.Issue(t).Record()
			id := record["licenseid"].(string)
			var before attribute.Map
			for i, s := range append([]step{{10, 0, ""}}, test.steps...) {
				after := maps.Clone(record)
				switch s.flag {
				case "":
				case "isrevoked":
					after[s.flag] = true
				default:
					after[s.flag] = "changed"
				}
				err := audit.Recorder{Store: store}.Record(t.Context(), audit.Event{
					ID: fmt.Sprint(i), SequenceNumber: fmt.Sprint(s.number), Time: day(s.day), LicenseID: id,
					Old: before, New: after,
				})
				if err != nil {
					t.Fatal(err)
				}
				before, record = after, after
			}
			got, err := audit.StandingAt(store.Chain(id), day(test.at))
			if err != nil || got.Status != test.status || !areIn(got.Doubts, test.doubts) {
				t.Errorf("got %s, %q, %v", got.Status, got.Doubts, err)
			}
		})
	}
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
	for n, want := range map[int]struct {
		status license.Status
		doubts []string
	}{
		1: {license.Active, []string{"before entry 2 is missing, so"}},
		2: {license.Revoked, []string{"entry 3 was recorded late", "before entry 2 is missing, so"}},
		3: {license.Active, []string{"entry 3 was recorded late", "before entry 2 is missing"}},
	} {
		got, err := audit.StandingAt(store.Chain(id), day(n))
		if err != nil || got.Status != want.status || !areIn(got.Doubts, want.doubts) {
			t.Errorf("day %d: got %s, %q, %v", n, got.Status, got.Doubts, err)
		}
	}
}

// TestStandingModel: at any moment of any life, the status is that of the record that there was.
func TestStandingModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := map[int]attribute.Map{} // by the day of the change
		var current attribute.Map
		steps := map[int]func(attribute.Map) attribute.Map{}
		for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(1, 150), 1, 12, rapid.ID).Draw(t, "days") {
			steps[n] = nil
		}
		for _, n := range slices.Sorted(maps.Keys(steps)) {
			change := drawChange(t, current == nil)
			steps[n] = func(before attribute.Map) attribute.Map {
				records[n] = change(before)
				return maps.Clone(records[n])
			}
			current = change(maps.Clone(current))
		}
		chain := lifeOf(t, steps)
		at := func(moment time.Time) (status license.Status) {
			status = audit.Absent
			for _, n := range slices.Sorted(maps.Keys(records)) {
				if day(n).After(moment) {
					break
				}
				status = audit.Absent
				if l, err := license.FromRecord(records[n]); err == nil {
					status = l.Status(moment)
				}
			}
			return status
		}
		isUsable := func(s license.Status) bool { return s == license.Active || s == license.Grace }
		for _, half := range rapid.SliceOfN(rapid.IntRange(0, 340), 20, 20).Draw(t, "half days") {
			moment := day(0).Add(time.Duration(half) * 12 * time.Hour)
			got, err := audit.StandingAt(chain, moment)
			if err != nil || got.Status != at(moment) || len(got.Doubts) > 0 {
				t.Fatalf("%s: got %s, %q, %v; want %s", moment, got.Status, got.Doubts, err, at(moment))
			}
			if got.Since.IsZero() {
				continue
			}
			if isUsable(got.Status) && at(got.Since.Add(-1)) == got.Status {
				t.Fatalf("%s: %s since %s, and before that, too", moment, got.Status, got.Since)
			}
			for then := got.Since; !then.After(moment); then = then.Add(12 * time.Hour) {
				if isUsable(at(then)) != got.IsUsable() {
					t.Fatalf("%s: %s since %s, and not on %s", moment, got.Status, got.Since, then)
				}
			}
		}
	})
}

// drawChange draws what becomes of a record, or of none.
func drawChange(t *rapid.T, isNone bool) func(attribute.Map) attribute.Map {
	if isNone {
		return issue
	}
	end := license.FormatDate(day(rapid.IntRange(1, 160).Draw(t, "end")))
	grace := attribute.Number(fmt.Sprint(rapid.IntRange(0, 20).Draw(t, "grace")))
	return rapid.SampledFrom([]func(attribute.Map) attribute.Map{
		set("notes", end), set("isrevoked", true), set("isrevoked", false), set("issuspended", true),
		set("issuspended", false), set("expirationdate", end), set("gracedays", grace), set("customername", false),
		set("customername", "c"), set("issuspended", "yes"), remove,
		func(r attribute.Map) attribute.Map { delete(r, "gracedays"); return r },
		func(r attribute.Map) attribute.Map { return set("isrevoked", false)(set("issuspended", false)(r)) },
	}).Draw(t, "change")
}
