package vendorapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"openlicenser/shared/license"
)

// Problem is a response that is no success, as the error of a call. The vendor's API sends a problem detail (RFC 9457)
// then. API Gateway and proxies send less, so that all but Status may be empty.
type Problem struct {
	Status int                  // of the HTTP response
	Code   string               // stable, for programs, as LICENSE_NOT_FOUND
	Detail string               // for people
	Errors []license.FieldError // what is wrong with which field or query parameter

	// LicenseID is the license that has the reference, where the code is REFERENCE_TAKEN.
	LicenseID string

	RetryAfter time.Duration // when to ask again, where the server says so
	route      string
	status     string // with its text, as "404 Not Found"
}

// Error tells all that the server said.
func (p *Problem) Error() string {
	text := strings.TrimSpace(fmt.Sprintf("%s: %s %s", p.route, p.status, p.Code))
	if p.Detail != "" {
		text += " " + p.Detail
	}
	for _, e := range p.Errors {
		text += fmt.Sprintf("\n  %s %s", e.Field, e.Message)
	}
	return text
}

// Request returns the method and the path of what was asked, as "GET /licenses".
func (p *Problem) Request() string { return p.route }

// newProblem reads a problem detail, the member error of the public routes, or the member message of API Gateway's own
// responses.
func newProblem(route string, response *http.Response, body []byte) *Problem {
	p := &Problem{Status: response.StatusCode, route: route, status: response.Status}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		p.RetryAfter = time.Duration(seconds) * time.Second
	}
	var sent struct {
		Code, Error, Detail, Message, LicenseID string

		Errors []license.FieldError
	}
	if json.Unmarshal(body, &sent) == nil {
		p.Code, p.Detail, p.Errors = cmp.Or(sent.Code, sent.Error), sent.Detail+sent.Message, sent.Errors
		p.LicenseID = sent.LicenseID
	}
	return p
}
