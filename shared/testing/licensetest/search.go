package licensetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"openlicenser/shared/license"
)

// spoil has another tool write an attribute of the license, and the store adopt the record.
func spoil(t *testing.T, h Harness, id, name string, value any) {
	t.Helper()
	record, err := h.Record(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	record[name] = value
	if err := h.PutRecord(t.Context(), license.Adopt(record, Now).Apply(record)); err != nil {
		t.Fatal(err)
	}
}

// listNames: a name is found by its beginning, in whatever case and width it is written, and names come from A on.
func listNames(t *testing.T, h Harness) {
	longest := strings.Repeat("\ufdfa", license.MaxCustomerName) // the index holds a part: each folds to 18 characters
	ids := map[string]string{}
	for _, name := range []string{
		"Acme", "ACME Ltd", "ａｃｍｅ wide", "acne", "Straße 1", "STRASSE 2", "Ångström",
		"A\u030angstro\u0308m 2", "\u01c4", "日本", longest,
	} {
		l := Issue(t)
		l.CustomerName = name
		mustCreate(t, h, l)
		ids[l.ID] = name
	}
	for prefix, want := range map[string][]string{
		"acme":              {"Acme", "ACME Ltd", "ａｃｍｅ wide"},
		"ACM":               {"Acme", "ACME Ltd", "ａｃｍｅ wide"},
		"Ａ":                 {"Acme", "ACME Ltd", "ａｃｍｅ wide", "acne"},
		"acme ":             {"ACME Ltd", "ａｃｍｅ wide"},
		"strass":            {"Straße 1", "STRASSE 2"},
		"\u00c5NG":          {"Ångström", "A\u030angstro\u0308m 2"},
		"d\u017e":           {"\u01c4"},
		"日":                 {"日本"},
		longest[:6]:         {longest},
		longest:             {longest},
		longest[:300] + "x": nil,
		"cme":               nil,
		"acmeX":             nil,
	} {
		for _, limit := range []int{1, 2, 100} {
			var got []string
			for _, id := range listAll(t, h, license.Query{CustomerName: prefix, Limit: limit}) {
				got = append(got, ids[id])
			}
			if difference := diff.Diff(want, got); difference != "" {
				t.Errorf("%q, limit %d (-want +got):\n%s", prefix, limit, difference)
			}
		}
	}
	if got := listAll(t, h, license.Query{Email: strings.Repeat("\ufdfa", license.MaxEmail), Limit: 1}); len(got) > 0 {
		t.Errorf("an address that no index can hold has %v", got)
	}
}

// listed is a license of listCombinations, as the test knows it.
type listed struct {
	id, name, email, customer string
	ends                      time.Time // zero: it cannot be understood
	standing                  license.Status
	status                    license.Status
}

// listCombinations: all filters together in every combination and order, against what the test knows of each license.
func listCombinations(t *testing.T, h Harness) {
	const customer, email = "869b100f-06b7-44cc-80df-b4c4bf728461", "Söhne@Example.com"
	var all []listed
	for i, kind := range []license.Status{
		license.Active, license.Active, license.Grace, license.Expired, license.Suspended, license.Revoked,
		license.Unreadable, license.Unreadable, license.Active, license.Expired, license.Active, license.Grace,
	} {
		l := Issue(t)
		k := listed{id: l.ID, standing: kind, status: kind, customer: l.CustomerID}
		// No two have the same date or name, so that every order is certain.
		l.ExpirationDate = Now.AddDate(0, 0, 10+7*i%12)
		switch kind {
		case license.Grace:
			l.ExpirationDate, l.GraceDays, k.standing = Now.AddDate(0, 0, -1-i), 30, license.Active
		case license.Expired:
			l.ExpirationDate, k.standing = Now.AddDate(0, 0, -1-i), license.Active
		case license.Suspended:
			l.Suspended = true
		case license.Revoked:
			l.Revoked = true
		}
		k.name = fmt.Sprintf("%s %02d", []string{"alpha", "beta"}[i%2], 11*i%13)
		l.CustomerName, k.ends = strings.ToUpper(k.name), l.ExpirationDate
		if i%3 != 0 {
			l.CustomerID, k.customer = strings.ToUpper(customer), customer
		}
		if i%4 != 0 {
			l.Email, k.email = email, email
		}
		mustCreate(t, h, l)
		switch i {
		case 6: // its services are odd and its end has passed, so that it says no by itself
			past := Now.AddDate(0, 0, -40)
			spoil(t, h, l.ID, "expirationdate", license.FormatDate(past))
			spoil(t, h, l.ID, "services", "?")
			k.ends, k.status = past, license.Expired
		case 7:
			spoil(t, h, l.ID, "expirationdate", "soon")
			k.ends = time.Time{}
		}
		all = append(all, k)
	}
	after, before := Now.AddDate(0, 0, -5), Now.AddDate(0, 0, 18)
	for _, q := range combinations(customer, "söhne@EXAMPLE.com", after, before) {
		want := wantedOf(all, q)
		limits := []int{2}
		if isSingle(q) {
			limits = []int{1, 2, 100}
		}
		for _, q.Limit = range limits {
			if difference := diff.Diff(want, listAll(t, h, q), cmpopts.EquateEmpty()); difference != "" {
				t.Errorf("%+v (-want +got):\n%s", q, difference)
			}
		}
	}
}

// combinations returns the queries with and without each filter, in every order.
func combinations(customer, email string, after, before time.Time) (queries []license.Query) {
	for _, status := range []license.Status{
		"", license.Active, license.Grace, license.Expired, license.Suspended, license.Revoked, license.Unreadable,
	} {
		for _, order := range []license.Order{"", license.Ascending, license.Descending} {
			for with := range 32 {
				q := license.Query{Status: status, Order: order, Now: Now}
				if with&1 != 0 {
					q.CustomerID = customer
				}
				if with&2 != 0 {
					q.Email = email
				}
				if with&4 != 0 {
					q.CustomerName = "Ａlph"
				}
				if with&8 != 0 {
					q.ExpiringAfter = after
				}
				if with&16 != 0 {
					q.ExpiringBefore = before
				}
				queries = append(queries, q)
			}
		}
	}
	return queries
}

// isSingle reports whether a query of combinations has one filter at most.
func isSingle(q license.Query) bool {
	filters := 0
	for _, is := range []bool{
		q.CustomerID != "", q.Email != "", q.CustomerName != "", q.Status != "",
		!q.ExpiringAfter.IsZero(), !q.ExpiringBefore.IsZero(),
	} {
		if is {
			filters++
		}
	}
	return filters <= 1
}

// wantedOf returns the ids of the licenses that a query of combinations lists, in its order.
func wantedOf(all []listed, q license.Query) (ids []string) {
	all = slices.Clone(all) // the oldest first
	isByDate := q.Email == "" && q.CustomerID == "" && q.CustomerName == "" &&
		(q.Status != "" || !q.ExpiringAfter.IsZero() || !q.ExpiringBefore.IsZero())
	isByName := q.Email == "" && q.CustomerID == "" && q.CustomerName != ""
	switch {
	case isByDate:
		slices.SortStableFunc(all, func(a, b listed) int { return a.ends.Compare(b.ends) })
	case isByName:
		slices.SortStableFunc(all, func(a, b listed) int { return strings.Compare(a.name, b.name) })
	}
	if q.Order == license.Descending || q.Order == "" && !isByName {
		slices.Reverse(all)
	}
	if isByDate && q.Status == license.Expired { // what is unreadable as well comes last
		slices.SortStableFunc(all, func(a, b listed) int { return cmp.Compare(a.standing, b.standing) })
	}
	for _, l := range all {
		isBefore := q.ExpiringBefore.IsZero() || !l.ends.IsZero() && l.ends.Before(q.ExpiringBefore)
		isAfter := q.ExpiringAfter.IsZero() || !l.ends.IsZero() && !l.ends.Before(q.ExpiringAfter)
		isOf := (q.CustomerID == "" || l.customer == q.CustomerID) && (q.Email == "" || l.email != "") &&
			(q.CustomerName == "" || strings.HasPrefix(l.name, "alph"))
		if isBefore && isAfter && isOf && (q.Status == "" || l.status == q.Status) {
			ids = append(ids, l.id)
		}
	}
	return ids
}
