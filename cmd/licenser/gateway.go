package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/uuid"

	"openlicenser/shared/api"
)

// gateway stands in for API Gateway. It turns HTTP requests into proxy events, and hands them to the function whose
// route they match. It responds by itself where API Gateway would.
type gateway struct {
	mux      *http.ServeMux
	inFlight *sync.WaitGroup // counts requests, which go on without their client
}

// lambdaFunction is a function behind the gateway. The principal calls its routes.
type lambdaFunction struct {
	router    api.Router
	principal string
	guard     *guard // of the routes that are not public; nil for none
	bodies    *bodies
}

// The limits of API Gateway
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html).
const (
	maxPayload         = 10 << 20
	integrationTimeout = 29 * time.Second
)

func newGateway(functions ...lambdaFunction) gateway {
	g := gateway{http.NewServeMux(), &sync.WaitGroup{}}
	for _, f := range functions {
		f.bodies = newBodies(f.router.MaxBody)
		for route := range f.router.Routes {
			handler := f.serve(route)
			if f.guard != nil && !slices.Contains(f.router.Public, route) {
				handler = f.guard.protect(handler)
			}
			g.mux.HandleFunc(route, handler)
		}
		g.handlePreflights(f)
	}
	return g
}

// handlePreflights hands the preflights of the public routes to their function. API Gateway responds to them by itself.
func (g gateway) handlePreflights(f lambdaFunction) {
	handled := map[string]bool{}
	for _, route := range f.router.Public {
		if _, path, routed := strings.Cut(route, " "); routed && !handled[path] {
			handled[path] = true
			g.mux.HandleFunc("OPTIONS "+path, f.serve("OPTIONS "+path))
		}
	}
}

// ServeHTTP implements http.Handler. Other than ServeMux, API Gateway does not redirect to a cleaner path, and does not
// serve HEAD by the route of GET.
func (g gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.inFlight.Add(1)
	defer g.inFlight.Done()
	handler, pattern := g.mux.Handler(r)
	if !strings.HasPrefix(pattern, r.Method+" ") {
		noSuchRoute.write(w)
		return
	}
	if _, isRoute := handler.(http.HandlerFunc); !isRoute {
		noSuchRoute.write(w)
		return
	}
	g.mux.ServeHTTP(w, r)
}

func (f lambdaFunction) serve(route string) http.HandlerFunc {
	_, resource, _ := strings.Cut(route, " ")
	names := pathParameterNames(resource)
	return func(w http.ResponseWriter, r *http.Request) {
		query, err := url.ParseQuery(r.URL.RawQuery) // r.URL.Query would drop what it cannot parse
		if err != nil {
			badRequest.write(w)
			return
		}
		body, done, err := f.bodies.read(r.Body, r.ContentLength)
		if err != nil {
			refuseBody(w, err)
			return
		}
		defer done()
		event := newEvent(r, resource, query, body)
		event.PathParameters = map[string]string{}
		for _, name := range names {
			event.PathParameters[name] = url.PathEscape(r.PathValue(name)) // as a REST API does
		}
		event.RequestContext.Identity.UserARN = f.principal

		// Like a Lambda function, the handler goes on when its client hangs up.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), integrationTimeout)
		defer cancel()
		response, err := f.router.Invoke(ctx, event)
		if err != nil {
			internalError.write(w)
			return
		}
		writeResponse(w, response)
	}
}

var pathParameter = regexp.MustCompile(`{([^}]+)}`)

func pathParameterNames(resource string) []string {
	var names []string
	for _, match := range pathParameter.FindAllStringSubmatch(resource, -1) {
		names = append(names, match[1])
	}
	return names
}

func newEvent(r *http.Request, resource string, query url.Values, body string) api.Event {
	event := api.Event{
		Resource:                        resource,
		Path:                            r.URL.EscapedPath(),
		HTTPMethod:                      r.Method,
		MultiValueHeaders:               r.Header,
		Headers:                         lastOfEach(r.Header),
		MultiValueQueryStringParameters: query,
		Body:                            body,
	}
	event.RequestContext.RequestID = uuid.NewString()
	event.RequestContext.Stage = "local"
	event.RequestContext.Path = r.URL.EscapedPath()
	if !utf8.ValidString(body) { // an event is JSON and cannot hold other bytes
		event.Body, event.IsBase64Encoded = base64.StdEncoding.EncodeToString([]byte(body)), true
	}
	return event
}

func lastOfEach(values map[string][]string) map[string]string {
	last := make(map[string]string, len(values))
	for name, all := range values {
		last[name] = all[len(all)-1]
	}
	return last
}

func writeResponse(w http.ResponseWriter, response events.APIGatewayProxyResponse) {
	for name, value := range response.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(response.StatusCode)
	io.WriteString(w, response.Body) // the client may have gone
}

// gatewayResponse is a response that does not come from a function. The template's GatewayResponses are the same.
type gatewayResponse struct {
	status int
	code   string
}

var (
	badRequest      = gatewayResponse{http.StatusBadRequest, "BAD_LICENSE_SERVER_REQUEST"}
	noSuchRoute     = gatewayResponse{http.StatusForbidden, "MISSING_AUTHENTICATION_TOKEN"}
	requestTooLarge = gatewayResponse{http.StatusRequestEntityTooLarge, "REQUEST_TOO_LARGE"}
	internalError   = gatewayResponse{http.StatusInternalServerError, "INTERNAL_LICENSE_SERVER_ERROR"}
)

// setGatewayHeaders sets the headers of all these responses. Web pages of any origin may read them. A Retry-After
// that is set already stays.
func setGatewayHeaders(header http.Header, status int) {
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	for name, value := range api.CrossOrigin() {
		header.Set(name, value)
	}
	isPassing := status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
	if isPassing && header.Get("Retry-After") == "" {
		header.Set("Retry-After", api.RetryAfterFault)
	}
}

func (g gatewayResponse) write(w http.ResponseWriter) {
	setGatewayHeaders(w.Header(), g.status)
	w.WriteHeader(g.status)
	w.Write(gatewayBody(g.status, g.code, "")) // the client may have gone
}

// gatewayBody serves both kinds of callers. Products read its member error, and for the vendor it is a problem detail
// (RFC 9457).
func gatewayBody(status int, code, detail string) []byte {
	body, err := json.Marshal(struct {
		Error  string `json:"error"`
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Code   string `json:"code"`
		Detail string `json:"detail,omitempty"`
	}{code, "about:blank", http.StatusText(status), status, code, detail})
	if err != nil {
		panic(err) // texts and a number can be marshaled
	}
	return body
}
