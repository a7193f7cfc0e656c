package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"openlicenser/functions/issue/issuance"
	"openlicenser/functions/verify/verification"
	"openlicenser/shared/api"
	"openlicenser/shared/telemetry"
)

// TestRoutesAreTheTemplates: the local server serves what the template declares, no more and no less, and the same
// routes are guarded.
func TestRoutesAreTheTemplates(t *testing.T) {
	served := map[string]string{}
	for _, router := range []api.Router{verification.Verifier{}.Router(), issuance.Issuer{}.Router()} {
		for route := range router.Routes {
			served[route] = "AWS_IAM"
			if slices.Contains(router.Public, route) {
				served[route] = "NONE"
			}
		}
	}
	declared := templateRoutes(t)
	if !maps.Equal(served, declared) {
		t.Errorf("served:\n%v\ndeclared in the template:\n%v", served, declared)
	}
}

// templateRoutes returns the template's routes and how each is authorized.
func templateRoutes(t *testing.T) map[string]string {
	t.Helper()
	routes := map[string]string{}
	for path, methods := range readTemplate(t).Resources.Api.Properties.DefinitionBody.Paths {
		delete(methods, "options") // TestPreflights in functions holds them to the public routes
		for method, operation := range methods {
			authorization := "NONE"
			if len(operation.Security) > 0 {
				authorization = "AWS_IAM"
			}
			routes[strings.ToUpper(method)+" "+path] = authorization
		}
	}
	return routes
}

// samTemplate is what these tests read of template.yaml.
type samTemplate struct {
	Resources struct {
		Api struct {
			Properties struct {
				DefinitionBody struct {
					Paths map[string]map[string]struct {
						Security []any
					}
					GatewayResponses map[string]struct {
						StatusCode        any               `yaml:"statusCode"`
						ResponseTemplates map[string]string `yaml:"responseTemplates"`
						Parameters        map[string]string `yaml:"responseParameters"`
					} `yaml:"x-amazon-apigateway-gateway-responses"`
				} `yaml:"DefinitionBody"`
			} `yaml:"Properties"`
		} `yaml:"Api"`
	} `yaml:"Resources"`
}

func readTemplate(t *testing.T) (read samTemplate) {
	t.Helper()
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	return read
}

// TestGatewayResponsesAreTheTemplates: what API Gateway answers by itself carries what products read, and the local
// server says the same.
func TestGatewayResponsesAreTheTemplates(t *testing.T) {
	declared := readTemplate(t).Resources.Api.Properties.DefinitionBody.GatewayResponses
	if len(declared) == 0 {
		t.Fatal("the template declares none")
	}
	for name, response := range declared {
		var body struct{ Error, Code string }
		if err := json.Unmarshal([]byte(response.ResponseTemplates["application/json"]), &body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		status := fmt.Sprint(response.StatusCode)
		if body.Error == "" || body.Code != body.Error ||
			(status == "400") && body.Error != "BAD_LICENSE_SERVER_REQUEST" {
			t.Errorf("%s answers %s %+v", name, status, body)
		}
		code, _ := strconv.Atoi(status)
		if strings.HasPrefix(name, "DEFAULT_5") {
			code = http.StatusInternalServerError
		}
		header := http.Header{}
		setGatewayHeaders(header, code)
		header.Del("Content-Type") // which API Gateway sets by the template's
		parameters := map[string]string{}
		for name := range header {
			parameters["gatewayresponse.header."+name] = "'" + header.Get(name) + "'"
		}
		if diff := cmp.Diff(parameters, response.Parameters); diff != "" {
			t.Errorf("headers of %s (-local +template):\n%s", name, diff)
		}
	}
	for name, local := range map[string]gatewayResponse{
		"BAD_REQUEST_BODY":             badRequest,
		"MISSING_AUTHENTICATION_TOKEN": noSuchRoute,
		"REQUEST_TOO_LARGE":            requestTooLarge,
		"API_CONFIGURATION_ERROR":      internalError,
	} {
		recorder := httptest.NewRecorder()
		local.write(recorder)
		want := declared[name]
		if recorder.Body.String() != want.ResponseTemplates["application/json"] ||
			fmt.Sprint(recorder.Code) != fmt.Sprint(want.StatusCode) {
			t.Errorf(
				"%s: the local server answers %d %s, API Gateway %v %s",
				name,
				recorder.Code,
				recorder.Body,
				want.StatusCode,
				want.ResponseTemplates["application/json"],
			)
		}
	}
}

// newTestGateway echoes each event.
func newTestGateway(t *testing.T, principal string) *httptest.Server {
	t.Helper()
	echo := func(_ context.Context, r api.Request) (api.Response, error) {
		body, err := r.Body(maxPayload)
		if err != nil {
			return api.Response{}, err
		}
		values, err := r.QueryValues()
		if err != nil {
			return api.Response{}, err
		}
		return api.JSON(http.StatusOK, map[string]any{
			"id": r.PathParameter(
				"licenseid",
			), "query": r.QueryParameters(), "queryvalues": values, "principal": r.Principal(), "body": body,
		})
	}
	router := api.Router{
		Routes:  api.Routes{"POST /things/{licenseid}": echo},
		MaxBody: maxPayload,
		Log:     telemetry.NewLogger(io.Discard),
	}
	server := httptest.NewServer(newGateway(lambdaFunction{router: router, principal: principal}))
	t.Cleanup(server.Close)
	return server
}

func TestGatewayMakesEvents(t *testing.T) {
	server := newTestGateway(t, "someone")
	response, err := server.Client().Post(
		server.URL+"/things/a%2Fb?x=1&x=2&y=%20",
		"",
		strings.NewReader("\xff\x00binary"),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var got struct {
		ID, Principal string
		Query         map[string]string
		QueryValues   map[string][]string
		Body          []byte
	}
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.ID != "a/b" || got.Principal != "someone" || got.Query["x"] != "2" || got.Query["y"] != " " ||
		string(got.Body) != "\xff\x00binary" {
		t.Errorf("got %+v", got)
	}
	if x := got.QueryValues["x"]; !slices.Equal(x, []string{"1", "2"}) {
		t.Errorf("x stands for %q", x)
	}
	if response.Header.Get("X-Request-Id") == "" {
		t.Error("no request id")
	}
}

// TestGatewayIsOpenToWebPages: on the public routes alone a preflight is answered, and every answer can be read by
// pages of any origin.
func TestGatewayIsOpenToWebPages(t *testing.T) {
	verifier, issuer := verification.Verifier{
		Log: telemetry.NewLogger(io.Discard),
	}.Router(), issuance.Issuer{
		Log: telemetry.NewLogger(io.Discard),
	}.Router()
	server := httptest.NewServer(newGateway(lambdaFunction{router: verifier}, lambdaFunction{router: issuer}))
	defer server.Close()
	for route, authorization := range templateRoutes(t) {
		method, path, _ := strings.Cut(route, " ")
		t.Run(route, func(t *testing.T) {
			request, err := http.NewRequest(
				http.MethodOptions,
				server.URL+strings.ReplaceAll(path, "{licenseid}", "1"),
				nil,
			)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Origin", "https://app.example.com")
			request.Header.Set("Access-Control-Request-Method", method)
			response, err := server.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			allowed := response.Header.Get("Access-Control-Allow-Methods") == method &&
				response.StatusCode == http.StatusNoContent
			if allowed != (authorization == "NONE") {
				t.Errorf("got %d %v", response.StatusCode, response.Header)
			}
		})
	}
	for name, body := range map[string]string{"function's": "{}", "gateway's": strings.Repeat("a", maxPayload+1)} {
		response, err := server.Client().Post(server.URL+"/verify-license", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.Header.Get("Access-Control-Allow-Origin") != "*" || response.StatusCode < 400 {
			t.Errorf("%s: got %d %v", name, response.StatusCode, response.Header)
		}
	}
}

// TestGatewayAnswers: the responses that API Gateway makes by itself have the member that products read.
func TestGatewayAnswers(t *testing.T) {
	server := httptest.NewServer(newGateway(
		lambdaFunction{router: verification.Verifier{}.Router()},
		lambdaFunction{router: issuance.Issuer{}.Router()},
	))
	defer server.Close()
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		code               string
	}{
		"unknown path":   {"GET", "/nothing", "", 403, "MISSING_AUTHENTICATION_TOKEN"},
		"unknown method": {"PUT", "/licenses", "", 403, "MISSING_AUTHENTICATION_TOKEN"},
		"HEAD":           {"HEAD", "/licenses", "", 403, ""},
		"unclean path":   {"GET", "//licenses", "", 403, "MISSING_AUTHENTICATION_TOKEN"},
		"over 10 MB": {
			"POST", "/verify-license", strings.Repeat("a", maxPayload+1), 413, "REQUEST_TOO_LARGE",
		},
		"query not percent-encoded": {"GET", "/licenses?customerid=%zz", "", 400, "BAD_LICENSE_SERVER_REQUEST"},
		"query with a lone percent": {"GET", "/licenses?limit=1&status=%", "", 400, "BAD_LICENSE_SERVER_REQUEST"},
		"query with a semicolon":    {"GET", "/licenses?limit=1;status=active", "", 400, "BAD_LICENSE_SERVER_REQUEST"},
		"name not percent-encoded":  {"GET", "/licenses?%zz=1", "", 400, "BAD_LICENSE_SERVER_REQUEST"},
		"query of a public key":     {"GET", "/public-key.pem?kid=%zz", "", 400, "BAD_LICENSE_SERVER_REQUEST"},
		"vendor's":                  {"POST", "/licenses", strings.Repeat("a", maxPayload+1), 413, "REQUEST_TOO_LARGE"},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequest(test.method, server.URL+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			client := http.Client{
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			var got struct{ Error, Code string }
			if test.method != http.MethodHead {
				if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
					t.Fatal(err)
				}
			}
			if response.StatusCode != test.status || got.Error != test.code || got.Code != test.code {
				t.Errorf("got %d %+v", response.StatusCode, got)
			}
		})
	}
}
