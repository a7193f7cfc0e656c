package api

import (
	"context"
	"net/http"
	"strings"
)

// CrossOrigin returns the headers that let a page of any origin read a response
// (https://fetch.spec.whatwg.org/#http-cors-protocol). There are no cookies, so * gives nothing away.
func CrossOrigin() map[string]string {
	return map[string]string{
		"Access-Control-Allow-Origin":   "*",
		"Access-Control-Expose-Headers": "Date, Retry-After, X-Request-Id",
	}
}

// Preflight returns the headers that let a page send a JSON body with one of the methods. A browser keeps them for a
// day.
func Preflight(methods ...string) map[string]string {
	return map[string]string{
		"Access-Control-Allow-Origin":  "*",
		"Access-Control-Allow-Methods": strings.Join(methods, ", "),
		"Access-Control-Allow-Headers": "content-type",
		"Access-Control-Max-Age":       "86400",
	}
}

func preflight(methods []string) Handler {
	return func(context.Context, Request) (Response, error) {
		return Response{Status: http.StatusNoContent, Header: Preflight(methods...)}, nil
	}
}
