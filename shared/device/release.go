package device

import (
	"context"
	"errors"
	"slices"
	"time"
)

// minReleases is how many tokens may run on after their seats were given back, of a license with fewer seats.
const minReleases = 3

// ErrReleaseLimit reports that as many seats were given back as may be, while their tokens are still valid. Else a seat
// could hop from device to device.
var ErrReleaseLimit = errors.New("as many seats were given back as may be while their tokens are still valid")

// Release returns the write that gives the seat of a device back, and nil where it holds none. One that has ended is
// held until another device may have it. A customer may do so only while fewer than max(3, Max) tokens of such seats
// are still valid; the error is ErrReleaseLimit. The vendor may always.
func (s *Seats) Release(t Terms, device string, now time.Time, byVendor bool) (*Write, error) {
	if s == nil || s.Epoch != t.Epoch {
		return nil, nil
	}
	seat, has := s.Held[device]
	if !has || !seat.isHeld(now) {
		return nil, nil
	}
	write := &Write{Epoch: t.Epoch, Device: device, From: &seat}
	if byVendor {
		return write, nil
	}
	running := slices.DeleteFunc(slices.Clone(s.Released), func(end time.Time) bool { return !end.After(now) })
	if len(running) >= max(minReleases, t.Max) {
		return nil, ErrReleaseLimit
	}
	end := seat.Until
	if !end.After(now) {
		end = end.Add(clockSlack) // until then a product with a slow clock takes its token for valid
	}
	write.Released, write.WasReleased = append(running, end), s.Released
	return write, nil
}

// maxReleases bounds how often the seats are read again because others have changed them meanwhile.
const maxReleases = 10

// GiveBack gives the seat of a device back, of seats as they were read. Where others change them meanwhile, it begins
// anew. The error is ErrReleaseLimit, or of the store.
func GiveBack(
	ctx context.Context, store Store, licenseID string, s *Seats, t Terms, device string, now time.Time, byVendor bool,
) error {
	for attempt := range maxReleases {
		write, err := s.Release(t, device, now, byVendor)
		if err != nil || write == nil {
			return err
		}
		err = store.Write(ctx, licenseID, *write)
		if errors.Is(err, ErrConflict) {
			err = Pause(ctx, attempt)
		} else if err == nil {
			return nil
		}
		if err != nil {
			return err
		}
		if s, err = store.Seats(ctx, licenseID); err != nil {
			return err
		}
	}
	return ErrConflict
}
