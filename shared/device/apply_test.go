package device_test

import (
	"context"
	"sync"

	"openlicenser/shared/device"
)

// applied is a device.Store in memory, which is device.Write.Apply and nothing else.
type applied struct {
	mu    sync.Mutex
	seats map[string]*device.Seats
}

func (a *applied) Seats(ctx context.Context, licenseID string) (*device.Seats, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seats[licenseID], ctx.Err()
}

func (a *applied) Write(ctx context.Context, licenseID string, w device.Write) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	after, err := w.Apply(a.seats[licenseID])
	if err == nil {
		a.seats[licenseID] = after
	}
	return err
}

func (a *applied) ForgetNames(ctx context.Context, id string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	a.seats[id] = a.seats[id].WithoutNames()
	return nil
}

func (a *applied) Remove(ctx context.Context, licenseID string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	delete(a.seats, licenseID)
	return nil
}
