package issuance

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"openlicenser/shared/api"
	"openlicenser/shared/device"
	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/vendorapi"
)

// wholeMinutes returns the longest lease that is none on request, by the lifetime of a token.
func wholeMinutes(lifetime time.Duration) int { return int(lifetime / time.Minute) }

// devices shows which devices hold the seats of a license.
func (s Licenses) devices(ctx context.Context, r api.Request) (api.Response, error) {
	l, err := readWithDevices(ctx, s.Store, r)
	if err != nil {
		return api.Response{}, err
	}
	seats, err := s.seats(ctx, l)
	if err != nil {
		return api.Response{}, err
	}
	body := vendorapi.NewDevices(l.MaxDevices, seats.Devices(l.SeatsEpoch, s.Now()))
	return noStore(api.JSON(http.StatusOK, body))
}

// seats returns the seats of a license, and nil for one without devices.
func (s Licenses) seats(ctx context.Context, l license.License) (*device.Seats, error) {
	if l.MaxDevices == 0 {
		return nil, nil
	}
	return s.Devices.Seats(ctx, l.ID)
}

// readWithDevices returns the license that the path names. What it says of devices must be understood.
func readWithDevices(ctx context.Context, store license.Store, r api.Request) (license.License, error) {
	l, err := read(ctx, store, r)
	if err == nil && !l.DevicesAreKnown() {
		err = errDevicesUnknown
	}
	return l, err
}

// errDevicesUnknown refuses what needs an attribute that another tool has written in a form of its own.
var errDevicesUnknown = &license.TransitionError{
	Message: "What the license says of its devices cannot be understood; change maxdevices first.",
}

// resetDevices takes the seats of all devices back. It is a change of the license, and on its audit trail.
func (s Licenses) resetDevices(ctx context.Context, r api.Request, a attempt) (api.Response, error) {
	reason, err := readRequiredReason(r)
	if err != nil {
		return api.Response{}, err
	}
	changed, err := s.update(ctx, r, a, reason, license.License.ResetDevices)
	if err != nil {
		return api.Response{}, err
	}
	return api.Response{
		Status: http.StatusNoContent,
		Header: map[string]string{"ETag": changed.Header["ETag"], "Cache-Control": "no-store"},
	}, nil
}

// releaseDevice takes the seat of one device back. What is not held is taken back already. The license stays as it is,
// so the log says who did it and why.
func (s Licenses) releaseDevice(ctx context.Context, r api.Request) (api.Response, error) {
	reason, err := readRequiredReason(r)
	if err != nil {
		return api.Response{}, err
	}
	ifMatch, err := readIfMatch(r)
	if err != nil {
		return api.Response{}, err
	}
	l, err := readWithDevices(ctx, s.Store, r)
	switch {
	case err != nil:
		return api.Response{}, err
	case !ifMatch.allows(l):
		return api.Response{}, errStale
	}
	id := r.PathParameter("device")
	if device.IsID(id) {
		telemetry.Note(ctx, slog.String("device", id))
	}
	telemetry.Note(ctx, slog.String("principal", r.Principal()), slog.String("reason", reason))
	seats, err := s.seats(ctx, l)
	if err != nil {
		return api.Response{}, err
	}
	terms := device.Terms{Epoch: l.SeatsEpoch, Max: l.MaxDevices}
	if err := device.GiveBack(ctx, s.Devices, l.ID, seats, terms, id, s.Now(), true); err != nil {
		return api.Response{}, err
	}
	return api.Response{
		Status: http.StatusNoContent, Header: map[string]string{"Cache-Control": "no-store"},
	}, nil
}
