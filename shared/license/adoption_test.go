package license_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

// records are license.Records in memory, which keep the contract. They count what they are asked for.
type records struct {
	mu      sync.Mutex
	stored  map[string]attribute.Map
	damaged []string // ids of records that cannot be read

	reads, writes int
	beforeAmend   func(id string) error // is called without the lock
	endOfSegments error
}

func newRecords(stored ...attribute.Map) *records {
	r := &records{stored: map[string]attribute.Map{}}
	for _, record := range stored {
		r.stored[record["licenseid"].(string)] = record
	}
	return r
}

func (r *records) Record(_ context.Context, id string) (attribute.Map, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	switch record, found := r.stored[id]; {
	case slices.Contains(r.damaged, id):
		return nil, license.ErrUnreadable
	case !found:
		return nil, license.ErrNotFound
	default:
		return maps.Clone(record), nil
	}
}

func (r *records) Amend(ctx context.Context, id string, a license.Amendment) error {
	if r.beforeAmend != nil {
		if err := r.beforeAmend(id); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes++
	record, found := r.stored[id]
	if !found {
		return license.ErrConflict
	}
	for name, value := range a.Expected {
		if record[name] != value {
			return license.ErrConflict
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r.stored[id] = a.Apply(record)
	return nil
}

func (r *records) Segment(ctx context.Context, segment, segments int) iter.Seq2[attribute.Map, error] {
	return func(yield func(attribute.Map, error) bool) {
		r.mu.Lock()
		ids := slices.Sorted(maps.Keys(r.stored))
		r.mu.Unlock()
		for i, id := range ids {
			if i%segments != segment {
				continue
			}
			r.mu.Lock()
			record, err := maps.Clone(r.stored[id]), error(nil)
			if slices.Contains(r.damaged, id) {
				record, err = attribute.Map{"licenseid": id}, license.ErrUnreadable
			}
			r.mu.Unlock()
			if !yield(record, err) {
				return
			}
		}
		if r.endOfSegments != nil {
			yield(nil, r.endOfSegments)
		}
	}
}

// foreign returns the record of the original's example, with another id and without what no tool needs to write.
func foreign(n int) attribute.Map {
	return attribute.Map{
		"licenseid": fmt.Sprintf("d5b35ffa-af15-44b7-9de0-%012d", n), "customername": "Test Customer",
		"customerid": "869b100f-06b7-44cc-80df-b4c4bf728461", "expirationdate": "2099-01-03T00:00:00.000Z",
		"changedtimestamp": attribute.Number("1718622505782"), "isrevoked": false,
	}
}

func foreigners(n int) (all []attribute.Map) {
	for i := range n {
		all = append(all, foreign(i))
	}
	return all
}

func noWait(ctx context.Context) error { return ctx.Err() }

func adoption(r license.Records) license.Adoption {
	return license.Adoption{
		Scan: license.Scan{Records: r, Segments: 3, Pace: noWait}, Writers: 4, Write: noWait,
		Now: func() time.Time { return licensetest.Now }, Done: func(int) {},
	}
}

// TestAdoption: whoever wrote a record, it then has what the domain says, and a repeat costs reads only.
func TestAdoption(t *testing.T) {
	r := newRecords(foreigners(50)...)
	ours := licensetest.Issue(t)
	r.stored[ours.ID] = ours.Record()
	wrong := foreign(50)
	wrong["ixname"], wrong["ixemail"] = "another", "left@example.com"
	r.stored[wrong["licenseid"].(string)] = wrong
	a := adoption(r)
	var seen []int
	a.Done = func(n int) { seen = append(seen, n) }
	got, err := a.Run(t.Context())
	if want := (license.Adopted{Seen: 52, Adopted: 51, Right: 1}); got != want || err != nil || r.writes != 51 {
		t.Errorf("got %+v, %v, %d writes; want %+v", got, err, r.writes, want)
	}
	if len(seen) != 52 || !slices.IsSorted(seen) || seen[51] != 52 {
		t.Errorf("progress %v", seen)
	}
	want := maps.Clone(foreign(50))
	maps.Copy(want, attribute.Map{
		"ixcollection": "licenses", "ixowner": "869b100f-06b7-44cc-80df-b4c4bf728461", "ixname": "test customer",
		"ixends": "2099-01-03T00:00:00.000Z", "ixstanding": "active",
		"ixissued": "2024-06-17T11:08:25.782Z d5b35ffa-af15-44b7-9de0-000000000050",
	})
	if diff := cmp.Diff(want, r.stored[wrong["licenseid"].(string)]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	r.writes, r.reads = 0, 0
	got, err = adoption(r).Run(t.Context())
	if want := (license.Adopted{Seen: 52, Right: 52}); got != want || err != nil || r.writes+r.reads != 0 {
		t.Errorf("again: got %+v, %v, %d writes, %d further reads", got, err, r.writes, r.reads)
	}
}

// TestAdoptionBesideWriters: where somebody else writes between read and write, it looks again.
func TestAdoptionBesideWriters(t *testing.T) {
	id := foreign(1)["licenseid"].(string)
	renamed := foreign(1)
	renamed["customername"], renamed["ixname"] = "Renamed", "stale"
	for name, test := range map[string]struct {
		meanwhile func(r *records)
		want      license.Adopted
		ixname    any
	}{
		"Renamed": {func(r *records) { r.stored[id] = renamed }, license.Adopted{Seen: 1, Adopted: 1}, "renamed"},
		"Gone":    {func(r *records) { delete(r.stored, id) }, license.Adopted{Seen: 1, Gone: 1}, nil},
		"Adopted": {func(r *records) {
			r.stored[id] = license.Adopt(foreign(1), licensetest.Now).Apply(foreign(1))
		}, license.Adopted{Seen: 1, Right: 1}, "test customer"},
		"Damaged": {func(r *records) {
			r.stored[id], r.damaged = renamed, []string{id}
		}, license.Adopted{Seen: 1, Unreadable: 1}, "stale"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecords(foreign(1))
			var once sync.Once
			r.beforeAmend = func(string) error {
				once.Do(func() { r.mu.Lock(); defer r.mu.Unlock(); test.meanwhile(r) })
				return nil
			}
			got, err := adoption(r).Run(t.Context())
			if got != test.want || err != nil || r.stored[id]["ixname"] != test.ixname {
				t.Errorf("got %+v, %v, ixname %v; want %+v", got, err, r.stored[id]["ixname"], test.want)
			}
		})
	}
	t.Run("AgainAndAgain", func(t *testing.T) {
		r := newRecords(foreign(1))
		n := 0
		r.beforeAmend = func(string) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			n++
			r.stored[id] = foreign(1)
			r.stored[id]["ixname"] = fmt.Sprint(n)
			return nil
		}
		got, err := adoption(r).Run(t.Context())
		if want := (license.Adopted{Seen: 1, Failed: 1}); got != want || !errors.Is(err, license.ErrConflict) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// TestAdoptionInterrupted: what is under way is finished, what was acknowledged stays, and a second run completes.
func TestAdoptionInterrupted(t *testing.T) {
	r := newRecords(foreigners(200)...)
	ctx, interrupt := context.WithCancel(t.Context())
	var mu sync.Mutex
	begun := 0
	r.beforeAmend = func(string) error {
		mu.Lock()
		defer mu.Unlock()
		if begun++; begun == 50 {
			interrupt()
		}
		return nil
	}
	first, err := adoption(r).Run(ctx)
	if !errors.Is(err, context.Canceled) || first.Adopted < 50 || first.Adopted > 60 || first.Adopted != begun ||
		first.Seen != first.Adopted {
		t.Errorf("interrupted after 50: %+v of %d begun, %v", first, begun, err)
	}
	adopted := 0
	for _, record := range r.stored {
		if record["ixname"] == "test customer" {
			adopted++
		}
	}
	if adopted != first.Adopted {
		t.Errorf("%d are adopted, and %d were said to be", adopted, first.Adopted)
	}
	second, err := adoption(r).Run(t.Context())
	want := license.Adopted{Seen: 200, Adopted: 200 - first.Adopted, Right: first.Adopted}
	if second != want || err != nil {
		t.Errorf("second run: got %+v, %v; want %+v", second, err, want)
	}
}

// TestAdoptionFails: a record that cannot be written holds up no others, and a store that takes nothing is not asked
// for all.
func TestAdoptionFails(t *testing.T) {
	full := errors.New("no room")
	t.Run("OneRecord", func(t *testing.T) {
		r := newRecords(foreigners(30)...)
		r.beforeAmend = func(id string) error {
			if strings.HasSuffix(id, "07") {
				return full
			}
			return nil
		}
		got, err := adoption(r).Run(t.Context())
		want := license.Adopted{Seen: 30, Adopted: 29, Failed: 1}
		if got != want || !errors.Is(err, full) || !strings.Contains(err.Error(), foreign(7)["licenseid"].(string)) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	})
	t.Run("All", func(t *testing.T) {
		r := newRecords(foreigners(100)...)
		r.beforeAmend = func(string) error { return full }
		got, err := adoption(r).Run(t.Context())
		if got.Failed < 10 || got.Failed > 14 || got.Seen != got.Failed || !strings.Contains(err.Error(), "gave up") {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("Scan", func(t *testing.T) {
		r := newRecords(foreigners(10)...)
		r.endOfSegments = full
		if got, err := adoption(r).Run(t.Context()); !errors.Is(err, full) || got.Failed != 0 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("Unreadable", func(t *testing.T) {
		r := newRecords(foreigners(10)...)
		r.damaged = []string{foreign(3)["licenseid"].(string)}
		got, err := adoption(r).Run(t.Context())
		if want := (license.Adopted{Seen: 10, Adopted: 9, Unreadable: 1}); got != want || err != nil {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	})
}

// TestAdoptionPace: reads and writes wait for their turn.
func TestAdoptionPace(t *testing.T) {
	r := newRecords(foreigners(20)...)
	a := adoption(r)
	var mu sync.Mutex
	reads, writes := 0, 0
	counting := func(n *int) func(context.Context) error {
		return func(context.Context) error { mu.Lock(); defer mu.Unlock(); *n++; return nil }
	}
	a.Pace, a.Write = counting(&reads), counting(&writes)
	for range 2 {
		if _, err := a.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if reads != 40 || writes != 20 {
		t.Errorf("waited for %d reads and %d writes", reads, writes)
	}
}
