package api

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
)

// Event is the event of a function behind HTTP, as far as it is used. It holds both of the forms that there are:
//   - payload 1.0, of a REST API and of an HTTP API that is set to it
//     (https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html);
//   - payload 2.0, of an HTTP API and of a function URL
//     (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html).
type Event struct {
	Version string `json:"version"` // absent in a REST API's

	// Payload 1.0.
	HTTPMethod string `json:"httpMethod"`
	Resource   string `json:"resource"` // the pattern of the route, as /licenses/{licenseid} or /{proxy+}
	Path       string `json:"path"`     // without the stage, but in an HTTP API

	// Payload 2.0.
	RouteKey       string `json:"routeKey"` // as "GET /licenses/{licenseid}", "ANY /{proxy+}" or "$default"
	RawPath        string `json:"rawPath"`  // with the stage, unless that is $default
	RawQueryString string `json:"rawQueryString"`

	// Both.
	Headers               map[string]string `json:"headers"`
	QueryStringParameters map[string]string `json:"queryStringParameters"` // of a repeated one the last, or (2.0) all

	// Payload 1.0: each line of a header, and each value of a parameter.
	MultiValueHeaders               map[string][]string `json:"multiValueHeaders"`
	MultiValueQueryStringParameters map[string][]string `json:"multiValueQueryStringParameters"`

	PathParameters  map[string]string `json:"pathParameters"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
	RequestContext  struct {
		RequestID string `json:"requestId"`
		Stage     string `json:"stage"`
		Path      string `json:"path"` // of the URL; payload 1.0
		Identity  struct {
			UserARN string `json:"userArn"`
		} `json:"identity"` // payload 1.0
		HTTP struct {
			Method string `json:"method"`
		} `json:"http"` // payload 2.0
		Authorizer json.RawMessage `json:"authorizer"` // whatever the front's authorizer says
	} `json:"requestContext"`
}

func (e Event) isPayload2() bool { return e.Version == "2.0" }

// request returns the request without what depends on the route. Its path is the likeliest one until a route takes
// another.
func (e Event) request() Request {
	r := Request{
		method:          e.HTTPMethod,
		path:            e.paths()[0],
		urlPath:         cmp.Or(e.RequestContext.Path, e.Path),
		query:           e.QueryStringParameters,
		queries:         e.MultiValueQueryStringParameters,
		headers:         e.Headers,
		headerLines:     e.MultiValueHeaders,
		body:            e.Body,
		isBase64Encoded: e.IsBase64Encoded,
		id:              e.RequestContext.RequestID,
		principal:       e.principal(),
	}
	if e.isPayload2() {
		r.method, r.urlPath = e.RequestContext.HTTP.Method, e.RawPath
		// The front's own reading joins the values of a repeated parameter. It is only used if ours fails.
		r.queries, r.malformedQuery = url.ParseQuery(e.RawQueryString)
		if r.malformedQuery == nil {
			r.query = nil
		}
	}
	return r
}

// route returns the front's name for the route that it took.
func (e Event) route() string {
	if e.isPayload2() {
		return e.RouteKey
	}
	return e.HTTPMethod + " " + e.Resource
}

// paths returns what the path may be without the part that belongs to the front, the likeliest first. Only an HTTP API
// has its stage in the path. The part that a catch-all route, as /{proxy+}, stands for begins behind the stage, the
// path of a custom domain name, and the path of the route's own resource.
func (e Event) paths() []string {
	path := e.Path
	if e.isPayload2() {
		path = e.RawPath
	}
	paths := []string{path}
	if stage := "/" + e.RequestContext.Stage; e.Version != "" && strings.HasPrefix(path, stage+"/") {
		paths = []string{path[len(stage):], path}
	}
	if rest, isCatchAll := e.PathParameters[greedyParameter(e.route())]; isCatchAll {
		paths = append(paths, "/"+rest)
	}
	return paths
}

// greedyParameter returns the name in {name+}, with which a catch-all route ends, or an empty text.
func greedyParameter(route string) string {
	name, isGreedy := strings.CutSuffix(route, "+}")
	if !isGreedy {
		return ""
	}
	return name[strings.LastIndexByte(name, '{')+1:]
}

// principal returns the ARN of who has signed the request. It is empty unless the front has checked an IAM signature.
func (e Event) principal() string {
	if arn := e.RequestContext.Identity.UserARN; arn != "" || len(e.RequestContext.Authorizer) == 0 {
		return arn
	}
	var authorizer struct {
		IAM struct {
			UserARN string `json:"userArn"`
		} `json:"iam"`
	}
	if json.Unmarshal(e.RequestContext.Authorizer, &authorizer) != nil {
		return "" // another authorizer's
	}
	return authorizer.IAM.UserARN
}

// ErrUnauthorized reports that the front, which could authorize callers, has not done so on a route that is not public.
var ErrUnauthorized = errors.New("the front authorizes nobody")

// isOpen reports whether an HTTP API or a function URL authorizes nobody. A REST API, whose events have no version,
// does not tell: behind sam local there are no principals either.
func (e Event) isOpen() bool {
	if e.Version == "" || e.principal() != "" {
		return false
	}
	var authorizer map[string]json.RawMessage
	return json.Unmarshal(e.RequestContext.Authorizer, &authorizer) != nil || len(authorizer) == 0
}

// Request is an HTTP request, whatever front it came by.
type Request struct {
	method, path, urlPath      string
	headers, query, parameters map[string]string
	headerLines, queries       map[string][]string // with all values of what is repeated, as far as the front tells
	malformedQuery             error
	body                       string
	isBase64Encoded            bool
	id, principal              string
}

// ErrBodyTooLarge reports that a body is longer than what a route reads.
var ErrBodyTooLarge = errors.New("the body is too large")

// Body returns the bytes of the body. If there are more than limit, it returns ErrBodyTooLarge without a copy. Another
// error reports a base64-encoded body that cannot be decoded.
func (r Request) Body(limit int) ([]byte, error) {
	if !r.isBase64Encoded {
		if len(r.body) > limit {
			return nil, ErrBodyTooLarge
		}
		return []byte(r.body), nil
	}
	if len(r.body) > base64.StdEncoding.EncodedLen(limit) {
		return nil, ErrBodyTooLarge
	}
	body, err := base64.StdEncoding.DecodeString(r.body)
	if len(body) > limit {
		return nil, ErrBodyTooLarge
	}
	return body, err
}

// Method returns the HTTP method.
func (r Request) Method() string { return r.method }

// Path returns the path as the caller sent it, without the stage.
func (r Request) Path() string { return r.path }

// URLPath returns the path of the URL that the caller used. It includes the stage if the URL does.
func (r Request) URLPath() string { return r.urlPath }

// Header returns the value of a header, or an empty text. The case of the name does not matter.
func (r Request) Header(name string) string {
	for _, written := range spellings(r.headers, name) {
		return r.headers[written]
	}
	return ""
}

// HeaderValues returns the values of a header, one for each line that the front tells apart, empty ones included. It
// returns nil for a header that is absent. The case of the name does not matter. An event can hold one header in
// several spellings: their values follow each other in the order of the spellings.
func (r Request) HeaderValues(name string) (all []string) {
	for _, written := range spellings(r.headerLines, name) {
		all = append(all, r.headerLines[written]...)
	}
	if len(all) > 0 {
		return all
	}
	for _, written := range spellings(r.headers, name) {
		all = append(all, r.headers[written])
	}
	return all
}

// spellings returns the keys that differ from the name in case at most, sorted.
func spellings[V any](headers map[string]V, name string) (written []string) {
	for key := range headers {
		if strings.EqualFold(key, name) {
			written = append(written, key)
		}
	}
	slices.Sort(written)
	return written
}

// QueryValues returns the query's parameters, each with all of its values. The error reports a query that cannot be
// parsed. Some fronts refuse such a query before it gets here.
func (r Request) QueryValues() (map[string][]string, error) {
	all := make(map[string][]string, len(r.query))
	for name, value := range r.query {
		all[name] = []string{value}
	}
	for name, values := range r.queries {
		if len(values) > 0 {
			all[name] = values
		}
	}
	return all, r.malformedQuery
}

// PathParameter returns the part of the path that stands for {name} in the route.
func (r Request) PathParameter(name string) string { return r.parameters[name] }

// ID returns the front's id of the request.
func (r Request) ID() string { return r.id }

// Principal returns the ARN of the IAM principal that signed the request. It is empty on a route without authorization.
func (r Request) Principal() string { return r.principal }
