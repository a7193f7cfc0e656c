package issuance

import (
	"encoding/json"
	"time"

	"openlicenser/shared/api"
	"openlicenser/shared/license"
)

// representation is a license as the vendor sees it. Its names are those of the stored record. What cannot be understood
// of the record is left out, and named by Problems.
type representation struct {
	LicenseID      string           `json:"licenseid"`
	Status         license.Status   `json:"status"`
	CustomerID     string           `json:"customerid"`
	CustomerName   *string          `json:"customername,omitempty"`
	ExpirationDate end              `json:"expirationdate,omitzero"`
	GraceDays      *int             `json:"gracedays,omitempty"`
	Services       license.JSONList `json:"services,omitempty"`
	AppURLs        license.JSONList `json:"appurls,omitempty"`
	Notes          string           `json:"notes"`
	TokenKeyID     string           `json:"tokenkeyid,omitempty"`
	Version        int64            `json:"version"`
	Created        string           `json:"created,omitempty"`
	Changed        string           `json:"changed,omitempty"`
	ChangedBy      string           `json:"changedby,omitempty"`
	ChangeReason   string           `json:"changereason,omitempty"`

	Problems []license.FieldError `json:"problems,omitempty"`

	LicenseKey string `json:"licensekey,omitempty"` // only in the answer to POST /licenses
}

func (i Issuer) represent(l license.License) representation {
	return representation{
		LicenseID:      l.ID,
		Status:         l.Status(i.Now()),
		CustomerID:     l.CustomerID,
		CustomerName:   understood(l, "customername", l.CustomerName),
		ExpirationDate: end(l.ExpirationDate),
		GraceDays:      understood(l, "gracedays", l.GraceDays),
		Services:       l.Services,
		AppURLs:        l.AppURLs,
		Notes:          l.Notes,
		TokenKeyID:     l.TokenKeyID,
		Version:        l.Version,
		Created:        formatInstant(l.Created),
		Changed:        formatInstant(l.Changed),
		ChangedBy:      l.ChangedBy,
		ChangeReason:   l.ChangeReason,
		Problems:       l.Problems,
	}
}

// understood returns nil for a field that cannot be.
func understood[T any](l license.License, field string, value T) *T {
	if l.HasProblem(field) {
		return nil
	}
	return &value
}

// end is an expiration date, and null for Never. It is zero where it cannot be understood.
type end time.Time

func (e end) IsZero() bool { return time.Time(e).IsZero() }

func (e end) MarshalJSON() ([]byte, error) {
	if !time.Time(e).Before(license.Never) {
		return []byte("null"), nil
	}
	return json.Marshal(license.FormatDate(time.Time(e)))
}

// formatInstant answers nothing for no instant, and for one beyond RFC 3339's four-digit years: another tool has then
// counted in something else than milliseconds, and clients could not read it.
func formatInstant(t time.Time) string {
	if t.IsZero() || t.Year() < 1 || t.Year() > 9999 {
		return ""
	}
	return license.FormatDate(t)
}

// withETag answers a license with its entity tag.
func withETag(status int, l license.License, body representation) (api.Response, error) {
	response, err := noStore(api.JSON(status, body))
	if err != nil {
		return api.Response{}, err
	}
	response.Header["ETag"] = entityTag(l)
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
