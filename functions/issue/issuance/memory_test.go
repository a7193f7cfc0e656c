package issuance_test

import (
	"context"
	"iter"
	"maps"
	"reflect"
	"slices"
	"time"

	"openlicenser/shared/attribute"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/device"
	"openlicenser/shared/idempotency"
	"openlicenser/shared/license"
)

// memoryLicenses is a license.Store for one caller at a time. It lists by id, and counts its writes.
type memoryLicenses struct {
	records    map[string]attribute.Map
	references map[string]string
	writes     int
}

var _ license.Store = (*memoryLicenses)(nil)

func (m *memoryLicenses) Get(_ context.Context, id string) (license.License, error) {
	record, found := m.records[id]
	if !found {
		return license.License{}, license.ErrNotFound
	}
	return license.FromRecord(record)
}

func (m *memoryLicenses) Create(_ context.Context, l license.License) error {
	if _, found := m.records[l.ID]; found {
		return license.ErrExists
	}
	if holder, isTaken := m.references[l.Reference]; isTaken && l.Reference != "" {
		return &license.ReferenceTakenError{Reference: l.Reference, LicenseID: holder}
	}
	if err := m.refer(l); err != nil {
		return err
	}
	m.put(l.ID, l.Record())
	return nil
}

// refer takes the reference of a license.
func (m *memoryLicenses) refer(l license.License) error {
	holder, isTaken := m.references[l.Reference]
	switch {
	case l.Reference == "":
		return nil
	case isTaken && holder != l.ID:
		return &license.ReferenceTakenError{Reference: l.Reference, LicenseID: holder}
	case m.references == nil:
		m.references = map[string]string{}
	}
	m.references[l.Reference] = l.ID
	return nil
}

func (m *memoryLicenses) Referenced(_ context.Context, reference string) (string, error) {
	if id, isTaken := m.references[reference]; isTaken {
		return id, nil
	}
	return "", license.ErrNotFound
}

func (m *memoryLicenses) put(id string, record attribute.Map) {
	m.records[id] = record
	m.writes++
}

func (m *memoryLicenses) Update(_ context.Context, before, after license.License) error {
	if !m.meets(before) {
		return license.ErrConflict
	}
	if err := m.refer(after); err != nil {
		return err
	}
	updated := maps.Clone(m.records[before.ID])
	set, remove := license.Delta(before, after)
	maps.Copy(updated, set)
	for _, name := range remove {
		delete(updated, name)
	}
	m.put(before.ID, updated)
	return nil
}

func (m *memoryLicenses) Erase(
	_ context.Context, before, after license.License, references []string,
) error {
	stored, found := m.records[after.ID]
	if before.ID == "" && found || before.ID != "" && !m.meets(before) {
		return license.ErrConflict
	}
	for _, reference := range references {
		if m.references[reference] == after.ID {
			delete(m.references, reference)
		}
	}
	if before.ID == "" {
		m.put(after.ID, after.Tombstone())
		return nil
	}
	set, remove := license.Delta(before, after)
	m.put(after.ID, license.Amendment{Set: set, Remove: remove}.Apply(stored))
	return nil
}

func (m *memoryLicenses) Remove(_ context.Context, l license.License) error {
	if !m.meets(l) {
		return license.ErrConflict
	}
	delete(m.records, l.ID)
	m.writes++
	return nil
}

func (m *memoryLicenses) meets(l license.License) bool {
	stored, found := m.records[l.ID]
	for name, value := range l.Expectation() {
		found = found && reflect.DeepEqual(stored[name], value)
	}
	return found
}

func (m *memoryLicenses) List(_ context.Context, q license.Query) (page license.Page, err error) {
	ids := slices.Sorted(maps.Keys(m.records))
	for _, id := range slices.Backward(ids) {
		l, err := license.FromRecord(m.records[id])
		if err != nil || !q.Matches(l) || q.Position != "" && id >= q.Position {
			continue
		}
		if len(page.Licenses) == q.Limit {
			page.Next = page.Licenses[q.Limit-1].ID
			break
		}
		page.Licenses = append(page.Licenses, l)
	}
	return page, nil
}

// Record and Hashes implement checkpoint.Records.
func (m *memoryLicenses) Record(_ context.Context, id string) (attribute.Map, error) {
	return m.records[id], nil
}

func (m *memoryLicenses) Hashes(context.Context) iter.Seq2[checkpoint.RecordHash, error] {
	panic("the vendor's API asks for single ones")
}

// memoryPlans is a license.PlanStore for one caller at a time. It counts its writes.
type memoryPlans struct {
	plans  map[string]license.Plan
	writes int
}

var _ license.PlanStore = (*memoryPlans)(nil)

func (m *memoryPlans) Get(_ context.Context, name string) (license.Plan, error) {
	p, found := m.plans[name]
	if !found {
		return license.Plan{}, license.ErrNoPlan
	}
	return p, nil
}

func (m *memoryPlans) Put(_ context.Context, before, after license.Plan) error {
	if m.plans[after.Name].Version != before.Version {
		return license.ErrPlanConflict
	}
	m.plans[after.Name] = after
	m.writes++
	return nil
}

func (m *memoryPlans) Delete(_ context.Context, p license.Plan) error {
	delete(m.plans, p.Name)
	m.writes++
	return nil
}

func (m *memoryPlans) List(_ context.Context, after string, limit int) (page []license.Plan, err error) {
	for _, name := range slices.Sorted(maps.Keys(m.plans)) {
		if name > after && len(page) < limit {
			page = append(page, m.plans[name])
		}
	}
	return page, nil
}

// memoryDevices is a device.Store for one caller at a time.
type memoryDevices map[string]*device.Seats

var _ device.Store = memoryDevices(nil)

func (m memoryDevices) Seats(_ context.Context, id string) (*device.Seats, error) { return m[id], nil }

func (m memoryDevices) Write(_ context.Context, id string, w device.Write) error {
	after, err := w.Apply(m[id])
	if err == nil {
		m[id] = after
	}
	return err
}

func (m memoryDevices) ForgetNames(_ context.Context, id string) error {
	m[id] = m[id].WithoutNames()
	return nil
}

func (m memoryDevices) Remove(_ context.Context, id string) error {
	delete(m, id)
	return nil
}

// memoryKeys is an idempotency.Store for one caller at a time.
type memoryKeys map[string]idempotency.Record

var _ idempotency.Store = memoryKeys(nil)

func (m memoryKeys) Put(_ context.Context, r idempotency.Record, now time.Time) (*idempotency.Record, error) {
	if existing, found := m[r.Key]; found && now.Before(existing.Expires) {
		return &existing, nil
	}
	m[r.Key] = r
	return nil, nil
}

func (m memoryKeys) TakeOver(_ context.Context, key string, from, to time.Time) error {
	r := m[key]
	if r.Response != nil || !r.LeaseEnds.Equal(from) {
		return idempotency.ErrInFlight
	}
	r.LeaseEnds = to
	m[key] = r
	return nil
}

func (m memoryKeys) Complete(_ context.Context, key string, a idempotency.Response) error {
	r := m[key]
	if r.Fingerprint == "" {
		return idempotency.ErrGone
	}
	a.Header = maps.Clone(a.Header)
	r.Response = &a
	m[key] = r
	return nil
}

func (m memoryKeys) Release(_ context.Context, key string) error {
	delete(m, key)
	return nil
}

func (m memoryKeys) Forget(_ context.Context, licenseID, except string) error {
	for key, r := range m {
		if r.LicenseID == licenseID && key != except {
			r.Fingerprint, r.Response = "", nil
			m[key] = r
		}
	}
	return nil
}
