package restore_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
	"openlicenser/shared/restore"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/licensetest"
)

// world is a license table with its stream, which can be taken back to an earlier state, and its audit trail.
type world struct {
	t      audittest.TB
	table  map[string]attribute.Map
	rows   map[string]string // reference → license id
	stream []audit.Event     // that were not recorded yet
	aside  []audit.Event     // that could not be recorded, and will be later
	trail  *audittest.Memory
	ids    []string // of all licenses that ever were

	tables, events int // how often the table was taken back; events of this one
	now            time.Time
	ideal          map[string]*life // what should be there, had the table never been taken back
	faults         []fault          // of the next rewrites
	nonce          func(audit.Event, string) string
	newer          *world // whose trail tells how this one should be; nil: its own
}

// life is a record as all writes together have left it.
type life struct {
	record   attribute.Map // nil: it is removed
	isErased bool

	told, forgotten []string // personal values that it ever had, and those of them that were forgotten
}

// fault is what becomes of a rewrite.
type fault int

const (
	none       fault = iota
	failBefore       // an error, and nothing was written
	failAfter        // an error, and yet it was written
)

func newWorld(t audittest.TB) *world {
	return &world{
		t: t, table: map[string]attribute.Map{}, rows: map[string]string{}, trail: audittest.NewMemory(t),
		now: licensetest.Now, ideal: map[string]*life{},
	}
}

// tick returns the next instant, so that no two changes are of one millisecond.
func (w *world) tick() time.Time {
	w.now = w.now.Add(time.Second)
	return w.now
}

// write writes a record as anybody may.
func (w *world) write(id string, record attribute.Map) {
	old := w.table[id]
	if record == nil {
		delete(w.table, id)
	} else {
		w.table[id] = maps.Clone(record)
	}
	if !slices.Contains(w.ids, id) {
		w.ids = append(w.ids, id)
	}
	w.events++
	w.stream = append(w.stream, audit.Event{
		ID: fmt.Sprint(w.tables, "-", w.events), Stream: fmt.Sprintf("2026-11-%02dT00:00:00.000", w.tables+1),
		SequenceNumber: strconv.Itoa(w.events), Time: w.now, LicenseID: id, Old: old, New: maps.Clone(record),
	})
}

// change writes a record, and remembers that it was meant.
func (w *world) change(id string, record attribute.Map) {
	old := w.table[id]
	w.write(id, record)
	l := w.ideal[id]
	if l == nil {
		l = &life{record: maps.Clone(old)} // which is older than the trail
		w.ideal[id] = l
	}
	l.change(old, record)
}

// change makes a change that was made to a record which may have been taken back: what was removed or forgotten stays
// so, and what ends or stops the use of a license is taken back by a change of that alone.
func (l *life) change(old, record attribute.Map) {
	isErasure := license.IsErasure(old, record)
	for name, value := range record {
		if text, isText := value.(string); isText && license.IsPersonal(name) && !audit.IsStamp(name) &&
			license.HoldsPersonal(attribute.Map{name: value}) {
			l.told = append(l.told, text)
		}
	}
	if isErasure {
		l.forgotten = slices.Clone(l.told)
	}
	switch {
	case record == nil:
		l.record = nil
		return
	case old == nil && l.record == nil:
		l.record, l.isErased = maps.Clone(record), isErasure
		return
	case l.record == nil:
		return
	}
	both := maps.Clone(record)
	maps.Copy(both, old)
	for name := range both {
		isFinal := l.isErased && !isErasure && (license.IsPersonal(name) || name == "erased")
		isRefused := license.IsRefusal(name) && l.record[name] == true && old[name] != true && record[name] != true
		if same(old, record, name) || isFinal || isRefused {
			continue
		}
		delete(l.record, name)
		if value, isThere := record[name]; isThere {
			l.record[name] = value
		}
	}
	l.isErased = l.isErased || isErasure
}

func same(a, b attribute.Map, name string) bool {
	one, errOne := audit.Values(only(a, name))
	other, errOther := audit.Values(only(b, name))
	return errors.Join(errOne, errOther) == nil && string(one[name]) == string(other[name])
}

func only(record attribute.Map, name string) attribute.Map {
	value, isThere := record[name]
	if !isThere {
		return attribute.Map{}
	}
	return attribute.Map{name: value}
}

// record records the oldest n events.
func (w *world) record(n int) {
	w.t.Helper()
	for _, event := range w.stream[:min(n, len(w.stream))] {
		if err := (audit.Recorder{Store: w.trail, Nonce: w.nonce}).Record(context.Background(), event); err != nil {
			w.t.Fatalf("record: %v", err)
		}
	}
	w.stream = w.stream[min(n, len(w.stream)):]
}

// setAside takes the oldest event out of the stream, for later. An erasure that is late would also take away what the
// entries after it disclose.
func (w *world) setAside() {
	if len(w.stream) > 0 && !license.IsErasure(w.stream[0].Old, w.stream[0].New) {
		w.aside, w.stream = append(w.aside, w.stream[0]), w.stream[1:]
	}
}

// replay records what was set aside.
func (w *world) replay() {
	w.stream, w.aside = append(w.aside, w.stream...), nil
	w.record(len(w.stream))
}

// backup returns a copy of the table.
func (w *world) backup() map[string]attribute.Map {
	backup := map[string]attribute.Map{}
	for id, record := range w.table {
		backup[id] = maps.Clone(record)
	}
	return backup
}

// takeBack puts a copy in the place of the table. It has a stream of its own.
func (w *world) takeBack(backup map[string]attribute.Map) {
	w.table = map[string]attribute.Map{}
	for id, record := range backup {
		w.table[id] = maps.Clone(record)
	}
	w.tables, w.events = w.tables+1, 0
}

// The table, as a Restorer sees it.
var (
	_ license.Records  = (*world)(nil)
	_ license.Rewriter = (*world)(nil)
	_ restore.Trail    = trail{}
)

func (w *world) Record(_ context.Context, id string) (attribute.Map, error) {
	record, isThere := w.table[id]
	if !isThere {
		return nil, license.ErrNotFound
	}
	return maps.Clone(record), nil
}

func (w *world) Amend(context.Context, string, license.Amendment) error {
	return errors.New("nothing is amended")
}

func (w *world) Segment(context.Context, int, int) iter.Seq2[attribute.Map, error] {
	return func(yield func(attribute.Map, error) bool) {
		for _, record := range w.table {
			if !yield(record, nil) {
				return
			}
		}
	}
}

var errFault = errors.New("a fault of the table")

func (w *world) Rewrite(_ context.Context, id string, r license.Rewrite) error {
	f := none
	if len(w.faults) > 0 {
		f, w.faults = w.faults[0], w.faults[1:]
	}
	if f == failBefore {
		return errFault
	}
	stored := w.table[id]
	if (r.Expected == nil) != (stored == nil) {
		return license.ErrConflict
	}
	for name, value := range r.Expected {
		if !same(stored, attribute.Map{name: value}, name) && !(value == nil && stored[name] == nil) {
			return license.ErrConflict
		}
	}
	if holder := w.rows[r.Takes]; holder != "" && holder != id {
		return &license.ReferenceTakenError{Reference: r.Takes, LicenseID: holder}
	}
	if r.Takes != "" {
		w.rows[r.Takes] = id
	}
	if w.rows[r.Frees] == id {
		delete(w.rows, r.Frees)
	}
	w.write(id, r.Apply(stored))
	if f == failAfter {
		return errFault
	}
	return nil
}

// trail is the trail of a world.
type trail struct {
	*audittest.Memory
	w *world
}

func (tr trail) Heads(_ context.Context, bucket int) iter.Seq2[audit.ChainHead, error] {
	return func(yield func(audit.ChainHead, error) bool) {
		for _, id := range tr.w.ids {
			state := tr.MustState(id)
			if audit.BucketOf(id) == bucket && state.Sequence > 0 && !yield(state.ChainHead(id), nil) {
				return
			}
		}
	}
}

func (w *world) restorer() restore.Restorer {
	marks := 0
	r := restore.Restorer{
		Records: w, Trail: trail{w.trail, w}, Writer: w, Now: w.tick, RequestID: "restoration",
		Mark: func() string { marks++; return fmt.Sprint("mark ", w.now.UnixMilli(), marks) },
	}
	if w.newer != nil {
		r.Trail, r.Branch = trail{w.newer.trail, w.newer}, r.Trail
	}
	return r
}

// plans returns what is to be done, and what is left alone.
func (w *world) plans() (plans []restore.Plan) {
	w.t.Helper()
	ids, err := w.restorer().Suspects(context.Background(), func(int) {})
	if err != nil {
		w.t.Fatalf("suspects: %v", err)
	}
	for _, id := range ids {
		p, err := w.restorer().Plan(context.Background(), id)
		if err != nil {
			w.t.Fatalf("plan: %v", err)
		}
		if p.What != restore.None {
			plans = append(plans, p)
		}
	}
	return plans
}

// restore does what is to be done, and returns how much that was. A fault ends it. What may pass, and is of a license
// with changes that are not recorded, is left for later: whoever restores waits for them.
func (w *world) restore() (done int, err error) {
	w.t.Helper()
	plans := w.plans()
	for round := range restore.Rounds {
		for _, p := range plans {
			isPending := slices.ContainsFunc(slices.Concat(w.stream, w.aside), func(e audit.Event) bool {
				return e.LicenseID == p.LicenseID
			})
			if !p.IsToDo() || p.Round() != round || p.MayPass && isPending {
				continue
			}
			d, err := w.restorer().Apply(context.Background(), p)
			if err != nil {
				return done, err
			}
			if d.Result != restore.ResultDone {
				w.t.Errorf("%+v", d)
			}
			done++
		}
	}
	return done, nil
}

// story tells the chain of a license, for whoever reads why a test has failed.
func (w *world) story(id string) string {
	var text strings.Builder
	for _, e := range w.trail.Chain(id) {
		fmt.Fprintf(&text, "\n%d %s gap=%v late=%v", e.Sequence, e.Action, e.Gap, e.Late)
		for _, name := range slices.Sorted(maps.Keys(e.Changes)) {
			fmt.Fprintf(&text, "\n    %s: %s → %s", name, e.Changes[name].Old, e.Changes[name].New)
		}
	}
	p, err := w.restorer().Plan(context.Background(), id)
	fmt.Fprintf(&text, "\nstored: %v\nplan: %+v, %v", w.table[id], p, err)
	return text.String()
}
