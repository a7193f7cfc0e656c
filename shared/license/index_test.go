package license_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

// TestIndexAttributes: what they are, whoever wrote the record and however odd it is.
func TestIndexAttributes(t *testing.T) {
	long := strings.Repeat("ä", 501) // 1,002 bytes
	for name, test := range map[string]struct {
		record, want attribute.Map
	}{
		"of the original": {
			attribute.Map{
				"licenseid": "D5B35FFA", "customerid": "869B100F-06b7-44cc-80df-b4c4bf728461",
				"customername":   "Ｔest STRAẞE",
				"expirationdate": "2025-01-03 02:00:00 +02", "isrevoked": false,
				"changedtimestamp": attribute.Number("1718622505782"),
			},
			attribute.Map{
				"ixcollection": "licenses", "ixissued": "2024-06-17T11:08:25.782Z D5B35FFA",
				"ixowner": "869b100f-06b7-44cc-80df-b4c4bf728461", "ixends": "2025-01-03T00:00:00.000Z",
				"ixstanding": "active", "ixname": "test strasse",
			},
		},
		"with all of ours": {
			attribute.Map{
				"licenseid": "a", "expirationdate": "9999-12-31T23:59:59.999Z", "issuspended": true,
				"createdtimestamp": attribute.Number("1793534400000"),
				"changedtimestamp": attribute.Number("1718622505782"),
				"email":            "Office@Example.COM",
			},
			attribute.Map{
				"ixcollection": "licenses", "ixissued": "2026-11-01T12:00:00.000Z a",
				"ixends":     "9999-12-31T23:59:59.999Z",
				"ixstanding": "suspended", "ixemail": "office@example.com",
			},
		},
		"nothing but an id": {
			attribute.Map{"licenseid": "a"},
			attribute.Map{
				"ixcollection": "licenses", "ixissued": "2026-11-01T12:00:00.000Z a", "ixends": "0000",
				"ixstanding": "unreadable",
			},
		},
		"odd types": {
			attribute.Map{
				"licenseid": "a", "customerid": nil, "customername": attribute.Number("7"), "expirationdate": "soon",
				"isrevoked": true, "email": true,
				"changedtimestamp": "yesterday", "createdtimestamp": attribute.Number("9e15"),
			},
			attribute.Map{
				"ixcollection": "licenses", "ixissued": "2026-11-01T12:00:00.000Z a", "ixends": "0000",
				"ixstanding": "revoked",
			},
		},
		"a suspension that a flag hides": {
			attribute.Map{"licenseid": "a", "isrevoked": "no", "issuspended": true, "expirationdate": "2030-01-31"},
			attribute.Map{
				"ixcollection": "licenses", "ixissued": "2026-11-01T12:00:00.000Z a",
				"ixends":     "2030-01-31T00:00:00.000Z",
				"ixstanding": "unreadable",
			},
		},
		"too long": {
			attribute.Map{
				"licenseid": long, "customerid": long, "customername": long, "email": long,
				"expirationdate": "2030-01-31",
			},
			attribute.Map{
				"ixcollection": "licenses", "ixissued": "2026-11-01T12:00:00.000Z " + long[:974],
				"ixends": "2030-01-31T00:00:00.000Z", "ixstanding": "active", "ixname": long[:1000],
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := license.Adopt(test.record, licensetest.Now)
			if diff := cmp.Diff(test.want, a.Set); diff != "" || len(a.Remove) > 0 || a.PutsBack {
				t.Errorf("got %+v (-want +set):\n%s", a, diff)
			}
			adopted := a.Apply(test.record)
			if again := license.Adopt(adopted, licensetest.Now.AddDate(1, 0, 0)); !again.IsNothing() {
				t.Errorf("again: %+v", again)
			}
			wrong := maps.Clone(adopted)
			for _, name := range license.IndexAttributes {
				wrong[name] = "~"
			}
			if diff := cmp.Diff(adopted, license.Adopt(wrong, licensetest.Now).Apply(wrong)); diff != "" {
				t.Errorf("of wrong ones (-want +mended):\n%s", diff)
			}
			if diff := cmp.Diff(test.record, license.WithoutIndex(adopted)); diff != "" {
				t.Errorf("without them (-want +got):\n%s", diff)
			}
		})
	}
}

// TestIssued: the earliest instant counts, and no event makes it later.
func TestIssued(t *testing.T) {
	noon, id := licensetest.Now, " a"
	foreign := attribute.Map{"licenseid": "a"}
	at := func(hours int) time.Time { return noon.Add(time.Duration(hours) * time.Hour) }
	issued := func(hours int) string { return license.FormatDate(at(hours)) + id }
	for name, test := range map[string]struct {
		record, old attribute.Map
		want        string
	}{
		"none yet":          {foreign, nil, issued(0)},
		"earlier":           {attribute.Map{"licenseid": "a", "ixissued": issued(-1)}, nil, issued(-1)},
		"later":             {attribute.Map{"licenseid": "a", "ixissued": issued(1)}, nil, issued(0)},
		"earlier old image": {foreign, attribute.Map{"licenseid": "a", "ixissued": issued(-2)}, issued(-2)},
		"later old image":   {foreign, attribute.Map{"licenseid": "a", "ixissued": issued(2)}, issued(0)},
		"created later": { // an event's time is of whole seconds
			attribute.Map{"licenseid": "a", "createdtimestamp": attribute.Number("1793534400500")}, nil,
			"2026-11-01T12:00:00.500Z a",
		},
	} {
		t.Run(name, func(t *testing.T) {
			event := license.Event{Old: test.old, New: test.record, Time: noon, SequenceNumber: "1"}
			a := license.Amend(test.record, event)
			if got := a.Apply(test.record)["ixissued"]; got != test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}

// TestOurWritesKeepTheIndex: what we issue and change lacks nothing, and a change of nothing writes no index either.
func TestOurWritesKeepTheIndex(t *testing.T) {
	check := func(when string, record attribute.Map) license.License {
		t.Helper()
		event := license.Event{New: record, Time: licensetest.Now.AddDate(1, 0, 0), SequenceNumber: "1"}
		if event.IsHint() {
			t.Errorf("%s: lacks %+v", when, license.Amend(record, event))
		}
		l, err := license.FromRecord(record)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := licensetest.Issue(t)
	record := l.Record()
	stored := check("issued", record)
	change := licensetest.Change("why")
	email, name, date := "A@b.example", "Other", "2031-01-31"
	for when, do := range map[string]func(license.License) (license.License, error){
		"revoked": func(l license.License) (license.License, error) { return l.Revoke(change) },
		"renewed": func(l license.License) (license.License, error) { return l.Renew(date, change) },
		"patched": func(l license.License) (license.License, error) {
			return l.Patch(license.Patch{CustomerName: &name, Email: &email}, change)
		},
	} {
		for from, before := range map[string]license.License{"as read": stored, "as written": l} {
			after, err := do(before)
			if err != nil {
				t.Fatal(err)
			}
			set, remove := license.Delta(before, after)
			check(when+" "+from, license.Amendment{Set: set, Remove: remove}.Apply(record))
			if unchanged := slices.DeleteFunc(slices.Sorted(maps.Keys(set)), func(name string) bool {
				return record[name] != set[name]
			}); len(unchanged) > 0 {
				t.Errorf("%s %s: writes %v again", when, from, unchanged)
			}
		}
	}
	foreign, err := license.FromRecord(attribute.Map{"licenseid": "a", "expirationdate": "2030-01-31"})
	if err != nil {
		t.Fatal(err)
	}
	same := ""
	if patched, err := foreign.Patch(license.Patch{Email: &same}, change); err != nil || patched.Version != 0 {
		t.Errorf("a patch of nothing wrote %+v, %v", patched, err)
	}
}
