package restore_test

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
	"openlicenser/shared/restore"
	"openlicenser/shared/testing/audittest"
)

const id = "d5b35ffa-af15-44b7-9de0-5b1b6dc4daec"

// issued is a license of ours in a world of its own.
type issued struct {
	*world
	backups []map[string]attribute.Map
}

func issue(t audittest.TB) *issued {
	w := &issued{world: newWorld(t)}
	w.write(id, attribute.Map{
		"licenseid": id, "appurls": "[]", "services": "[]", "customerid": "c", "customername": "customer",
		"expirationdate": "2090-01-01T00:00:00.000Z", "isrevoked": false, "notes": "note",
		"version": number(1), "createdtimestamp": number(w.tick().UnixMilli()), "changedtimestamp": number(1),
		"changedby": "vendor", "requestid": "request 1",
	})
	return w
}

func number(n int64) attribute.Number { return attribute.Number(strconv.FormatInt(n, 10)) }

// ours changes attributes as our own writers do. A nil removes one.
func (w *issued) ours(changes attribute.Map) *issued {
	version := license.RecordVersion(w.table[id]) + 1
	return w.theirs(with(attribute.Map{
		"version": number(version), "changedtimestamp": number(w.tick().UnixMilli()), "changedby": "vendor",
		"requestid": fmt.Sprint("request ", version, w.now),
	}, changes))
}

// theirs changes attributes, and no others, as another tool does.
func (w *issued) theirs(changes attribute.Map) *issued {
	record := with(w.table[id], changes)
	maps.DeleteFunc(record, func(_ string, value any) bool { return value == nil })
	w.write(id, record)
	return w
}

// foreign puts a whole record as another tool does.
func (w *issued) foreign(changes attribute.Map) *issued {
	w.write(id, with(attribute.Map{
		"licenseid": id, "appurls": "[]", "services": "[]", "customerid": "c", "customername": "customer",
		"expirationdate": "2090-01-01T00:00:00.000Z", "isrevoked": false, "notes": "note",
		"changedtimestamp": number(w.tick().UnixMilli()),
	}, changes))
	return w
}

func (w *issued) gone() *issued { w.write(id, nil); return w }

func (w *issued) erase() *issued {
	return w.ours(attribute.Map{"customername": "erased", "notes": "", "erased": w.now.String()})
}

func (w *issued) recorded() *issued { w.record(len(w.stream)); return w }

// lost loses the events that were not recorded.
func (w *issued) lost() *issued { w.stream = nil; return w }

func (w *issued) backedUp() *issued { w.backups = append(w.backups, w.backup()); return w.recorded() }

// back takes the table back to its latest backup.
func (w *issued) back() *issued {
	w.recorded().takeBack(w.backups[len(w.backups)-1])
	return w
}

func (w *issued) plan() restore.Plan {
	w.t.Helper()
	p, err := w.restorer().Plan(context.Background(), id)
	if err != nil {
		w.t.Fatalf("plan: %v", err)
	}
	return p
}

func with(record, more attribute.Map) attribute.Map {
	return license.Amendment{Set: more}.Apply(record)
}

var (
	revoked   = attribute.Map{"isrevoked": true}
	suspended = attribute.Map{"issuspended": true}
	noted     = attribute.Map{"notes": "another note"}
	ended     = attribute.Map{"expirationdate": "2027-01-01T00:00:00.000Z"}
	extended  = attribute.Map{"expirationdate": "2099-01-01T00:00:00.000Z"}
)

// TestPlan: what is to be done in each situation, and what the record is after that.
func TestPlan(t *testing.T) {
	type want struct {
		what     restore.What
		from, to int64
		found    string
		record   attribute.Map // what it has after that; nil values are absent; nil: there is none
		round    int
	}
	long := strings.Repeat("x", 200<<10)
	many := attribute.Map{}
	for i := range 200 {
		many[fmt.Sprint("phone ", i)] = "123"
	}
	for name, test := range map[string]struct {
		happens func(w *issued)
		want    want
	}{
		"nothing": {func(w *issued) { w.backedUp().ours(revoked).recorded() },
			want{what: restore.None, found: "as entry 2 left it", record: revoked}},
		"taken back to what it is": {func(w *issued) { w.ours(revoked).backedUp().back() },
			want{what: restore.None, found: "as entry 2 left it", record: revoked}},
		"revoked": {func(w *issued) { w.backedUp().ours(revoked).back() },
			want{restore.Revoke, 2, 2, "as entry 1 left it; not as the trail says: isrevoked", revoked, 1}},
		"suspended, and more": {func(w *issued) { w.backedUp().ours(noted).ours(suspended).back() },
			want{restore.Suspend, 2, 3, "issuspended, notes", with(noted, suspended), 1}},
		"reinstated": {func(w *issued) { w.ours(suspended).backedUp().ours(attribute.Map{"issuspended": nil}).back() },
			want{restore.Change, 3, 3, "issuspended", attribute.Map{"issuspended": nil}, 2}},
		"renewed": {func(w *issued) { w.backedUp().ours(extended).back() },
			want{restore.Change, 2, 2, "expirationdate", extended, 2}},
		"shortened": {func(w *issued) { w.backedUp().ours(ended).back() },
			want{restore.Change, 2, 2, "expirationdate", ended, 1}},
		"limited": {func(w *issued) { w.backedUp().ours(attribute.Map{"maxdevices": number(2)}).back() },
			want{restore.Change, 2, 2, "maxdevices", attribute.Map{"maxdevices": number(2)}, 1}},
		"removed": {func(w *issued) { w.backedUp().gone().back() },
			want{restore.Remove, 2, 2, "removed (entry 2), and it is as entry 1 left it", nil, 1}},
		"issued": {func(w *issued) { w.backups = append(w.backups, nil); w.ours(noted).back() },
			want{restore.Issue, 1, 2, "it is gone, and the trail does not say so", noted, 2}},
		"erased": {func(w *issued) { w.backedUp().erase().back() },
			want{restore.Erase, 2, 2, "as entry 1", attribute.Map{"customername": "erased", "notes": ""}, 0}},
		"erased and revoked": {func(w *issued) { w.backedUp().erase().ours(revoked).back() },
			want{restore.Erase, 2, 3, "isrevoked", with(revoked, attribute.Map{"customername": "erased"}), 0}},
		"erased and removed": {func(w *issued) { w.backedUp().erase().gone().back() },
			want{restore.Erase, 3, 3, "its customer is forgotten first", nil, 0}},
		"erased, and told of since": {func(w *issued) { w.backedUp().erase().gone().back().gone().recorded() },
			want{restore.Erase, 4, 4, "tells of its customer again", nil, 0}},

		// What was written since the table was taken back.
		"changed since, and recorded": {func(w *issued) { w.backedUp().ours(revoked).back().ours(noted).recorded() },
			want{restore.Revoke, 2, 2, "as entry 3 left it", with(noted, revoked), 1}},
		"changed by another tool since": {func(w *issued) { w.backedUp().ours(revoked).back().theirs(noted) },
			want{restore.Revoke, 2, 2, "was changed by another tool since; not as the trail says: isrevoked; " +
				"as another tool has written them since, and left so: notes", with(noted, revoked), 1}},
		"the same, and recorded": {func(w *issued) { w.backedUp().ours(revoked).back().theirs(noted).recorded() },
			want{restore.Revoke, 2, 2, "as entry 3 left it", with(noted, revoked), 1}},
		"changed to the same since": {func(w *issued) { w.backedUp().ours(noted).back().theirs(noted) },
			want{what: restore.None, found: "as entry 1 left it", record: noted}},
		"changed to something else since": {
			func(w *issued) { w.backedUp().ours(noted).back().theirs(attribute.Map{"notes": "theirs"}) },
			want{what: restore.LeftAlone, found: "against the trail, and left so: notes",
				record: attribute.Map{"notes": "theirs"}}},
		"revocation taken back since": {
			func(w *issued) {
				w.ours(revoked).ours(noted).backedUp().back().theirs(attribute.Map{"isrevoked": false})
			},
			want{what: restore.LeftAlone, found: "against the trail, and left so: isrevoked",
				record: attribute.Map{"isrevoked": false}}},
		"the same, and recorded, stays": {
			func(w *issued) {
				w.ours(revoked).ours(noted).backedUp().back().ours(attribute.Map{"isrevoked": false}).recorded()
			},
			want{what: restore.None, record: attribute.Map{"isrevoked": false}}},
		"put by another tool since": {func(w *issued) { w.backedUp().ours(revoked).back().foreign(noted) },
			want{what: restore.LeftAlone, found: "as nothing on the trail has left it; not as the trail says, and",
				record: attribute.Map{"isrevoked": false}}},
		"put by another tool since, and recorded": {
			func(w *issued) { w.backedUp().ours(revoked).back().foreign(noted).recorded() },
			want{restore.Revoke, 2, 2, "as entry 3 left it", with(noted, revoked), 1}},
		"suspension denied since": {
			func(w *issued) { w.backedUp().ours(suspended).back().theirs(attribute.Map{"issuspended": false}) },
			want{restore.Suspend, 2, 2, "issuspended", suspended, 1}},
		"removed, and changed since": {func(w *issued) { w.backedUp().gone().back().ours(noted).recorded() },
			want{restore.Remove, 2, 2, "as entry 3 left it", nil, 1}},
		"removed, and put again since": {func(w *issued) { w.gone().recorded().foreign(noted).recorded() },
			want{what: restore.None, record: noted}},
		"removed, taken back, and put again after all": {
			func(w *issued) {
				w.backedUp().gone().recorded()
				absent := w.backup()
				w.back().ours(noted).recorded()
				w.takeBack(absent)
				w.foreign(revoked).recorded()
			},
			want{what: restore.None, record: revoked}},
		"removed, and put again, not recorded": {func(w *issued) { w.gone().recorded().foreign(noted) },
			want{what: restore.LeftAlone, found: "removed (entry 2), and it is as nothing on", record: noted}},
		"erased, and changed since": {func(w *issued) { w.backedUp().erase().back().theirs(noted).recorded() },
			want{restore.Erase, 2, 2, "", attribute.Map{"customername": "erased", "notes": ""}, 0}},

		// Other tools write no version, and some nothing that tells one of their changes from another.
		"of another tool": {func(w *issued) { w.foreignFirst().backedUp().ours(revoked).back() },
			want{restore.Revoke, 1, 1, "as it was before entry 1", revoked, 1}},
		"of another tool, changed since": {
			func(w *issued) { w.foreignFirst().backedUp().ours(revoked).back().theirs(noted) },
			want{restore.Revoke, 1, 1, "as it was before entry 1", with(noted, revoked), 1}},
		"of another tool, changed since, and recorded": {
			func(w *issued) { w.foreignFirst().backedUp().ours(revoked).back().foreign(noted).recorded() },
			want{restore.Revoke, 1, 1, "as entry 2 left it", with(noted, revoked), 1}},
		"of another tool, changed otherwise since": {
			func(w *issued) {
				w.foreignFirst().backedUp().ours(revoked).ours(noted).back().theirs(attribute.Map{"notes": "theirs"})
			},
			want{restore.Revoke, 1, 1, "against the trail, and left so: notes", with(attribute.Map{"notes": "theirs"},
				revoked), 1}},
		"of another tool, and little is told": {
			func(w *issued) {
				w.foreignFirst().theirs(noted).recorded().theirs(attribute.Map{"notes": "note", "plan": "p"}).lost()
				w.theirs(attribute.Map{"services": "[{}]"}).recorded()
			},
			want{what: restore.None, record: attribute.Map{"notes": "note", "plan": "p"}}},
		"of another tool, issued": {
			func(w *issued) { w.foreignFirst().ours(noted).recorded(); w.takeBack(nil) },
			want{what: restore.LeftAlone, found: "the trail does not hold all that it was"}},
		"nothing tells the change from others": {
			func(w *issued) { w.foreign(nil).backedUp().theirs(revoked).back().theirs(noted).recorded() },
			want{restore.Revoke, 3, 3, "as entry 4 left it", with(noted, revoked), 1}},

		// What the trail does not tell.
		"a change is missing": {
			func(w *issued) {
				w.ours(revoked).recorded().ours(attribute.Map{"isrevoked": false}).lost().ours(noted).recorded()
			},
			want{what: restore.LeftAlone, found: "entry 2 says revoked, and a change after it is missing on the trail",
				record: attribute.Map{"isrevoked": false}}},
		"a change is missing, and is decided": {
			func(w *issued) {
				w.ours(revoked).recorded().ours(noted).lost().ours(attribute.Map{"isrevoked": false}).recorded()
			},
			want{what: restore.None, record: attribute.Map{"isrevoked": false}}},
		"a change is missing, and there are later ones": {
			func(w *issued) { w.recorded().ours(noted).lost().ours(extended).backedUp().ours(revoked).back() },
			want{restore.Revoke, 3, 3, "as entry 2 left it", with(extended, revoked), 1}},
		"a change is missing since": {
			func(w *issued) { w.backedUp().ours(extended).lost().ours(revoked).back() },
			want{restore.Revoke, 2, 2, "as entry 1 left it", revoked, 1}},
		"a removal is missing": {
			func(w *issued) { w.ours(revoked).recorded().gone().lost().foreign(nil).recorded() },
			want{restore.Revoke, 1, 2, "as entry 3 left it; not as the trail says: createdtimestamp, isrevoked",
				revoked, 1}},
		"not disclosed": {
			func(w *issued) { w.backedUp().ours(with(noted, revoked)).back(); w.forget() },
			want{restore.Revoke, 2, 2, "changed to what the trail does not hold, and left so: notes", with(revoked,
				attribute.Map{"notes": "note"}), 1}},
		"issued, not disclosed": {
			func(w *issued) { w.recorded(); w.forget(); w.takeBack(nil) },
			want{restore.Issue, 1, 1, "the trail does not hold", attribute.Map{"notes": nil, "isrevoked": false}, 2}},
		"too long": {
			func(w *issued) {
				w.backedUp().ours(with(attribute.Map{"appurls": "[]" + long, "services": "[]" + long}, revoked)).back()
			},
			want{restore.Revoke, 2, 2, "does not hold, and left so: appurls, services", with(revoked,
				attribute.Map{"appurls": "[]"}), 1}},
		"issued, too long": {
			func(w *issued) {
				w.ours(attribute.Map{"appurls": "[]" + long, "services": "[]" + long}).recorded()
				w.takeBack(nil)
			},
			want{what: restore.LeftAlone, found: "the trail does not hold all that it was"}},
		"very many attributes": {func(w *issued) { w.backedUp().ours(many).back() },
			want{restore.Change, 2, 2, "all personal attributes", with(many, noted0), 2}},
		"very many attributes less": {
			func(w *issued) {
				w.ours(many).backedUp()
				less := maps.Clone(w.table[id])
				maps.DeleteFunc(less, func(name string, _ any) bool { return strings.HasPrefix(name, "phone ") })
				w.write(id, less)
				w.ours(revoked).back()
			},
			want{restore.Revoke, 3, 4, "isrevoked", with(noted0, attribute.Map{"phone 7": nil}), 1}},
	} {
		t.Run(name, func(t *testing.T) {
			w := issue(t)
			test.happens(w)
			p := w.plan()
			if p.What != test.want.what || p.From != test.want.from || p.To != test.want.to ||
				!strings.Contains(p.Found, test.want.found) || p.IsToDo() && p.Round() != test.want.round {
				t.Fatalf("planned %+v, round %d, want %+v%s", p, p.Round(), test.want, w.story(id))
			}
			if p.IsToDo() {
				w.apply(p)
			}
			wantAfter(t, w, test.want.record)
			if again := w.plan(); again.IsToDo() && again.What != restore.Erase {
				t.Errorf("then planned %+v", again)
			}
			w.recorded()
			if again := w.plan(); again.IsToDo() && !p.MayPass {
				t.Errorf("then, recorded, planned %+v%s", again, w.story(id))
			}
			wantAfter(t, w, test.want.record)
		})
	}
}

var noted0 = attribute.Map{"notes": "note", "customername": "customer"}

func wantAfter(t *testing.T, w *issued, want attribute.Map) {
	t.Helper()
	got := w.table[id]
	if (got == nil) != (want == nil) {
		t.Errorf("there is %v, want %v", got, want)
	}
	for name, value := range want {
		if !cmp.Equal(got[name], value) {
			t.Errorf("%s is %v, want %v%s", name, got[name], value, w.story(id))
		}
	}
}

func (w *issued) apply(p restore.Plan) {
	w.t.Helper()
	d, err := w.restorer().Apply(context.Background(), p)
	if err != nil || d.Result != restore.ResultDone {
		w.t.Errorf("%+v, %v", d, err)
	}
}

// foreignFirst makes the license one that another tool has written before the trail began.
func (w *issued) foreignFirst() *issued {
	w.table[id] = nil
	w.foreign(nil)
	return w.lost()
}

// forget makes the trail disclose nothing any more, and says nowhere that it was meant.
func (w *issued) forget() {
	if err := w.trail.Forget(context.Background(), id, 99); err != nil {
		w.t.Fatalf("%v", err)
	}
}

// TestBrokenChain: a chain that does not verify up to its head is not believed.
func TestBrokenChain(t *testing.T) {
	for name, harm := range map[string]func(*audit.Head){
		"an entry more in the head": func(head *audit.Head) { head.Sequence++ },
		"an entry less":             func(head *audit.Head) { head.Sequence-- },
		"another hash":              func(head *audit.Head) { head.Hash = "0" },
		"another record":            func(head *audit.Head) { head.RecordHash = "0" },
		"an erasure that was none":  func(head *audit.Head) { head.ErasedSequence = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			w := issue(t).backedUp().ours(revoked).back()
			head := w.trail.MustState(id).Head
			harm(&head)
			w.trail.SetHead(id, head)
			p := w.plan()
			if p.What != restore.LeftAlone || !strings.Contains(p.Found, "its chain is not as it should be") {
				t.Errorf("planned %+v", p)
			}
		})
	}
}
