package issuance

import (
	"encoding/json"
	"time"

	"openlicenser/shared/api"
	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

// represent returns a license as the vendor sees it now.
func represent(l license.License, now time.Time) vendorapi.License {
	return vendorapi.License{
		LicenseID:       l.ID,
		Status:          l.Status(now),
		CustomerID:      l.CustomerID,
		CustomerName:    understood(l, license.AttrCustomerName, l.CustomerName),
		ExpirationDate:  vendorapi.End{Time: l.ExpirationDate},
		GraceDays:       understood(l, license.AttrGraceDays, l.GraceDays),
		UpdatesUntil:    instant(l.UpdatesUntil),
		Plan:            l.Plan,
		Services:        json.RawMessage(l.Services),
		AppURLs:         json.RawMessage(l.AppURLs),
		Notes:           l.Notes,
		Reference:       l.Reference,
		Email:           l.Email,
		MaxDevices:      l.MaxDevices,
		LeaseMinutes:    l.LeaseMinutes,
		MaxLeaseMinutes: l.MaxLeaseMinutes,
		TokenKeyID:      l.TokenKeyID,
		Erased:          l.Erased,
		Version:         l.Version,
		Created:         instant(l.Created),
		Changed:         instant(l.Changed),
		ChangedBy:       l.ChangedBy,
		ChangeReason:    l.ChangeReason,
		Problems:        l.Problems,
		ETag:            entityTag(l),
	}
}

// understood returns nil for a field that cannot be.
func understood[T any](l license.License, field string, value T) *T {
	if l.HasProblem(field) {
		return nil
	}
	return &value
}

// instant leaves out one beyond RFC 3339's four-digit years, which clients could not read. Another tool has then
// counted in something else than milliseconds.
func instant(t time.Time) vendorapi.Instant {
	if t.Year() < 1 || t.Year() > 9999 {
		return vendorapi.Instant{}
	}
	return vendorapi.Instant{Time: t}
}

// withETag responds with a license and its entity tag.
func withETag(status int, l vendorapi.License) (api.Response, error) {
	response, err := noStore(api.JSON(status, l))
	if err != nil {
		return api.Response{}, err
	}
	response.Header["ETag"] = l.ETag
	return response, nil
}

// noStore keeps licenses and their keys out of caches.
func noStore(response api.Response, err error) (api.Response, error) {
	if err != nil {
		return api.Response{}, err
	}
	response.Header["Cache-Control"] = "no-store"
	return response, nil
}
