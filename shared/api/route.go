package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Unrouted stands in Router.Public for the requests that no route matches.
const Unrouted = ""

// find returns the handler of an event, the name of its route for the log, and the request with the parameters of its
// path. If the front has chosen one of our routes, that one counts. A function URL and a catch-all route leave the
// choice to us.
func (rt Router) find(e Event) (route string, handler Handler, r Request) {
	r, route = e.request(), e.route()
	if handler, known := rt.Routes[route]; known {
		r.parameters = e.pathParameters()
		return route, handler, r
	}
	for _, path := range e.paths() {
		if matched, parameters := rt.Routes.match(r.method, path); matched != "" {
			r.path, r.parameters = path, parameters
			return matched, rt.Routes[matched], r
		}
	}
	if methods := rt.publicMethods(e); r.method == http.MethodOptions && len(methods) > 0 {
		return route, preflight(methods), r
	}
	return route, rt.Fallback, r
}

// pathParameters returns the decoded parameters of the path. A REST API hands them over as they were sent, and an HTTP
// API decoded.
func (e Event) pathParameters() map[string]string {
	if e.Version != "" {
		return e.PathParameters
	}
	decoded := make(map[string]string, len(e.PathParameters))
	for name, sent := range e.PathParameters {
		decoded[name] = sent
		if value, err := url.PathUnescape(sent); err == nil {
			decoded[name] = value
		}
	}
	return decoded
}

// match returns the route with the fewest parameters that matches the path, or none.
func (routes Routes) match(method, path string) (matched string, parameters map[string]string) {
	if route := method + " " + path; routes[route] != nil {
		return route, nil
	}
	for route := range routes {
		of, pattern, _ := strings.Cut(route, " ")
		if of != method {
			continue
		}
		if found, matches := matchPath(pattern, path); matches && (matched == "" || len(found) < len(parameters)) {
			matched, parameters = route, found
		}
	}
	return matched, parameters
}

// matchPath compares a path with the pattern of a route, segment by segment, and returns the decoded parameters. All
// other segments must be written as in the pattern, because an IAM policy allows or denies the path as it was sent.
func matchPath(pattern, path string) (parameters map[string]string, matches bool) {
	parts, segments := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(parts) != len(segments) {
		return nil, false
	}
	parameters = map[string]string{}
	for i, part := range parts {
		name, isParameter := strings.CutPrefix(part, "{")
		if !isParameter {
			if part != segments[i] {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil || value == "" {
			return nil, false
		}
		parameters[strings.TrimSuffix(name, "}")] = value
	}
	return parameters, true
}

// isPublic reports whether a web page of any origin may call the route that find has named.
func (rt Router) isPublic(route string) bool {
	if rt.Routes[route] == nil {
		route = Unrouted
	}
	return slices.Contains(rt.Public, route)
}

// publicMethods returns the methods of the public routes on the path of an event. For what is unrouted that is POST.
func (rt Router) publicMethods(e Event) (methods []string) {
	paths := append(e.paths(), e.Resource)
	for _, route := range rt.Public {
		if method, path, routed := strings.Cut(route, " "); routed && slices.Contains(paths, path) {
			methods = append(methods, method)
		}
	}
	if len(methods) == 0 && slices.Contains(rt.Public, Unrouted) {
		methods = []string{http.MethodPost}
	}
	return methods
}
