package verification

import (
	"encoding/json"
	"errors"
	"net/http"

	"openlicenser/shared/api"
	"openlicenser/shared/device"
	"openlicenser/shared/license"
	"openlicenser/shared/token"
	"openlicenser/shared/vendorapi"
)

// refusals are the errors that are the caller's, each a 400: the original Java client shows its code to the user and
// drops the license. A wrong signature and an unknown license have the same code.
var refusals = []struct {
	err  error
	code string
}{
	{errBadRequest, "BAD_LICENSE_SERVER_REQUEST"},
	{errBadQuery, "BAD_LICENSE_SERVER_REQUEST"},
	{errMissingLicenseKey, "MISSING_LICENSE_KEY"},
	{token.ErrInvalidLicenseKey, "INVALID_LICENSE"},
	{license.ErrNotFound, "INVALID_LICENSE"},
	{errRevoked, "LICENSE_REVOKED"},
	{errSuspended, "LICENSE_SUSPENDED"},
	{errExpired, "LICENSE_EXPIRED"},
	{errFingerprintRequired, "FINGERPRINT_REQUIRED"},
	{errInvalidFingerprint, "INVALID_FINGERPRINT"},
	{device.ErrReleaseLimit, "RELEASE_LIMIT_REACHED"},
}

// internal is the failure for every error that is not the caller's. On it the original Java client tries again, and
// then goes on with the token that it has.
var internal = api.Failure{Status: http.StatusInternalServerError, Code: "INTERNAL_LICENSE_SERVER_ERROR"}

// unknownKey is the failure for a kid that no published key has. Only developers ask for a key by its kid and no
// product does, so it need not be a 400.
var unknownKey = api.Failure{Status: http.StatusNotFound, Code: "UNKNOWN_KEY_ID"}

func failure(err error) api.Failure {
	if errors.Is(err, errUnknownKeyID) {
		return unknownKey
	}
	var limit *deviceLimitError
	if errors.As(err, &limit) {
		return api.Failure{
			Status: http.StatusBadRequest,
			Code:   "DEVICE_LIMIT_REACHED",
			Fields: vendorapi.NewDevices(limit.limit, limit.devices),
		}
	}
	for _, refusal := range refusals {
		if errors.Is(err, refusal.err) {
			return api.Failure{Status: http.StatusBadRequest, Code: refusal.code}
		}
	}
	return internal
}

// render returns the response to a failure, with the body that products in the field know.
func render(f api.Failure) api.Response {
	said := struct {
		Error string `json:"error"`
		*vendorapi.Devices
	}{Error: f.Code}
	if devices, isLimit := f.Fields.(vendorapi.Devices); isLimit {
		said.Devices = &devices
	}
	body, err := json.Marshal(said)
	if err != nil {
		panic(err) // texts, numbers and instants always marshal
	}
	header := map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store"}
	if f.Status >= http.StatusInternalServerError {
		header["Retry-After"] = api.RetryAfterFault
	}
	return api.Response{Status: f.Status, Header: header, Body: body}
}
