package devicetest

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"openlicenser/shared/device"
)

// acquireConcurrently: of devices that want seats at once, each of which begins anew when others were faster, as many
// get one as there are.
func acquireConcurrently(t *testing.T, store device.Store) {
	const devices, limit = 40, 10
	terms := device.Terms{Epoch: 1, Max: limit}
	var acquired, refused atomic.Int32
	var all sync.WaitGroup
	for n := range devices {
		wish := device.Wish{Device: ID(n), Now: Now, Until: Now.Add(time.Hour), Enough: Now.Add(time.Hour)}
		all.Go(func() {
			for {
				seats, err := store.Seats(t.Context(), LicenseID)
				if err != nil {
					t.Error(err)
					return
				}
				grant := seats.Grant(terms, wish)
				if grant.Kind == device.Refused {
					refused.Add(1)
					return
				}
				err = store.Write(t.Context(), LicenseID, *grant.Write)
				if err == nil {
					acquired.Add(1)
					return
				}
				if !errors.Is(err, device.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	seats, err := store.Seats(t.Context(), LicenseID)
	if err != nil {
		t.Fatal(err)
	}
	if acquired.Load() != limit || refused.Load() != devices-limit || len(seats.Held) != limit {
		t.Errorf("%d acquired, %d refused, %d are held", acquired.Load(), refused.Load(), len(seats.Held))
	}
}

// renewConcurrently: of writers that have seen the same end, one moves it.
func renewConcurrently(t *testing.T, store device.Store) {
	put(t, store, SeatsOf(1))
	from := SeatOf(0)
	var mu sync.Mutex
	var won []time.Time
	var all sync.WaitGroup
	for n := range 30 {
		to := from
		to.Until = Now.Add(time.Duration(n+1) * time.Hour)
		all.Go(func() {
			err := store.Write(t.Context(), LicenseID, device.Write{Epoch: 1, Device: ID(0), From: &from, To: &to})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won = append(won, to.Until)
			case !errors.Is(err, device.ErrConflict):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(won) != 1 {
		t.Fatalf("%d have won", len(won))
	}
	want := SeatsOf(1)
	from.Until = won[0]
	want.Held[ID(0)] = from
	wantSeats(t, store, want)
}

// likeApply: a store does what device.Write.Apply says, whatever the write.
func likeApply(t *testing.T, store device.Store) {
	made, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		id := uuid.NewString()
		var want *device.Seats
		for range rapid.IntRange(1, 8).Draw(t, "writes") {
			w := drawWrite(t, want)
			after, errWant := w.Apply(want)
			if err := store.Write(t.Context(), id, w); !errors.Is(err, errWant) {
				t.Fatalf("%+v: got error %v, want %v", w, err, errWant)
			}
			if errWant == nil {
				made++
				want = after
			} else {
				refused++
			}
			got, err := store.Seats(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("after %+v (-want +got):\n%s", w, diff)
			}
		}
	})
	if made < 20 || refused < 20 {
		t.Errorf("%d writes were made, %d refused", made, refused)
	}
}

// devices of random writes.
const devices = 5

// drawWrite returns a write that mostly goes with the seats.
func drawWrite(t *rapid.T, s *device.Seats) device.Write {
	if s == nil || rapid.IntRange(0, 9).Draw(t, "put") == 0 {
		return drawPut(t, s)
	}
	w := device.Write{Epoch: s.Epoch}
	if isOdd(t) {
		w.Epoch++
	}
	n := rapid.IntRange(0, devices-1).Draw(t, "device")
	own, has := s.Held[ID(n)]
	if has != isOdd(t) {
		w.From = &own
		w.Device = ID(n)
	}
	if rapid.Bool().Draw(t, "to") {
		to := drawSeat(t, s)
		if w.From != nil && rapid.Bool().Draw(t, "same") {
			to.Since = w.From.Since
		}
		w.To, w.Device = &to, ID(n)
	}
	for other := range devices {
		seat, has := s.Held[ID(other)]
		if other == n || rapid.Bool().Draw(t, "stays") || !has && !isOdd(t) {
			continue
		}
		if isOdd(t) {
			seat.Until = seat.Until.Add(time.Second)
		}
		if w.Clear == nil {
			w.Clear = map[string]time.Time{}
		}
		w.Clear[ID(other)] = seat.Until.Round(time.Second)
	}
	if rapid.Bool().Draw(t, "below") {
		w.Below = len(s.Held) + 1
		if isOdd(t) {
			w.Below = max(1, w.Below-1)
		}
	}
	if rapid.Bool().Draw(t, "release") || w.From == nil && w.To == nil && len(w.Clear) == 0 {
		w.WasReleased = slices.Clone(s.Released)
		if isOdd(t) {
			w.WasReleased = append(w.WasReleased, Now)
		}
		w.Released = append(slices.Clone(s.Released), drawSeat(t, s).Until)
	}
	return w
}

// isOdd says that something shall not go with the seats, which is rare.
func isOdd(t *rapid.T) bool { return rapid.IntRange(0, 11).Draw(t, "odd") == 11 }

func drawPut(t *rapid.T, s *device.Seats) device.Write {
	next := SeatsOf(rapid.IntRange(1, devices).Draw(t, "seats"))
	w := device.Write{Put: next}
	if s != nil != isOdd(t) {
		w.Replaces = new(int64(0))
		if s != nil {
			next.Epoch = s.Epoch + 1
			w.Replaces = new(s.Epoch)
			if isOdd(t) {
				*w.Replaces++
			}
		}
	}
	return w
}

func drawSeat(t *rapid.T, s *device.Seats) device.Seat {
	return device.Seat{
		Until: Now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "until")) * time.Second),
		Since: s.Youngest.Add(time.Duration(rapid.IntRange(-1, 20).Draw(t, "since")) * time.Millisecond),
		Name:  rapid.SampledFrom([]string{"", "PC", "作業用"}).Draw(t, "name"),
	}
}
