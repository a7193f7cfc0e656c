package issuance

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/checkpoint"
	"openlicenser/shared/device"
	"openlicenser/shared/idempotency"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/apitest"
	"openlicenser/shared/urlpattern"
	"openlicenser/shared/vendorapi"
)

// TestOpenAPILimits: openapi.yaml has the limits that the code has.
func TestOpenAPILimits(t *testing.T) {
	document, err := apitest.Read()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"schemas CustomerName maxLength":                       license.MaxCustomerName,
		"schemas LicenseDraft properties notes maxLength":      license.MaxNotes,
		"schemas LicensePatch properties notes maxLength":      license.MaxNotes,
		"schemas LicenseDraft properties gracedays maximum":    license.MaxGraceDays,
		"schemas LicensePatch properties gracedays maximum":    license.MaxGraceDays,
		"schemas NewMaxDevices maximum":                        license.MaxDevices,
		"schemas PlanDraft properties notes maxLength":         license.MaxNotes,
		"schemas PlanDraft properties gracedays maximum":       license.MaxGraceDays,
		"schemas PlanDraft properties durationdays maximum":    license.MaxPlanDays,
		"schemas PlanDraft properties updatesdays maximum":     license.MaxPlanDays,
		"schemas Plan properties gracedays maximum":            license.MaxGraceDays,
		"schemas Plan properties maxdevices maximum":           license.MaxDevices,
		"schemas Plan properties leaseminutes minimum":         license.MinLeaseMinutes,
		"schemas Plan properties durationdays maximum":         license.MaxPlanDays,
		"schemas Plan properties updatesdays maximum":          license.MaxPlanDays,
		"schemas PlanList properties plans maxItems":           vendorapi.MaxLimit,
		"schemas NewLeaseMinutes maximum":                      license.MaxLeaseMinutes,
		"schemas NewMaxLeaseMinutes maximum":                   license.MaxLeaseMinutes,
		"schemas Verification properties devicename maxLength": device.MaxName,
		"schemas NewReference maxLength":                       license.MaxReference,
		"parameters ReferenceFilter schema maxLength":          license.MaxReference,
		"schemas NewEmail maxLength":                           license.MaxEmail,
		"parameters EmailFilter schema maxLength":              license.MaxEmail,
		"parameters CustomerNameFilter schema maxLength":       license.MaxCustomerName,
		"schemas Services maxItems":                            license.MaxServices,
		"schemas LicensePatch properties services maxItems":    license.MaxServices,
		"schemas Service properties serviceName maxLength":     license.MaxServiceText,
		"schemas Service properties serviceValue maxLength":    license.MaxServiceText,
		"schemas AppURLs maxItems":                             license.MaxAppURLs,
		"schemas LicensePatch properties appurls maxItems":     license.MaxAppURLs,
		"schemas AppURL properties URL maxLength":              urlpattern.MaxURL,
		"schemas ReasonText maxLength":                         license.MaxReason,
		"schemas Removal properties reason maxLength":          license.MaxReason,
		"schemas Erasure properties reason maxLength":          license.MaxReason,
		"schemas LicenseList properties licenses maxItems":     vendorapi.MaxLimit,
		"schemas AuditPage properties entries maxItems":        vendorapi.MaxLimit,
		"parameters Limit schema maximum":                      vendorapi.MaxLimit,
		"parameters Limit schema default":                      defaultLimit,
		"parameters IdempotencyKey schema maxLength":           idempotency.MaxKey,
	} {
		if got := fmt.Sprint(document.At(strings.Fields("components " + path)...)); got != fmt.Sprint(want) {
			t.Errorf("%s is %s, want %d", path, got, want)
		}
	}
}

// TestOpenAPIPlanName: openapi.yaml has the form of a plan's name that the code has, wherever it has one.
func TestOpenAPIPlanName(t *testing.T) {
	document, err := apitest.Read()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"parameters PlanName schema pattern", "schemas Plan properties plan pattern"} {
		form, err := regexp.Compile(fmt.Sprint(document.At(strings.Fields("components " + path)...)))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{
			"a", "Pro-2.1_eu", strings.Repeat("x", 64), strings.Repeat("x", 65), "", ".a", "-a", "_a", "a b", "é",
		} {
			if form.MatchString(name) != license.IsPlanName(name) {
				t.Errorf("%s: %q", path, name)
			}
		}
	}
}

// TestOpenAPICodes: openapi.yaml has, for each status, the codes of the failure table, no more and no less. The local
// server adds one for a request without the vendor's token.
func TestOpenAPICodes(t *testing.T) {
	document, err := apitest.Read()
	if err != nil {
		t.Fatal(err)
	}
	errs := []error{
		&license.InvalidError{}, &license.TransitionError{}, &license.ReferenceTakenError{}, &bodyError{},
		&checkpoint.ArchiveError{}, &unfinishedError{cause: errors.New("x")}, errors.New("anything else"),
	}
	for _, f := range failures {
		errs = append(errs, f.err)
	}
	answered := map[int][]string{http.StatusUnauthorized: {"UNAUTHORIZED"}}
	for _, err := range errs {
		f := failure(err)
		answered[f.Status] = append(answered[f.Status], f.Code)
		slices.Sort(answered[f.Status])
		answered[f.Status] = slices.Compact(answered[f.Status])
	}
	documented := document.Values("application/problem+json", "code", document.Routes()...)
	if diff := cmp.Diff(answered, documented); diff != "" {
		t.Errorf("(-failures +openapi.yaml):\n%s", diff)
	}
}

// TestOpenAPIParameters: openapi.yaml has the query parameters of each route that takes some, with the statuses and
// orders that there are.
func TestOpenAPIParameters(t *testing.T) {
	document, err := apitest.Read()
	if err != nil {
		t.Fatal(err)
	}
	for route, want := range queryParameters {
		method, path, _ := strings.Cut(route, " ")
		var documented []string
		for n := range 20 {
			at := func(names ...string) any {
				name := append([]string{"paths", path, strings.ToLower(method), "parameters", fmt.Sprint(n)}, names...)
				return document.At(name...)
			}
			if at("in") == "query" {
				documented = append(documented, at("name").(string))
			}
			var all any
			switch at("name") {
			case "status":
				all = statuses
			case "order":
				all = orders
			default:
				continue
			}
			if got := fmt.Sprint(at("schema", "enum")); got != fmt.Sprint(all) {
				t.Errorf("%s, %s: openapi.yaml has %s, want %v", route, at("name"), got, all)
			}
		}
		slices.Sort(documented)
		if diff := cmp.Diff(want, documented); diff != "" {
			t.Errorf("%s (-code +openapi.yaml):\n%s", route, diff)
		}
	}
}
