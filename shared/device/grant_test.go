package device_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/device"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// slack is how long ago a seat must have ended for another device.
const slack = 6 * time.Minute

// at returns a seat that ends so much after now, and was taken so many milliseconds before.
func at(end time.Duration, age int) device.Seat {
	return device.Seat{Until: now.Add(end), Since: now.Add(time.Duration(-age) * time.Millisecond)}
}

// seats returns the seats of an item of the epoch 1.
func seats(held map[string]device.Seat) *device.Seats {
	s := &device.Seats{Epoch: 1, Held: held}
	for _, seat := range held {
		if seat.Since.After(s.Youngest) {
			s.Youngest = seat.Since
		}
	}
	return s
}

// wish is of the device a, for an hour. Nine tenths are enough.
var wish = device.Wish{
	Device: "a", Name: "PC", Now: now, Until: now.Add(time.Hour),
	Enough: now.Add(54 * time.Minute),
}

// fresh is the seat that the wish gets.
var fresh = device.Seat{Until: now.Add(time.Hour), Since: now, Name: "PC"}

type held = map[string]device.Seat

func named(seat device.Seat, name string) device.Seat {
	seat.Name = name
	return seat
}

func ends(seats held, ids ...string) map[string]time.Time {
	ended := map[string]time.Time{}
	for _, id := range ids {
		ended[id] = seats[id].Until
	}
	return ended
}

// TestGrant: each rule by its clauses. The license has two seats.
func TestGrant(t *testing.T) {
	granted := func(kind device.Kind, w device.Write) device.Grant {
		return device.Grant{Until: wish.Until, Kind: kind, Write: &w}
	}
	acquires := func(to device.Seat, below int) device.Grant {
		return granted(device.Acquired, device.Write{Epoch: 1, Device: "a", To: &to, Below: below})
	}
	ofEpoch := func(epoch int64, s *device.Seats) *device.Seats {
		s.Epoch = epoch
		return s
	}
	put := func(seat device.Seat) *device.Seats {
		return &device.Seats{Epoch: 1, Held: held{"a": seat}, Youngest: seat.Since}
	}
	later := fresh
	later.Since = now.Add(31 * time.Millisecond)
	refused := device.Grant{Kind: device.Refused}
	keeps := func(until time.Duration) device.Grant { return device.Grant{Until: now.Add(until), Kind: device.Held} }
	lowered := held{
		"a": at(time.Minute, 10), "b": at(-slack, 30), "c": at(time.Hour, 20), "d": at(time.Hour, 5),
	}
	extendedA := named(at(time.Hour, 10), "PC")
	for name, test := range map[string]struct {
		seats *device.Seats
		want  device.Grant
	}{
		"first seat": {nil, granted(device.Acquired, device.Write{Put: put(fresh)})},
		"another epoch": {
			ofEpoch(7, seats(held{"a": at(time.Hour, 10), "b": at(time.Hour, 5), "c": at(time.Hour, 6)})),
			granted(device.Acquired, device.Write{Put: put(fresh), Replaces: new(int64(7))}),
		},
		"an earlier epoch, younger": {
			ofEpoch(0, seats(held{"b": at(time.Hour, -30)})),
			granted(device.Acquired, device.Write{Put: put(later), Replaces: new(int64(0))}),
		},

		"acquire, room":           {seats(held{"b": at(time.Hour, 10)}), acquires(fresh, 2)},
		"acquire, as young":       {seats(held{"b": at(time.Hour, 0)}), acquires(moved(fresh, 1), 2)},
		"acquire, others younger": {seats(held{"b": at(time.Hour, -30)}), acquires(later, 2)},
		"acquire, younger is gone": {
			&device.Seats{Epoch: 1, Held: held{}, Youngest: now.Add(time.Second)}, acquires(moved(fresh, 1001), 2),
		},
		"acquire, no room":          {seats(held{"b": at(time.Hour, 10), "c": at(time.Hour, 9)}), refused},
		"acquire, ended too lately": {seats(held{"b": at(time.Hour, 10), "c": at(-slack+time.Second, 9)}), refused},

		"overwrite": {
			seats(held{"a": at(0, 10), "b": at(time.Hour, 9)}),
			granted(device.Acquired, device.Write{
				Epoch: 1, Device: "a", From: new(at(0, 10)), To: &fresh, Below: 3,
			}),
		},
		"overwrite, lowered": { // to two, of which two others are held
			seats(held{"a": at(0, 10), "b": at(time.Hour, 9), "c": at(time.Hour, 8)}), refused,
		},
		"overwrite, lowered, another ended": {
			seats(held{"a": at(-slack, 10), "b": at(time.Hour, 9), "c": at(-slack, 8)}),
			granted(device.TakenOver, device.Write{
				Epoch: 1, Device: "a", From: new(at(-slack, 10)), To: &fresh, Below: 4,
				Clear: map[string]time.Time{"c": now.Add(-slack)},
			}),
		},

		"clear, the first to end": {
			seats(held{"b": at(-slack, 10), "c": at(-slack-time.Second, 9)}),
			granted(device.TakenOver, device.Write{
				Epoch: 1, Device: "a", To: &fresh, Below: 3,
				Clear: map[string]time.Time{"c": now.Add(-slack - time.Second)},
			}),
		},
		"clear, the oldest of those": {
			seats(held{"b": at(-slack, 9), "c": at(-slack, 10)}),
			granted(device.TakenOver, device.Write{
				Epoch: 1, Device: "a", To: &fresh, Below: 3, Clear: map[string]time.Time{"c": now.Add(-slack)},
			}),
		},
		"clear, two needed": {
			seats(held{"b": at(-slack, 10), "c": at(-slack, 9), "d": at(time.Hour, 8)}),
			granted(device.TakenOver, device.Write{
				Epoch: 1, Device: "a", To: &fresh, Below: 4,
				Clear: map[string]time.Time{"b": now.Add(-slack), "c": now.Add(-slack)},
			}),
		},
		"clear, too few have ended": {
			seats(held{"b": at(-slack, 10), "c": at(time.Hour, 9), "d": at(time.Hour, 8)}), refused,
		},

		"renew": {
			seats(held{"a": at(54*time.Minute-time.Second, 10)}),
			granted(device.Extended, device.Write{
				Epoch: 1, Device: "a", From: new(at(54*time.Minute-time.Second, 10)), To: &extendedA,
			}),
		},
		"renew, in its last second": {
			seats(held{"a": at(time.Second, 10)}),
			granted(device.Extended, device.Write{
				Epoch: 1, Device: "a", From: new(at(time.Second, 10)), To: &extendedA,
			}),
		},
		"renew, enough":     {seats(held{"a": at(54*time.Minute, 10)}), keeps(54 * time.Minute)},
		"renew, never back": {seats(held{"a": at(2*time.Hour, 10)}), keeps(time.Hour)},
		"renew, not cleared": { // there are as many seats as there may be
			seats(held{"a": at(time.Minute, 10), "b": at(-slack, 9)}),
			granted(device.Extended, device.Write{
				Epoch: 1, Device: "a", From: new(at(time.Minute, 10)), To: &extendedA,
			}),
		},
		"renew, lowered, ended ones go": {
			seats(lowered),
			granted(device.Extended, device.Write{
				Epoch: 1, Device: "a", From: new(lowered["a"]), To: &extendedA, Clear: ends(lowered, "b"),
			}),
		},
		"renew, lowered, others older": {
			seats(held{"a": at(time.Minute, 10), "b": at(time.Hour, 30), "c": at(time.Hour, 20)}), keeps(time.Minute),
		},
		"renew, lowered, ended lately": {
			seats(held{"a": at(time.Minute, 10), "b": at(-slack+time.Second, 30), "c": at(time.Hour, 20)}),
			keeps(time.Minute),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := test.seats.Grant(device.Terms{Epoch: 1, Max: 2}, wish)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.Write == nil {
				return
			}
			if _, err := got.Write.Apply(test.seats); err != nil {
				t.Errorf("a write that what was just read does not allow: %v", err)
			}
		})
	}
}

// moved returns a seat that was taken so many milliseconds later.
func moved(seat device.Seat, milliseconds int) device.Seat {
	seat.Since = seat.Since.Add(time.Duration(milliseconds) * time.Millisecond)
	return seat
}

// TestGrantSince: stores keep whole milliseconds.
func TestGrantSince(t *testing.T) {
	w := wish
	w.Now = now.Add(1999 * time.Microsecond).In(time.FixedZone("", 3600))
	for name, s := range map[string]*device.Seats{
		"first": nil, "another epoch": {Epoch: 3}, "another": {Epoch: 1, Held: held{}},
	} {
		after, err := s.Grant(device.Terms{Epoch: 1, Max: 1}, w).Write.Apply(s)
		if err != nil {
			t.Fatal(err)
		}
		want := now.Add(time.Millisecond)
		if got := after.Held["a"].Since; got != want || after.Youngest != want {
			t.Errorf("%s: %v, the youngest %v", name, got, after.Youngest)
		}
	}
}

// TestGrantShorter: a product may ask for less, but not below what its seat says, and more as well.
func TestGrantShorter(t *testing.T) {
	shorter := wish
	shorter.Until, shorter.Enough = now.Add(10*time.Minute), now.Add(9*time.Minute)
	s := seats(held{"a": at(9*time.Minute+30*time.Second, 10)})
	want := device.Grant{Until: now.Add(9*time.Minute + 30*time.Second), Kind: device.Held}
	if diff := cmp.Diff(want, s.Grant(device.Terms{Epoch: 1, Max: 1}, shorter)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s = seats(held{"a": at(time.Hour, 10)})
	want.Until = shorter.Until
	if diff := cmp.Diff(want, s.Grant(device.Terms{Epoch: 1, Max: 1}, shorter)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// The end of a license: as long as possible is enough, however short.
	shorter.Enough = shorter.Until
	s = seats(held{"a": at(10*time.Minute, 10)})
	if diff := cmp.Diff(want, s.Grant(device.Terms{Epoch: 1, Max: 1}, shorter)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestGrantNeverBack: whatever is enough, an end moves forward only.
func TestGrantNeverBack(t *testing.T) {
	odd := wish
	odd.Enough = now.Add(3 * time.Hour)
	s := seats(held{"a": at(2*time.Hour, 10)})
	want := device.Grant{Until: wish.Until, Kind: device.Held}
	if diff := cmp.Diff(want, s.Grant(device.Terms{Epoch: 1, Max: 1}, odd)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestGrantName: a device that tells no name any more keeps the one it had. One that gets a seat anew does not.
func TestGrantName(t *testing.T) {
	nameless := wish
	nameless.Name = ""
	for end, want := range map[time.Duration]string{time.Minute: "old", -time.Minute: ""} {
		s := seats(held{"a": named(at(end, 10), "old")})
		if got := s.Grant(device.Terms{Epoch: 1, Max: 2}, nameless).Write.To.Name; got != want {
			t.Errorf("%v: %q", end, got)
		}
	}
}

// TestGrantNameless: where no name is to be kept, the one that a seat has goes with the next write.
func TestGrantNameless(t *testing.T) {
	nameless := wish
	nameless.Nameless = true
	for name, s := range map[string]*device.Seats{
		"first": nil, "another epoch": {Epoch: 3}, "another": {Epoch: 1, Held: held{}},
		"renewed": seats(held{"a": named(at(time.Minute, 10), "old")}),
		"anew":    seats(held{"a": named(at(-time.Minute, 10), "old")}),
	} {
		after, err := s.Grant(device.Terms{Epoch: 1, Max: 2}, nameless).Write.Apply(s)
		if err != nil || after.Held["a"].Until != nameless.Until || after.Held["a"].Name != "" {
			t.Errorf("%s: %+v, %v", name, after, err)
		}
	}
}

// TestGrantAgain: where more seats have to go than one write takes, writes that only remove come first, a hundred at a
// time. Then the device gets its seat, be it new, ended or held.
func TestGrantAgain(t *testing.T) {
	for name, test := range map[string]struct {
		own    *device.Seat
		ended  int
		writes []int // how many each takes away
		kind   device.Kind
	}{
		"new, as many as go":  {nil, 100, []int{100}, device.TakenOver},
		"new, one more":       {nil, 101, []int{100, 1}, device.TakenOver},
		"new, all":            {nil, 250, []int{100, 100, 50}, device.TakenOver},
		"ended, all":          {new(at(-time.Hour, 10)), 249, []int{100, 100, 49}, device.TakenOver},
		"held, as many as go": {new(at(time.Minute, 10)), 100, []int{100}, device.Extended},
		"held, one more":      {new(at(time.Minute, 10)), 101, []int{100, 1}, device.Extended},
		"held, all":           {new(at(time.Minute, 10)), 249, []int{100, 100, 49}, device.Extended},
	} {
		t.Run(name, func(t *testing.T) {
			all := held{}
			for n := range test.ended {
				all[fmt.Sprint(n)] = at(-time.Hour-time.Duration(n)*time.Second, 1000+n)
			}
			if test.own != nil {
				all["a"] = *test.own
			}
			s, terms := seats(all), device.Terms{Epoch: 1, Max: 1}
			for i, want := range test.writes {
				grant := s.Grant(terms, wish)
				isLast := i == len(test.writes)-1
				if grant.Write == nil || len(grant.Write.Clear) != want || grant.Again == isLast {
					t.Fatalf("write %d: %+v", i, grant)
				}
				if grant.Again && (!grant.Until.IsZero() || grant.Write.To != nil || grant.Write.From != nil) {
					t.Errorf("a write that only makes room gives %+v", grant)
				}
				if isLast && (grant.Kind != test.kind || !grant.Until.Equal(wish.Until)) {
					t.Errorf("got %+v", grant)
				}
				var err error
				if s, err = grant.Write.Apply(s); err != nil {
					t.Fatal(err)
				}
			}
			if len(s.Held) != 1 || !s.Held["a"].Until.Equal(wish.Until) {
				t.Errorf("%d seats are left", len(s.Held))
			}
		})
	}
	t.Run("too few", func(t *testing.T) { // none goes for nothing
		all := held{"b": at(time.Hour, 1)}
		for n := range 150 {
			all[fmt.Sprint(n)] = at(-time.Hour, 1000+n)
		}
		for n := range 50 {
			all[fmt.Sprint("held", n)] = at(time.Hour, 2000+n)
		}
		s, terms := seats(all), device.Terms{Epoch: 1, Max: 51}
		grant := s.Grant(terms, wish)
		for grant.Again {
			var err error
			if s, err = grant.Write.Apply(s); err != nil {
				t.Fatal(err)
			}
			grant = s.Grant(terms, wish)
		}
		if grant.Kind != device.Refused || grant.Write != nil {
			t.Errorf("got %+v", grant)
		}
	})
}
