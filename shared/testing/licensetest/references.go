package licensetest

import (
	"errors"
	"sync"
	"testing"

	"openlicenser/shared/license"
)

// withReference returns a license that has the reference.
func withReference(t testing.TB, reference string) license.License {
	t.Helper()
	l := Issue(t)
	l.Reference = reference
	return l
}

// giveReference returns the license as it is changed to have the reference.
func giveReference(t testing.TB, l license.License, reference string) license.License {
	t.Helper()
	given, err := l.Patch(license.Patch{Reference: &reference}, Change("the order came"))
	if err != nil {
		t.Fatal(err)
	}
	return given
}

// wantTaken wants an error that names the license which has the reference.
func wantTaken(t *testing.T, err error, reference, id string) {
	t.Helper()
	var taken *license.ReferenceTakenError
	if !errors.As(err, &taken) || *taken != (license.ReferenceTakenError{Reference: reference, LicenseID: id}) {
		t.Errorf("got error %v, want that license %s has the reference", err, id)
	}
}

// wantReferenced wants the reference to lead to a license, or to none where id is empty.
func wantReferenced(t *testing.T, h Harness, reference, id string) {
	t.Helper()
	got, err := h.Store.Referenced(t.Context(), reference)
	isNone := id == "" && errors.Is(err, license.ErrNotFound)
	if got != id || err != nil && !isNone {
		t.Errorf("the reference leads to %q, %v, want %q", got, err, id)
	}
}

// createReference: the license and its reference are there together. The reference stays when the license goes, and no
// license ever has it again, not even the same one.
func createReference(t *testing.T, h Harness) {
	const reference = "Auftrag 4711/é 日本"
	wantReferenced(t, h, reference, "")
	l := withReference(t, reference)
	mustCreate(t, h, l)
	wantReferenced(t, h, reference, l.ID)
	wantReferenced(t, h, "auftrag 4711/é 日本", "") // case counts
	if got := mustGet(t, h, l.ID); got.Reference != reference {
		t.Errorf("the license has the reference %q", got.Reference)
	}
	for range 2 {
		other := withReference(t, reference)
		wantTaken(t, h.Store.Create(t.Context(), other), reference, l.ID)
		_, err := h.Store.Get(t.Context(), other.ID)
		wantErr(t, err, license.ErrNotFound)
		if _, err := h.Store.Get(t.Context(), l.ID); err == nil {
			if err := h.Store.Remove(t.Context(), mustGet(t, h, l.ID)); err != nil {
				t.Fatal(err)
			}
		}
		wantReferenced(t, h, reference, l.ID)
	}
	wantTaken(t, h.Store.Create(t.Context(), l), reference, l.ID)
	_, err := h.Store.Get(t.Context(), l.ID)
	wantErr(t, err, license.ErrNotFound)
}

// createNeither: a license that is refused for its id leaves its reference free.
func createNeither(t *testing.T, h Harness) {
	l := Issue(t)
	mustCreate(t, h, l)
	again := l
	again.Reference = "order 1"
	wantErr(t, h.Store.Create(t.Context(), again), license.ErrExists)
	wantReferenced(t, h, "order 1", "")
	free := withReference(t, "order 1")
	mustCreate(t, h, free)
	wantReferenced(t, h, "order 1", free.ID)
}

// updateReference: a reference is given in the moment of the change, or neither is.
func updateReference(t *testing.T, h Harness) {
	first, second := Issue(t), withReference(t, "order 2")
	mustCreate(t, h, first)
	mustCreate(t, h, second)

	wantTaken(t, h.Store.Update(t.Context(), first, giveReference(t, first, "order 2")), "order 2", second.ID)
	if diff := Diff(first, mustGet(t, h, first.ID)); diff != "" {
		t.Errorf("the refused update has changed the license (-before +after):\n%s", diff)
	}
	given := giveReference(t, first, "order 1")
	if err := h.Store.Update(t.Context(), first, given); err != nil {
		t.Fatal(err)
	}
	if diff := Diff(given, mustGet(t, h, first.ID)); diff != "" {
		t.Errorf("(-updated +got):\n%s", diff)
	}
	wantReferenced(t, h, "order 1", first.ID)
	wantErr(t, h.Store.Update(t.Context(), first, giveReference(t, first, "order 3")), license.ErrConflict)
	wantReferenced(t, h, "order 3", "")
}

// updateDroppedReference: another tool has put the record without the attribute. The reference still is the license's,
// and can be given to it again, but to no other.
func updateDroppedReference(t *testing.T, h Harness) {
	l, other := withReference(t, "order 1"), Issue(t)
	mustCreate(t, h, l)
	mustCreate(t, h, other)
	record, err := h.Record(t.Context(), l.ID)
	if err != nil {
		t.Fatal(err)
	}
	delete(record, "reference")
	if err := h.PutRecord(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	dropped := mustGet(t, h, l.ID)
	if dropped.Reference != "" {
		t.Fatalf("the reference is still %q", dropped.Reference)
	}
	wantTaken(t, h.Store.Update(t.Context(), other, giveReference(t, other, "order 1")), "order 1", l.ID)
	if err := h.Store.Update(t.Context(), dropped, giveReference(t, dropped, "order 1")); err != nil {
		t.Fatal(err)
	}
	wantReferenced(t, h, "order 1", l.ID)
	if got := mustGet(t, h, l.ID); got.Reference != "order 1" {
		t.Errorf("got %+v", got)
	}
}

// referenceConcurrently: of many that want a reference at once, new licenses and one that is there, exactly one gets
// it, and the others are told which. A store that is too busy for one has changed nothing.
func referenceConcurrently(t *testing.T, h Harness) {
	const writers = 40
	existing := Issue(t)
	mustCreate(t, h, existing)
	var group sync.WaitGroup
	errs := make([]error, writers)
	licenses := make([]license.License, writers)
	for i := range writers {
		write := func() error { return h.Store.Create(t.Context(), licenses[i]) }
		licenses[i] = withReference(t, "order 1")
		if i == 0 {
			licenses[i] = giveReference(t, existing, "order 1")
			write = func() error { return h.Store.Update(t.Context(), existing, licenses[i]) }
		}
		group.Go(func() {
			errs[i] = write()
			for errors.Is(errs[i], license.ErrBusy) && t.Context().Err() == nil {
				errs[i] = write()
			}
		})
	}
	group.Wait()
	winner := ""
	for i, err := range errs {
		if err == nil && winner != "" {
			t.Errorf("licenses %s and %s have both got it", winner, licenses[i].ID)
		}
		if err == nil {
			winner = licenses[i].ID
		}
	}
	for i, err := range errs {
		if err != nil {
			wantTaken(t, err, "order 1", winner)
		}
		stored, err := h.Store.Get(t.Context(), licenses[i].ID)
		isThere := err == nil && stored.Reference == "order 1"
		if isThere != (licenses[i].ID == winner) {
			t.Errorf("license %s: %+v, %v; the winner is %s", licenses[i].ID, stored, err, winner)
		}
	}
	wantReferenced(t, h, "order 1", winner)
}
