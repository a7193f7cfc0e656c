package vendorapi

import (
	"context"
	"net/http"

	"openlicenser/shared/token"
)

// Verification is what a product asks: see POST /verify-license.
type Verification struct {
	LicenseKey   string `json:"licensekey"`
	Fingerprint  string `json:"fingerprint,omitempty"` // of the device, where the license is for a number of them
	DeviceName   string `json:"devicename,omitempty"`
	LeaseMinutes int    `json:"leaseminutes,omitempty"` // 0: as long as the license says
}

// Verify returns an authorization token. It sends no credentials. A definite no is a *Problem with a code as
// LICENSE_REVOKED.
func (c *Client) Verify(ctx context.Context, v Verification) (token string, err error) {
	var body struct {
		Message string `json:"message"`
	}
	_, err = c.do(ctx, request{method: http.MethodPost, path: "/verify-license", body: v, isPublic: true}, &body)
	return body.Message, err
}

// TokenKeys returns the published token keys. The one that signs now comes first.
func (c *Client) TokenKeys(ctx context.Context) (set token.KeySet, err error) {
	_, err = c.do(ctx, request{method: http.MethodGet, path: "/.well-known/jwks.json", isPublic: true}, &set)
	return set, err
}

// PublicKeyPEM returns the token key that signs now, as products embed it.
func (c *Client) PublicKeyPEM(ctx context.Context) (text string, err error) {
	_, err = c.do(ctx, request{method: http.MethodGet, path: "/public-key.pem", isPublic: true}, &text)
	return text, err
}
