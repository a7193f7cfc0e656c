package licensing

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Devices are those that hold the seats of a license.
type Devices struct {
	Limit   int      // how many may at the same time; 0 for as many as like
	Devices []Device // oldest first
}

// Device is a device that holds a seat.
type Device struct {
	ID    string
	Name  string
	Since time.Time
	Until time.Time // the end of its last token
	This  bool      // it is this computer
}

// Devices asks who holds the seats of the license, also where it cannot be used. The error is a *Refusal, a
// *ServerError, or that of the network.
func (c *Client) Devices(ctx context.Context) (Devices, error) {
	r := c.currentRules()
	got, err := c.service.post(ctx, "/list-devices", question{LicenseKey: r.key})
	if err != nil {
		return Devices{}, err
	}
	if got.status != http.StatusOK {
		return Devices{}, errorOf(got)
	}
	var said struct {
		Limit   *int `json:"limit"`
		Devices []struct {
			ID    string    `json:"id"`
			Name  string    `json:"name"`
			Since time.Time `json:"since"`
			Until time.Time `json:"until"`
		} `json:"devices"`
	}
	if json.Unmarshal(got.body, &said) != nil || said.Devices == nil {
		return Devices{}, errorOf(got)
	}
	var devices Devices
	if said.Limit != nil {
		devices.Limit = *said.Limit
	}
	own := deviceID(r.licenseID, r.fingerprint)
	for _, d := range said.Devices {
		devices.Devices = append(devices.Devices, Device{d.ID, d.Name, d.Since, d.Until, d.ID == own})
	}
	return devices, nil
}

// Release gives the seat of a device back. An empty id gives back that of this computer, and then its token is deleted:
// the status is Unknown, and the service is asked again by Refresh, SetKey or the next start only. A status of Refused
// stays. The error is as that of Devices, a *Refusal with RELEASE_LIMIT_REACHED among it.
func (c *Client) Release(ctx context.Context, device string) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	r := c.currentRules()
	asked := c.now()
	q := question{LicenseKey: r.key, Device: device}
	if device == "" {
		q.Fingerprint = r.fingerprint
	}
	got, err := c.service.post(ctx, "/release-device", q)
	switch {
	case err != nil:
		return err
	case got.status != http.StatusNoContent:
		return errorOf(got)
	case device == "" || device == deviceID(r.licenseID, r.fingerprint):
		c.forget(r, asked)
	}
	return nil
}

// forget deletes the token. Other processes of the product read that.
func (c *Client) forget(asker rules, asked time.Time) {
	c.mu.Lock()
	if asker.key == c.rules.key {
		c.known = c.rules.givenBack(c.known, asked)
	}
	c.mu.Unlock()
	c.save(asker)
	c.publish()
}

func (c *Client) currentRules() rules {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rules
}

// errorOf tells a definite no from all other answers that bring nothing.
func errorOf(got response) error {
	code := codeOf(got.body)
	if got.status == http.StatusBadRequest && (code.isRefusal() || code == releaseLimitReached) {
		return &Refusal{code}
	}
	return &ServerError{got.status, code}
}

const releaseLimitReached Code = "RELEASE_LIMIT_REACHED"
