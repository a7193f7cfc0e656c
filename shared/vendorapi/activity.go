package vendorapi

import (
	"context"
	"net/url"
)

// Activity tells what products have asked about a license.
type Activity struct {
	LicenseID string  `json:"licenseid"`
	Since     Instant `json:"since"`              // how far back it looks
	Last      Instant `json:"last,omitzero"`      // the last verification; absent: none
	LastToken Instant `json:"lasttoken,omitzero"` // the last that was a yes
	Asked     []Asked `json:"answers"`            // the most recent first
}

// Asked are the verifications of one device that had the same answer.
type Asked struct {
	Code   string  `json:"code"`             // OK, or the error
	Device string  `json:"device,omitempty"` // of a license with devices
	Count  int     `json:"count"`
	Last   Instant `json:"last"`
}

// Activity returns what products have asked since the server was started. Only the local server knows that: on AWS the
// logs of the verify function tell it.
func (c *Client) Activity(ctx context.Context, licenseID string) (a Activity, err error) {
	err = c.get(ctx, "/local/activity/"+url.PathEscape(licenseID), nil, &a)
	return a, err
}
