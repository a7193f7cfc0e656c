package licensetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// TestRewriter tests that a store, which is a license.Rewriter too, keeps the contract of that. Each call of open
// returns a new and empty store.
func TestRewriter(t *testing.T, open func(t *testing.T) Harness) {
	tests := map[string]func(*testing.T, Harness){
		"Put":          rewriteNothing,
		"Change":       rewriteChange,
		"Remove":       rewriteRemoval,
		"ErrConflict":  rewriteConflict,
		"Takes":        rewriteTakes,
		"Frees":        rewriteFrees,
		"Concurrent":   rewriteConcurrently,
		"ContextEnded": rewriteContextEnded,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// odd are attributes as only other tools make them.
var odd = attribute.Map{
	"customer Name": "a", "ünïcode 🎉": attribute.Number("1"), "1": true, "was_version": "x", "a.b": []any{"x", nil},
	"V1": attribute.Map{"deep": "y"}, "N1": "z", "NULL": nil, "UPPER": attribute.StringSet{"a", "b"},
}

func rewrite(t *testing.T, h Harness, before, after attribute.Map) error {
	t.Helper()
	id, _ := before[license.AttrID].(string)
	if id == "" {
		id = after[license.AttrID].(string)
	}
	w, err := license.NewRewrite(before, after, license.RecordVersion(before)+1, Change("restored"), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return h.Store.(license.Rewriter).Rewrite(t.Context(), id, w)
}

func mustRewrite(t *testing.T, h Harness, before, after attribute.Map) (stored attribute.Map) {
	t.Helper()
	if err := rewrite(t, h, before, after); err != nil {
		t.Fatal(err)
	}
	id, _ := after[license.AttrID].(string)
	return mustRecord(t, h, id)
}

func mustRecord(t *testing.T, h Harness, id string) attribute.Map {
	t.Helper()
	record, err := h.Record(t.Context(), id)
	if err != nil && !errors.Is(err, license.ErrNotFound) {
		t.Fatal(err)
	}
	return record
}

func with(record, more attribute.Map) attribute.Map {
	return license.Amendment{Set: more}.Apply(record)
}

// wantRewritten wants a record that is as wanted, but for what a rewrite sets itself.
func wantRewritten(t *testing.T, want, got attribute.Map) {
	t.Helper()
	own := func(record attribute.Map) attribute.Map {
		record = license.WithoutIndex(record)
		for _, name := range []string{"version", "changedtimestamp", "changedby", "changereason", "requestid"} {
			delete(record, name)
		}
		return record
	}
	if diff := cmp.Diff(own(want), own(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got["changereason"] != "restored" || got["version"] == want["version"] {
		t.Errorf("the reason is %v, the version %v after %v", got["changereason"], got["version"], want["version"])
	}
}

func rewriteNothing(t *testing.T, h Harness) {
	record := with(Issue(t).Record(), odd)
	record["version"] = attribute.Number("7")
	got := mustRewrite(t, h, nil, record)
	wantRewritten(t, record, got)
	if l := mustGet(t, h, got["licenseid"].(string)); l.CustomerName != "Test Customer" || l.Version != 1 {
		t.Errorf("got %+v", l)
	}
	wantErr(t, rewrite(t, h, nil, record), license.ErrConflict)
	page, err := h.Store.List(t.Context(), license.Query{Limit: 10})
	if err != nil || len(page.Licenses) != 1 {
		t.Errorf("listed %d, %v", len(page.Licenses), err)
	}
}

func rewriteChange(t *testing.T, h Harness) {
	l := Issue(t)
	mustCreate(t, h, l)
	before := mustRecord(t, h, l.ID)
	changed := mustRewrite(t, h, before, with(before, with(odd, attribute.Map{"isrevoked": true, "notes": "other"})))
	wantRewritten(t, with(before, with(odd, attribute.Map{"isrevoked": true, "notes": "other"})), changed)
	if got := mustGet(t, h, l.ID); got.Standing() != license.Revoked || changed["ixstanding"] != "revoked" {
		t.Errorf("the license is %s, and listed as %v", got.Standing(), changed["ixstanding"])
	}
	wantRewritten(t, with(before, attribute.Map{"version": nil}), mustRewrite(t, h, changed, before))
}

func rewriteRemoval(t *testing.T, h Harness) {
	l := Issue(t)
	mustCreate(t, h, l)
	record := mustRecord(t, h, l.ID)
	if err := rewrite(t, h, record, nil); err != nil {
		t.Fatal(err)
	}
	if got := mustRecord(t, h, l.ID); got != nil {
		t.Errorf("%v is left", got)
	}
	wantErr(t, rewrite(t, h, record, nil), license.ErrConflict)
}

// rewriteConflict: whatever a rewrite goes by must be as it was.
func rewriteConflict(t *testing.T, h Harness) {
	for name, value := range map[string]any{
		"version": attribute.Number("9"), "changedtimestamp": attribute.Number("1"), "requestid": "another",
		"isrevoked": true, "issuspended": true, "isdeleted": true, "erased": "mark", "notes": "theirs",
		"customer Name": "theirs", "UPPER": "theirs",
	} {
		l := Issue(t)
		mustCreate(t, h, l)
		before := mustRecord(t, h, l.ID)
		theirs := with(before, attribute.Map{name: value})
		if err := h.PutRecord(t.Context(), theirs); err != nil {
			t.Fatal(err)
		}
		err := rewrite(t, h, before, with(before, with(odd, attribute.Map{"notes": "x"})))
		if !errors.Is(err, license.ErrConflict) {
			t.Errorf("%s: got %v", name, err)
		}
		if diff := cmp.Diff(theirs, mustRecord(t, h, l.ID)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	absent := Issue(t).Record()
	wantErr(t, rewrite(t, h, absent, with(absent, attribute.Map{"notes": "x"})), license.ErrConflict)
	l := Issue(t)
	mustCreate(t, h, l)
	before := mustRecord(t, h, l.ID)
	index := with(before, attribute.Map{"ixname": "other"}) // which follows from the rest
	if err := h.PutRecord(t.Context(), index); err != nil {
		t.Fatal(err)
	}
	mustRewrite(t, h, before, with(before, attribute.Map{"notes": "x"}))
}

func rewriteTakes(t *testing.T, h Harness) {
	l, other := withReference(t, "order 1"), withReference(t, "order 2")
	record := mustRewrite(t, h, nil, l.Record())
	wantReferenced(t, h, "order 1", l.ID)
	record = mustRewrite(t, h, record, with(record, attribute.Map{"notes": "x"})) // it has the reference already
	mustCreate(t, h, other)
	err := rewrite(t, h, record, with(record, attribute.Map{"reference": "order 2"}))
	wantTaken(t, err, "order 2", other.ID)
	if diff := cmp.Diff(record, mustRecord(t, h, l.ID)); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	wantReferenced(t, h, "order 2", other.ID)
}

func rewriteFrees(t *testing.T, h Harness) {
	l, other := withReference(t, "order 1"), withReference(t, "order 2")
	mustCreate(t, h, l)
	mustCreate(t, h, other)
	erase := func(record attribute.Map, mark string) attribute.Map {
		erased := with(record, attribute.Map{"customername": "erased", "notes": "", "erased": mark})
		delete(erased, "reference")
		return erased
	}
	record := mustRecord(t, h, l.ID)
	stale := with(record, attribute.Map{"notes": "stale"})
	wantErr(t, rewrite(t, h, stale, erase(stale, "1")), license.ErrConflict)
	wantReferenced(t, h, "order 1", l.ID)
	erased := mustRewrite(t, h, record, erase(record, "1"))
	wantReferenced(t, h, "order 1", "")
	theirs := with(erased, attribute.Map{"reference": "order 2"})
	if err := h.PutRecord(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	again := mustRewrite(t, h, theirs, erase(theirs, "2"))
	wantReferenced(t, h, "order 2", other.ID)
	if again["erased"] != "2" || again["reference"] != nil {
		t.Errorf("got %v", again)
	}
	gone := with(again, attribute.Map{"reference": "order 3"})
	if err := h.PutRecord(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	mustRewrite(t, h, gone, erase(gone, "3"))
}

// rewriteConcurrently: of several rewrites of one record, one is made.
func rewriteConcurrently(t *testing.T, h Harness) {
	l := withReference(t, "order 1")
	mustCreate(t, h, l)
	record := mustRecord(t, h, l.ID)
	var made atomic.Int32
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			err := rewrite(t, h, record, with(record, attribute.Map{"isrevoked": true}))
			switch {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, license.ErrConflict):
				t.Error(err)
			}
		})
	}
	writers.Wait()
	if made.Load() != 1 {
		t.Errorf("%d were made", made.Load())
	}
}

func rewriteContextEnded(t *testing.T, h Harness) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	err := h.Store.(license.Rewriter).Rewrite(ended, "id", license.Rewrite{Set: attribute.Map{"licenseid": "id"}})
	if err == nil || errors.Is(err, license.ErrConflict) {
		t.Errorf("got %v", err)
	}
}
