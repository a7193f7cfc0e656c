package verification

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"openlicenser/shared/api"
	"openlicenser/shared/device"
	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/token"
	"openlicenser/shared/vendorapi"
)

// The errors that products are told of, where a license has devices.
var (
	errFingerprintRequired = errors.New("no fingerprint, and the license is for devices")
	errInvalidFingerprint  = errors.New("the fingerprint is not 8 to 256 printable ASCII characters")
	errNoDevices           = errors.New("the seats of devices are kept nowhere: the function has no table of devices")
)

// deviceLimitError reports that other devices hold all seats.
type deviceLimitError struct {
	limit   int
	devices []device.Device
}

func (e *deviceLimitError) Error() string { return "other devices hold all seats" }

// deviceLookup is what is read of devices.
type deviceLookup struct {
	seats     *device.Seats
	signature reusable // of the device's token
	err       error
	isRead    bool
}

// readSeats reads the seats alone.
func (v Verifier) readSeats(ctx context.Context, licenseID string) (*device.Seats, error) {
	if v.Devices == nil {
		return nil, errNoDevices
	}
	return v.Devices.Seats(ctx, licenseID)
}

// checkDevice returns what is wrong with what a request tells of its device.
func (r request) checkDevice() error {
	switch {
	case r.isOdd:
		return errBadRequest
	case r.fingerprint == "":
		return errFingerprintRequired
	case !device.IsFingerprint(r.fingerprint):
		return errInvalidFingerprint
	}
	return nil
}

// authorizeDevice returns the token of a device that has a seat, or gets one. The token leaves only after the write
// that covers its exp was acknowledged, or was read, strongly consistent, as done.
func (v Verifier) authorizeDevice(ctx context.Context, asked request, found lookup, now time.Time) (string, error) {
	if err := asked.checkDevice(); err != nil {
		return "", err
	}
	deviceID := asked.deviceOn(found.id)
	telemetry.Note(ctx, slog.String("device", deviceID))
	wish := func(l license.License) device.Wish { // at each attempt, so that a new seat is younger than all before
		return v.wish(l, asked, deviceID, v.Now())
	}
	l, grant, seats, err := v.grant(ctx, found, wish, now)
	if err != nil {
		return "", err
	}
	if grant.Until.IsZero() {
		telemetry.Count(ctx, telemetry.SeatsRefusedKey)
		return "", &deviceLimitError{l.MaxDevices, seats.InTheWay(l.SeatsEpoch, now)}
	}
	countSeat(ctx, grant.Kind)
	kept := found.device.signature
	enough := wish(l).Enough
	if grant.Until.Before(enough) {
		enough = grant.Until
	}
	if kept.Expires.After(seatEnd(grant, seats, deviceID)) || kept.Expires.Before(enough) {
		kept = reusable{}
	}
	lease := token.Lease{Device: deviceID, Expires: grant.Until}
	authorization, signature, err := v.Authorizer.AuthorizeDevice(ctx, l, lease, now, kept.Signature)
	if err != nil {
		return "", err
	}
	v.Reuse.keep(ctx, found.id, deviceID, kept, signature, signature.Expires)
	return authorization, nil
}

// wish returns what a device wants: a token for the lease that it asks for, as far as the license allows.
func (v Verifier) wish(l license.License, asked request, deviceID string, now time.Time) device.Wish {
	lease := v.lease(l, asked.leaseMinutes)
	until := now.Add(lease)
	enough := now.Add(lease / 10 * 9)
	if end := l.EndsAt(); end.Before(until) {
		until = end
	}
	until = until.Truncate(time.Second)
	if until.Before(enough) {
		enough = until
	}
	return device.Wish{
		Device: deviceID, Name: asked.deviceName, Nameless: l.IsErased(), Now: now, Until: until, Enough: enough,
	}
}

// lease returns for how long a device gets its seat.
func (v Verifier) lease(l license.License, askedMinutes int) time.Duration {
	usual := v.Authorizer.Lifetime
	if l.LeaseMinutes > 0 {
		usual = min(usual, time.Duration(l.LeaseMinutes)*time.Minute)
	}
	if askedMinutes == 0 {
		return usual
	}
	longest := max(usual, time.Duration(l.MaxLeaseMinutes)*time.Minute)
	return min(longest, max(time.Duration(askedMinutes), license.MinLeaseMinutes)*time.Minute)
}

// maxGrants bounds how often the seats are read again because others have changed them meanwhile.
const maxGrants = 20

var (
	errSeatsBusy    = errors.New("the seats of the license are being changed by others all the time")
	errNoDevicesNow = errors.New("the license has lost its maxdevices in this moment; the product asks again")
)

// grant finds or takes a seat. It returns the license and the seats that decided.
func (v Verifier) grant(
	ctx context.Context, found lookup, wish func(license.License) device.Wish, now time.Time,
) (l license.License, grant device.Grant, seats *device.Seats, err error) {
	l, seats = found.license, found.device.seats
	if found.device.err != nil {
		return l, grant, seats, found.device.err
	}
	for attempt := range maxGrants {
		if seats != nil && seats.Epoch != l.SeatsEpoch {
			// Either may be older than the other. The license is read again, after the seats, and then counts.
			if l, err = v.Licenses.Get(ctx, found.id); err == nil {
				err = usable(l, now)
			}
			if err == nil && l.MaxDevices == 0 {
				err = errNoDevicesNow
			}
			if err != nil {
				return l, grant, seats, err
			}
		}
		grant = seats.Grant(device.Terms{Epoch: l.SeatsEpoch, Max: l.MaxDevices}, wish(l))
		if grant.Write == nil {
			return l, grant, seats, nil
		}
		if v.Devices == nil {
			return l, grant, seats, errNoDevices
		}
		err = v.Devices.Write(ctx, found.id, *grant.Write)
		if err == nil && !grant.Again {
			return l, grant, seats, nil
		}
		if errors.Is(err, device.ErrConflict) {
			err = device.Pause(ctx, attempt)
		}
		if err != nil {
			return l, grant, seats, err
		}
		if seats, err = v.Devices.Seats(ctx, found.id); err != nil {
			return l, grant, seats, err
		}
	}
	return l, grant, seats, errSeatsBusy
}

// seatEnd returns until when the device holds its seat.
func seatEnd(grant device.Grant, seats *device.Seats, deviceID string) time.Time {
	if grant.Write == nil {
		return seats.Held[deviceID].Until
	}
	return grant.Until
}

func countSeat(ctx context.Context, kind device.Kind) {
	switch kind {
	case device.Acquired:
		telemetry.Count(ctx, telemetry.SeatsAcquiredKey)
	case device.TakenOver:
		telemetry.Count(ctx, telemetry.SeatsTakenOverKey)
	}
}

// listDevices shows the customer which devices hold the seats of a license, also where it cannot be used.
func (v Verifier) listDevices(ctx context.Context, r api.Request) (api.Response, error) {
	asked, err := readRequest(r)
	if err != nil {
		return api.Response{}, err
	}
	now := v.Now()
	found, err := v.findWithSeats(ctx, asked, now)
	if err != nil {
		return api.Response{}, err
	}
	body := vendorapi.NewDevices(found.license.MaxDevices, found.device.seats.Devices(found.license.SeatsEpoch, now))
	response, err := api.JSON(http.StatusOK, body)
	return withCaching(response, "no-store"), err
}

// findWithSeats returns the license that a request's key proves, and its seats.
func (v Verifier) findWithSeats(ctx context.Context, asked request, now time.Time) (lookup, error) {
	asked.fingerprint = "" // of no account for what is read
	found, err := v.find(ctx, asked, now)
	switch {
	case err != nil:
		return found, err
	case !found.license.DevicesAreKnown():
		return found, found.license.UnreadableError()
	case found.license.MaxDevices == 0:
		return found, nil
	}
	found.device.seats, err = v.readSeats(ctx, found.id)
	return found, err
}

// released returns the id of the device whose seat a request gives back.
func (r request) released(licenseID string) (string, error) {
	switch {
	case r.isOddDevice:
		return "", errBadRequest
	case r.device != "":
		return r.device, nil
	}
	return r.deviceOn(licenseID), r.checkDevice()
}

// releaseDevice gives the seat of a device back, so that another one can have it. What is not held is given back
// already.
func (v Verifier) releaseDevice(ctx context.Context, r api.Request) (api.Response, error) {
	asked, err := readRequest(r)
	if err != nil {
		return api.Response{}, err
	}
	now := v.Now()
	found, err := v.findWithSeats(ctx, asked, now)
	if err != nil {
		return api.Response{}, err
	}
	deviceID, err := asked.released(found.id)
	if err != nil {
		return api.Response{}, err
	}
	terms := device.Terms{Epoch: found.license.SeatsEpoch, Max: found.license.MaxDevices}
	if err := device.GiveBack(ctx, v.Devices, found.id, found.device.seats, terms, deviceID, now, false); err != nil {
		return api.Response{}, err
	}
	return api.Response{Status: http.StatusNoContent, Header: map[string]string{"Cache-Control": "no-store"}}, nil
}
