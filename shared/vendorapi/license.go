package vendorapi

import (
	"encoding/json"
	"time"

	"openlicenser/shared/license"
)

// License is a license as the vendor's API shows it. The names are those of the stored record, but for those of the
// instants. What cannot be understood of the record is absent or zero, and Problems names it.
type License struct {
	LicenseID       string          `json:"licenseid"`
	Status          license.Status  `json:"status"`
	CustomerID      string          `json:"customerid"`
	CustomerName    *string         `json:"customername,omitempty"`
	ExpirationDate  End             `json:"expirationdate,omitzero"`
	GraceDays       *int            `json:"gracedays,omitempty"`
	UpdatesUntil    Instant         `json:"updatesuntil,omitzero"` // absent: updates have no end
	Plan            string          `json:"plan,omitempty"`        // that it was issued from
	Services        json.RawMessage `json:"services,omitempty"`    // of license.Service, unless another tool wrote it
	AppURLs         json.RawMessage `json:"appurls,omitempty"`     // of license.AppURL, unless another tool wrote it
	Notes           string          `json:"notes"`
	Reference       string          `json:"reference,omitempty"`
	Email           string          `json:"email,omitempty"`
	MaxDevices      int             `json:"maxdevices,omitempty"`      // absent: as many as like
	LeaseMinutes    int             `json:"leaseminutes,omitempty"`    // absent: as long as a token is valid
	MaxLeaseMinutes int             `json:"maxleaseminutes,omitempty"` // absent: leaseminutes
	TokenKeyID      string          `json:"tokenkeyid,omitempty"`
	Erased          string          `json:"erased,omitempty"` // the mark of the last erasure; absent: there was none
	Version         int64           `json:"version"`
	Created         Instant         `json:"created,omitzero"`
	Changed         Instant         `json:"changed,omitzero"`
	ChangedBy       string          `json:"changedby,omitempty"`
	ChangeReason    string          `json:"changereason,omitempty"`

	Problems []license.FieldError `json:"problems,omitempty"`

	// The two forms of the license key are only in the response to POST /licenses. ShortKey is empty where the id is no
	// lower-case UUID.
	LicenseKey string `json:"licensekey,omitempty"`
	ShortKey   string `json:"shortkey,omitempty"`

	// ETag is the entity tag in the response's header, for Options.IfMatch. Licenses of a list have none.
	ETag string `json:"-"`
}

// Instant is a point in time, to the millisecond. The zero Instant is absent.
type Instant struct{ time.Time }

// MarshalJSON writes the one form of the vendor's API, as 2030-01-31T12:00:00.000Z.
func (i Instant) MarshalJSON() ([]byte, error) { return json.Marshal(license.FormatDate(i.Time)) }

// End is the expiration date of a license, and null where it has no end. The zero End is absent: the record's date
// cannot be understood.
type End struct{ time.Time }

// IsNever reports whether the license has no end.
func (e End) IsNever() bool { return !e.Before(license.Never) }

// MarshalJSON writes null or the form of an Instant.
func (e End) MarshalJSON() ([]byte, error) {
	if e.IsNever() {
		return []byte("null"), nil
	}
	return Instant(e).MarshalJSON()
}

// UnmarshalJSON reads null as license.Never.
func (e *End) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		e.Time = license.Never
		return nil
	}
	return e.Time.UnmarshalJSON(text)
}

// LicensePage is a page of a list.
type LicensePage struct {
	Licenses []License `json:"licenses"`
	Cursor   string    `json:"cursor,omitempty"` // leads to the next page; empty at the end
}

// LicenseKey is the response to GET /licenses/{licenseid}/key. A product takes either form.
type LicenseKey struct {
	LicenseKey string `json:"licensekey"`
	ShortKey   string `json:"shortkey,omitempty"` // empty where the license's id is no lower-case UUID
}

// LicenseDraft is a license to be issued. What is absent comes from the plan, where the plan has it. An empty list, an
// empty text behind a pointer and a 0 behind one are not absent.
type LicenseDraft struct {
	Plan           string            `json:"plan,omitempty"`
	CustomerID     string            `json:"customerid,omitempty"` // a UUID; made when empty
	CustomerName   string            `json:"customername"`
	ExpirationDate string            `json:"expirationdate,omitempty"` // ISO 8601, or never
	UpdatesUntil   string            `json:"updatesuntil,omitempty"`   // ISO 8601, or never
	Services       []license.Service `json:"services,omitzero"`
	AppURLs        []license.AppURL  `json:"appurls,omitzero"`
	Notes          *string           `json:"notes,omitempty"`
	GraceDays      *int              `json:"gracedays,omitempty"`
	Reference      string            `json:"reference,omitempty"` // the vendor's own name for it, unique for ever
	Email          string            `json:"email,omitempty"`

	MaxDevices      *int `json:"maxdevices,omitempty"` // 1 to 250; 0: as many as like
	LeaseMinutes    *int `json:"leaseminutes,omitempty"`
	MaxLeaseMinutes *int `json:"maxleaseminutes,omitempty"`
}

// LicensePatch says what to change of a license. A nil field stays as it is, an empty value empties it.
type LicensePatch struct {
	CustomerName   *string            `json:"customername,omitempty"`
	Plan           *string            `json:"plan,omitempty"`           // see docs/api.md
	ExpirationDate *string            `json:"expirationdate,omitempty"` // ISO 8601, or never
	UpdatesUntil   *string            `json:"updatesuntil,omitempty"`   // ISO 8601, or never
	Services       *[]license.Service `json:"services,omitempty"`
	AppURLs        *[]license.AppURL  `json:"appurls,omitempty"`
	Notes          *string            `json:"notes,omitempty"`
	GraceDays      *int               `json:"gracedays,omitempty"`
	TokenKeyID     *string            `json:"tokenkeyid,omitempty"`
	Reference      *string            `json:"reference,omitempty"` // of a license that has none
	Email          *string            `json:"email,omitempty"`

	MaxDevices      *int `json:"maxdevices,omitempty"`
	LeaseMinutes    *int `json:"leaseminutes,omitempty"`
	MaxLeaseMinutes *int `json:"maxleaseminutes,omitempty"`

	Reason string `json:"reason,omitempty"` // for the audit trail
}
