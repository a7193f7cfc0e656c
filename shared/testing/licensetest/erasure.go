package licensetest

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// Erase returns the license as erased at Now.
func Erase(t testing.TB, l license.License, mark string) license.License {
	t.Helper()
	erased, err := l.Erase(Change("asked by letter"), mark)
	if err != nil {
		t.Fatal(err)
	}
	return erased
}

// eraseThenGet: what is personal goes from the record and from the lists, and the references that are the license's
// become free, however many are named.
func eraseThenGet(t *testing.T, h Harness) {
	l, other := withReference(t, "order 1"), withReference(t, "order 2")
	l.Email = "jane@example.com"
	mustCreate(t, h, l)
	mustCreate(t, h, other)
	record, err := h.Record(t.Context(), l.ID)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(record, attribute.Map{
		"phone": "123", "contact person": attribute.Map{"name": "Jane"}, "Näme": nil, "_1": "x", "N2": "y", "size": "z",
		strings.Repeat("long", 100): attribute.StringSet{"a"},
	})
	if err := h.PutRecord(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	before := mustGet(t, h, l.ID)
	after := Erase(t, before, "mark-1")
	err = h.Store.Erase(t.Context(), before, after, []string{"order 1", "order 2", "order 3", "order 1"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := Diff(after, mustGet(t, h, l.ID)); diff != "" {
		t.Errorf("(-erased +got):\n%s", diff)
	}
	if record, err = h.Record(t.Context(), l.ID); err != nil || license.HoldsPersonal(record) {
		t.Errorf("it holds something personal: %v, %v", record, err)
	}
	for name, q := range map[string]license.Query{
		"name": {CustomerName: l.CustomerName, Limit: 10}, "email": {Email: l.Email, Limit: 10},
	} {
		for _, id := range listAll(t, h, q) {
			if id == l.ID {
				t.Errorf("it is still listed by %s", name)
			}
		}
	}
	wantReferenced(t, h, "order 1", "")
	wantReferenced(t, h, "order 2", other.ID)
	next := withReference(t, "order 1")
	mustCreate(t, h, next)
	wantReferenced(t, h, "order 1", next.ID)

	again := Erase(t, after, "mark-2")
	if err := h.Store.Erase(t.Context(), after, again, []string{"order 1"}); err != nil {
		t.Fatal(err)
	}
	if got := mustGet(t, h, l.ID); got.Erased != "mark-2" {
		t.Errorf("erased again: %+v", got)
	}
	wantReferenced(t, h, "order 1", next.ID)
}

// eraseConflict: where the record is not as it was read, nothing changes, and the reference stays.
func eraseConflict(t *testing.T, h Harness) {
	l := withReference(t, "order 1")
	mustCreate(t, h, l)
	now := Revoke(t, l, "first")
	if err := h.Store.Update(t.Context(), l, now); err != nil {
		t.Fatal(err)
	}
	removed, err := license.EraseRemoved(l.ID, Change("asked by letter"), "mark-1")
	if err != nil {
		t.Fatal(err)
	}
	references := []string{"order 1"}
	wantErr(t, h.Store.Erase(t.Context(), l, Erase(t, l, "mark-1"), references), license.ErrConflict)
	wantErr(t, h.Store.Erase(t.Context(), license.License{}, removed, references), license.ErrConflict)
	if diff := Diff(now, mustGet(t, h, l.ID)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	wantReferenced(t, h, "order 1", l.ID)
	if err := h.Store.Remove(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	wantErr(t, h.Store.Erase(t.Context(), now, Erase(t, now, "mark-1"), references), license.ErrConflict)
	_, err = h.Store.Get(t.Context(), l.ID)
	wantErr(t, err, license.ErrNotFound)
	wantReferenced(t, h, "order 1", l.ID)
}

// eraseRemoved: of a license that is gone, a record is put that tells nothing of it. Its reference becomes free.
func eraseRemoved(t *testing.T, h Harness) {
	l := withReference(t, "order 1")
	mustCreate(t, h, l)
	if err := h.Store.Remove(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	erased, err := license.EraseRemoved(l.ID, Change("asked by letter"), "mark-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Store.Erase(t.Context(), license.License{}, erased, []string{"order 1"}); err != nil {
		t.Fatal(err)
	}
	record, err := h.Record(t.Context(), l.ID)
	if diff := cmp.Diff(erased.Tombstone(), record); diff != "" || err != nil {
		t.Errorf("%v (-want +stored):\n%s", err, diff)
	}
	if ids := listAll(t, h, license.Query{Limit: 10}); len(ids) != 0 {
		t.Errorf("lists show %v", ids)
	}
	wantReferenced(t, h, "order 1", "")
	if err := h.Store.Remove(t.Context(), erased); err != nil {
		t.Fatal(err)
	}
	_, err = h.Store.Get(t.Context(), l.ID)
	wantErr(t, err, license.ErrNotFound)
}

// eraseConcurrently: whoever else changes the license, and however many erase it at once, nothing personal is left.
func eraseConcurrently(t *testing.T, h Harness) {
	const writers = 20
	l := withReference(t, "order 1")
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
				if i%2 == 0 {
					after := Erase(t, before, fmt.Sprint("mark-", i))
					err = h.Store.Erase(t.Context(), before, after, []string{"order 1"})
				} else {
					err = changeNotes(t, h, before, fmt.Sprint("note ", i))
				}
				var invalid *license.InvalidError
				switch {
				case err == nil || errors.As(err, &invalid) && before.IsErased():
					return
				case !errors.Is(err, license.ErrConflict) && !errors.Is(err, license.ErrBusy):
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	record, err := h.Record(t.Context(), l.ID)
	if err != nil || license.HoldsPersonal(record) || record["erased"] == nil {
		t.Errorf("got %v, %v", record, err)
	}
	wantReferenced(t, h, "order 1", "")
}

func changeNotes(t *testing.T, h Harness, before license.License, notes string) error {
	after, err := before.Patch(license.Patch{Notes: &notes}, Change(""))
	if err != nil {
		return err
	}
	return h.Store.Update(t.Context(), before, after)
}
