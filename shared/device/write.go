package device

import (
	"maps"
	"slices"
	"time"
)

// Write is one conditional change of the seats of a license: a put of all of them, or an update of some.
type Write struct {
	// Put replaces all seats. It wants that there are none, or that those there are have the epoch Replaces.
	Put      *Seats
	Replaces *int64

	// What follows is an update. It wants seats of this epoch.
	Epoch int64

	// Device gets the seat To. It wants that its seat is From, or that it has none.
	Device   string
	From, To *Seat // nil: no seat; both nil: nothing of a device

	// Clear are seats of other devices that go, by device. It wants that each still ends as it says.
	Clear map[string]time.Time

	// Below wants that there are fewer seats than this, those included that the update takes away. Zero wants nothing.
	Below int

	// Released takes the place of the ends WasReleased. It wants that these are as they were. Nil leaves them.
	Released    []time.Time
	WasReleased []time.Time
}

// IsNewSeat reports whether the update takes a seat. Its Since then has to be later than all before.
func (w Write) IsNewSeat() bool {
	return w.To != nil && (w.From == nil || !w.From.Since.Equal(w.To.Since))
}

// Apply returns the seats after the write, or ErrConflict. A nil stands for no seats. It is what a store does where it
// reads and writes at once.
func (w Write) Apply(s *Seats) (*Seats, error) {
	if w.Put != nil {
		isAsWanted := s == nil && w.Replaces == nil || s != nil && w.Replaces != nil && s.Epoch == *w.Replaces
		if !isAsWanted {
			return nil, ErrConflict
		}
		return w.Put, nil
	}
	if s == nil || !w.holds(*s) {
		return nil, ErrConflict
	}
	after := Seats{Epoch: s.Epoch, Held: maps.Clone(s.Held), Youngest: s.Youngest, Released: s.Released}
	for id := range w.Clear {
		delete(after.Held, id)
	}
	if w.From != nil {
		delete(after.Held, w.Device)
	}
	if w.To != nil {
		after.Held[w.Device] = *w.To
	}
	if w.IsNewSeat() {
		after.Youngest = w.To.Since
	}
	if w.Released != nil {
		after.Released = w.Released
	}
	return &after, nil
}

// holds reports whether the seats are as the update wants them.
func (w Write) holds(s Seats) bool {
	for id, until := range w.Clear {
		if seat, has := s.Held[id]; !has || !seat.Until.Equal(until) {
			return false
		}
	}
	if w.From != nil || w.To != nil {
		seat, has := s.Held[w.Device]
		isAsWanted := !has && w.From == nil ||
			has && w.From != nil && seat.Until.Equal(w.From.Until) && seat.Since.Equal(w.From.Since)
		if !isAsWanted {
			return false
		}
	}
	return s.Epoch == w.Epoch &&
		(w.Below == 0 || len(s.Held) < w.Below) &&
		(!w.IsNewSeat() || s.Youngest.Before(w.To.Since)) &&
		(w.Released == nil || slices.EqualFunc(s.Released, w.WasReleased, time.Time.Equal))
}
