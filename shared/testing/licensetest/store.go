package licensetest

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

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
	if l := mustGet(t, h, record["licenseid"].(string)); l.Status(Now) != license.Unreadable ||
		!l.HasProblem("isrevoked") {
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
		"revoke, all else odd": {attribute.Map{"expirationdate": "soon", "services": nil, "appurls": "x",
			"gracedays": attribute.Number("1.5"), "customername": nil},
			func(l license.License) (license.License, error) { return l.Revoke(Change("")) },
			attribute.Map{"isrevoked": true, "expirationdate": "soon", "appurls": "x",
				"gracedays": attribute.Number("1.5")}, license.Revoked},
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
		"revoke, stamps odd": {attribute.Map{"version": "3", "changedtimestamp": "2024-06-17",
			"changedby": attribute.Number("7")},
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
	for name, q := range map[string]license.Query{
		"all": {Limit: 10}, "of the customer": {CustomerID: l.CustomerID, Limit: 10},
	} {
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
