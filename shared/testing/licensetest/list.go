package licensetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"openlicenser/shared/license"
)

// listAll pages through a list and returns the ids in order.
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
	add(
		"nearly a year ago, of a year",
		Now.AddDate(0, 0, -license.MaxGraceDays).Add(time.Millisecond),
		license.MaxGraceDays,
		license.Active,
	)
	add("long ago", Now.AddDate(-5, 0, 0), 0, license.Active)
	add("suspended", Now.AddDate(0, 0, 7), 0, license.Suspended)
	add("suspended long ago", Now.AddDate(-1, 0, 0), 9, license.Suspended)
	add("revoked", Now.AddDate(0, 0, 8), 0, license.Revoked)

	active := []string{"later", "in a moment"}
	grace := []string{"now, of a year", "a day ago, of 2 days", "nearly a year ago, of a year"}
	for name, test := range map[string]struct {
		query license.Query
		want  []string
	}{
		"active": {license.Query{Status: license.Active}, active},
		"grace":  {license.Query{Status: license.Grace}, grace},
		"expired": {
			license.Query{Status: license.Expired}, []string{"now", "a day ago, of 1 day", "long ago"},
		},
		"suspended": {
			license.Query{Status: license.Suspended}, []string{"suspended", "suspended long ago"},
		},
		"revoked": {license.Query{Status: license.Revoked}, []string{"revoked"}},
		"active and soon": {
			license.Query{Status: license.Active, ExpiringBefore: Now.AddDate(0, 0, 9)}, active[1:],
		},
		"suspended and over": {
			license.Query{Status: license.Suspended, ExpiringBefore: Now}, []string{"suspended long ago"},
		},
		"grace, before yesterday": {
			license.Query{Status: license.Grace, ExpiringBefore: Now.AddDate(0, 0, -1)}, grace[2:],
		},
		"of a customer, and active": {
			license.Query{Status: license.Active, CustomerID: customer}, []string{"in a moment", "later"},
		},
		"active, and long over": {
			license.Query{Status: license.Active, ExpiringBefore: Now.AddDate(-3, 0, 0)}, nil,
		},
		"grace, of years ago": {license.Query{Status: license.Grace, ExpiringBefore: Now.AddDate(-3, 0, 0)}, nil},
		"expired, before all time": {
			license.Query{Status: license.Expired, ExpiringBefore: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Add(1)},
			nil,
		},
		"revoked, before the end": {
			license.Query{Status: license.Revoked, ExpiringBefore: time.Date(9999, 12, 31, 12, 0, 0, 0, time.UTC)},
			[]string{"revoked"},
		},
		"of another customer": {license.Query{Status: license.Active, CustomerID: uuid.NewString()}, nil},
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
		if diff := cmp.Diff(
			want, listAll(t, h, license.Query{ExpiringBefore: Now.AddDate(0, 0, 3), Limit: limit}),
		); diff != "" {
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
	if diff := cmp.Diff(
		[]string{want[0], want[2]}, listAll(t, h, license.Query{ExpiringBefore: Now.AddDate(0, 0, 3), Limit: 2}),
	); diff != "" {
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
			record = license.Adopt(record, Now).Apply(record)
			if err := h.PutRecord(t.Context(), record); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, l.ID)
		}
		return ids
	}
	last := put(
		"9999-12-31T23:59:59.000Z",
		"9999-12-31T23:59:59.999Z",
		"9999-12-31T23:59:59Z",
		"9999-12-31t23:59:59.9z",
		"9999-12-31",
		"99991231T235959+00",
	)
	first := put("0001-01-01", "0001-01-01T00:00:00", "0001-01-01T00:00:00.000Z", "0001-01-01 00:00")
	end := time.Date(9999, 12, 31, 23, 59, 59, int(999*time.Millisecond), time.UTC)
	for name, test := range map[string]struct {
		query license.Query
		want  []string
	}{
		"active":  {license.Query{Status: license.Active, Now: Now, Limit: 2}, last},
		"expired": {license.Query{Status: license.Expired, Now: Now, Limit: 2}, first},
		"before the last moment": {
			license.Query{ExpiringBefore: end, Limit: 2}, slices.Concat(first, last[:1], last[2:]),
		},
		"active, before that": {
			license.Query{Status: license.Active, Now: Now, ExpiringBefore: end, Limit: 2},
			slices.Concat(last[:1], last[2:]),
		},
		"active, before a past": {
			license.Query{Status: license.Active, Now: Now, ExpiringBefore: Now.AddDate(-1, 0, 0), Limit: 2}, nil,
		},
		"before the second moment": {
			license.Query{ExpiringBefore: time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), Limit: 2}, first,
		},
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
	if err := h.Store.Erase(ended, l, Erase(t, l, "mark-1"), nil); err == nil {
		t.Error("an erasure whose context has ended was acknowledged")
	}
	if err := h.Store.Remove(ended, l); err == nil {
		t.Error("a removal whose context has ended was acknowledged")
	}
	if _, err := h.Store.Get(ended, l.ID); err == nil {
		t.Error("Get returned a license after its context had ended")
	}
	if _, err := h.Store.List(ended, license.Query{Limit: 1}); err == nil {
		t.Error("List returned a page after its context had ended")
	}
}
