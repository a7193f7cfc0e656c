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
	heads   map[string]audit.Head
	entries map[string][]audit.Entry
	planted map[string]audit.Entry // behind the end of a chain
}

var _ audit.Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory(t TB) *Memory {
	return &Memory{
		t: t, heads: map[string]audit.Head{}, entries: map[string][]audit.Entry{}, planted: map[string]audit.Entry{},
	}
}

// Chain returns all entries of a license.
func (m *Memory) Chain(licenseID string) []audit.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.entries[licenseID])
}

// SetHead replaces the true head, as an attacker would.
func (m *Memory) SetHead(licenseID string, head audit.Head) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heads[licenseID] = head
}

// Plant puts an entry behind the end of a chain, as an attacker would. Sequence 0 takes it away again.
func (m *Memory) Plant(e audit.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.planted[e.LicenseID] = e
}

// Head implements audit.Store.
func (m *Memory) Head(_ context.Context, licenseID string) (audit.Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heads[licenseID], nil
}

// Append implements audit.Store.
func (m *Memory) Append(_ context.Context, from audit.Head, e audit.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.Sequence < 1 {
		return audit.ErrNoSequence
	}
	if m.heads[e.LicenseID] != from || m.planted[e.LicenseID].Sequence == e.Sequence {
		return audit.ErrConflict
	}
	if e.Sequence != int64(len(m.entries[e.LicenseID]))+1 {
		m.t.Errorf("entry %d was appended where entry %d belongs", e.Sequence, len(m.entries[e.LicenseID])+1)
	}
	m.entries[e.LicenseID] = append(m.entries[e.LicenseID], e)
	m.heads[e.LicenseID] = from.After(e)
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
