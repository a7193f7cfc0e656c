package device

import (
	"cmp"
	"slices"
	"time"
)

// clockSlack is how long a seat must have ended before another device may have it: a product's clock may be five
// minutes slow, and its token then seems to be valid for as long.
const clockSlack = 6 * time.Minute

// maxCleared bounds how many seats one update takes away. DynamoDB takes expressions of 4 KB and 300 operators
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html).
const maxCleared = 100

// Terms are what a license says of its seats.
type Terms struct {
	Epoch int64
	Max   int
}

// Wish is a device that wants a token.
type Wish struct {
	Device   string
	Name     string
	Nameless bool // its seat is to have no name, not even the one that it has
	Now      time.Time
	Until    time.Time // when the token should expire; whole seconds
	Enough   time.Time // an end that is as good, so that no write is needed for a little more
}

// name returns the name that the seat of the device gets in place of another.
func (w Wish) name(earlier string) string {
	if w.Nameless {
		return ""
	}
	return cmp.Or(w.Name, earlier)
}

// Grant says until when the device of a wish may have a token, and what has to be written first.
type Grant struct {
	Until time.Time // zero: there is no seat for the device
	Write *Write    // nil: nothing
	Kind  Kind

	// Again says that the write only makes room. After it the seats have to be read again.
	Again bool
}

// Kind says what became of a wish.
type Kind int

// The kinds.
const (
	Held      Kind = iota // the device has a seat that lasts
	Extended              // the end of its seat moves
	Acquired              // it gets a seat that was free
	TakenOver             // it gets the seat of a device that ended before
	Refused               // all seats are held
)

// Grant returns what a device may have. The seats are as they were read, of the terms' epoch or nil for none.
//
// These are the rules (each clause was tried on a model, and has a test that fails without it). Acquire: a device has
// no seat, or overwrites one of its own that has ended. There are fewer seats than Max, ended ones included, and the
// new one is younger than all before. Clear: where there is no room, seats that ended more than clockSlack ago are
// taken away in the same update. Renew: the end of a seat that has not ended moves, never back. After Max was lowered,
// what has ended goes first, and the seat is extended only if fewer than Max of those that remain are older.
func (s *Seats) Grant(t Terms, w Wish) Grant {
	if s == nil {
		seat := Seat{Until: w.Until, Since: since(w.Now, time.Time{}), Name: w.name("")}
		return Grant{Until: w.Until, Kind: Acquired, Write: &Write{Put: firstSeat(t, w.Device, seat)}}
	}
	if s.Epoch != t.Epoch { // what was granted in another epoch does not count
		seat := Seat{Until: w.Until, Since: since(w.Now, s.Youngest), Name: w.name("")}
		replaced := s.Epoch
		return Grant{Until: w.Until, Kind: Acquired, Write: &Write{
			Put: firstSeat(t, w.Device, seat), Replaces: &replaced,
		}}
	}
	own, has := s.Held[w.Device]
	if has && own.Until.After(w.Now) {
		return s.renew(t, w, own)
	}
	return s.acquire(t, w, own, has)
}

func firstSeat(t Terms, device string, seat Seat) *Seats {
	return &Seats{Epoch: t.Epoch, Held: map[string]Seat{device: seat}, Youngest: seat.Since}
}

// since returns the instant of a new seat: now, or the first millisecond after the youngest seat.
func since(now, youngest time.Time) time.Time {
	now = now.UTC().Truncate(time.Millisecond)
	if !now.After(youngest) {
		return youngest.Add(time.Millisecond)
	}
	return now
}

func (s *Seats) renew(t Terms, w Wish, own Seat) Grant {
	held := Grant{Until: earlier(own.Until, w.Until), Kind: Held}
	if !own.Until.Before(w.Enough) || !own.Until.Before(w.Until) {
		return held
	}
	write := Write{Epoch: t.Epoch, Device: w.Device, From: &own}
	if len(s.Held) > t.Max {
		write.Clear = s.cleared(w, maxCleared)
		switch {
		case s.older(own, write.Clear) < t.Max:
		case len(write.Clear) == maxCleared: // there may be more of them
			return Grant{Again: true, Write: &Write{Epoch: t.Epoch, Clear: write.Clear}}
		default:
			return held // until its end, and then it is refused
		}
	}
	extended := own
	extended.Until = w.Until
	extended.Name = w.name(own.Name)
	write.To = &extended
	return Grant{Until: w.Until, Kind: Extended, Write: &write}
}

// older returns how many seats are older than one, apart from those that are cleared.
func (s *Seats) older(own Seat, cleared map[string]time.Time) (n int) {
	for id, seat := range s.Held {
		if _, isCleared := cleared[id]; !isCleared && seat.Since.Before(own.Since) {
			n++
		}
	}
	return n
}

func (s *Seats) acquire(t Terms, w Wish, own Seat, has bool) Grant {
	others := len(s.Held)
	write := Write{Epoch: t.Epoch, Device: w.Device}
	if has {
		write.From = &own
		others--
	}
	if missing := others + 1 - t.Max; missing > 0 {
		write.Clear = s.cleared(w, min(missing, maxCleared))
		switch {
		case missing > maxCleared && len(write.Clear) == maxCleared:
			return Grant{Again: true, Write: &Write{Epoch: t.Epoch, Clear: write.Clear}}
		case len(write.Clear) < missing:
			return Grant{Kind: Refused}
		}
	}
	write.To = &Seat{Until: w.Until, Since: since(w.Now, s.Youngest), Name: w.name("")}
	write.Below = t.Max + len(write.Clear)
	if has {
		write.Below++
	}
	kind := Acquired
	if len(write.Clear) > 0 {
		kind = TakenOver
	}
	return Grant{Until: w.Until, Kind: kind, Write: &write}
}

// cleared returns up to most seats of other devices that have ended for so long that they can go, the first to end
// first.
func (s *Seats) cleared(w Wish, most int) map[string]time.Time {
	var ended []Device
	for id, seat := range s.Held {
		if id != w.Device && !seat.isHeld(w.Now) {
			ended = append(ended, Device{id, seat})
		}
	}
	slices.SortFunc(ended, func(a, b Device) int {
		return cmp.Or(a.Until.Compare(b.Until), a.Since.Compare(b.Since))
	})
	cleared := map[string]time.Time{}
	for _, d := range ended[:min(most, len(ended))] {
		cleared[d.ID] = d.Until
	}
	return cleared
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
