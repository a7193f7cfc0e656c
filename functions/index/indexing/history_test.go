package indexing_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"pgregory.net/rapid"

	"openlicenser/functions/index/indexing"
	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
	"openlicenser/shared/stream"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/licensetest"
)

// world is a license table with its stream, two kinds of writers, and an Indexer that is called as Lambda calls it.
type world struct {
	t      *rapid.T
	plan   []byte // what happens, choice by choice: an Indexer is called by other goroutines, where rapid cannot draw
	table  map[string]attribute.Map
	stream []change
	lives  []*life

	next     int // the first change that was not delivered yet
	nesting  int // of what happens while an Indexer is at work
	quiet    bool
	replaced int // how often another tool has replaced a license of ours
}

// change is one record of the stream.
type change struct {
	record   events.DynamoDBEventRecord
	id       string
	old, new attribute.Map
}

// life is what should become of one license.
type life struct {
	id      string
	ours    attribute.Map   // what only we know, as our own changes have left it
	copies  []attribute.Map // what the other tool knows, and has known before
	seen    time.Time       // the first instant at which the stream told of the license
	version int64           // the latest that there was
	wipes   []string        // the sequence numbers at which the other tool has left out what is not put back yet
	inDoubt bool            // what we took away may stand again: see the end of putBack's comment
}

// isErased reports whether we have erased the license. From then on nothing personal of ours is to come back.
func (l *life) isErased() bool { return l.ours["erased"] != nil }

// oursOnly are the attributes that only we know and that have to survive.
var oursOnly = []string{
	"createdtimestamp", "issuspended", "gracedays", "tokenkeyid", "reference", "email", "updatesuntil", "erased",
}

// theirs are the attributes that the other tool knows.
var theirs = []string{
	"licenseid", "appurls", "services", "changedtimestamp", "customerid", "customername", "expirationdate", "isrevoked",
	"notes",
}

func pick(record attribute.Map, names []string) attribute.Map {
	picked := attribute.Map{}
	for _, name := range names {
		if value, present := record[name]; present {
			picked[name] = value
		}
	}
	return picked
}

// choose returns the next choice among n. When the plan is at its end it is the first.
func (w *world) choose(n int) int {
	if len(w.plan) == 0 {
		return 0
	}
	choice := int(w.plan[0]) % n
	w.plan = w.plan[1:]
	return choice
}

func oneOf[T any](w *world, values ...T) T { return values[w.choose(len(values))] }

func (w *world) life(id string) *life {
	return w.lives[slices.IndexFunc(w.lives, func(l *life) bool { return l.id == id })]
}

// write changes the table, and with it the stream.
func (w *world) write(id string, record attribute.Map) {
	old := w.table[id]
	if reflect.DeepEqual(old, record) {
		return
	}
	w.table[id] = record
	number := len(w.stream) + 1
	c := change{id: id, old: old, new: record}
	c.record.EventID, c.record.EventName = fmt.Sprint("event-", number), "MODIFY"
	c.record.Change.SequenceNumber = strconv.Itoa(number * 1000)
	c.record.Change.ApproximateCreationDateTime.Time = w.now().Truncate(time.Second)
	c.record.Change.Keys = stream.Image{"licenseid": events.NewStringAttribute(id)}
	var err1, err2 error
	c.record.Change.OldImage, err1 = stream.ImageOf(old)
	c.record.Change.NewImage, err2 = stream.ImageOf(record)
	if err := errors.Join(err1, err2); err != nil {
		w.t.Fatal(err)
	}
	w.stream = append(w.stream, c)
	l := w.life(id)
	if l.seen.IsZero() {
		l.seen = c.record.Change.ApproximateCreationDateTime.Time
	}
	version := license.RecordVersion(record)
	if license.RecordVersion(old) > 0 && version == 0 {
		l.wipes = append(l.wipes, c.record.Change.SequenceNumber)
		w.replaced++
	}
	upTo := putBackUpTo(record)
	l.wipes = slices.DeleteFunc(l.wipes, func(number string) bool { return !license.IsLater(number, upTo) })
	l.version = max(l.version, version)
}

// putBackUpTo returns the sequence number up to which a record has back what was left out.
func putBackUpTo(record attribute.Map) string {
	text, _ := record["putback"].(string)
	upTo, _, _ := strings.Cut(text, " ")
	return upTo
}

func (w *world) now() time.Time {
	return licensetest.Now.Add(time.Duration(len(w.stream)) * 700 * time.Millisecond)
}

// Record and Amend are the license.Records of the Indexer. Anything can happen between them, and before an amendment.
func (w *world) Record(_ context.Context, id string) (attribute.Map, error) {
	record := w.table[id]
	if record == nil {
		return nil, license.ErrNotFound
	}
	return maps.Clone(record), nil
}

func (w *world) Amend(_ context.Context, id string, a license.Amendment) error {
	w.meanwhile()
	for name := range a.Set {
		if !slices.Contains(license.Amended(), name) {
			w.t.Fatalf("amends %s", name)
		}
	}
	for name := range a.Expected {
		if !slices.Contains(license.Amended(), name) {
			w.t.Fatalf("expects something of %s", name)
		}
	}
	stored := w.table[id]
	if stored == nil {
		return license.ErrConflict
	}
	for name, value := range a.Expected {
		if !reflect.DeepEqual(stored[name], value) {
			return license.ErrConflict
		}
	}
	amended := a.Apply(stored)
	if !reflect.DeepEqual(pick(stored, theirs), pick(amended, theirs)) {
		w.t.Fatalf("undoes what is theirs: %v", a)
	}
	w.write(id, amended)
	if !w.quiet && w.choose(10) == 9 {
		return errors.New("the response was lost")
	}
	return nil
}

func (w *world) Segment(context.Context, int, int) iter.Seq2[attribute.Map, error] {
	panic("nobody scans")
}

// meanwhile lets things happen while an Indexer is at work.
func (w *world) meanwhile() {
	if w.quiet || w.nesting > 2 {
		return
	}
	w.nesting++
	defer func() { w.nesting-- }()
	for range oneOf(w, 0, 0, 0, 1, 2) {
		w.step()
	}
}

func (w *world) step() {
	l := oneOf(w, w.lives...)
	switch oneOf(w, "deliver", "ours", "theirs", "ours", "theirs", "deliver", "again") {
	case "ours":
		w.ours(l)
	case "theirs":
		w.theirs(l)
	case "deliver":
		w.deliver()
	case "again":
		w.again()
	}
}

// deliver hands over a batch. The next one begins at its first failure.
func (w *world) deliver() {
	end := min(len(w.stream), w.next+1+w.choose(5))
	w.next = max(w.next, w.handle(w.next, end))
}

// again hands over what was handed over before: Lambda had lost the response, or somebody replays. Whatever comes
// behind it comes behind it again.
func (w *world) again() {
	if w.next == 0 {
		return
	}
	from := w.choose(w.next)
	end := min(w.next, from+1+w.choose(5))
	w.handle(from, end)
	if oneOf(w, false, true) {
		w.next = from
	}
}

// handle returns the end of what was handled.
func (w *world) handle(from, end int) int {
	if from >= end {
		return end
	}
	var batch events.DynamoDBEvent
	for _, c := range w.stream[from:end] {
		batch.Records = append(batch.Records, c.record)
	}
	indexer := indexing.Indexer{Records: w, Concurrency: 1, Log: telemetry.NewLogger(discard{})}
	response, err := indexer.Handle(w.t.Context(), batch)
	if err != nil {
		w.t.Fatal(err)
	}
	for i, record := range batch.Records {
		for _, failure := range response.BatchItemFailures {
			if failure.ItemIdentifier == record.Change.SequenceNumber {
				return from + i
			}
		}
	}
	return end
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// ours makes a change of ours.
func (w *world) ours(l *life) {
	change := license.Change{At: w.now(), By: "vendor", Reason: "why", RequestID: fmt.Sprint("request-", len(w.stream))}
	record := w.table[l.id]
	if record == nil {
		issued, err := license.Draft{
			CustomerName: "Customer", ExpirationDate: "2099-01-01", Reference: "order " + l.id, GraceDays: 5,
		}.Issue(l.id, change)
		if err != nil {
			w.t.Fatal(err)
		}
		w.write(l.id, issued.Record())
		l.ours = pick(issued.Record(), oursOnly)
		l.copies = append(l.copies, pick(issued.Record(), theirs))
		return
	}
	kind := oneOf(w, "suspend", "reinstate", "revoke", "days", "email", "name", "updates", "erase")
	isInDoubt := len(l.wipes) > 0 && putBackUpTo(record) != ""
	if isInDoubt && kind != "erase" {
		return // see the end of putBack's comment
	}
	before, err := license.FromRecord(record)
	if err != nil {
		w.t.Fatal(err)
	}
	after := before
	days := w.choose(10)
	email := oneOf(w, "", "a@example.com", "B@Example.com")
	name := oneOf(w, "Ａcme", "STRASSE", "Straße GmbH")
	updates := oneOf(w, "never", "2027-01-31", "2020-01-31T12:00:00Z")
	switch kind {
	case "suspend":
		after, err = before.Suspend(change)
	case "reinstate":
		after, err = before.Reinstate(change)
	case "revoke":
		after, err = before.Revoke(change)
	case "days":
		after, err = before.Patch(license.Patch{GraceDays: &days}, change)
	case "email":
		after, err = before.Patch(license.Patch{Email: &email}, change)
	case "updates":
		after, err = before.Patch(license.Patch{UpdatesUntil: &updates}, change)
	case "name":
		after, err = before.Patch(license.Patch{CustomerName: &name}, change)
	case "erase":
		after, err = before.Erase(change, fmt.Sprint("mark-", len(w.stream)))
		l.inDoubt = l.inDoubt || isInDoubt
	}
	if err != nil || after.Version == before.Version {
		return
	}
	set, remove := license.Delta(before, after)
	takesAway := func(name string) bool { return slices.Contains(oursOnly, name) }
	if len(l.wipes) > 0 && kind != "erase" && slices.ContainsFunc(remove, takesAway) {
		return // see there
	}
	updated := license.Amendment{Set: set, Remove: remove}.Apply(record)
	w.write(l.id, updated)
	if l.ours == nil {
		l.ours = attribute.Map{}
	}
	maps.Copy(l.ours, pick(set, oursOnly))
	for _, name := range remove {
		delete(l.ours, name)
	}
	if l.isErased() { // also where the record has lost the mark for now
		delete(l.ours, "email")
		delete(l.ours, "reference")
	}
}

// theirs has the other tool put a whole item, be it what it knew long ago.
func (w *world) theirs(l *life) {
	item := attribute.Map{"licenseid": l.id, "expirationdate": "20990101", "isrevoked": false, "customerid": "C-1"}
	if len(l.copies) > 0 {
		item = maps.Clone(oneOf(w, l.copies...))
	}
	switch oneOf(w, "as it is", "as it is", "name", "date", "flag") {
	case "name":
		item["customername"] = oneOf[any](w, "Other", "", attribute.Number("7"))
	case "date":
		item["expirationdate"] = oneOf[any](w, "2030-01-03", "soon", nil)
	case "flag":
		item["isrevoked"] = oneOf[any](w, true, false, "yes")
	}
	l.copies = append(l.copies, item)
	w.write(l.id, maps.Clone(item))
}

// settle delivers all that is left, and what comes of it.
func (w *world) settle() {
	w.quiet = true
	for rounds := 0; w.next < len(w.stream); rounds++ {
		if rounds > 10_000 {
			w.t.Fatal("it never ends")
		}
		w.next = w.handle(w.next, min(len(w.stream), w.next+7))
	}
}

// rounds of rapid's checks: what goes wrong takes a rare order of things.
const rounds = 10

// TestHistories: whatever both kinds of writers do, and however often and late the stream tells of it, in the end the
// index attributes follow from the record, nothing of ours is lost, and nothing of theirs is undone.
func TestHistories(t *testing.T) {
	replaced, erased := 0, 0
	history := func(t *rapid.T) {
		plan := rapid.SliceOfN(rapid.Byte(), 60, 200).Draw(t, "plan")
		w := &world{t: t, table: map[string]attribute.Map{}, plan: plan}
		for i := range 1 + w.choose(2) {
			w.lives = append(w.lives, &life{id: fmt.Sprint("license-", i)})
		}
		for len(w.plan) > 0 {
			w.step()
		}
		w.settle()
		for _, l := range w.lives {
			w.check(l)
			if l.isErased() {
				erased++
			}
		}
		w.checkTrail()
		replaced += w.replaced
	}
	for range rounds {
		rapid.Check(t, history)
	}
	if replaced == 0 || erased == 0 {
		t.Errorf("in all histories %d licenses were replaced, and %d erased", replaced, erased)
	}
}

func (w *world) check(l *life) {
	record := w.table[l.id]
	if record == nil {
		return
	}
	compared := oursOnly
	if l.inDoubt {
		compared = []string{"reference", "email", "erased"}
	}
	if got, want := pick(record, compared), pick(l.ours, compared); !reflect.DeepEqual(got, want) {
		w.t.Errorf("%s has %v of ours, want %v", l.id, got, want)
	}
	if got := license.RecordVersion(record); got != l.version {
		w.t.Errorf("%s has the version %d, and had %d", l.id, got, l.version)
	}
	read, err := license.FromRecord(record)
	if err != nil {
		w.t.Fatal(err)
	}
	want := pick(read.Record(), license.IndexAttributes)
	want["ixissued"] = license.FormatDate(l.seen) + " " + l.id
	if !read.Created.IsZero() {
		want["ixissued"] = license.FormatDate(read.Created) + " " + l.id
	}
	if got := pick(record, license.IndexAttributes); !reflect.DeepEqual(got, want) {
		w.t.Errorf("%s has the index attributes\n%v, want\n%v", l.id, got, want)
	}
}

// checkTrail: the audit trail of the same stream has an entry for each change but those of index attributes alone. So a
// foreign write has one, and another one follows only where something was put back.
func (w *world) checkTrail() {
	trail := audit.Recorder{Store: audittest.NewMemory(w.t)}
	want := map[string]int{}
	for _, c := range w.stream {
		event := audit.Event{
			ID: c.record.EventID, SequenceNumber: c.record.Change.SequenceNumber, LicenseID: c.id,
			Old: c.old, New: c.new,
		}
		if err := trail.Record(w.t.Context(), event); err != nil {
			w.t.Fatal(err)
		}
		if !reflect.DeepEqual(license.WithoutIndex(c.old), license.WithoutIndex(c.new)) {
			want[c.id]++
		}
	}
	for _, l := range w.lives {
		entries, err := trail.Store.Entries(w.t.Context(), l.id, 0, 1000)
		if err != nil || len(entries) != want[l.id] {
			w.t.Errorf("%s has %d entries, want %d, %v", l.id, len(entries), want[l.id], err)
		}
		for _, e := range entries {
			if e.Gap || e.Late {
				w.t.Errorf("entry %d is said to have a gap before it, or to be late", e.Sequence)
			}
		}
	}
}
