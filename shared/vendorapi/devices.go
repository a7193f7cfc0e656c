package vendorapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"openlicenser/shared/device"
)

// Devices are the devices that hold the seats of a license.
type Devices struct {
	Limit   *int     `json:"limit"` // null: the license is for as many devices as like
	Devices []Device `json:"devices"`
}

// Device is a device that holds a seat. Nothing tells which computer it is but the name that the product gave.
type Device struct {
	ID    string  `json:"id"`
	Name  string  `json:"name"`
	Since Instant `json:"since"`
	Until Instant `json:"until"`
}

// NewDevices returns the devices of a license, of which a limit of 0 says that there is none.
func NewDevices(limit int, held []device.Device) Devices {
	devices := Devices{Devices: make([]Device, len(held))}
	if limit > 0 {
		devices.Limit = &limit
	}
	for i, d := range held {
		devices.Devices[i] = Device{d.ID, d.Name, Instant{d.Since}, Instant{d.Until}}
	}
	return devices
}

// Devices returns the devices that hold the seats of a license.
func (c *Client) Devices(ctx context.Context, licenseID string) (devices Devices, err error) {
	err = c.get(ctx, devicesPath(licenseID), nil, &devices)
	return devices, err
}

// ResetDevices takes the seats of all devices back. The server wants a reason. It returns the ETag that the license has
// then.
func (c *Client) ResetDevices(ctx context.Context, licenseID, reason string, o Options) (etag string, err error) {
	header, err := c.do(ctx, request{
		method: http.MethodDelete, path: devicesPath(licenseID), body: change{Reason: reason}, Options: o,
	}, nil)
	return header.Get("ETag"), err
}

// ReleaseDevice takes the seat of one device back, which may hold none. The server wants a reason, and does not know an
// Idempotency-Key here.
func (c *Client) ReleaseDevice(ctx context.Context, licenseID, deviceID, reason string, o Options) error {
	if deviceID == "" { // the path would be that of all devices
		return errors.New("no device is named")
	}
	_, err := c.do(ctx, request{
		method: http.MethodDelete, path: devicesPath(licenseID) + "/" + url.PathEscape(deviceID),
		body: change{Reason: reason}, Options: o.conditions(),
	}, nil)
	return err
}

func devicesPath(licenseID string) string { return licensePath(licenseID) + "/devices" }
