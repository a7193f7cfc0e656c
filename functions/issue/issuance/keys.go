package issuance

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"openlicenser/shared/api"
	"openlicenser/shared/license"
	"openlicenser/shared/token"
	"openlicenser/shared/vendorapi"
)

// Keys hands out license keys.
type Keys struct {
	Licenses license.Store // is only read
	Secrets  token.Secrets // sign the keys
	Issuer   string        // the claim iss
	Now      func() time.Time
}

var _ Part = Keys{}

func (k Keys) routes() api.Routes {
	return api.Routes{
		"GET /licenses/{licenseid}/key": k.get,
	}
}

func (k Keys) lacking() []string {
	return lacking("Keys", ports{"Licenses": k.Licenses != nil, "Secrets": k.Secrets != nil, "Now": k.Now != nil})
}

// get shows the license key again.
func (k Keys) get(ctx context.Context, r api.Request) (api.Response, error) {
	l, err := read(ctx, k.Licenses, r)
	if err != nil {
		return api.Response{}, err
	}
	key, err := k.sign(ctx, l)
	if err != nil {
		return api.Response{}, err
	}
	return noStore(api.JSON(http.StatusOK, key))
}

// sign returns the license key of a license, in both forms, by one secret.
func (k Keys) sign(ctx context.Context, l license.License) (vendorapi.LicenseKey, error) {
	ring, err := k.Secrets.Ring(ctx)
	if err != nil {
		return vendorapi.LicenseKey{}, fmt.Errorf("license-key secret: %w", err)
	}
	secret := ring.Signing(k.Now())
	long, err := token.SignLicenseKey(secret, k.Issuer, l)
	if err != nil {
		return vendorapi.LicenseKey{}, err
	}
	short, _ := token.SignShortKey(secret, l.ID)
	return vendorapi.LicenseKey{LicenseKey: long, ShortKey: short}, nil
}
