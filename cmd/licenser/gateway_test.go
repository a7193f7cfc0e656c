package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/functions/verify/verification"
	"openlicenser/shared/api"
	"openlicenser/shared/embedded"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/samtemplate"
)

// TestRoutesAreTheTemplates: the local server serves what the template declares, no more and no less, and the same
// routes are guarded.
func TestRoutesAreTheTemplates(t *testing.T) {
	served := map[string]string{}
	for _, router := range []api.Router{verification.Verifier{}.Router(), vendorRouter(t)} {
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

// vendorRouter returns the vendor's API on an empty data folder.
func vendorRouter(t *testing.T) api.Router {
	t.Helper()
	path, log := t.TempDir(), telemetry.NewLogger(io.Discard)
	folder, err := embedded.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { folder.Close() })
	checkpoints, errCheckpoints := openCheckpoints(folder, path, time.Hour, log)
	router, err := serveCommand{lifetime: time.Hour}.issuer(folder, checkpoints, log)
	if err := errors.Join(errCheckpoints, err); err != nil {
		t.Fatal(err)
	}
	return router
}

// templateRoutes returns the template's routes and how each is authorized.
func templateRoutes(t *testing.T) map[string]string {
	t.Helper()
	routes := map[string]string{}
	for path, methods := range readAPI(t).Paths {
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

// readAPI returns the API as the template declares it.
func readAPI(t *testing.T) samtemplate.API {
	t.Helper()
	template, err := samtemplate.Read()
	if err != nil {
		t.Fatal(err)
	}
	api, err := template.API()
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// TestGatewayResponsesAreTheTemplates: what API Gateway answers by itself carries what products read, and the local
// server says the same.
func TestGatewayResponsesAreTheTemplates(t *testing.T) {
	declared := readAPI(t).GatewayResponses
	if len(declared) == 0 {
		t.Fatal("the template declares none")
	}
	for name, response := range declared {
		var body struct{ Error, Code string }
		if err := json.Unmarshal([]byte(response.Templates["application/json"]), &body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		code := response.Status
		isBadRequest := code == http.StatusBadRequest
		if body.Error == "" || body.Code != body.Error || isBadRequest && body.Error != "BAD_LICENSE_SERVER_REQUEST" {
			t.Errorf("%s answers %d %+v", name, code, body)
		}
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
		status, body := declared[name].Status, declared[name].Templates["application/json"]
		if recorder.Body.String() != body || recorder.Code != status {
			t.Errorf("%s: the local server answers %d %s, API Gateway %d %s",
				name, recorder.Code, recorder.Body, status, body)
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
			"id": r.PathParameter("licenseid"), "query": lastOfEach(values), "queryvalues": values,
			"principal": r.Principal(), "body": body,
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
	url := server.URL + "/things/a%2Fb?x=1&x=2&y=%20"
	response, err := server.Client().Post(url, "", strings.NewReader("\xff\x00binary"))
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

// TestGatewayPassesPathParameters: whatever stands in a part of the path gets to the handler as it is meant.
func TestGatewayPassesPathParameters(t *testing.T) {
	server := newTestGateway(t, "someone")
	for sent, want := range map[string]string{
		"ref:order%204711": "ref:order 4711", "ref%3Aa%2Fb%2fc": "ref:a/b/c", "ref:50%2525": "ref:50%25",
		"ref:a+b":                 "ref:a+b",
		"ref:%C3%84%3F%23%26=;,@": "ref:Ä?#&=;,@", "ref:..": "ref:..", "ref:%E6%97%A5": "ref:日",
	} {
		response, err := server.Client().Post(server.URL+"/things/"+sent, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ ID string }
		err = json.NewDecoder(response.Body).Decode(&got)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || got.ID != want {
			t.Errorf("%s: got %d %q, %v, want %q", sent, response.StatusCode, got.ID, err, want)
		}
	}
}

// TestGatewayIsOpenToWebPages: on the public routes alone a preflight is answered, and every answer can be read by
// pages of any origin.
func TestGatewayIsOpenToWebPages(t *testing.T) {
	verifier, issuer := verification.Verifier{Log: telemetry.NewLogger(io.Discard)}.Router(), vendorRouter(t)
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
		lambdaFunction{router: vendorRouter(t)},
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
