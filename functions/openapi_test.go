package functions_test

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"openlicenser/shared/testing/apitest"
)

// apiTemplate is the part of the template that these tests read.
type apiTemplate struct {
	Resources struct {
		Api struct {
			Properties struct {
				DefinitionBody struct {
					Paths map[string]map[string]struct {
						OperationID string `yaml:"operationId"`
						Security    []any
					}
					GatewayResponses map[string]struct {
						StatusCode        int               `yaml:"statusCode"`
						ResponseTemplates map[string]string `yaml:"responseTemplates"`
					} `yaml:"x-amazon-apigateway-gateway-responses"`
				} `yaml:"DefinitionBody"`
			} `yaml:"Properties"`
		} `yaml:"Api"`
	} `yaml:"Resources"`
}

func readAPI(t *testing.T) (template apiTemplate, document *apitest.Document) {
	t.Helper()
	text, err := os.ReadFile("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	document, err = apitest.Read()
	if err != nil {
		t.Fatal(err)
	}
	return template, document
}

// TestOpenAPIRoutes: openapi.yaml has the template's routes, by the same names, and the same ones are public.
func TestOpenAPIRoutes(t *testing.T) {
	template, document := readAPI(t)
	deployed := map[string]apitest.Operation{}
	for path, methods := range template.Resources.Api.Properties.DefinitionBody.Paths {
		delete(methods, "options") // see TestPreflights
		for method, operation := range methods {
			deployed[strings.ToUpper(method)+" "+path] = apitest.Operation{
				ID:     operation.OperationID,
				Public: len(operation.Security) == 0,
			}
		}
	}
	if diff := cmp.Diff(deployed, document.Operations()); diff != "" {
		t.Errorf("(-template +openapi.yaml):\n%s", diff)
	}
}

// TestOpenAPIGatewayCodes: openapi.yaml has, for each status, the codes of the responses that API Gateway makes by
// itself.
func TestOpenAPIGatewayCodes(t *testing.T) {
	template, document := readAPI(t)
	deployed := map[int][]string{}
	for name, response := range template.Resources.Api.Properties.DefinitionBody.GatewayResponses {
		body := struct{ Code string }{}
		if err := json.Unmarshal([]byte(response.ResponseTemplates["application/json"]), &body); err != nil {
			t.Fatal(err)
		}
		if response.StatusCode == 0 {
			if !strings.HasPrefix(name, "DEFAULT_") {
				t.Errorf("%s has no status", name)
			}
			continue // any status, and a code that others have too
		}
		codes := append(deployed[response.StatusCode], body.Code)
		slices.Sort(codes)
		deployed[response.StatusCode] = slices.Compact(codes)
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
