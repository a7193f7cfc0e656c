package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"openlicenser/shared/api"
	"openlicenser/shared/telemetry"
)

// saw is what a handler sees of a request.
type saw struct {
	Route, Method, Path, URLPath string
	ID, Principal, Trace, Body   string
	Item, Part                   string
	Query                        map[string]string
}

func fronted(log *bytes.Buffer) api.Router {
	see := func(route string) api.Handler {
		return func(_ context.Context, r api.Request) (api.Response, error) {
			body, err := r.Body(100)
			if err != nil {
				return api.Response{}, err
			}
			return api.JSON(http.StatusOK, saw{
				route, r.Method(), r.Path(), r.URLPath(), r.ID(), r.Principal(), r.Header("X-Amzn-Trace-Id"),
				string(body), r.PathParameter("item"), r.PathParameter("part"), r.QueryParameters(),
			})
		}
	}
	return api.Router{
		Routes: api.Routes{
			"POST /keys":                    see("POST /keys"),
			"GET /keys":                     see("GET /keys"),
			"GET /items/{item}":             see("GET /items/{item}"),
			"GET /items/all":                see("GET /items/all"),
			"GET /items/{item}/parts":       see("GET /items/{item}/parts"),
			"POST /items/{item}/parts/sell": see("POST /items/{item}/parts/sell"),
			"GET /items/{item}/{part}":      see("GET /items/{item}/{part}"),
		},
		Public:   []string{"POST /keys", "GET /keys", "GET /items/all"},
		Fallback: see("none"),
		Log:      telemetry.NewConsoleLogger(log),
	}
}

// TestFronts: one request leads to one route, by whatever front it comes.
func TestFronts(t *testing.T) {
	const signed = `"authorizer":{"iam":{"userArn":"arn:me"}}`
	for name, test := range map[string]struct {
		event string
		want  saw
		log   string // the route in the log
	}{
		"REST API": {
			`{"httpMethod":"GET","resource":"/items/{item}","path":"/items/1","pathParameters":{"item":"1"},"body":null,
				"queryStringParameters":{"a":"b"},"headers":{"X-Amzn-Trace-Id":"trace"},
				"requestContext":{"requestId":"id","stage":"prod","path":"/prod/items/1",
					"identity":{"userArn":"arn:me"},"authorizer":null}}`,
			saw{Route: "GET /items/{item}", Method: "GET", Path: "/items/1", URLPath: "/prod/items/1", ID: "id",
				Principal: "arn:me", Trace: "trace",
				Item: "1", Query: map[string]string{"a": "b"}}, "",
		},
		"REST API, catch-all": {
			`{"httpMethod":"GET","resource":"/{proxy+}","path":"/items/a%2Fb","pathParameters":{"proxy":"items/a%2Fb"},
				"requestContext":{"stage":"items","path":"/items/items/a%2Fb"}}`,
			saw{Route: "GET /items/{item}", Method: "GET", Path: "/items/a%2Fb", URLPath: "/items/items/a%2Fb",
				Item: "a/b"}, "",
		},
		"REST API, a parameter as it was sent": {
			`{"httpMethod":"GET","resource":"/items/{item}","path":"/items/a%2Fb%20%2525+",
				"pathParameters":{"item":"a%2Fb%20%2525+"},"requestContext":{"path":"/p/items/a%2Fb%20%2525+"}}`,
			saw{Route: "GET /items/{item}", Method: "GET", Path: "/items/a%2Fb%20%2525+",
				URLPath: "/p/items/a%2Fb%20%2525+", Item: "a/b %25+"}, "",
		},
		"REST API, a parameter that cannot be decoded": {
			`{"httpMethod":"GET","resource":"/items/{item}/{part}","path":"/items/100%/%zz",
				"pathParameters":{"item":"100%","part":"%zz"},"requestContext":{"path":"/p/items/100%/%zz"}}`,
			saw{Route: "GET /items/{item}/{part}", Method: "GET", Path: "/items/100%/%zz", URLPath: "/p/items/100%/%zz",
				Item: "100%", Part: "%zz"}, "",
		},
		"HTTP API, a parameter that was decoded": {
			`{"version":"2.0","routeKey":"GET /items/{item}","rawPath":"/items/a/b %25",
				"pathParameters":{"item":"a/b %25"},
				"requestContext":{"stage":"$default","http":{"method":"GET"},` + signed + `}}`,
			saw{Route: "GET /items/{item}", Method: "GET", Path: "/items/a/b %25", URLPath: "/items/a/b %25",
				Principal: "arn:me", Item: "a/b %25"}, "",
		},
		"payload 1.0 of an HTTP API, a parameter that was decoded": {
			`{"version":"1.0","httpMethod":"GET","resource":"/items/{item}","path":"/items/50%25",
				"pathParameters":{"item":"50%25"},"requestContext":{"path":"/items/50%25","authorizer":{"claims":{}}}}`,
			saw{Route: "GET /items/{item}", Method: "GET", Path: "/items/50%25", URLPath: "/items/50%25",
				Item: "50%25"}, "",
		},
		"REST API, catch-all on a domain with a base path": {
			`{"httpMethod":"GET","resource":"/{proxy+}","path":"/shop/items/1","pathParameters":{"proxy":"items/1"},
				"requestContext":{"stage":"prod","path":"/shop/items/1"}}`,
			saw{Route: "GET /items/{item}", Method: "GET", Path: "/items/1", URLPath: "/shop/items/1", Item: "1"}, "",
		},
		"REST API, catch-all below a resource": {
			`{"httpMethod":"GET","resource":"/shop/{rest+}","path":"/shop/items/1","pathParameters":{"rest":"items/1"},
				"requestContext":{"path":"/p/shop/items/1"}}`,
			saw{Route: "GET /items/{item}", Method: "GET", Path: "/items/1", URLPath: "/p/shop/items/1", Item: "1"}, "",
		},
		"REST API, another authorizer": {
			`{"httpMethod":"GET","resource":"/keys","path":"/keys",
				"requestContext":{"authorizer":{"principalId":"user","iam":"arn:forged"}}}`,
			saw{Route: "GET /keys", Method: "GET", Path: "/keys", URLPath: "/keys"}, "",
		},
		"function URL": {
			`{"version":"2.0","routeKey":"$default","rawPath":"/items/1/parts/sell","rawQueryString":"a=1&a=2&b=%20",
				"cookies":["c=d"],
				"queryStringParameters":{"a":"1,2","b":" "},"headers":{"x-amzn-trace-id":"trace"},"body":"aGVsbG8=",
					"isBase64Encoded":true,
				"requestContext":{"requestId":"id","stage":"$default",
					"http":{"method":"POST","path":"/items/1/parts/sell"},` + signed + `}}`,
			saw{Route: "POST /items/{item}/parts/sell", Method: "POST", Path: "/items/1/parts/sell",
				URLPath: "/items/1/parts/sell", ID: "id",
				Principal: "arn:me", Trace: "trace", Body: "hello", Item: "1",
				Query: map[string]string{"a": "2", "b": " "}}, "",
		},
		"HTTP API, its own route": {
			`{"version":"2.0","routeKey":"GET /items/{item}","rawPath":"/items/1","pathParameters":{"item":"1"},
				"requestContext":{"stage":"$default","http":{"method":"GET"},"authorizer":{"jwt":{"claims":{}}}}}`,
			saw{Route: "GET /items/{item}", Method: "GET", Path: "/items/1", URLPath: "/items/1", Item: "1"}, "",
		},
		"HTTP API, a stage, ANY": {
			`{"version":"2.0","routeKey":"ANY /{proxy+}","rawPath":"/prod/items/1/2",
				"pathParameters":{"proxy":"items/1/2"},
				"requestContext":{"stage":"prod","http":{"method":"GET"},` + signed + `}}`,
			saw{Route: "GET /items/{item}/{part}", Method: "GET", Path: "/items/1/2", URLPath: "/prod/items/1/2",
				Principal: "arn:me", Item: "1", Part: "2"}, "",
		},
		"HTTP API, $default in a stage": {
			`{"version":"2.0","routeKey":"$default","rawPath":"/items/items/all",
				"requestContext":{"stage":"items","http":{"method":"GET"},"authorizer":null}}`,
			saw{Route: "GET /items/all", Method: "GET", Path: "/items/all", URLPath: "/items/items/all"}, "",
		},
		"HTTP API, payload 1.0": {
			`{"version":"1.0","resource":"$default","path":"/prod/items/1/parts","httpMethod":"GET",
				"requestContext":{"stage":"prod","path":"/prod/items/1/parts","authorizer":{"claims":{}}}}`,
			saw{
				Route: "GET /items/{item}/parts", Method: "GET",
				Path: "/items/1/parts", URLPath: "/prod/items/1/parts", Item: "1",
			}, "",
		},
		"query that cannot be read": {
			`{"version":"2.0","routeKey":"$default","rawPath":"/keys","rawQueryString":"a=%zz",
				"queryStringParameters":{"a":"%zz"},"requestContext":{"http":{"method":"GET"}}}`,
			saw{Route: "GET /keys", Method: "GET", Path: "/keys", URLPath: "/keys",
				Query: map[string]string{"a": "%zz"}}, "",
		},
		"no route": {
			`{"version":"2.0","routeKey":"$default","rawPath":"/a-secret","requestContext":{"http":{"method":"GET"}}}`,
			saw{Route: "none", Method: "GET", Path: "/a-secret", URLPath: "/a-secret"}, "$default",
		},
		"another method": {
			`{"version":"2.0","routeKey":"$default","rawPath":"/items/1",
				"requestContext":{"http":{"method":"DELETE"}}}`,
			saw{Route: "none", Method: "DELETE", Path: "/items/1", URLPath: "/items/1"}, "$default",
		},
		"words are not decoded": { // a policy that denies /parts/sell sees the path as it was sent
			`{"version":"2.0","routeKey":"$default","rawPath":"/items/1/parts/s%65ll",
				"requestContext":{"http":{"method":"POST"}}}`,
			saw{Route: "none", Method: "POST", Path: "/items/1/parts/s%65ll", URLPath: "/items/1/parts/s%65ll"},
			"$default",
		},
		"empty parameter": {
			`{"httpMethod":"GET","resource":"/{proxy+}","path":"/items/","pathParameters":{"proxy":"items/"}}`,
			saw{Route: "none", Method: "GET", Path: "/items/", URLPath: "/items/"}, "GET /{proxy+}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var event api.Event
			if err := json.Unmarshal([]byte(test.event), &event); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			response, err := fronted(&log).Invoke(t.Context(), event)
			if err != nil {
				t.Fatal(err)
			}
			var got saw
			if err := json.Unmarshal([]byte(response.Body), &got); err != nil {
				t.Fatalf("%v: %s", err, response.Body)
			}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if response.Headers["X-Request-Id"] != test.want.ID {
				t.Errorf("the answer's request id is %q", response.Headers["X-Request-Id"])
			}
			var record struct{ Route string }
			if err := json.Unmarshal(log.Bytes(), &record); err != nil {
				t.Fatal(err)
			}
			if test.log == "" {
				test.log = test.want.Route
			}
			if record.Route != test.log {
				t.Errorf("logged the route %q", record.Route)
			}
		})
	}
}

// TestOpenFront: a front that could authorize callers and does not gets nothing but the public routes.
func TestOpenFront(t *testing.T) {
	for name, test := range map[string]struct {
		path, version, authorizer string
		refused                   bool
	}{
		"vendor's":                 {"/items/1", "2.0", "", true},
		"vendor's, null":           {"/items/1", "2.0", "null", true},
		"vendor's, none":           {"/items/1", "2.0", "{}", true},
		"vendor's, IAM":            {"/items/1", "2.0", `{"iam":{"userArn":"arn:me"}}`, false},
		"vendor's, JWT":            {"/items/1", "2.0", `{"jwt":{"claims":{}}}`, false},
		"public":                   {"/keys", "2.0", "", false},
		"no route":                 {"/nothing", "2.0", "", false},
		"REST API, as sam local's": {"/items/1", "", "", false},
		"vendor's, a text":         {"/items/1", "2.0", `"x"`, true},
		"vendor's, payload 1.0":    {"/items/1", "1.0", "null", true},
		"payload 1.0, JWT":         {"/items/1", "1.0", `{"claims":{}}`, false},
		"public, payload 1.0":      {"/keys", "1.0", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			router := fronted(new(bytes.Buffer))
			router.Failure = func(err error) api.Failure {
				if !errors.Is(err, api.ErrUnauthorized) {
					t.Errorf("got error %v", err)
				}
				return api.Failure{Status: http.StatusForbidden}
			}
			router.Render = api.Problem
			event := api.Event{Version: test.version, HTTPMethod: "GET", Path: test.path, RawPath: test.path}
			event.RequestContext.HTTP.Method = "GET"
			event.RequestContext.Authorizer = json.RawMessage(test.authorizer)
			response, err := router.Invoke(t.Context(), event)
			if err != nil || (response.StatusCode == http.StatusForbidden) != test.refused {
				t.Errorf("got %d %s, %v", response.StatusCode, response.Body, err)
			}
		})
	}
}

// TestCrossOrigin: a web page of any origin may call the public routes and read their answers, and no others.
func TestCrossOrigin(t *testing.T) {
	open := api.CrossOrigin()
	for name, test := range map[string]struct {
		method, path string
		unrouted     bool // is public too
		status       int
		want         map[string]string
	}{
		"public":               {"GET", "/keys", false, 200, open},
		"vendor's":             {"GET", "/items/1", false, 200, nil},
		"none":                 {"GET", "/nothing", false, 200, nil},
		"none, public":         {"POST", "/nothing", true, 200, open},
		"preflight":            {"OPTIONS", "/items/all", false, 204, api.Preflight("GET")},
		"preflight of both":    {"OPTIONS", "/keys", false, 204, api.Preflight("POST", "GET")},
		"preflight, vendor's":  {"OPTIONS", "/items/1", false, 200, nil},
		"preflight, none":      {"OPTIONS", "/nothing", false, 200, nil},
		"preflight, of public": {"OPTIONS", "/nothing", true, 204, api.Preflight("POST")},
	} {
		t.Run(name, func(t *testing.T) {
			router := fronted(new(bytes.Buffer))
			if test.unrouted {
				router.Public = append(router.Public, api.Unrouted)
			}
			var event api.Event
			event.Version, event.RawPath, event.RequestContext.HTTP.Method = "2.0", test.path, test.method
			event.RequestContext.Authorizer = json.RawMessage(`{"iam":{}}`)
			response, err := router.Invoke(t.Context(), event)
			if err != nil || response.StatusCode != test.status {
				t.Fatalf("got %d, %v", response.StatusCode, err)
			}
			for _, header := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Methods",
				"Access-Control-Allow-Headers", "Access-Control-Max-Age"} {
				if response.Headers[header] != test.want[header] {
					t.Errorf("%s: %q, want %q", header, response.Headers[header], test.want[header])
				}
			}
			if test.status == http.StatusNoContent && response.Body != "" {
				t.Errorf("body %s", response.Body)
			}
		})
	}
}
