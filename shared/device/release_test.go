package device_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/device"
	"openlicenser/shared/testing/devicetest"
)

// TestRelease: each clause of giving a seat back.
func TestRelease(t *testing.T) {
	own := at(time.Hour, 10)
	running := func(n int) (list []time.Time) {
		for i := range n {
			list = append(list, now.Add(time.Duration(i+1)*time.Nanosecond))
		}
		return list
	}
	over := []time.Time{now, now.Add(-time.Hour)}
	gives := func(was []time.Time, released ...time.Time) *device.Write {
		return &device.Write{
			Epoch: 1, Device: "a", From: &own, Released: append(released, own.Until), WasReleased: was,
		}
	}
	for name, test := range map[string]struct {
		seats    *device.Seats
		epoch    int64
		most     int
		released []time.Time
		byVendor bool
		want     *device.Write
		err      error
	}{
		"never taken":           {epoch: 1},
		"not held":              {seats: seats(held{"b": own}), epoch: 1},
		"ended six minutes ago": {seats: seats(held{"a": at(-6*time.Minute, 10)}), epoch: 1},
		"of another epoch":      {seats: seats(held{"a": own}), epoch: 2},
		"of an earlier epoch":   {seats: seats(held{"a": own}), epoch: 0},
		"first":                 {seats: seats(held{"a": own}), epoch: 1, want: gives(nil)},
		"third": {
			seats: seats(held{"a": own}), epoch: 1, most: 1, released: running(2),
			want: gives(running(2), running(2)...),
		},
		"fourth of one seat": {
			seats: seats(held{"a": own}), epoch: 1, most: 1, released: running(3), err: device.ErrReleaseLimit,
		},
		"fourth of four seats": {
			seats: seats(held{"a": own}), epoch: 1, most: 4, released: running(3),
			want: gives(running(3), running(3)...),
		},
		"fifth of four seats": {
			seats: seats(held{"a": own}), epoch: 1, most: 4, released: running(4), err: device.ErrReleaseLimit,
		},
		"those before are over": {
			seats: seats(held{"a": own}), epoch: 1, most: 1, released: append(running(2), over...),
			want: gives(append(running(2), over...), running(2)...),
		},
		"by the vendor, without the limit": {
			seats: seats(held{"a": own}), epoch: 1, most: 1, released: running(9), byVendor: true,
			want: &device.Write{Epoch: 1, Device: "a", From: &own},
		},
		"by the vendor, not held": {seats: seats(held{"b": own}), epoch: 1, byVendor: true},
	} {
		t.Run(name, func(t *testing.T) {
			if test.seats != nil {
				test.seats.Released = test.released
			}
			got, err := test.seats.Release(device.Terms{Epoch: test.epoch, Max: test.most}, "a", now, test.byVendor)
			if !errors.Is(err, test.err) {
				t.Errorf("got error %v", err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// memory is a device.Store of one license.
type memory struct {
	seats  *device.Seats
	before func() error // each write
	writes int
}

func (m *memory) Seats(context.Context, string) (*device.Seats, error) { return m.seats, nil }

func (m *memory) Write(_ context.Context, _ string, w device.Write) error {
	m.writes++
	if m.before != nil {
		if err := m.before(); err != nil {
			return err
		}
	}
	after, err := w.Apply(m.seats)
	if err == nil {
		m.seats = after
	}
	return err
}

func (m *memory) ForgetNames(context.Context, string) error {
	m.seats = m.seats.WithoutNames()
	return nil
}

func (m *memory) Remove(context.Context, string) error { return nil }

// TestGiveBack: others may change the seats meanwhile.
func TestGiveBack(t *testing.T) {
	terms := device.Terms{Epoch: 1, Max: 2}
	giveBack := func(m *memory) error {
		return device.GiveBack(t.Context(), m, "license", m.seats, terms, "a", now, false)
	}
	t.Run("OK", func(t *testing.T) {
		m := &memory{seats: seats(held{"a": at(time.Hour, 10), "b": at(time.Hour, 9)})}
		if err := giveBack(m); err != nil || len(m.seats.Held) != 1 || len(m.seats.Released) != 1 {
			t.Errorf("%v, %+v", err, m.seats)
		}
	})
	t.Run("renewed meanwhile", func(t *testing.T) {
		m := &memory{seats: seats(held{"a": at(time.Hour, 10)})}
		m.before = func() error {
			m.seats, m.before = seats(held{"a": at(2*time.Hour, 10)}), nil
			return nil
		}
		if err := giveBack(m); err != nil || m.writes != 2 || len(m.seats.Held) != 0 ||
			!m.seats.Released[0].Equal(now.Add(2*time.Hour)) {
			t.Errorf("%v, %d writes, %+v", err, m.writes, m.seats)
		}
	})
	t.Run("ErrConflict", func(t *testing.T) {
		m := &memory{seats: seats(held{"a": at(time.Hour, 10)}), before: func() error { return device.ErrConflict }}
		if err := giveBack(m); !errors.Is(err, device.ErrConflict) || m.writes != 10 {
			t.Errorf("%v after %d writes", err, m.writes)
		}
	})
	t.Run("a fault", func(t *testing.T) {
		fault := errors.New("unavailable")
		m := &memory{seats: seats(held{"a": at(time.Hour, 10)}), before: func() error { return fault }}
		if err := giveBack(m); !errors.Is(err, fault) || m.writes != 1 {
			t.Errorf("%v after %d writes", err, m.writes)
		}
	})
}

// TestApplyContract holds device.Write.Apply to the contract that stores are held to.
func TestApplyContract(t *testing.T) {
	devicetest.TestStore(t, func(*testing.T) device.Store { return &applied{seats: map[string]*device.Seats{}} })
}

// TestReleaseEnded: a seat that has ended is in the way for six minutes, and can be given back in them. It counts for
// as long.
func TestReleaseEnded(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	ended := device.Seat{Until: now.Add(-6*time.Minute + time.Second), Since: now.Add(-time.Hour)}
	s := &device.Seats{Epoch: 1, Held: map[string]device.Seat{"a": ended}, Youngest: ended.Since}
	if inTheWay := s.InTheWay(1, now); len(inTheWay) != 1 || len(s.Devices(1, now)) != 0 {
		t.Errorf("in the way are %v", inTheWay)
	}
	write, err := s.Release(device.Terms{Epoch: 1, Max: 1}, "a", now, false)
	if err != nil || write == nil || !slices.Equal(write.Released, []time.Time{ended.Until.Add(6 * time.Minute)}) {
		t.Fatalf("got %+v, %v", write, err)
	}
	if inTheWay := s.InTheWay(1, now.Add(time.Second)); len(inTheWay) != 0 {
		t.Errorf("six minutes after its end %v is in the way", inTheWay)
	}
}
