package auditing_test

import (
	"context"
	"errors"
	"sync"

	"openlicenser/shared/audit"
)

// faultyStore is what one invocation sees of the runner's store. After every entry it looks whether one before was
// overwritten.
type faultyStore struct {
	runner  *runner
	name    string // of the invocation
	failing string // the license of which every call fails

	mu     sync.Mutex
	faults []fault // of the calls to come
	dead   bool    // the invocation has ended; that its code runs on here must change nothing
}

var (
	errFault = errors.New("a fault of the store")
	errDead  = errors.New("the invocation has ended")
)

func (s *faultyStore) next(licenseID string) (f fault, err error) {
	s.runner.turns.take(s.name + " " + licenseID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return none, errDead
	}
	if licenseID == s.failing {
		return none, errFault
	}
	if len(s.faults) > 0 {
		f, s.faults = s.faults[0], s.faults[1:]
	}
	s.dead = f == crashBefore || f == crashAfter
	switch f {
	case failBefore:
		err = errFault
	case crashBefore:
		err = errDead
	case panics:
		panic("a fault of the store")
	}
	return f, err
}

// after is what the caller gets to hear once the call is done.
func after(f fault, err error) error {
	switch f {
	case failAfter:
		return errFault
	case crashAfter:
		return errDead
	default:
		return err
	}
}

func (s *faultyStore) State(ctx context.Context, licenseID string) (audit.State, error) {
	f, err := s.next(licenseID)
	if err != nil {
		return audit.State{}, err
	}
	state, err := s.runner.store.State(ctx, licenseID)
	return state, after(f, err)
}

func (s *faultyStore) Append(ctx context.Context, from audit.Head, e audit.Entry, to audit.State) error {
	f, err := s.next(e.LicenseID)
	if err != nil {
		return err
	}
	err = s.runner.store.Append(ctx, from, e, to)
	if s.runner.want != nil {
		s.runner.checkPrefix(e.LicenseID)
	}
	return after(f, err)
}

func (s *faultyStore) Disclosures(
	ctx context.Context, licenseID string, first, last int64,
) ([]audit.Disclosure, error) {
	f, err := s.next(licenseID)
	if err != nil {
		return nil, err
	}
	disclosures, err := s.runner.store.Disclosures(ctx, licenseID, first, last)
	return disclosures, after(f, err)
}

func (s *faultyStore) Forget(ctx context.Context, licenseID string, before int64) error {
	f, err := s.next(licenseID)
	if err != nil {
		return err
	}
	return after(f, s.runner.store.Forget(ctx, licenseID, before))
}

func (s *faultyStore) Entries(ctx context.Context, licenseID string, beyond int64, limit int) ([]audit.Entry, error) {
	f, err := s.next(licenseID)
	if err != nil {
		return nil, err
	}
	entries, err := s.runner.store.Entries(ctx, licenseID, beyond, limit)
	return entries, after(f, err)
}
