// Package licensetest holds what tests of licenses share: sample licenses, and the contract that every
// license.Store is held to.
package licensetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// Now is the instant at which the samples are issued.
var Now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// Issue makes a license that is valid for a year from Now.
func Issue(t testing.TB) license.License {
	t.Helper()
	id, err := license.NewID()
	if err != nil {
		t.Fatal(err)
	}
	l, err := license.Draft{
		CustomerName:   "Test Customer",
		ExpirationDate: Now.AddDate(1, 0, 0).Format(time.RFC3339),
		Services:       []license.Service{{Name: "TEST", Value: "EmbeddedPowerBI"}},
		AppURLs:        []license.AppURL{{URL: "https://app.example.com/?a=1&b=<2>"}},
		Notes:          "a note, ¿qué? 日本語 🎉",
	}.Issue(id, Change("first issue"))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Change makes a change at Now.
func Change(reason string) license.Change {
	return license.Change{At: Now, By: "arn:aws:iam::123456789012:user/vendor", Reason: reason, RequestID: uuid.NewString()}
}

// Revoke revokes the license at Now.
func Revoke(t testing.TB, l license.License, reason string) license.License {
	t.Helper()
	revoked, err := l.Revoke(Change(reason))
	if err != nil {
		t.Fatal(err)
	}
	return revoked
}

// Diff compares what licenses say, not where they come from.
func Diff(want, got any) string {
	return cmp.Diff(want, got, cmpopts.IgnoreUnexported(license.License{}), cmpopts.EquateEmpty())
}

// Harness is a new and empty store, with a way around it to the records as other tools see them.
type Harness struct {
	Store     license.Store
	PutRecord func(ctx context.Context, record attribute.Map) error
	Record    func(ctx context.Context, id string) (attribute.Map, error)
}

// TestStore holds a store to the contract of license.Store. Each call of open gives a new and empty store.
func TestStore(t *testing.T, open func(t *testing.T) Harness) {
	tests := map[string]func(*testing.T, Harness){
		"Create/ThenGet":                   createThenGet,
		"Create/ErrExists":                 createTwice,
		"Get/ErrNotFound":                  getNothing,
		"Get/Problems":                     getProblems,
		"Update/Problems":                  updateProblems,
		"Update/ThenGet":                   updateThenGet,
		"Update/ErrConflict/Stale":         updateStale,
		"Update/ErrConflict/Gone":          updateGone,
		"Update/ErrConflict/ForeignChange": updateAfterForeignChange,
		"Update/ForeignRecord":             updateForeign,
		"Update/Concurrent":                updateConcurrently,
		"Remove/ThenGet":                   removeThenGet,
		"Remove/ErrConflict":               removeStale,
		"List/Newest":                      listNewest,
		"List/Customer":                    listCustomer,
		"List/Status":                      listStatus,
		"List/ExpiringBefore":              listExpiringBefore,
		"List/FirstAndLast":                listFirstAndLast,
		"List/Bounded":                     listBounded,
		"List/Empty":                       listEmpty,
		"ContextEnded":                     contextEnded,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func mustCreate(t *testing.T, h Harness, l license.License) {
	t.Helper()
	if err := h.Store.Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
}

func mustGet(t *testing.T, h Harness, id string) license.License {
	t.Helper()
	l, err := h.Store.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
	}
}

func createThenGet(t *testing.T, h Harness) {
	want := Issue(t)
	mustCreate(t, h, want)
	if diff := Diff(want, mustGet(t, h, want.ID)); diff != "" {
		t.Errorf("(-created +got):\n%s", diff)
	}
}

func createTwice(t *testing.T, h Harness) {
	first := Issue(t)
	mustCreate(t, h, first)
	second := first
	second.CustomerName = "Another"
	wantErr(t, h.Store.Create(t.Context(), second), license.ErrExists)
	if got := mustGet(t, h, first.ID); got.CustomerName != first.CustomerName {
		t.Errorf("the refused create changed the name to %q", got.CustomerName)
	}
}

func getNothing(t *testing.T, h Harness) {
	_, err := h.Store.Get(t.Context(), uuid.NewString())
	wantErr(t, err, license.ErrNotFound)
}

func getProblems(t *testing.T, h Harness) {
	record := Issue(t).Record()
	record["isrevoked"] = "true"
	if err := h.PutRecord(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	if l := mustGet(t, h, record["licenseid"].(string)); l.Status(Now) != license.Unreadable || !l.HasProblem("isrevoked") {
		t.Errorf("got %+v", l)
	}
}

// updateProblems: a change mends what it is about, and leaves as it is what else cannot be understood.
func updateProblems(t *testing.T, h Harness) {
	for name, test := range map[string]struct {
		odd    attribute.Map
		change func(license.License) (license.License, error)
		stored attribute.Map // nil values are absent
		status license.Status
	}{
		"revoke, flag odd": {attribute.Map{"isrevoked": "no"},
			func(l license.License) (license.License, error) { return l.Revoke(Change("")) },
			attribute.Map{"isrevoked": true}, license.Revoked},
		"revoke, all else odd": {attribute.Map{"expirationdate": "soon", "services": nil, "appurls": "x", "gracedays": attribute.Number("1.5"), "customername": nil},
			func(l license.License) (license.License, error) { return l.Revoke(Change("")) },
			attribute.Map{"isrevoked": true, "expirationdate": "soon", "appurls": "x", "gracedays": attribute.Number("1.5")}, license.Revoked},
		"suspend, flag odd": {attribute.Map{"issuspended": "no"},
			func(l license.License) (license.License, error) { return l.Suspend(Change("")) },
			attribute.Map{"issuspended": true}, license.Suspended},
		"suspend, revocation odd": {attribute.Map{"isrevoked": "no"},
			func(l license.License) (license.License, error) { return l.Suspend(Change("")) },
			attribute.Map{"issuspended": true, "isrevoked": "no"}, license.Unreadable},
		"reinstate, flags odd": {attribute.Map{"isrevoked": "yes", "issuspended": attribute.Number("1")},
			func(l license.License) (license.License, error) { return l.Reinstate(Change("paid")) },
			attribute.Map{"isrevoked": false, "issuspended": nil}, license.Active},
		"renew, date odd": {attribute.Map{"expirationdate": "soon"},
			func(l license.License) (license.License, error) { return l.Renew("2030-01-31T00:00:00Z", Change("")) },
			attribute.Map{"expirationdate": "2030-01-31T00:00:00.000Z"}, license.Active},
		"patch grace days to none": {attribute.Map{"gracedays": attribute.Number("1.5")},
			func(l license.License) (license.License, error) {
				return l.Patch(license.Patch{GraceDays: new(int)}, Change(""))
			},
			attribute.Map{"gracedays": nil}, license.Active},
		"patch services to none": {attribute.Map{"services": nil},
			func(l license.License) (license.License, error) {
				return l.Patch(license.Patch{Services: &[]license.Service{}}, Change(""))
			},
			attribute.Map{"services": "[]"}, license.Active},
		"patch the name, services odd": {attribute.Map{"services": "TEST", "customername": attribute.Number("7")},
			func(l license.License) (license.License, error) {
				name := "Customer"
				return l.Patch(license.Patch{CustomerName: &name}, Change(""))
			},
			attribute.Map{"customername": "Customer", "services": "TEST"}, license.Unreadable},
		"delete, flags odd": {attribute.Map{"isrevoked": nil, "isdeleted": "x", "expirationdate": "soon"},
			func(l license.License) (license.License, error) { return l.Delete(Change("")), nil },
			attribute.Map{"isrevoked": true, "isdeleted": true, "expirationdate": "soon"}, license.Revoked},
		"revoke, stamps odd": {attribute.Map{"version": "3", "changedtimestamp": "2024-06-17", "changedby": attribute.Number("7")},
			func(l license.License) (license.License, error) { return l.Revoke(Change("why")) },
			attribute.Map{"version": attribute.Number("1"), "changereason": "why"}, license.Revoked},
	} {
		t.Run(name, func(t *testing.T) {
			record := Issue(t).Record()
			maps.Copy(record, test.odd)
			if err := h.PutRecord(t.Context(), record); err != nil {
				t.Fatal(err)
			}
			before := mustGet(t, h, record["licenseid"].(string))
			after, err := test.change(before)
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Store.Update(t.Context(), before, after); err != nil {
				t.Fatal(err)
			}
			got := mustGet(t, h, before.ID)
			if diff := Diff(after, got); diff != "" || got.Status(Now) != test.status {
				t.Errorf("the status is %s; (-updated +got):\n%s", got.Status(Now), diff)
			}
			stored, err := h.Record(t.Context(), before.ID)
			if err != nil {
				t.Fatal(err)
			}
			for attr, want := range test.stored {
				if diff := cmp.Diff(want, stored[attr]); diff != "" {
					t.Errorf("%s (-want +stored):\n%s", attr, diff)
				}
			}
		})
	}
}

func updateThenGet(t *testing.T, h Harness) {
	before := Issue(t)
	mustCreate(t, h, before)
	after := Revoke(t, before, "")
	after.Notes = ""
	if err := h.Store.Update(t.Context(), before, after); err != nil {
		t.Fatal(err)
	}
	got := mustGet(t, h, before.ID)
	if diff := Diff(after, got); diff != "" {
		t.Errorf("(-updated +got):\n%s", diff)
	}
	record, err := h.Record(t.Context(), before.ID)
	if err != nil {
		t.Fatal(err)
	}
	if reason, present := record["changereason"]; present {
		t.Errorf("the reason of the change before is still there: %v", reason)
	}
}

func updateStale(t *testing.T, h Harness) {
	first := Issue(t)
	mustCreate(t, h, first)
	second := Revoke(t, first, "first")
	if err := h.Store.Update(t.Context(), first, second); err != nil {
		t.Fatal(err)
	}
	wantErr(t, h.Store.Update(t.Context(), first, Revoke(t, first, "second")), license.ErrConflict)
	if got := mustGet(t, h, first.ID); got.ChangeReason != "first" {
		t.Errorf("the refused update left the reason %q", got.ChangeReason)
	}
}

func updateGone(t *testing.T, h Harness) {
	l := Issue(t)
	wantErr(t, h.Store.Update(t.Context(), l, Revoke(t, l, "")), license.ErrConflict)
	_, err := h.Store.Get(t.Context(), l.ID)
	wantErr(t, err, license.ErrNotFound)
}

// updateAfterForeignChange: another tool writes a record without touching our version.
func updateAfterForeignChange(t *testing.T, h Harness) {
	l := Issue(t)
	mustCreate(t, h, l)
	record := l.Record()
	record["changedtimestamp"] = attribute.Number(fmt.Sprint(Now.UnixMilli() + 1))
	record["notes"] = "foreign"
	if err := h.PutRecord(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	wantErr(t, h.Store.Update(t.Context(), l, Revoke(t, l, "")), license.ErrConflict)
}

// updateForeign: records that other tools wrote, without a version and in their own forms, can be changed,
// and keep what the change is not about.
func updateForeign(t *testing.T, h Harness) {
	for name, stamp := range map[string]any{
		"milliseconds": attribute.Number("1718622505782"),
		"fraction":     attribute.Number("1718622505782.5"),
		"text":         "2024-06-17",
		"NULL":         nil,
		"absent":       nil,
	} {
		t.Run(name, func(t *testing.T) {
			id := uuid.NewString()
			record := attribute.Map{
				"licenseid": id, "customername": "Foreign", "expirationdate": "2030-01-03",
				"services":         []any{attribute.Map{"serviceName": "A", "serviceValue": "B"}},
				"changedtimestamp": stamp, "unknown": attribute.StringSet{"kept"},
			}
			if name == "absent" {
				delete(record, "changedtimestamp")
			}
			if err := h.PutRecord(t.Context(), record); err != nil {
				t.Fatal(err)
			}
			before := mustGet(t, h, id)
			if err := h.Store.Update(t.Context(), before, Revoke(t, before, "why")); err != nil {
				t.Fatal(err)
			}
			wantErr(t, h.Store.Update(t.Context(), before, Revoke(t, before, "again")), license.ErrConflict)
			got := mustGet(t, h, id)
			if !got.Revoked || got.Version != 1 || got.ChangeReason != "why" {
				t.Errorf("got %+v", got)
			}
			after, err := h.Record(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			for _, kept := range []string{"services", "unknown", "expirationdate", "customername"} {
				if diff := cmp.Diff(record[kept], after[kept]); diff != "" {
					t.Errorf("%s (-before +after):\n%s", kept, diff)
				}
			}
		})
	}
}

// updateConcurrently: of many writers that have read the same license one wins, and the others, who begin anew, lose
// nothing.
func updateConcurrently(t *testing.T, h Harness) {
	const writers = 50
	l := Issue(t)
	l.Notes = ""
	mustCreate(t, h, l)
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for {
				before, err := h.Store.Get(t.Context(), l.ID)
				if err != nil {
					t.Error(err)
					return
				}
				notes := before.Notes + fmt.Sprintf("<%d>", i)
				after, err := before.Patch(license.Patch{Notes: &notes}, Change(""))
				if err != nil {
					t.Error(err)
					return
				}
				err = h.Store.Update(t.Context(), before, after)
				if err == nil {
					return
				}
				if !errors.Is(err, license.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	got := mustGet(t, h, l.ID)
	for i := range writers {
		if strings.Count(got.Notes, fmt.Sprintf("<%d>", i)) != 1 {
			t.Errorf("of writer %d: %s", i, got.Notes)
		}
	}
	if got.Version != writers+1 {
		t.Errorf("version %d after %d changes", got.Version, writers)
	}
}

func removeThenGet(t *testing.T, h Harness) {
	l, other := Issue(t), Issue(t)
	other.CustomerID = l.CustomerID
	mustCreate(t, h, l)
	mustCreate(t, h, other)
	marked := l.Delete(Change("a mistake"))
	if err := h.Store.Update(t.Context(), l, marked); err != nil {
		t.Fatal(err)
	}
	if diff := Diff(marked, mustGet(t, h, l.ID)); diff != "" {
		t.Errorf("(-marked +got):\n%s", diff)
	}
	if err := h.Store.Remove(t.Context(), marked); err != nil {
		t.Fatal(err)
	}
	_, err := h.Store.Get(t.Context(), l.ID)
	wantErr(t, err, license.ErrNotFound)
	for name, q := range map[string]license.Query{"all": {Limit: 10}, "of the customer": {CustomerID: l.CustomerID, Limit: 10}} {
		if ids := listAll(t, h, q); len(ids) != 1 || ids[0] != other.ID {
			t.Errorf("%s: %v is left", name, ids)
		}
	}
}

func removeStale(t *testing.T, h Harness) {
	before := Issue(t)
	wantErr(t, h.Store.Remove(t.Context(), before), license.ErrConflict)
	mustCreate(t, h, before)
	if err := h.Store.Update(t.Context(), before, Revoke(t, before, "first")); err != nil {
		t.Fatal(err)
	}
	wantErr(t, h.Store.Remove(t.Context(), before), license.ErrConflict)
	mustGet(t, h, before.ID)
}

// listAll pages through a list and answers the ids in order.
func listAll(t *testing.T, h Harness, q license.Query) []string {
	t.Helper()
	var ids []string
	for {
		page, err := h.Store.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Licenses) > q.Limit {
			t.Fatalf("a page of %d, limit %d", len(page.Licenses), q.Limit)
		}
		for _, l := range page.Licenses {
			ids = append(ids, l.ID)
		}
		if page.Next == "" {
			return ids
		}
		q.Position = page.Next
	}
}

func listNewest(t *testing.T, h Harness) {
	var want []string
	for range 7 {
		l := Issue(t)
		mustCreate(t, h, l)
		want = append([]string{l.ID}, want...)
	}
	for _, limit := range []int{1, 3, 7, 100} {
		if diff := cmp.Diff(want, listAll(t, h, license.Query{Limit: limit})); diff != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, diff)
		}
	}
}

func listCustomer(t *testing.T, h Harness) {
	customer := uuid.NewString()
	var want []string
	for i := range 9 {
		l := Issue(t)
		if i%2 == 0 {
			l.CustomerID = customer
			want = append([]string{l.ID}, want...)
		}
		mustCreate(t, h, l)
	}
	if diff := cmp.Diff(want, listAll(t, h, license.Query{CustomerID: customer, Limit: 2})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// listStatus: every status, at its boundaries, together with the other filters, in the order of the expiration date. A
// change moves a license from one list to another.
func listStatus(t *testing.T, h Harness) {
	customer := uuid.NewString()
	ids := map[string]string{}
	add := func(name string, expires time.Time, graceDays int, standing license.Status) {
		l := Issue(t)
		l.CustomerID, l.ExpirationDate, l.GraceDays = customer, expires, graceDays
		l.Suspended = standing == license.Suspended
		mustCreate(t, h, l)
		ids[l.ID] = name
		if standing == license.Revoked {
			if err := h.Store.Update(t.Context(), l, Revoke(t, l, "")); err != nil {
				t.Fatal(err)
			}
		}
	}
	add("later", Now.AddDate(0, 0, 9), 0, license.Active)
	add("now", Now, 0, license.Active)
	add("in a moment", Now.Add(time.Millisecond), 5, license.Active)
	add("a day ago, of 1 day", Now.AddDate(0, 0, -1), 1, license.Active)
	add("a day ago, of 2 days", Now.AddDate(0, 0, -1), 2, license.Active)
	add("now, of a year", Now, license.MaxGraceDays, license.Active)
	add("nearly a year ago, of a year", Now.AddDate(0, 0, -license.MaxGraceDays).Add(time.Millisecond), license.MaxGraceDays, license.Active)
	add("long ago", Now.AddDate(-5, 0, 0), 0, license.Active)
	add("suspended", Now.AddDate(0, 0, 7), 0, license.Suspended)
	add("suspended long ago", Now.AddDate(-1, 0, 0), 9, license.Suspended)
	add("revoked", Now.AddDate(0, 0, 8), 0, license.Revoked)

	active, grace := []string{"later", "in a moment"}, []string{"now, of a year", "a day ago, of 2 days", "nearly a year ago, of a year"}
	for name, test := range map[string]struct {
		query license.Query
		want  []string
	}{
		"active":                    {license.Query{Status: license.Active}, active},
		"grace":                     {license.Query{Status: license.Grace}, grace},
		"expired":                   {license.Query{Status: license.Expired}, []string{"now", "a day ago, of 1 day", "long ago"}},
		"suspended":                 {license.Query{Status: license.Suspended}, []string{"suspended", "suspended long ago"}},
		"revoked":                   {license.Query{Status: license.Revoked}, []string{"revoked"}},
		"active and soon":           {license.Query{Status: license.Active, ExpiringBefore: Now.AddDate(0, 0, 9)}, active[1:]},
		"suspended and over":        {license.Query{Status: license.Suspended, ExpiringBefore: Now}, []string{"suspended long ago"}},
		"grace, before yesterday":   {license.Query{Status: license.Grace, ExpiringBefore: Now.AddDate(0, 0, -1)}, grace[2:]},
		"of a customer, and active": {license.Query{Status: license.Active, CustomerID: customer}, []string{"in a moment", "later"}},
		"active, and long over":     {license.Query{Status: license.Active, ExpiringBefore: Now.AddDate(-3, 0, 0)}, nil},
		"grace, of years ago":       {license.Query{Status: license.Grace, ExpiringBefore: Now.AddDate(-3, 0, 0)}, nil},
		"expired, before all time":  {license.Query{Status: license.Expired, ExpiringBefore: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Add(1)}, nil},
		"revoked, before the end":   {license.Query{Status: license.Revoked, ExpiringBefore: time.Date(9999, 12, 31, 12, 0, 0, 0, time.UTC)}, []string{"revoked"}},
		"of another customer":       {license.Query{Status: license.Active, CustomerID: uuid.NewString()}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, limit := range []int{1, 2, 100} {
				test.query.Limit, test.query.Now = limit, Now
				var got []string
				for _, id := range listAll(t, h, test.query) {
					got = append(got, ids[id])
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("limit %d (-want +got):\n%s", limit, diff)
				}
			}
		})
	}
}

// listExpiringBefore: the date itself is not before it, and renewing moves a license in the list.
func listExpiringBefore(t *testing.T, h Harness) {
	var licenses []license.License
	for day := range 7 {
		l := Issue(t)
		l.ExpirationDate = Now.AddDate(0, 0, day)
		mustCreate(t, h, l)
		licenses = append(licenses, l)
	}
	want := []string{licenses[2].ID, licenses[1].ID, licenses[0].ID}
	for _, limit := range []int{1, 2, 3, 100} {
		if diff := cmp.Diff(want, listAll(t, h, license.Query{ExpiringBefore: Now.AddDate(0, 0, 3), Limit: limit})); diff != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, diff)
		}
	}
	renewed, err := licenses[1].Renew(license.FormatDate(Now.AddDate(1, 0, 0)), Change(""))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Store.Update(t.Context(), licenses[1], renewed); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{want[0], want[2]}, listAll(t, h, license.Query{ExpiringBefore: Now.AddDate(0, 0, 3), Limit: 2})); diff != "" {
		t.Errorf("after the renewal (-want +got):\n%s", diff)
	}
	got := listAll(t, h, license.Query{ExpiringBefore: Now.AddDate(2, 0, 0), Limit: 2})
	if len(got) != len(licenses) || got[0] != renewed.ID {
		t.Errorf("of all, the renewed license %s is not the first: %v", renewed.ID, got)
	}
}

// listFirstAndLast: dates are texts where they are stored, and the first and the last ones are written in several ways.
func listFirstAndLast(t *testing.T, h Harness) {
	put := func(dates ...string) (ids []string) {
		for _, date := range dates {
			l := Issue(t)
			mustCreate(t, h, l)
			record, err := h.Record(t.Context(), l.ID)
			if err != nil {
				t.Fatal(err)
			}
			record["expirationdate"] = date
			if err := h.PutRecord(t.Context(), record); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, l.ID)
		}
		return ids
	}
	last := put("9999-12-31T23:59:59.000Z", "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59Z", "9999-12-31t23:59:59.9z", "9999-12-31", "99991231T235959+00")
	first := put("0001-01-01", "0001-01-01T00:00:00", "0001-01-01T00:00:00.000Z", "0001-01-01 00:00")
	end := time.Date(9999, 12, 31, 23, 59, 59, int(999*time.Millisecond), time.UTC)
	for name, test := range map[string]struct {
		query license.Query
		want  []string
	}{
		"active":                   {license.Query{Status: license.Active, Now: Now, Limit: 2}, last},
		"expired":                  {license.Query{Status: license.Expired, Now: Now, Limit: 2}, first},
		"before the last moment":   {license.Query{ExpiringBefore: end, Limit: 2}, slices.Concat(first, last[:1], last[2:])},
		"active, before that":      {license.Query{Status: license.Active, Now: Now, ExpiringBefore: end, Limit: 2}, slices.Concat(last[:1], last[2:])},
		"active, before a past":    {license.Query{Status: license.Active, Now: Now, ExpiringBefore: Now.AddDate(-1, 0, 0), Limit: 2}, nil},
		"before the second moment": {license.Query{ExpiringBefore: time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), Limit: 2}, first},
	} {
		got, want := listAll(t, h, test.query), slices.Sorted(slices.Values(test.want))
		slices.Sort(got)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// listBounded: a page whose filter lets little pass is short, and leads on.
func listBounded(t *testing.T, h Harness) {
	customer := uuid.NewString()
	var oldest license.License
	for i := range 2*license.MaxReads + 1 {
		l := Issue(t)
		l.CustomerID, l.Suspended = customer, i == 0
		mustCreate(t, h, l)
		if i == 0 {
			oldest = l
		}
	}
	q := license.Query{CustomerID: customer, Status: license.Suspended, Now: Now, Limit: 1}
	page, err := h.Store.List(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Licenses) != 0 || page.Next == "" {
		t.Errorf("the first page holds %d licenses, and leads to %q", len(page.Licenses), page.Next)
	}
	if diff := cmp.Diff([]string{oldest.ID}, listAll(t, h, q)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func listEmpty(t *testing.T, h Harness) {
	if ids := listAll(t, h, license.Query{CustomerID: uuid.NewString(), Limit: 1}); len(ids) != 0 {
		t.Errorf("got %v", ids)
	}
}

func contextEnded(t *testing.T, h Harness) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	l := Issue(t)
	mustCreate(t, h, l)
	if err := h.Store.Create(ended, Issue(t)); err == nil {
		t.Error("a create whose context has ended was acknowledged")
	}
	if err := h.Store.Update(ended, l, Revoke(t, l, "")); err == nil {
		t.Error("an update whose context has ended was acknowledged")
	}
	if err := h.Store.Remove(ended, l); err == nil {
		t.Error("a removal whose context has ended was acknowledged")
	}
	if _, err := h.Store.Get(ended, l.ID); err == nil {
		t.Error("Get answered after its context had ended")
	}
	if _, err := h.Store.List(ended, license.Query{Limit: 1}); err == nil {
		t.Error("List answered after its context had ended")
	}
}
