package api

import (
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// problem is a problem detail (RFC 9457) with our members code and errors. Its type is about:blank, so its title is
// that of the status (RFC 9457 section 4.2.1).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
	Errors any    `json:"errors,omitempty"`

	//lint:ignore SA5008 an option of the package that marshals it
	Extensions map[string]string `json:",embed"`
}

// retryAfterBusy is the Retry-After, in seconds, of a service that is too busy. An index of one read unit has capacity
// again after as long, or a little longer, when a page of a list has taken more than there was.
const retryAfterBusy = "10"

// RetryAfterFault is the Retry-After, in seconds, of a response to products that reports a fault of ours. A short fault
// has passed by then. It is also in the template's GatewayResponses.
const RetryAfterFault = "30"

// Problem returns a response that states a failure as application/problem+json. What of it is no UTF-8, as it can come
// from a query, is replaced.
func Problem(f Failure) Response {
	body, err := json.Marshal(problem{
		Type:       "about:blank",
		Title:      http.StatusText(f.Status),
		Status:     f.Status,
		Code:       f.Code,
		Detail:     f.Detail,
		Errors:     f.Fields,
		Extensions: f.Extensions,
	}, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return Response{Status: http.StatusInternalServerError}
	}
	header := map[string]string{"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
	response := Response{Status: f.Status, Header: header, Body: body}
	if f.Status == http.StatusServiceUnavailable {
		response.Header["Retry-After"] = retryAfterBusy
	}
	return response
}
