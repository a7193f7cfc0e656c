package devicetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"openlicenser/shared/device"
)

// nameless returns the seats without their names.
func nameless(s *device.Seats) *device.Seats {
	for id, seat := range s.Held {
		seat.Name = ""
		s.Held[id] = seat
	}
	return s
}

func mustForgetNames(t *testing.T, store device.Store) {
	t.Helper()
	if err := store.ForgetNames(t.Context(), LicenseID); err != nil {
		t.Fatal(err)
	}
}

// forgetNames: of as many seats as a license can have, the names go and all else stays, also on other licenses.
func forgetNames(t *testing.T, store device.Store) {
	all := func() *device.Seats {
		s := SeatsOf(250)
		s.Released = []time.Time{Now.Add(time.Hour)}
		return s
	}
	put(t, store, all())
	if err := store.Write(t.Context(), "another-license", device.Write{Put: SeatsOf(1)}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		mustForgetNames(t, store)
		wantSeats(t, store, nameless(all()))
	}
	other, err := store.Seats(t.Context(), "another-license")
	if err != nil || other.Held[ID(0)] != SeatOf(0) {
		t.Errorf("the seats of another license are %+v, %v", other, err)
	}
	// The seats are moved as before.
	from, to := SeatOf(3), SeatOf(300)
	from.Name = ""
	to.Since = from.Since
	write(t, store, device.Write{Epoch: 1, Device: ID(3), From: &from, To: &to})
}

// forgetNoNames: where no seat was ever taken there is nothing to forget, and none is made.
func forgetNoNames(t *testing.T, store device.Store) {
	mustForgetNames(t, store)
	wantSeats(t, store, nil)
	put(t, store, nameless(SeatsOf(2)))
	mustForgetNames(t, store)
	wantSeats(t, store, nameless(SeatsOf(2)))
}

// forgetNamesConcurrently: what becomes of the seats meanwhile is not lost.
func forgetNamesConcurrently(t *testing.T, store device.Store) {
	const writers = 10
	put(t, store, SeatsOf(writers))
	want := nameless(SeatsOf(writers))
	var all sync.WaitGroup
	for n := range writers {
		from, to := SeatOf(n), want.Held[ID(n)]
		to.Until = Now.Add(time.Duration(n+1) * time.Hour)
		want.Held[ID(n)] = to
		all.Go(func() {
			err := store.Write(t.Context(), LicenseID, device.Write{Epoch: 1, Device: ID(n), From: &from, To: &to})
			if err != nil {
				t.Error(err)
			}
		})
	}
	for range 3 {
		all.Go(func() {
			err := store.ForgetNames(t.Context(), LicenseID)
			for errors.Is(err, device.ErrConflict) {
				err = store.ForgetNames(t.Context(), LicenseID)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	wantSeats(t, store, want)
}
