// Package apitest checks the responses that tests receive against openapi.yaml, the API's description. It is for tests
// only. It looks for the file in the working folder and those above it.
package apitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"openlicenser/shared/testing/samtemplate"
)

// Response is an HTTP response of the API.
type Response struct {
	Status int
	Header map[string]string
	Body   string
}

// CheckEvent checks the response of a function, and the body of a request that was accepted. A response on a route that
// the description does not have must be one that it allows for unknown routes.
func CheckEvent(t testing.TB, event events.APIGatewayProxyRequest, response events.APIGatewayProxyResponse) {
	t.Helper()
	route := event.HTTPMethod + " " + event.Resource
	Check(t, route, Response{response.StatusCode, response.Headers, response.Body})
	// The body of a GET has no meaning (RFC 9110 section 9.3.1).
	isSilent := event.Body == "" || event.HTTPMethod == http.MethodGet
	if response.StatusCode >= 300 || isSilent || event.IsBase64Encoded {
		return
	}
	if d, err := Read(); err != nil {
		t.Fatal(err)
	} else if err := d.checkRequest(route, event.Body); err != nil {
		t.Errorf("%s accepts what openapi.yaml does not: %v", route, err)
	}
}

// CheckInvocation does the same as CheckEvent, for the JSON of an event of any front.
func CheckInvocation(t testing.TB, event []byte, response events.APIGatewayProxyResponse) {
	t.Helper()
	d, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	route, body, err := d.invoked(event)
	if err != nil {
		t.Fatal(err)
	}
	method, path, _ := strings.Cut(route, " ")
	CheckEvent(t, events.APIGatewayProxyRequest{HTTPMethod: method, Resource: path, Body: body}, response)
}

// invoked returns the route of an event, and its body if that is plain text. The route is a documented one, or else the
// method and path. A catch-all route of the front is resolved.
func (d *Document) invoked(event []byte) (route, body string, err error) {
	var one events.APIGatewayProxyRequest
	var two events.APIGatewayV2HTTPRequest
	if err := errors.Join(json.Unmarshal(event, &one), json.Unmarshal(event, &two)); err != nil {
		return "", "", err
	}
	if !one.IsBase64Encoded {
		body = one.Body
	}
	route, method, path := one.HTTPMethod+" "+one.Resource, one.HTTPMethod, one.Path
	if two.Version == "2.0" {
		route, method = two.RouteKey, two.RequestContext.HTTP.Method
		path = strings.TrimPrefix(two.RawPath, "/"+two.RequestContext.Stage)
	}
	if _, documented := d.Operations()[route]; !documented {
		route = d.route(method, path)
	}
	return route, body, nil
}

// route returns the documented route of a path as it was sent, or else the method and the path itself.
func (d *Document) route(method, path string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.routes == nil {
		d.routes = http.NewServeMux()
		for _, route := range d.Routes() {
			d.routes.Handle(route, http.NotFoundHandler())
		}
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return method + " " + path
	}
	_, pattern := d.routes.Handler(&http.Request{Method: method, URL: &url.URL{Path: decoded, RawPath: path}})
	if !strings.HasPrefix(pattern, method+" ") || strings.Contains(path, "//") {
		return method + " " + path
	}
	return pattern
}

// Check checks a response on a route, as "GET /licenses/{licenseid}".
func Check(t testing.TB, route string, a Response) {
	t.Helper()
	if d, err := Read(); err != nil {
		t.Fatal(err)
	} else if err := d.Check(route, a); err != nil {
		t.Errorf("not what openapi.yaml says: %v", err)
	}
}

// Document is openapi.yaml.
type Document struct {
	root     any
	mu       sync.Mutex // for all below; a Compiler serves one at a time
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema
	routes   *http.ServeMux // only for its patterns
}

// Read returns the document. It is read once.
var Read = sync.OnceValues(func() (*Document, error) {
	root, err := samtemplate.Root()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, "openapi.yaml"))
	if err != nil {
		return nil, err
	}
	return parse(text)
})

// location is the name by which the schemas are compiled. Nothing is read from there.
const location = "file:///openapi.yaml"

func parse(text []byte) (*Document, error) {
	var read any
	if err := yaml.Unmarshal(text, &read); err != nil {
		return nil, err
	}
	plain, err := json.Marshal(read)
	if err != nil {
		return nil, err
	}
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(plain))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(location, root); err != nil {
		return nil, err
	}
	return &Document{root: root, compiler: compiler, schemas: map[string]*jsonschema.Schema{}}, nil
}

// At returns what is at a path, or nil. It follows references on the way.
func (d *Document) At(path ...string) any {
	value, _ := d.at(path...)
	return value
}

// at does the same as At, and also returns the JSON pointer of what it found.
func (d *Document) at(path ...string) (value any, pointer string) {
	value, pointer = d.root, ""
	for _, name := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case []any:
			value = nil
			if n, err := strconv.Atoi(name); err == nil && n < len(v) {
				value = v[n]
			}
		default:
			value = nil
		}
		pointer += "/" + escape.Replace(name)
		if target, isReference := reference(value); isReference {
			value, pointer = d.at(strings.Split(target, "/")...)
		}
	}
	return value, pointer
}

// below returns a path with more names.
func below(path []string, names ...string) []string { return slices.Concat(path, names) }

// reference returns the target of a reference. One with members beside it is part of a schema, where jsonschema follows
// it.
func reference(value any) (target string, isReference bool) {
	object, _ := value.(map[string]any)
	text, _ := object["$ref"].(string)
	target, isLocal := strings.CutPrefix(text, "#/")
	return target, isLocal && len(object) == 1
}

// escape writes a name into a JSON pointer (RFC 6901 section 3) in a URI fragment.
var escape = strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D", "+", "%2B")

func (d *Document) schema(pointer string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if schema := d.schemas[pointer]; schema != nil {
		return schema, nil
	}
	schema, err := d.compiler.Compile(location + "#" + pointer)
	if err == nil {
		d.schemas[pointer] = schema
	}
	return schema, err
}

// unknownRoutes names the responses on routes that the document does not have, by status.
var unknownRoutes = map[int]string{http.StatusForbidden: "Forbidden", http.StatusNotFound: "NotFound"}

// isPublic reports whether a route on the path needs no credentials. Such a path has a preflight.
func (d *Document) isPublic(path string) bool {
	for route, operation := range d.Operations() {
		if _, documented, _ := strings.Cut(route, " "); documented == path && operation.Public {
			return true
		}
	}
	return false
}

// Check returns how a response differs from what the document promises.
func (d *Document) Check(route string, a Response) error {
	method, path, _ := strings.Cut(route, " ")
	base := []string{"paths", path, strings.ToLower(method), "responses", strconv.Itoa(a.Status)}
	switch {
	case method == http.MethodOptions && d.isPublic(path):
		base = []string{"components", "responses", "Preflight"}
	case d.At(base[:3]...) == nil:
		base = []string{"components", "responses", unknownRoutes[a.Status]}
	}
	if d.At(base...) == nil || base[2] == "Preflight" && a.Status != http.StatusNoContent {
		return fmt.Errorf("%s: the status %d is not documented", route, a.Status)
	}
	errBody := d.checkBody(a, base)
	if method == http.MethodHead && a.Body == "" {
		errBody = nil
	}
	if err := errors.Join(d.checkHeaders(a, base), errBody); err != nil {
		return fmt.Errorf("%s, %d: %w", route, a.Status, err)
	}
	return nil
}

func (d *Document) checkRequest(route, text string) error {
	method, path, _ := strings.Cut(route, " ")
	body, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return d.validate(
		body,
		[]string{"paths", path, strings.ToLower(method), "requestBody", "content", "application/json", "schema"},
	)
}

func (d *Document) checkHeaders(a Response, response []string) error {
	sent := map[string]string{}
	for name, value := range a.Header {
		sent[textproto.CanonicalMIMEHeaderKey(name)] = value
	}
	documented, _ := d.At(below(response, "headers")...).(map[string]any)
	var problems []error
	for name := range documented {
		header, _ := d.At(below(response, "headers", name)...).(map[string]any)
		value, present := sent[textproto.CanonicalMIMEHeaderKey(name)]
		if !present {
			if header["required"] == true {
				problems = append(problems, fmt.Errorf("no header %s", name))
			}
			continue
		}
		if err := d.validateHeader(value, below(response, "headers", name, "schema")); err != nil {
			problems = append(problems, fmt.Errorf("header %s: %w", name, err))
		}
	}
	return errors.Join(problems...)
}

// validateHeader takes a text for the number that the schema wants.
func (d *Document) validateHeader(text string, schema []string) error {
	if _, err := strconv.Atoi(text); err == nil && d.At(below(schema, "type")...) == "integer" {
		return d.validate(json.Number(text), schema)
	}
	return d.validate(text, schema)
}

func (d *Document) checkBody(a Response, response []string) error {
	contents, _ := d.At(below(response, "content")...).(map[string]any)
	if len(contents) == 0 {
		if a.Body != "" {
			return fmt.Errorf("has a body, documented is none: %s", a.Body)
		}
		return nil
	}
	contentType, _, err := mime.ParseMediaType(a.Header["Content-Type"])
	if err != nil {
		return fmt.Errorf("content type: %w", err)
	}
	if contents[contentType] == nil {
		return fmt.Errorf("the content type %s is not documented", contentType)
	}
	var body any = a.Body
	if strings.HasSuffix(contentType, "json") {
		if body, err = jsonschema.UnmarshalJSON(strings.NewReader(a.Body)); err != nil {
			return fmt.Errorf("%w: %s", err, a.Body)
		}
	}
	if err := d.validate(body, below(response, "content", contentType, "schema")); err != nil {
		return fmt.Errorf("%w: %s", err, a.Body)
	}
	return nil
}

// CheckComponent holds a value to one of the document's schemas, by its name.
func (d *Document) CheckComponent(name string, value any) error {
	return d.validate(value, []string{"components", "schemas", name})
}

// validate holds a value to the schema at a path.
func (d *Document) validate(value any, path []string) error {
	found, pointer := d.at(path...)
	if found == nil {
		return fmt.Errorf("no schema at %s", strings.Join(path, " "))
	}
	schema, err := d.schema(pointer)
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// Operation is what the document and the template both say of a route.
type Operation struct {
	ID     string
	Public bool // needs no credentials
}

// Operations returns all operations by route, as "GET /licenses".
func (d *Document) Operations() map[string]Operation {
	operations := map[string]Operation{}
	paths, _ := d.At("paths").(map[string]any)
	for path, item := range paths {
		for method, operation := range item.(map[string]any) {
			o, isOperation := operation.(map[string]any)
			if !isOperation {
				continue // parameters of all methods
			}
			id, _ := o["operationId"].(string)
			security, declared := o["security"].([]any)
			operations[strings.ToUpper(method)+" "+path] = Operation{id, declared && len(security) == 0}
		}
	}
	return operations
}

// Routes returns the names of Operations, sorted.
func (d *Document) Routes() []string { return slices.Sorted(maps.Keys(d.Operations())) }

// Values returns the values that a member of the bodies can have, by status. The bodies are those of a content type, on
// all the given routes.
func (d *Document) Values(contentType, member string, routes ...string) map[int][]string {
	values := map[int][]string{}
	for _, route := range routes {
		method, path, _ := strings.Cut(route, " ")
		base := []string{"paths", path, strings.ToLower(method), "responses"}
		responses, _ := d.At(base...).(map[string]any)
		for status := range responses {
			listed, _ := d.At(below(base, status, "content", contentType, "schema",
				"dependentSchemas", member, "properties", member, "enum")...).([]any)
			code, _ := strconv.Atoi(status)
			for _, value := range listed {
				if text := fmt.Sprint(value); !slices.Contains(values[code], text) {
					values[code] = append(values[code], text)
				}
			}
			slices.Sort(values[code])
		}
	}
	maps.DeleteFunc(values, func(_ int, listed []string) bool { return len(listed) == 0 })
	return values
}
