package restore_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
	"openlicenser/shared/restore"
)

// walker does at random what our own writers and other tools do.
type walker struct {
	*world
	rt      *rapid.T
	backups []map[string]attribute.Map
	copies  map[string][]attribute.Map // what the other tool has known of each license
	next    int
}

// TestWalk: whatever was written, whenever the table was taken back, and however far the trail was behind: after all is
// recorded and restored, each record is as all writes together have left it. A restoration that fails anywhere can be
// repeated, before and after it is recorded.
func TestWalk(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &walker{world: newWorld(rt), rt: rt, copies: map[string][]attribute.Map{}}
		w.issueForeign() // it is older than the trail
		w.stream = nil
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			w.step()
		}
		w.record(math.MaxInt)
		w.replay()
		w.restoreAll()
		w.check()
		w.record(math.MaxInt)
		w.check()
		for _, id := range w.ids {
			if _, err := audit.Verify(id, audit.Head{}, w.trail.Chain(id)); err != nil {
				rt.Fatalf("the chain of %s: %v", id, err)
			}
		}
	})
}

// restoreAll restores until there is nothing to do, through faults.
func (w *walker) restoreAll() {
	w.faults = rapid.SliceOfN(rapid.SampledFrom([]fault{none, failBefore, failAfter}), 0, 6).Draw(w.rt, "faults")
	for range 10 {
		_, err := w.restore()
		if rapid.Bool().Draw(w.rt, "is recorded") {
			w.record(rapid.IntRange(0, len(w.stream)).Draw(w.rt, "events"))
		}
		switch {
		case err == nil:
			return
		case !errors.Is(err, errFault):
			w.rt.Fatalf("restore: %v", err)
		}
	}
}

// check wants every record to be as all writes have left it, and nothing to be done or left alone.
func (w *walker) check() {
	w.rt.Helper()
	for _, id := range w.ids {
		ideal := w.ideal[id]
		if ideal == nil {
			ideal = &life{record: w.table[id]} // nobody has written it since the trail began
		}
		if diff := cmp.Diff(own(ideal.record, ideal.isErased), own(w.table[id], ideal.isErased)); diff != "" {
			w.rt.Fatalf("license %s (-as written +as restored):\n%s%s", id, diff, w.story(id))
		}
		if ideal.isErased && license.HoldsPersonal(w.table[id]) {
			w.rt.Fatalf("license %s is not forgotten%s", id, w.story(id))
		}
		if ideal.isErased && len(w.stream) == 0 {
			w.checkForgotten(id)
		}
	}
	for _, p := range w.plans() {
		if w.table[p.LicenseID] == nil && p.What == restore.Erase && len(w.stream) > 0 {
			continue // nothing but the stream tells that it is done
		}
		w.rt.Fatalf("left: %+v%s", p, w.story(p.LicenseID))
	}
}

// checkForgotten wants the trail to disclose nothing that a customer was told to be forgotten by.
func (w *walker) checkForgotten(id string) {
	w.rt.Helper()
	for _, e := range w.trail.Chain(id) {
		for name, change := range e.Changes {
			for _, text := range w.ideal[id].forgotten {
				value := fmt.Sprintf(`{"S":%q}`, text)
				if string(change.Old) == value || string(change.New) == value {
					w.rt.Fatalf("entry %d of %s discloses %s: %s%s", e.Sequence, id, name, value, w.story(id))
				}
			}
		}
	}
}

// own returns what of a record has to be as it was.
func own(record attribute.Map, isErased bool) attribute.Map {
	if record == nil {
		return nil
	}
	rest := license.WithoutIndex(record)
	maps.DeleteFunc(rest, func(name string, _ any) bool {
		return audit.IsStamp(name) || isErased && (license.IsPersonal(name) || name == "erased")
	})
	return rest
}

func (w *walker) step() {
	steps := map[string]func(){
		"issue": w.issue, "issue as another tool": w.issueForeign, "record": w.recordSome, "back up": w.backUp,
		"take back": w.takeBackOne, "restore": w.restoreSome,
		"set aside": w.setAside, "replay": w.replay, "erase what is gone": w.eraseGone,
	}
	if id := w.pick(); id != "" {
		for name, do := range w.changes(id) {
			steps[name] = do
		}
	}
	names := slices.Sorted(maps.Keys(steps))
	steps[rapid.SampledFrom(names).Draw(w.rt, "step")]()
}

// pick returns the id of a license that is there.
func (w *walker) pick() string {
	ids := slices.Sorted(maps.Keys(w.table))
	if len(ids) == 0 {
		return ""
	}
	return rapid.SampledFrom(ids).Draw(w.rt, "license")
}

// changes are those that can be made to a license.
func (w *walker) changes(id string) map[string]func() {
	changes := map[string]func(){
		"put as another tool":    func() { w.putForeign(id) },
		"change as another tool": func() { w.changeForeign(id) },
		"remove as another tool": func() { w.tick(); w.change(id, nil) },
	}
	l, err := license.FromRecord(w.table[id])
	if err != nil {
		w.rt.Fatalf("%s: %v", id, err)
	}
	c := license.Change{By: "vendor", Reason: "note of a reason"}
	ours := func(name string, do func() (license.License, error)) {
		changes[name] = func() {
			c.At, c.RequestID = w.tick(), w.name("request")
			after, err := do()
			var refused *license.TransitionError
			if errors.As(err, &refused) {
				return
			}
			if err != nil {
				w.rt.Fatalf("%s: %v", name, err)
			}
			set, remove := license.Delta(l, after)
			if len(set) > 0 {
				w.change(id, license.Amendment{Set: set, Remove: remove}.Apply(w.table[id]))
			}
		}
	}
	ours("revoke", func() (license.License, error) { return l.Revoke(c) })
	ours("suspend", func() (license.License, error) { return l.Suspend(c) })
	ours("reinstate", func() (license.License, error) { return l.Reinstate(c) })
	ours("patch", func() (license.License, error) {
		notes, days := w.name("note"), rapid.IntRange(0, 30).Draw(w.rt, "days of grace")
		if l.IsErased() {
			return l.Patch(license.Patch{GraceDays: &days}, c)
		}
		return l.Patch(license.Patch{Notes: &notes, GraceDays: &days}, c)
	})
	ours("set the end", func() (license.License, error) {
		end := fmt.Sprintf("20%02d-01-01", rapid.IntRange(30, 99).Draw(w.rt, "year"))
		return l.Patch(license.Patch{ExpirationDate: &end}, c)
	})
	ours("limit", func() (license.License, error) {
		most := rapid.IntRange(0, 9).Draw(w.rt, "devices")
		return l.Patch(license.Patch{MaxDevices: &most}, c)
	})
	changes["delete"] = func() {
		c.At, c.RequestID = w.tick(), w.name("request")
		set, remove := license.Delta(l, l.Delete(c))
		w.change(id, license.Amendment{Set: set, Remove: remove}.Apply(w.table[id]))
		w.change(id, nil)
	}
	ours("erase", func() (license.License, error) {
		if w.rows[l.Reference] == id {
			delete(w.rows, l.Reference)
		}
		return l.Erase(c, w.name("mark"))
	})
	return changes
}

// name returns a text that there never was.
func (w *walker) name(what string) string {
	w.next++
	return fmt.Sprint(what, " ", w.next)
}

func (w *walker) issue() {
	id := w.name("license")
	l, err := license.Draft{
		CustomerName: w.name("customer"), ExpirationDate: "2090-01-01", Notes: w.name("note"),
		Email: "mail@" + strings.ReplaceAll(w.name("host"), " ", "") + ".com", Reference: w.name("reference"),
	}.Issue(id, license.Change{At: w.tick(), By: "vendor", RequestID: w.name("request")})
	if err != nil {
		w.rt.Fatalf("issue: %v", err)
	}
	w.rows[l.Reference] = id
	w.change(id, l.Record())
}

// eraseGone forgets the customer of a license that is gone.
func (w *walker) eraseGone() {
	for _, id := range slices.Sorted(maps.Keys(w.ideal)) {
		if w.table[id] != nil || w.ideal[id].record != nil || !rapid.Bool().Draw(w.rt, "is erased") {
			continue
		}
		c := license.Change{At: w.tick(), By: "vendor", Reason: "asked", RequestID: w.name("request")}
		l, err := license.EraseRemoved(id, c, w.name("mark"))
		if err != nil {
			w.rt.Fatalf("%s: %v", id, err)
		}
		w.change(id, l.Tombstone())
		w.change(id, nil)
	}
}

// foreign are the attributes that the other tool knows.
func (w *walker) foreign(id string) attribute.Map {
	return attribute.Map{
		"licenseid": id, "appurls": "[]", "services": "[]", "customerid": "c", "customername": w.name("customer"),
		"expirationdate": "2090-01-01T00:00:00.000Z", "isrevoked": rapid.Bool().Draw(w.rt, "is revoked"),
		"notes":            w.name("note"),
		"changedtimestamp": attribute.Number(strconv.FormatInt(w.tick().UnixMilli(), 10)),
	}
}

func (w *walker) issueForeign() {
	id := w.name("foreign")
	if ids := slices.Sorted(maps.Keys(w.ideal)); len(ids) > 0 && rapid.Bool().Draw(w.rt, "is put again") {
		id = rapid.SampledFrom(ids).Draw(w.rt, "license that was")
	}
	w.putForeign(id)
}

// putForeign puts a whole record: a new one, or one that the other tool has known before.
func (w *walker) putForeign(id string) {
	record := w.foreign(id)
	if copies := w.copies[id]; len(copies) > 0 && rapid.Bool().Draw(w.rt, "is an old copy") {
		record = maps.Clone(rapid.SampledFrom(copies).Draw(w.rt, "copy"))
		record["changedtimestamp"] = attribute.Number(strconv.FormatInt(w.tick().UnixMilli(), 10))
	}
	w.copies[id] = append(w.copies[id], record)
	if w.events == 0 && w.tables == 0 {
		w.write(id, record)
		return
	}
	w.change(id, record)
}

// changeForeign changes a few attributes.
func (w *walker) changeForeign(id string) {
	record := maps.Clone(w.table[id])
	theirs := w.foreign(id)
	theirs["color of the customer"] = w.name("customer")
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		if name == "changedtimestamp" || rapid.IntRange(0, 3).Draw(w.rt, "changes "+name) == 0 {
			record[name] = theirs[name]
		}
	}
	w.change(id, record)
}

func (w *walker) recordSome() { w.record(rapid.IntRange(0, len(w.stream)).Draw(w.rt, "events")) }

func (w *walker) backUp() { w.backups = append(w.backups, w.backup()) }

// takeBackOne takes the table back after its stream was recorded: a stream goes on for a day after its table.
func (w *walker) takeBackOne() {
	if len(w.backups) > 0 {
		w.record(math.MaxInt)
		w.takeBack(rapid.SampledFrom(w.backups).Draw(w.rt, "backup"))
	}
}

// restoreSome restores what can be told by now.
func (w *walker) restoreSome() {
	if _, err := w.restore(); err != nil {
		w.rt.Fatalf("restore: %v", err)
	}
}
