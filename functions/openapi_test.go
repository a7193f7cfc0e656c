package functions_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/testing/apitest"
	"openlicenser/shared/testing/samtemplate"
)

// readAPI returns the API as the template declares it, and as openapi.yaml does.
func readAPI(t *testing.T) (declared samtemplate.API, document *apitest.Document) {
	t.Helper()
	declared, err := readTemplate(t).API()
	if err != nil {
		t.Fatal(err)
	}
	document, err = apitest.Read()
	if err != nil {
		t.Fatal(err)
	}
	return declared, document
}

// TestOpenAPIRoutes: openapi.yaml has the template's routes, by the same names, and the same ones are public.
func TestOpenAPIRoutes(t *testing.T) {
	declared, document := readAPI(t)
	deployed := map[string]apitest.Operation{}
	for path, methods := range declared.Paths {
		for method, operation := range methods {
			route := strings.ToUpper(method) + " " + path
			deployed[route] = apitest.Operation{ID: operation.ID, Public: len(operation.Security) == 0}
		}
	}
	if diff := cmp.Diff(deployed, document.Operations()); diff != "" {
		t.Errorf("(-template +openapi.yaml):\n%s", diff)
	}
}

// TestOpenAPIGatewayCodes: openapi.yaml has, for each status, the codes of the responses that API Gateway makes by
// itself.
func TestOpenAPIGatewayCodes(t *testing.T) {
	declared, document := readAPI(t)
	deployed := map[int][]string{}
	for name, response := range declared.GatewayResponses {
		body := struct{ Code string }{}
		if err := json.Unmarshal([]byte(response.Templates["application/json"]), &body); err != nil {
			t.Fatal(err)
		}
		if response.Status == 0 {
			if !strings.HasPrefix(name, "DEFAULT_") {
				t.Errorf("%s has no status", name)
			}
			continue // any status, and a code that others have too
		}
		codes := append(deployed[response.Status], body.Code)
		slices.Sort(codes)
		deployed[response.Status] = slices.Compact(codes)
	}
	var public, vendor []string
	for route, operation := range document.Operations() {
		if operation.Public {
			public = append(public, route)
		} else {
			vendor = append(vendor, route)
		}
	}
	got := document.Values("application/json", "code", vendor...)
	delete(got, http.StatusServiceUnavailable) // of the local server alone
	if diff := cmp.Diff(deployed, got); diff != "" {
		t.Errorf("vendor's routes (-template +openapi.yaml):\n%s", diff)
	}
	// The public routes share one schema with the function for 400 and 500. They have neither credentials nor a part of
	// the path that can lead nowhere.
	for _, status := range []int{400, 401, 404, 500} {
		delete(deployed, status)
	}
	got = document.Values("application/json", "code", public...)
	delete(got, http.StatusServiceUnavailable)
	delete(got, 400)
	delete(got, 500)
	if diff := cmp.Diff(deployed, got); diff != "" {
		t.Errorf("public routes (-template +openapi.yaml):\n%s", diff)
	}
}
