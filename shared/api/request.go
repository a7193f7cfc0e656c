package api

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"github.com/aws/aws-lambda-go/events"
)

// Event is what a function behind HTTP is invoked with, as far as it is used. It takes both of the forms that there
// are:
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
	QueryStringParameters map[string]string `json:"queryStringParameters"` // of one that stands twice, the last, or (2.0) all with commas

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

func fromREST(e events.APIGatewayProxyRequest) (event Event) {
	event.HTTPMethod, event.Resource, event.Path = e.HTTPMethod, e.Resource, e.Path
	event.Headers, event.QueryStringParameters, event.PathParameters = e.Headers, e.QueryStringParameters, e.PathParameters
	event.MultiValueHeaders, event.MultiValueQueryStringParameters = e.MultiValueHeaders, e.MultiValueQueryStringParameters
	event.Body, event.IsBase64Encoded = e.Body, e.IsBase64Encoded
	event.RequestContext.RequestID, event.RequestContext.Stage = e.RequestContext.RequestID, e.RequestContext.Stage
	event.RequestContext.Path, event.RequestContext.Identity.UserARN = e.RequestContext.Path, e.RequestContext.Identity.UserArn
	return event
}

func (e Event) isPayload2() bool { return e.Version == "2.0" }

// request reads what is the same for all routes. Its path is the most likely one until a route takes another.
func (e Event) request() Request {
	r := Request{
		method: e.HTTPMethod, path: e.paths()[0], urlPath: cmp.Or(e.RequestContext.Path, e.Path), query: e.QueryStringParameters,
		queries: e.MultiValueQueryStringParameters, headers: e.Headers, headerLines: e.MultiValueHeaders,
		body: e.Body, isBase64Encoded: e.IsBase64Encoded,
		id: e.RequestContext.RequestID, principal: e.principal(),
	}
	if e.isPayload2() {
		r.method, r.urlPath = e.RequestContext.HTTP.Method, e.RawPath
		r.queries, r.malformedQuery = url.ParseQuery(e.RawQueryString) // payload 2.0 joins the values of one that stands twice
		if r.malformedQuery == nil {                                   // else the front's own reading
			r.query = lastOfEach(r.queries)
		}
	}
	return r
}

// route is the front's name for the route that it took.
func (e Event) route() string {
	if e.isPayload2() {
		return e.RouteKey
	}
	return e.HTTPMethod + " " + e.Resource
}

// paths are what the path may be without the part that belongs to the front, the likeliest first. Only an HTTP API has
// its stage in the path. What a catch-all route, as /{proxy+}, stands for has neither the stage, nor the path that a
// custom domain name adds, nor that of the resource which the route belongs to.
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

// greedyParameter is the name in {name+}, with which a catch-all route ends.
func greedyParameter(route string) string {
	name, isGreedy := strings.CutSuffix(route, "+}")
	if !isGreedy {
		return ""
	}
	return name[strings.LastIndexByte(name, '{')+1:]
}

// principal is empty unless the front has checked an IAM signature.
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

// ErrUnauthorized says that a front which can authorize callers has not done so, on a route that is not public.
var ErrUnauthorized = errors.New("the front authorizes nobody")

// isOpen reports whether an HTTP API or a function URL lets everybody pass. A REST API, whose events have no version, does
// not tell: behind sam local there are no principals either.
func (e Event) isOpen() bool {
	if e.Version == "" || e.principal() != "" {
		return false
	}
	var authorizer map[string]json.RawMessage
	return json.Unmarshal(e.RequestContext.Authorizer, &authorizer) != nil || len(authorizer) == 0
}

func lastOfEach(values map[string][]string) map[string]string {
	last := make(map[string]string, len(values))
	for name, all := range values {
		last[name] = all[len(all)-1]
	}
	return last
}

// Request is what a handler answers, whatever front it came by.
type Request struct {
	method, path, urlPath      string
	headers, query, parameters map[string]string
	headerLines, queries       map[string][]string // what stands more than once, as far as the front tells
	malformedQuery             error
	body                       string
	isBase64Encoded            bool
	id, principal              string
}

// ErrBodyTooLarge says that a body is longer than what a route takes.
var ErrBodyTooLarge = errors.New("the body is too large")

// Body answers the body's bytes. It answers ErrBodyTooLarge, without a copy, where there are more than limit, and
// another error where the body is base64-encoded and cannot be decoded.
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

// Method is the HTTP method.
func (r Request) Method() string { return r.method }

// Path is the path as the caller sent it, without the stage.
func (r Request) Path() string { return r.path }

// URLPath is the path of the URL that the caller used, with the stage where it is a part of it.
func (r Request) URLPath() string { return r.urlPath }

// Header answers a header by its name, in whatever case the caller wrote it, or nothing.
func (r Request) Header(name string) string {
	for written, value := range r.headers {
		if strings.EqualFold(written, name) {
			return value
		}
	}
	return ""
}

// HeaderValues returns the values of a header by its name, in whatever case the caller wrote it: one for each line that
// the front tells apart, empty ones included. It returns nil for a header that is absent.
func (r Request) HeaderValues(name string) []string {
	for written, values := range r.headerLines {
		if strings.EqualFold(written, name) && len(values) > 0 {
			return values
		}
	}
	for written, value := range r.headers {
		if strings.EqualFold(written, name) {
			return []string{value}
		}
	}
	return nil
}

// QueryValues returns the query's parameters, each with all of its values. The error reports a query that cannot be
// parsed, where the front has let one pass.
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

// PathParameter answers the part of the path that stands for {name} in the route.
func (r Request) PathParameter(name string) string { return r.parameters[name] }

// QueryParameters answers the query's parameters; of one that stands twice, the last.
func (r Request) QueryParameters() map[string]string { return r.query }

// ID is the front's id of the request.
func (r Request) ID() string { return r.id }

// Principal is the ARN of the IAM principal that signed the request, empty on a route without authorization.
func (r Request) Principal() string { return r.principal }
