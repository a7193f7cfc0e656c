package device_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"openlicenser/shared/device"
)

// model is one license, its seats, and verifications that are under way at the same time. Each step of a verification
// is one call of a store, and anything can happen between two of them.
type model struct {
	t     *rapid.T
	plan  []byte // what happens, choice by choice
	now   time.Time
	terms device.Terms
	lease time.Duration

	version    int // of the terms
	restricted int // the version of the last reset or lowered limit; what was granted before does not count

	seats *device.Seats
	// covered is the version of the terms under which the end of a device's seat was written.
	covered map[string]int
	tokens  []token
	// released says of which seat a device has given back the last. The tokens up to that one run on.
	released map[string]time.Time
	running  []*verification
	devices  int
	largest  int // limit of seats
}

// token is an authorization token that has left.
type token struct {
	device  string
	until   time.Time
	version int // see model.covered
	epoch   int64
	since   time.Time // of the seat
}

// verification is one that is under way.
type verification struct {
	device  string
	lease   time.Duration
	skew    time.Duration // of the server's clock
	terms   device.Terms
	version int
	seats   *device.Seats
	step    int
	order   bool // whether the license is read before the seats: a BatchGetItem has no order
	rounds  int
}

func (m *model) choose(n int) int {
	if len(m.plan) == 0 {
		return 0
	}
	choice := int(m.plan[0]) % n
	m.plan = m.plan[1:]
	return choice
}

// isCalm reports whether nothing great happens: in a crowd, so that it has time to take all seats.
func (m *model) isCalm() bool { return m.devices > 6 && m.choose(30) > 0 }

func (m *model) device() string { return fmt.Sprint("device-", m.choose(m.devices)) }

// maxSkew is how far a product's clock can be off.
const maxSkew = 5 * time.Minute

func (m *model) step() {
	switch choice := m.choose(16); choice {
	case 0, 1:
		m.running = append(m.running, &verification{
			device: m.device(), lease: m.lease, order: m.choose(2) == 0,
			skew: time.Duration(m.choose(3)-1) * 20 * time.Second,
		})
	case 2, 3, 4, 5, 6, 7, 8:
		if len(m.running) > 0 {
			v := m.running[m.choose(len(m.running))]
			for range 1 + m.choose(5) {
				m.advance(v)
			}
		}
	case 9, 10:
		if m.isCalm() {
			m.now = m.now.Add(time.Second)
			return
		}
		waits := []time.Duration{
			time.Second, time.Minute, 4 * time.Minute, 7 * time.Minute, m.lease / 2, m.lease + time.Minute,
		}
		m.now = m.now.Add(waits[m.choose(len(waits))])
	case 11:
		m.release(m.device())
	case 12:
		if !m.isCalm() {
			m.change(device.Terms{Epoch: m.terms.Epoch, Max: 1 + m.choose(m.largest)})
		}
	case 13:
		if !m.isCalm() && m.choose(3) == 2 {
			m.change(device.Terms{Epoch: m.terms.Epoch + 1, Max: m.terms.Max}) // a reset
		}
	case 14:
		m.lease = time.Duration(10+m.choose(100)) * time.Minute
	case 15: // a crash
		if len(m.running) > 0 {
			m.drop(m.choose(len(m.running)))
		}
	}
}

func (m *model) change(terms device.Terms) {
	m.version++
	if terms.Max < m.terms.Max || terms.Epoch != m.terms.Epoch {
		m.restricted = m.version
	}
	m.terms = terms
}

func (m *model) drop(i int) { m.running = append(m.running[:i:i], m.running[i+1:]...) }

// advance makes the next step of a verification.
func (m *model) advance(v *verification) {
	i := slices.Index(m.running, v)
	if i < 0 {
		return // it has ended
	}
	readLicense := func() { v.terms, v.version = m.terms, m.version }
	readSeats := func() { v.seats = m.seats }
	switch v.step++; v.step {
	case 1, 2:
		if (v.step == 1) == v.order {
			readLicense()
		} else {
			readSeats()
		}
	case 3: // of another epoch: the license is read again, after the seats
		if v.seats != nil && v.seats.Epoch != v.terms.Epoch {
			readLicense()
		}
	default:
		m.finish(i, v)
	}
}

func (m *model) finish(i int, v *verification) {
	now := m.now.Add(v.skew)
	lease := min(v.lease, 100*time.Minute)
	grant := v.seats.Grant(v.terms, device.Wish{
		Device: v.device, Now: now, Until: now.Add(lease).Truncate(time.Second),
		Enough: now.Add(lease * 9 / 10),
	})
	if grant.Write != nil {
		after, err := grant.Write.Apply(m.seats)
		isLost := err == nil && m.choose(8) == 7
		if err == nil {
			m.seats = after
			if grant.Write.Put != nil {
				m.covered = map[string]int{}
			}
			if !grant.Again {
				m.covered[v.device] = v.version
			}
		}
		switch {
		case isLost: // the product gets a 500, and no token
			m.drop(i)
			return
		case err != nil || grant.Again: // the seats are read again, and the license with them
			v.step, v.rounds = 0, v.rounds+1
			if v.rounds > 5 {
				m.drop(i)
			}
			return
		}
	}
	m.drop(i)
	if grant.Until.IsZero() {
		if v.seats != nil && v.seats.Epoch == v.terms.Epoch {
			if seat, has := v.seats.Held[v.device]; has && seat.Until.After(now) {
				m.t.Fatalf("%s was refused although it holds a seat until %v", v.device, seat.Until)
			}
		}
		return
	}
	version := v.version
	if grant.Write == nil {
		version = m.covered[v.device] // it was written before
	}
	var since time.Time
	switch w := grant.Write; {
	case w == nil:
		since = v.seats.Held[v.device].Since
	case w.Put != nil:
		since = w.Put.Held[v.device].Since
	default:
		since = w.To.Since
	}
	m.tokens = append(m.tokens, token{v.device, grant.Until, version, v.terms.Epoch, since})
}

func (m *model) release(id string) {
	write, err := m.seats.Release(m.terms, id, m.now, false)
	if err != nil || write == nil {
		return
	}
	after, err := write.Apply(m.seats)
	if err != nil {
		m.t.Fatalf("a release of what was just read: %v", err)
	}
	m.seats = after
	m.released[id] = write.From.Since
	hops := 0
	for _, end := range after.Released {
		if end.After(m.now) {
			hops++
		}
	}
	if hops > max(3, m.terms.Max) {
		m.t.Fatalf("%d tokens of released seats are valid", hops)
	}
}

// check wants at most Max devices with a token that the product may still take for valid, however slow its clock is.
func (m *model) check() {
	valid := map[string]bool{}
	for _, t := range m.tokens {
		if m.now.Before(t.until.Add(maxSkew)) && t.since.After(m.released[t.device]) &&
			t.version >= m.restricted && t.epoch == m.terms.Epoch {
			valid[t.device] = true
		}
	}
	if len(valid) > m.terms.Max {
		m.t.Fatalf("%d devices have tokens, of %d seats", len(valid), m.terms.Max)
	}
}

// drawPlan returns choices, all equally likely. Rapid's own bytes are mostly zeros.
func drawPlan(t *rapid.T, most int) []byte {
	plan := make([]byte, rapid.IntRange(most/2, most).Draw(t, "choices"))
	random := rand.NewChaCha8([32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed")))
	random.Read(plan)
	return plan
}

// TestModel: few devices that meet in every way, and crowds that take all seats there are.
func TestModel(t *testing.T) {
	for name, test := range map[string]struct{ devices, seats, choices, rounds int }{
		"few":   {6, 4, 400, 30},
		"crowd": {250, 60, 6000, 2},
	} {
		t.Run(name, func(t *testing.T) {
			fullest := 0
			history := func(t *rapid.T) {
				m := &model{
					t: t, plan: drawPlan(t, test.choices), lease: time.Hour, devices: test.devices, largest: test.seats,
					now:     time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC),
					covered: map[string]int{}, released: map[string]time.Time{},
				}
				m.terms = device.Terms{Epoch: 1, Max: 1 + m.choose(test.seats)}
				for len(m.plan) > 0 {
					m.step()
					m.check()
					if m.seats != nil && len(m.seats.Held) == m.terms.Max {
						fullest = max(fullest, m.terms.Max)
					}
				}
			}
			for range test.rounds { // what goes wrong takes a rare order of things
				rapid.Check(t, history)
			}
			if fullest < test.seats*2/3 {
				t.Errorf("no more than %d seats were ever held at once", fullest)
			}
		})
	}
}
