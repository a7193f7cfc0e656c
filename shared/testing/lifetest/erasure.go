package lifetest

import (
	"net/http"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	"openlicenser/shared/vendorapi"
)

// erase issues a license to a customer who then asks to be forgotten. It is verified as before, without the name, and
// its reference is free.
func (d driver) erase() {
	d.Helper()
	const reference = "order 4714/é"
	draft := vendorapi.LicenseDraft{
		CustomerName: "Jane Doe", ExpirationDate: "2099-01-31", Email: "jane@example.com", Reference: reference,
	}
	issuing := vendorapi.Options{IdempotencyKey: uuid.NewString()}
	issued, err := d.api.Issue(d.Context(), draft, issuing)
	issued = d.wantLicense(issued, err, http.StatusCreated)
	d.wantNameInToken(issued.LicenseKey, "Jane Doe")

	erase := func(reason string, o vendorapi.Options) (vendorapi.License, error) {
		return d.api.Erase(d.Context(), vendorapi.ByReference(reference), reason, o)
	}
	for _, reason := range []string{"", "jane DOE has asked"} {
		_, err = erase(reason, vendorapi.Options{})
		d.refused(err, http.StatusBadRequest, "INVALID_FIELDS", "reason")
	}
	_, err = erase("asked by letter", vendorapi.Options{IfMatch: `"0-0"`})
	d.refused(err, http.StatusPreconditionFailed, "STALE")
	erasing := vendorapi.Options{IdempotencyKey: uuid.NewString(), IfMatch: issued.ETag}
	erased, err := erase("asked by letter", erasing)
	erased = d.wantLicense(erased, err, http.StatusOK)
	first := string(d.last.body)
	again, err := erase("asked by letter", erasing)
	d.wantLicense(again, err, http.StatusOK)
	if erased.Erased == "" || erased.Version != 2 || strings.Contains(first, "Jane") ||
		string(d.last.body) != first || d.last.header.Get("Idempotency-Replayed") != "true" {
		d.Errorf("erased: %s, then %s %v", first, d.last.body, d.last.header)
	}

	d.wantNameInToken(issued.LicenseKey, "erased")
	d.wantNameInToken(issued.ShortKey, "erased")
	d.wantListed(vendorapi.ListQuery{Reference: reference})
	_, err = d.api.License(d.Context(), vendorapi.ByReference(reference))
	d.refused(err, http.StatusNotFound, "LICENSE_NOT_FOUND")
	_, err = d.api.Issue(d.Context(), draft, issuing)
	d.refused(err, http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED")
	email := "jane@example.com"
	_, err = d.api.Change(d.Context(), issued.LicenseID, vendorapi.LicensePatch{Email: &email},
		vendorapi.Options{IfMatch: "*"})
	d.refused(err, http.StatusBadRequest, "INVALID_FIELDS", "email")
	other, err := d.api.Issue(d.Context(), draft, vendorapi.Options{})
	if other = d.wantLicense(other, err, http.StatusCreated); other.LicenseID == issued.LicenseID {
		d.Error("the reference has made the erased license again")
	}
}

// wantNameInToken wants the key to be traded for a token that names the customer so.
func (d driver) wantNameInToken(key, name string) {
	d.Helper()
	token, err := jwt.ParseSigned(d.verify(key, ""), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		d.Fatal(err)
	}
	var claims struct {
		CustomerName string `json:"customername"`
	}
	if err := token.UnsafeClaimsWithoutVerification(&claims); err != nil || claims.CustomerName != name {
		d.Errorf("the token names %q, want %q, %v", claims.CustomerName, name, err)
	}
}
