// Package devicetest holds the contract that every device.Store is held to. It knows no store.
package devicetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"openlicenser/shared/device"
)

// Now is the instant at which the seats of the samples are looked at.
var Now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// ID returns the id of the n-th device of the samples.
func ID(n int) string { return device.ID(LicenseID, fmt.Sprintf("fingerprint-%d", n)) }

// SeatOf returns the seat of the n-th device. It was the n-th that was taken, and ends the n-th.
func SeatOf(n int) device.Seat {
	return device.Seat{
		Until: Now.Add(time.Duration(n) * time.Minute), Since: Now.Add(time.Duration(n) * time.Millisecond),
		Name: fmt.Sprint("Workstation ", n),
	}
}

// SeatsOf returns the seats of the devices from 0 on, of the epoch 1.
func SeatsOf(devices int) *device.Seats {
	s := &device.Seats{Epoch: 1, Held: map[string]device.Seat{}}
	for n := range devices {
		s.Held[ID(n)] = SeatOf(n)
		s.Youngest = SeatOf(n).Since
	}
	return s
}

// TestStore holds a store to the contract. Each call of open returns a new and empty store.
func TestStore(t *testing.T, open func(t *testing.T) device.Store) {
	for name, test := range map[string]func(*testing.T, device.Store){
		"Put/OnAbsence":     putOnAbsence,
		"Put/OnSeenEpoch":   putOnSeenEpoch,
		"Put/Full":          putFull,
		"Update/Conditions": updateConditions,
		"Update/Effects":    updateEffects,
		"Update/Absent":     updateAbsent,
		"Update/Hundred":    updateHundred,
		"ForgetNames":       forgetNames,
		"ForgetNames/None":  forgetNoNames,
		"Concurrent/Names":  forgetNamesConcurrently,
		"Remove":            remove,
		"Concurrent/Seats":  acquireConcurrently,
		"Concurrent/Ends":   renewConcurrently,
		"LikeApply":         likeApply,
		"ContextEnded":      contextEnded,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// LicenseID is the license that the seats of the samples are of.
const LicenseID = "a-license"

func write(t testing.TB, store device.Store, w device.Write) {
	t.Helper()
	if err := store.Write(t.Context(), LicenseID, w); err != nil {
		t.Fatal(err)
	}
}

// put has the store hold these seats and no others.
func put(t testing.TB, store device.Store, s *device.Seats) {
	t.Helper()
	if err := store.Remove(t.Context(), LicenseID); err != nil {
		t.Fatal(err)
	}
	write(t, store, device.Write{Put: s})
}

func wantSeats(t testing.TB, store device.Store, want *device.Seats) {
	t.Helper()
	got, err := store.Seats(t.Context(), LicenseID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// wantConflict wants a write to be refused, and the seats to be as they were.
func wantConflict(t testing.TB, store device.Store, w device.Write, before *device.Seats) {
	t.Helper()
	if err := store.Write(t.Context(), LicenseID, w); !errors.Is(err, device.ErrConflict) {
		t.Errorf("got error %v, want %v", err, device.ErrConflict)
	}
	wantSeats(t, store, before)
}

func putOnAbsence(t *testing.T, store device.Store) {
	wantSeats(t, store, nil)
	wantConflict(t, store, device.Write{Put: SeatsOf(1), Replaces: new(int64(1))}, nil)
	write(t, store, device.Write{Put: SeatsOf(1)})
	wantSeats(t, store, SeatsOf(1))
	wantConflict(t, store, device.Write{Put: SeatsOf(2)}, SeatsOf(1))
	if err := store.Write(t.Context(), "another-license", device.Write{Put: SeatsOf(2)}); err != nil {
		t.Error(err)
	}
	wantSeats(t, store, SeatsOf(1))
}

func putOnSeenEpoch(t *testing.T, store device.Store) {
	first, second := SeatsOf(2), SeatsOf(1)
	first.Released = []time.Time{Now}
	second.Epoch = 2
	put(t, store, first)
	for _, epoch := range []int64{0, 2, 10} {
		wantConflict(t, store, device.Write{Put: second, Replaces: &epoch}, first)
	}
	write(t, store, device.Write{Put: second, Replaces: new(int64(1))})
	wantSeats(t, store, second)
	wantConflict(t, store, device.Write{Put: first, Replaces: new(int64(1))}, second)
}

// putFull: as many seats as a license can have, with the longest names, in any script.
func putFull(t *testing.T, store device.Store) {
	s := SeatsOf(250)
	names := []string{"Büro-PC №7 (Ünal)", "作業用パソコン", "محطة العمل", "🖥️🎉", `"<&>\'`, "", strings.Repeat("w", 32)}
	for n := range 250 {
		seat := SeatOf(n)
		seat.Name = names[n%len(names)]
		s.Held[ID(n)] = seat
		s.Released = append(s.Released, Now.Add(time.Duration(n)*time.Hour))
	}
	put(t, store, s)
	wantSeats(t, store, s)
}

// takeOver is a write that has all conditions, and the seats on which it holds. The device 1, whose seat has ended,
// takes a new one, the seats of 2 and 3 are cleared, and something is released.
func takeOver() (*device.Seats, device.Write) {
	s := SeatsOf(5)
	s.Released = []time.Time{Now.Add(time.Hour), Now.Add(2 * time.Hour)}
	from, to := SeatOf(1), SeatOf(60)
	return s, device.Write{
		Epoch: 1, Device: ID(1), From: &from, To: &to,
		Clear: map[string]time.Time{ID(2): SeatOf(2).Until, ID(3): SeatOf(3).Until}, Below: 6,
		Released:    []time.Time{Now.Add(3 * time.Hour)},
		WasReleased: []time.Time{Now.Add(time.Hour), Now.Add(2 * time.Hour)},
	}
}

func later(t time.Time) time.Time { return t.Add(time.Second) }

// updateConditions: each condition by itself is enough to refuse a write.
func updateConditions(t *testing.T, store device.Store) {
	s, w := takeOver()
	put(t, store, s)
	write(t, store, w)
	wantSeats(t, store, &device.Seats{
		Epoch: 1, Held: map[string]device.Seat{ID(0): SeatOf(0), ID(1): SeatOf(60), ID(4): SeatOf(4)},
		Youngest: SeatOf(60).Since, Released: []time.Time{Now.Add(3 * time.Hour)},
	})
	for name, change := range map[string]func(*device.Seats, *device.Write){
		"another epoch":           func(s *device.Seats, _ *device.Write) { s.Epoch = 2 },
		"another end":             func(_ *device.Seats, w *device.Write) { w.From.Until = SeatOf(2).Until },
		"a second later":          func(_ *device.Seats, w *device.Write) { w.From.Until = later(w.From.Until) },
		"another beginning":       func(_ *device.Seats, w *device.Write) { w.From.Since = SeatOf(2).Since },
		"has a seat":              func(_ *device.Seats, w *device.Write) { w.From = nil },
		"has none any more":       func(s *device.Seats, _ *device.Write) { delete(s.Held, ID(1)) },
		"cleared end has moved":   func(s *device.Seats, _ *device.Write) { s.Held[ID(3)] = SeatOf(30) },
		"cleared one is gone":     func(s *device.Seats, _ *device.Write) { delete(s.Held, ID(3)) },
		"as many seats as that":   func(_ *device.Seats, w *device.Write) { w.Below = 5 },
		"one more seat than that": func(_ *device.Seats, w *device.Write) { w.Below = 4 },
		"as young":                func(s *device.Seats, w *device.Write) { s.Youngest = w.To.Since },
		"younger":                 func(s *device.Seats, w *device.Write) { s.Youngest = later(w.To.Since) },
		"one more released": func(s *device.Seats, _ *device.Write) {
			s.Released = append(s.Released, Now)
		},
		"one less released":  func(s *device.Seats, _ *device.Write) { s.Released = s.Released[:1] },
		"none released":      func(s *device.Seats, _ *device.Write) { s.Released = nil },
		"another released":   func(s *device.Seats, _ *device.Write) { s.Released[1] = Now },
		"released in no way": func(_ *device.Seats, w *device.Write) { w.WasReleased = nil },
	} {
		t.Run(name, func(t *testing.T) {
			s, w := takeOver()
			change(s, &w)
			put(t, store, s)
			wantConflict(t, store, w, s)
		})
	}
}

// updateEffects: what each kind of write leaves, and what it does not touch.
func updateEffects(t *testing.T, store device.Store) {
	held := func(seats map[int]device.Seat) map[string]device.Seat {
		byID := map[string]device.Seat{}
		for n, seat := range seats {
			byID[ID(n)] = seat
		}
		return byID
	}
	seat := func(n int) *device.Seat { return new(SeatOf(n)) }
	renewed := SeatOf(1)
	renewed.Until, renewed.Name = Now.Add(time.Hour), ""
	ends := []time.Time{Now.Add(time.Hour)}
	for name, test := range map[string]struct {
		released []time.Time // of two seats before
		write    device.Write
		want     device.Seats
	}{
		"acquire": {
			nil, device.Write{Device: ID(2), To: seat(2), Below: 3},
			device.Seats{
				Held:     held(map[int]device.Seat{0: SeatOf(0), 1: SeatOf(1), 2: SeatOf(2)}),
				Youngest: SeatOf(2).Since,
			},
		},
		"overwrite its own": {
			nil, device.Write{Device: ID(0), From: seat(0), To: seat(2), Below: 3},
			device.Seats{Held: held(map[int]device.Seat{0: SeatOf(2), 1: SeatOf(1)}), Youngest: SeatOf(2).Since},
		},
		"take over": {
			ends,
			device.Write{Device: ID(2), To: seat(2), Clear: map[string]time.Time{ID(0): SeatOf(0).Until}, Below: 3},
			device.Seats{
				Held:     held(map[int]device.Seat{1: SeatOf(1), 2: SeatOf(2)}),
				Youngest: SeatOf(2).Since, Released: ends,
			},
		},
		"renew": { // the seat is as young as before, although there is one as young
			nil, device.Write{Device: ID(1), From: seat(1), To: &renewed},
			device.Seats{Held: held(map[int]device.Seat{0: SeatOf(0), 1: renewed}), Youngest: SeatOf(1).Since},
		},
		"clear alone": {
			nil, device.Write{Clear: map[string]time.Time{ID(0): SeatOf(0).Until, ID(1): SeatOf(1).Until}},
			device.Seats{Youngest: SeatOf(1).Since},
		},
		"release the first": {
			nil, device.Write{Device: ID(0), From: seat(0), Released: ends},
			device.Seats{Held: held(map[int]device.Seat{1: SeatOf(1)}), Youngest: SeatOf(1).Since, Released: ends},
		},
		"release another": {
			ends, device.Write{Device: ID(0), From: seat(0), Released: []time.Time{Now, Now}, WasReleased: ends},
			device.Seats{
				Held:     held(map[int]device.Seat{1: SeatOf(1)}),
				Youngest: SeatOf(1).Since, Released: []time.Time{Now, Now},
			},
		},
		"take back": {
			ends, device.Write{Device: ID(0), From: seat(0)},
			device.Seats{Held: held(map[int]device.Seat{1: SeatOf(1)}), Youngest: SeatOf(1).Since, Released: ends},
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := SeatsOf(2)
			before.Released = test.released
			put(t, store, before)
			test.write.Epoch, test.want.Epoch = 1, 1
			write(t, store, test.write)
			wantSeats(t, store, &test.want)
			if name != "clear alone" {
				return
			}
			write(t, store, device.Write{Epoch: 1, Device: ID(7), To: seat(7), Below: 1}) // where there was none left
			wantSeats(t, store, &device.Seats{
				Epoch: 1, Held: held(map[int]device.Seat{7: SeatOf(7)}), Youngest: SeatOf(7).Since,
			})
		})
	}
}

// updateAbsent: where no seat was ever taken, no update makes one.
func updateAbsent(t *testing.T, store device.Store) {
	to := SeatOf(1)
	wantConflict(t, store, device.Write{Epoch: 0, Device: ID(1), To: &to}, nil)
}

// updateHundred clears as many seats in one update as there may be.
func updateHundred(t *testing.T, store device.Store) {
	s := SeatsOf(250)
	s.Released = []time.Time{Now}
	put(t, store, s)
	from, to := SeatOf(100), SeatOf(300)
	w := device.Write{
		Epoch: 1, Device: ID(100), From: &from, To: &to, Clear: map[string]time.Time{}, Below: 251,
		Released: []time.Time{Now, Now}, WasReleased: []time.Time{Now},
	}
	want := SeatsOf(250)
	want.Held[ID(100)], want.Youngest, want.Released = to, to.Since, []time.Time{Now, Now}
	for n := range 100 {
		w.Clear[ID(n)] = SeatOf(n).Until
		delete(want.Held, ID(n))
	}
	write(t, store, w)
	wantSeats(t, store, want)
}

func remove(t *testing.T, store device.Store) {
	if err := store.Remove(t.Context(), LicenseID); err != nil {
		t.Errorf("nothing: %v", err)
	}
	put(t, store, SeatsOf(2))
	if err := store.Write(t.Context(), "another-license", device.Write{Put: SeatsOf(1)}); err != nil {
		t.Fatal(err)
	}
	if err := store.Remove(t.Context(), "another-license"); err != nil {
		t.Fatal(err)
	}
	wantSeats(t, store, SeatsOf(2))
	if err := store.Remove(t.Context(), LicenseID); err != nil {
		t.Fatal(err)
	}
	wantSeats(t, store, nil)
	write(t, store, device.Write{Put: SeatsOf(1)})
	wantSeats(t, store, SeatsOf(1))
}

// contextEnded: what is not even asked is no conflict, and says nothing of seats.
func contextEnded(t *testing.T, store device.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Seats(ctx, LicenseID); err == nil {
		t.Error("read")
	}
	for name, w := range map[string]device.Write{
		"put":    {Put: SeatsOf(1)},
		"update": {Epoch: 1, Clear: map[string]time.Time{ID(0): Now}},
	} {
		if err := store.Write(ctx, LicenseID, w); err == nil || errors.Is(err, device.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantSeats(t, store, nil)
	put(t, store, SeatsOf(1))
	if err := store.ForgetNames(ctx, LicenseID); err == nil || errors.Is(err, device.ErrConflict) {
		t.Errorf("forget names: %v", err)
	}
	if err := store.Remove(ctx, LicenseID); err == nil {
		t.Error("removed")
	}
	wantSeats(t, store, SeatsOf(1))
}
