package verification

import (
	"encoding/json"
	"errors"
	"net/http"

	"openlicenser/shared/api"
	"openlicenser/shared/license"
	"openlicenser/shared/token"
)

// refusals are the definite answers: the original Java client shows a 400's error to its user and drops the
// license. A wrong signature and an unknown license answer alike.
var refusals = []struct {
	err  error
	code string
}{
	{errBadRequest, "BAD_LICENSE_SERVER_REQUEST"},
	{errMissingLicenseKey, "MISSING_LICENSE_KEY"},
	{token.ErrInvalidLicenseKey, "INVALID_LICENSE"},
	{license.ErrNotFound, "INVALID_LICENSE"},
	{errRevoked, "LICENSE_REVOKED"},
	{errSuspended, "LICENSE_SUSPENDED"},
	{errExpired, "LICENSE_EXPIRED"},
}

// internal answers everything that is not the caller's fault: on it the original Java client tries again, and
// then goes on with the token that it has.
var internal = api.Failure{Status: http.StatusInternalServerError, Code: "INTERNAL_LICENSE_SERVER_ERROR"}

// unknownKey answers developers, who ask for a key by its kid. No product asks for one, so it need not be a 400.
var unknownKey = api.Failure{Status: http.StatusNotFound, Code: "UNKNOWN_KEY_ID"}

func failure(err error) api.Failure {
	if errors.Is(err, errUnknownKeyID) {
		return unknownKey
	}
	for _, refusal := range refusals {
		if errors.Is(err, refusal.err) {
			return api.Failure{Status: http.StatusBadRequest, Code: refusal.code}
		}
	}
	return internal
}

// retryAfterSeconds asks a product that honors it to come back when a short fault will have passed.
const retryAfterSeconds = "30"

// render writes the one body that the products in the field know.
func render(f api.Failure) api.Response {
	body, err := json.Marshal(map[string]string{"error": f.Code})
	if err != nil {
		panic(err) // a map of strings always marshals
	}
	header := map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store"}
	if f.Status >= http.StatusInternalServerError {
		header["Retry-After"] = retryAfterSeconds
	}
	return api.Response{Status: f.Status, Header: header, Body: body}
}
