package restore_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
	"openlicenser/shared/restore"
)

// TestStamps: what is restored says who has restored it, why and when, and counts on.
func TestStamps(t *testing.T) {
	w := issue(t).backedUp().ours(noted).ours(revoked).back()
	w.apply(w.plan())
	want := attribute.Map{
		"version": number(4), "changedby": "openlicenser-restore", "requestid": "restoration",
		"changereason": "restored from the audit trail: entries 2 to 3", "changedtimestamp": number(w.now.UnixMilli()),
		"ixstanding": "revoked", "ixissued": w.table[id]["ixissued"], "putback": nil,
	}
	wantAfter(t, w, want)
	w.recorded()
	e := w.trail.Chain(id)[3]
	if e.Action != audit.Revoked || e.Actor != "openlicenser-restore" || !e.Gap ||
		e.Reason != "restored from the audit trail: entries 2 to 3" {
		t.Errorf("recorded as %+v", e)
	}

	removed := issue(t).backedUp().gone().back()
	removed.apply(removed.plan())
	removed.recorded()
	if e := removed.trail.Chain(id)[3]; e.Action != audit.Deleted || e.Actor != "openlicenser-restore" ||
		e.Reason != "restored from the audit trail: entry 2" {
		t.Errorf("recorded as %+v", e)
	}
}

// TestPutBackMark: a mark of what the index function has put back tells of the stream of a table that is gone.
func TestPutBackMark(t *testing.T) {
	w := issue(t).ours(attribute.Map{"putback": "700 email"}).backedUp().ours(revoked).back()
	w.apply(w.plan())
	wantAfter(t, w, attribute.Map{"putback": nil, "isrevoked": true})
}

// between writes before each rewrite.
type between struct {
	*world
	write func()
}

func (b between) Rewrite(ctx context.Context, id string, r license.Rewrite) error {
	b.write()
	return b.world.Rewrite(ctx, id, r)
}

// TestConflicts: what others write meanwhile is looked at, and stays.
func TestConflicts(t *testing.T) {
	for name, test := range map[string]struct {
		write   func(w *issued)
		times   int
		result  string
		revoked bool
	}{
		"once":           {func(w *issued) { w.theirs(noted) }, 1, restore.ResultDone, true},
		"every time":     {func(w *issued) { w.ours(noted).recorded() }, 9, "3 times", false},
		"the same":       {func(w *issued) { w.theirs(revoked) }, 1, "nothing is to be done any more", true},
		"more than that": {func(w *issued) { w.gone() }, 1, "has changed meanwhile", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := issue(t).backedUp().ours(revoked).back()
			r := w.restorer()
			r.Writer = between{w.world, func() {
				if test.times--; test.times >= 0 {
					test.write(w)
				}
			}}
			d, err := r.Apply(t.Context(), w.plan())
			isRevoked := w.table[id]["isrevoked"] == true
			if err != nil || !strings.Contains(d.Result, test.result) || isRevoked != test.revoked {
				t.Errorf("%+v, %v, stored %v", d, err, w.table[id])
			}
		})
	}
	t.Run("a fault", func(t *testing.T) {
		w := issue(t).backedUp().ours(revoked).back()
		w.faults = []fault{failBefore}
		if _, err := w.restorer().Apply(t.Context(), w.plan()); !errors.Is(err, errFault) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a removal that was begun", func(t *testing.T) {
		w := issue(t).backedUp().erase().gone().back()
		r, writes := w.restorer(), 0
		r.Writer = between{w.world, func() {
			if writes++; writes == 2 {
				w.theirs(suspended)
			}
		}}
		d, err := r.Apply(t.Context(), w.plan())
		if err != nil || d.Result != restore.ResultDone || w.table[id] != nil {
			t.Errorf("%+v, %v, stored %v", d, err, w.table[id])
		}
	})
}

// TestReferences: what is restored has its reference again, unless another license has it by now. One that is erased
// gives it back.
func TestReferences(t *testing.T) {
	referenced := attribute.Map{"reference": "order 1", "isrevoked": true}
	w := issue(t).backedUp().ours(referenced).back()
	w.apply(w.plan())
	if w.rows["order 1"] != id {
		t.Errorf("the references are %v", w.rows)
	}
	wantAfter(t, w, referenced)

	taken := issue(t).backedUp().ours(referenced).back()
	taken.rows["order 1"] = "another"
	d, err := taken.restorer().Apply(t.Context(), taken.plan())
	if err != nil || d.Result != "done, without its reference, which another license has" {
		t.Errorf("%+v, %v", d, err)
	}
	wantAfter(t, taken, attribute.Map{"isrevoked": true, "reference": nil})

	erased := issue(t).ours(attribute.Map{"reference": "order 1"}).backedUp()
	erased.ours(attribute.Map{"customername": "erased", "notes": "", "erased": "mark", "reference": nil}).back()
	erased.rows["order 1"] = id
	erased.apply(erased.plan())
	if len(erased.rows) != 0 {
		t.Errorf("the references are %v", erased.rows)
	}
}

// TestSuspects: only licenses that may not be as the trail says are looked at.
func TestSuspects(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"fine", "older", "erased", "gap", "gone", "gone fine", "unrecorded", "foreign"} {
		w.write(name, attribute.Map{"licenseid": name, "version": number(1)})
	}
	w.write("foreign", attribute.Map{"licenseid": "foreign"})
	backup := w.backup()
	w.write("older", attribute.Map{"licenseid": "older", "version": number(2)})
	w.write("erased", attribute.Map{"licenseid": "erased", "version": number(2), "erased": "mark"})
	w.write("gone fine", nil)
	w.record(len(w.stream))
	w.table["gap"] = attribute.Map{"licenseid": "gap", "version": number(0)}
	w.write("gap", attribute.Map{"licenseid": "gap", "version": number(1)})
	w.record(len(w.stream))
	w.table["older"] = backup["older"]
	delete(w.table, "gone")
	w.write("unrecorded", attribute.Map{"licenseid": "unrecorded", "version": number(2)})
	w.table["no chain"] = attribute.Map{"licenseid": "no chain", "version": number(1)}
	w.table["no chain, foreign"] = attribute.Map{"licenseid": "no chain, foreign"}
	seen := 0
	ids, err := w.restorer().Suspects(t.Context(), func(n int) { seen = n })
	want := []string{"erased", "gap", "gone", "no chain", "older", "unrecorded"}
	if diff := cmp.Diff(want, ids); diff != "" || err != nil || seen != len(w.table) {
		t.Errorf("%v, seen %d of %d (-want +got):\n%s", err, seen, len(w.table), diff)
	}
}

// TestNoChain: without a chain nothing is done.
func TestNoChain(t *testing.T) {
	w := newWorld(t)
	w.table["ours"] = attribute.Map{"licenseid": "ours", "version": number(1)}
	w.table["theirs"] = attribute.Map{"licenseid": "theirs"}
	for id, want := range map[string]restore.What{
		"ours": restore.LeftAlone, "theirs": restore.None, "nobody's": restore.LeftAlone,
	} {
		if p, err := w.restorer().Plan(t.Context(), id); err != nil || p.What != want || p.IsToDo() {
			t.Errorf("%s: %+v, %v", id, p, err)
		}
	}
}

// TestBranchTells: a customer who was forgotten is told of by the trail that came back.
func TestBranchTells(t *testing.T) {
	for name, forget := range map[string]func(w *issued){
		"living": func(w *issued) { w.erase() },
		"gone": func(w *issued) {
			w.gone()
			w.write(id, attribute.Map{"licenseid": id, "isrevoked": true, "isdeleted": true, "erased": "mark"})
			w.gone()
		},
	} {
		t.Run(name, func(t *testing.T) {
			nonce := func(v audit.Event, value string) string { return v.ID + value }
			newer, older := issue(t), issue(t)
			newer.nonce, older.nonce = nonce, nonce
			forget(newer.recorded())
			newer.recorded()
			if name == "gone" {
				older.gone()
			}
			older.recorded().newer = newer.world
			if p := older.plan(); p.What != restore.Erase {
				t.Fatalf("planned %+v", p)
			}
			older.apply(older.plan())
			older.recorded()
			if again := older.plan(); again.What != restore.None || len(older.trail.Chain(id)[0].Nonces) > 0 {
				t.Errorf("then planned %+v, and the first entry is %+v", again, older.trail.Chain(id)[0])
			}
		})
	}
}

// TestBranch: the trail came back with the licenses, and a copy of it has gone on.
func TestBranch(t *testing.T) {
	for name, test := range map[string]struct {
		since   func(w *issued)
		what    restore.What
		revoked bool
	}{
		"nothing since":        {func(*issued) {}, restore.Revoke, true},
		"changed since":        {func(w *issued) { w.ours(noted).recorded() }, restore.Revoke, true},
		"changed just now":     {func(w *issued) { w.theirs(noted) }, restore.Revoke, true},
		"removed since":        {func(w *issued) { w.gone().recorded() }, restore.None, false},
		"revoked since":        {func(w *issued) { w.ours(revoked).recorded() }, restore.None, true},
		"restored, recorded":   {func(w *issued) { w.apply(w.plan()); w.recorded() }, restore.None, true},
		"restored, unrecorded": {func(w *issued) { w.apply(w.plan()) }, restore.None, true},
	} {
		t.Run(name, func(t *testing.T) {
			nonce := func(v audit.Event, value string) string { return v.ID + value }
			newer, older := issue(t), issue(t)
			newer.nonce, older.nonce = nonce, nonce
			newer.recorded().ours(revoked).recorded()
			older.recorded().newer = newer.world
			test.since(older)
			p := older.plan()
			if p.What != test.what {
				t.Fatalf("planned %+v", p)
			}
			if p.IsToDo() {
				older.apply(p)
			}
			if again := older.plan(); again.IsToDo() || (older.table[id]["isrevoked"] == true) != test.revoked {
				t.Errorf("then planned %+v", again)
			}
			older.recorded()
			if again := older.plan(); again.IsToDo() {
				t.Errorf("then, recorded, planned %+v", again)
			}
		})
	}
}
