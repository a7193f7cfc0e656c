package audittest

import (
	"context"
	"slices"
	"sync"

	"openlicenser/shared/audit"
)

// TB is the part of *testing.T that a Memory and the model need. A *rapid.T has it too.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Memory is an audit.Store in memory. It fails the test when an entry is appended out of order.
type Memory struct {
	t       TB
	mu      sync.Mutex
	states  map[string]audit.State
	entries map[string][]audit.Entry
	planted map[string]audit.Entry // behind the end of a chain

	disclosures map[string][]audit.Disclosure
}

var _ audit.Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory(t TB) *Memory {
	return &Memory{
		t: t, states: map[string]audit.State{}, entries: map[string][]audit.Entry{}, planted: map[string]audit.Entry{},
		disclosures: map[string][]audit.Disclosure{},
	}
}

// Chain returns all entries of a license, with what they disclose.
func (m *Memory) Chain(licenseID string) []audit.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return audit.Disclose(m.entries[licenseID], m.disclosures[licenseID])
}

// MustState returns the state of a license's chain.
func (m *Memory) MustState(licenseID string) audit.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.states[licenseID]
}

// SetHead replaces the true head, as an attacker would.
func (m *Memory) SetHead(licenseID string, head audit.Head) {
	m.mu.Lock()
	defer m.mu.Unlock()
	state := m.states[licenseID]
	state.Head = head
	m.states[licenseID] = state
}

// Plant puts an entry behind the end of a chain, as an attacker would. Sequence 0 takes it away again.
func (m *Memory) Plant(e audit.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.planted[e.LicenseID] = e
}

// State implements audit.Store.
func (m *Memory) State(_ context.Context, licenseID string) (audit.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.states[licenseID], nil
}

// Append implements audit.Store.
func (m *Memory) Append(_ context.Context, from audit.Head, e audit.Entry, to audit.State) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.Sequence < 1 {
		return audit.ErrNoSequence
	}
	if m.states[e.LicenseID].Head != from || m.planted[e.LicenseID].Sequence == e.Sequence {
		return audit.ErrConflict
	}
	if e.Sequence != int64(len(m.entries[e.LicenseID]))+1 {
		m.t.Errorf("entry %d was appended where entry %d belongs", e.Sequence, len(m.entries[e.LicenseID])+1)
	}
	m.entries[e.LicenseID] = append(m.entries[e.LicenseID], e.Closed())
	if d, isAny := e.Disclosure(); isAny {
		m.disclosures[e.LicenseID] = append(m.disclosures[e.LicenseID], d)
	}
	m.states[e.LicenseID] = to
	return nil
}

// Disclosures implements audit.Store.
func (m *Memory) Disclosures(_ context.Context, licenseID string, first, last int64) ([]audit.Disclosure, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.disclosures[licenseID]), func(d audit.Disclosure) bool {
		return d.Sequence < first || d.Sequence > last
	}), nil
}

// Forget implements audit.Store.
func (m *Memory) Forget(_ context.Context, licenseID string, before int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.disclosures[licenseID] = slices.DeleteFunc(m.disclosures[licenseID], func(d audit.Disclosure) bool {
		return d.Sequence < before
	})
	return nil
}

// Entries implements audit.Store.
func (m *Memory) Entries(_ context.Context, licenseID string, after int64, limit int) ([]audit.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	entries := m.entries[licenseID]
	if planted := m.planted[licenseID]; planted.Sequence == int64(len(entries))+1 {
		entries = append(slices.Clone(entries), planted)
	}
	entries = entries[min(max(int(after), 0), len(entries)):]
	return slices.Clone(entries[:min(limit, len(entries))]), nil
}
