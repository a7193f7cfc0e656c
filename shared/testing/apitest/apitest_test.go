package apitest

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T) *Document {
	t.Helper()
	d, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestExamples: every request and answer has examples, and every example is as its own schema says.
func TestExamples(t *testing.T) {
	d := read(t)
	checked := 0
	check := func(value any, schema []string) {
		t.Helper()
		checked++
		if err := d.validate(value, schema); err != nil {
			t.Errorf("example of %s: %v", strings.Join(schema, " "), err)
		}
	}
	walk(d.root, nil, func(object map[string]any, path []string) {
		if len(path) == 1 {
			return // components.examples hold values by their names
		}
		switch examples := object["examples"].(type) {
		case map[string]any: // of a media type
			for name := range examples {
				value, _ := d.at(below(path, "examples", name, "value")...)
				check(value, below(path, "schema"))
			}
		case []any: // of a schema
			for _, value := range examples {
				check(value, path)
			}
		}
		if example, present := object["example"]; present { // of a parameter or a header
			check(example, below(path, "schema"))
		}
		if len(path) > 1 && path[len(path)-2] == "content" && object["examples"] == nil {
			t.Errorf("%s has no example", strings.Join(path, " "))
		}
	})
	if checked < 50 {
		t.Errorf("only %d examples", checked)
	}
}

// walk visits every object but the examples' values, which are not the document's own.
func walk(value any, path []string, visit func(object map[string]any, path []string)) {
	switch v := value.(type) {
	case map[string]any:
		visit(v, path)
		for name, member := range v {
			if name != "value" && name != "example" {
				walk(member, below(path, name), visit)
			}
		}
	case []any:
		for n, element := range v {
			walk(element, below(path, fmt.Sprint(n)), visit)
		}
	}
}

// TestClosed: an object that this API makes has no members but those that the document names.
func TestClosed(t *testing.T) {
	d := read(t)
	open := []string{
		"Verification", "DeviceQuery", "DeviceRelease", // requests whose other members are ignored

		"License",                       // closed where it is answered, as IssuedLicense has one member more
		"StoredService", "StoredAppURL", // whatever other tools wrote
		"AttributeValue",
		"AuthorizationTokenClaims", // tokens are read by products that are older
	}
	schemas, _ := d.at("components", "schemas")
	for name, schema := range schemas.(map[string]any) {
		object := schema.(map[string]any)
		isClosed := object["additionalProperties"] == false || object["unevaluatedProperties"] == false
		if isObject := object["type"] == "object" || object["allOf"] != nil; isObject &&
			isClosed == slices.Contains(open, name) {
			t.Errorf("%s is closed: %t", name, isClosed)
		}
	}
}

// TestGenerators: the document has nothing that one of the generators of clients is known to stumble over. `make
// test-clients` runs some of them.
func TestGenerators(t *testing.T) {
	d := read(t)
	responses, _ := d.at("components", "responses")
	schemas, _ := d.at("components", "schemas")
	for name := range responses.(map[string]any) {
		if _, both := schemas.(map[string]any)[name]; both {
			t.Errorf("%s is a response and a schema: oapi-codegen makes one type of them", name)
		}
	}
	walk(d.root, nil, func(object map[string]any, path []string) {
		at := strings.Join(path, " ")
		for _, union := range []string{"anyOf", "oneOf"} {
			if object[union] != nil {
				t.Errorf(
					"%s has %s: OpenAPI Generator's Java does not compile where a variant is a free object",
					at,
					union,
				)
			}
		}
		if object["type"] == "boolean" && object["const"] != nil {
			t.Errorf("%s is a constant boolean: OpenAPI Generator's Java does not compile", at)
		}
		if _, isList := object["parameters"].([]any); isList && len(path) > 0 {
			d.checkParameterOrder(t, path)
		}
	})
}

// checkParameterOrder wants those of the path first, as they are the first arguments of a generated method. The
// parameters of a whole path would come last.
func (d *Document) checkParameterOrder(t *testing.T, path []string) {
	t.Helper()
	if len(path) == 2 {
		t.Errorf("%s has parameters: give them to its operations", path[1])
		return
	}
	parameters, _ := d.at(below(path, "parameters")...)
	pathEnded := false
	for n := range parameters.([]any) {
		in, _ := d.at(below(path, "parameters", fmt.Sprint(n), "in")...)
		if in == "path" && pathEnded {
			t.Errorf("%s: a parameter of the path stands behind others", strings.Join(path, " "))
		}
		pathEnded = pathEnded || in != "path"
	}
}

// TestOverallCodes: the lists of codes for programs are those of the single answers together.
func TestOverallCodes(t *testing.T) {
	d := read(t)
	public := []string{
		"POST /verify-license", "POST /list-devices", "POST /release-device", "GET /.well-known/jwks.json",
		"GET /public-key.pem",
	}
	vendor := slices.DeleteFunc(d.Routes(), func(route string) bool { return slices.Contains(public, route) })
	for _, test := range []struct {
		contentType, member string
		routes, schema      []string
	}{
		{"application/problem+json", "code", vendor, []string{"ProblemCode"}},
		{"application/json", "code", d.Routes(), []string{"GatewayCode"}},
		{"application/json", "error", public, []string{"VerifyError", "properties", "error"}},
	} {
		listed, _ := d.at(append(below([]string{"components", "schemas"}, test.schema...), "examples")...)
		var overall, together []string
		for _, code := range listed.([]any) {
			overall = append(overall, code.(string))
		}
		for _, codes := range d.Values(test.contentType, test.member, test.routes...) {
			together = append(together, codes...)
		}
		slices.Sort(together)
		if together = slices.Compact(together); !slices.Equal(overall, together) {
			t.Errorf("%s lists %v, the answers have %v", test.schema[0], overall, together)
		}
	}
}

const key = `{"licensekey":"eyJhIjoxfQ.e30.c2ln"}`

// TestCheck changes one thing at a time.
func TestCheck(t *testing.T) {
	header := map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "X-Request-Id": "1"}
	preflight := map[string]string{"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "POST",
		"Access-Control-Allow-Headers": "content-type", "Access-Control-Max-Age": "86400"}
	with := func(name, value string) map[string]string {
		changed := maps.Clone(header)
		changed[name] = value
		if value == "" {
			delete(changed, name)
		}
		return changed
	}
	const route = "GET /licenses/{licenseid}/key"
	const missing = `{"error":"MISSING_AUTHENTICATION_TOKEN","type":"about:blank",
		"code":"MISSING_AUTHENTICATION_TOKEN"}`
	for name, test := range map[string]struct {
		route string
		a     Response
		want  string // a part of the error, empty for none
	}{
		"OK":                        {route, Response{200, header, key}, ""},
		"undocumented header":       {route, Response{200, with("Server", "x"), key}, ""},
		"unknown route":             {"GET /nothing", Response{403, header, missing}, ""},
		"HEAD":                      {"HEAD /licenses", Response{403, header, ""}, ""},
		"unknown route is answered": {"GET /nothing", Response{200, header, key}, "200 is not documented"},
		"undocumented method":       {"PUT /licenses", Response{200, header, key}, "200 is not documented"},
		"undocumented status":       {route, Response{202, header, key}, "202 is not documented"},
		"undocumented content type": {
			route, Response{200, with("Content-Type", "text/html"), key}, "text/html is not documented",
		},
		"no content type":    {route, Response{200, with("Content-Type", ""), key}, "content type"},
		"no required header": {route, Response{200, with("X-Request-Id", ""), key}, "no header X-Request-Id"},
		"wrong header": {
			route, Response{200, with("Cache-Control", "public"), key}, "header Cache-Control",
		},
		"not JSON":     {route, Response{200, header, "no"}, "no"},
		"another body": {route, Response{200, header, `{"licensekey":1}`}, "licensekey"},
		"undocumented member": {
			route, Response{200, header, strings.Replace(key, "{", `{"a":1,`, 1)}, "additional properties 'a'",
		},
		"code of another status": {
			route, Response{403, header, strings.ReplaceAll(missing, "MISSING_AUTHENTICATION_TOKEN", "THROTTLED")},
			"/code",
		},
		"undocumented member, error": {
			route, Response{403, header, strings.Replace(missing, "{", `{"a":1,`, 1)}, "additional properties 'a'",
		},
		"body where none belongs": {"DELETE /licenses/{licenseid}", Response{204, header, key}, "has a body"},
		"header that is no number": {
			"POST /verify-license",
			Response{500, with("Retry-After", "soon"), `{"error":"INTERNAL_LICENSE_SERVER_ERROR"}`},
			"header Retry-After",
		},
		"format": {
			"POST /licenses", Response{201, header, strings.Replace(issued, "2030-01-31T00", "2030-01-32T00", 1)},
			"date-time",
		},
		"license key where it is secret": {
			"GET /licenses/{licenseid}", Response{200, header, issued}, "at '/licensekey'",
		},
		"preflight":                 {"OPTIONS /verify-license", Response{204, preflight, ""}, ""},
		"preflight of the vendor's": {"OPTIONS /licenses", Response{204, preflight, ""}, "204 is not documented"},
		"preflight of another status": {
			"OPTIONS /verify-license", Response{200, preflight, ""}, "200 is not documented",
		},
		"preflight without its headers": {
			"OPTIONS /verify-license", Response{204, header, ""}, "no header Access-Control-Allow-",
		},
		"closed to other origins": {
			"POST /verify-license", Response{400, header, `{"error":"INVALID_LICENSE"}`},
			"no header Access-Control-Allow-Origin",
		},
		"license key in a list": {
			"GET /licenses", Response{200, header, `{"licenses":[` + issued + `]}`}, "at '/licenses/0/licensekey'",
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := read(t).Check(test.route, test.a)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

const issued = `{"licenseid":"1","status":"active","customerid":"","customername":"",
	"expirationdate":"2030-01-31T00:00:00.000Z",` +
	`"gracedays":0,"services":[{"other":1}],"appurls":[],"notes":"","version":1,"licensekey":"eyJhIjoxfQ.e30.c2ln"}`

// TestTransport: an answer gets through as it is, and what is wrong with it is remembered.
func TestTransport(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Request-Id", "1")
		fmt.Fprint(w, r.URL.Query().Get("body"))
	}))
	defer server.Close()
	transport := NewTransport()
	client := http.Client{Transport: transport}
	for _, step := range []struct{ path, body, want string }{
		{"/licenses", `{"licenses":[]}`, ""},
		{"/licenses/1/key", key, ""},
		{"/licenses/1/key", "{}", "GET /licenses/{licenseid}/key, 200"},
		{"/nothing", "{}", "GET /nothing: the status 200"},
	} {
		response, err := client.Get(server.URL + step.path + "?body=" + step.body)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if err := transport.Err(); (err == nil) != (step.want == "") ||
			err != nil && !strings.Contains(err.Error(), step.want) {
			t.Errorf("%s: got %v, want %q", step.path, err, step.want)
		}
	}
}
