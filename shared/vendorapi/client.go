// Package vendorapi is the vendor's API as its callers see it: a client, and the JSON on the wire. The server writes by
// the same types. The package knows no AWS; package sigv4 signs requests for API Gateway.
package vendorapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Config says how to reach an API.
type Config struct {
	URL *url.URL // see ParseURL

	// Token is the bearer token of the vendor's routes. Empty: requests carry none.
	Token string
	// Sign adds the vendor's signature to a request that has this body. Nil: requests are not signed.
	Sign func(r *http.Request, body []byte) error
	// Transport sends the requests. Nil: http.DefaultTransport does.
	Transport http.RoundTripper
}

// Client calls the vendor's API. Its methods return a *Problem for what the server refuses.
//
// A request that changes nothing is sent again after a response that says to come again, and so is one with an
// Idempotency-Key. Package net/http sends the same ones again after a connection broke that it had kept open.
type Client struct {
	config Config
	base   string // the URL without a slash at its end
	http   http.Client
}

// New returns a client. It refuses to send a token to another machine in the clear.
func New(c Config) (*Client, error) {
	if c.Token != "" && c.URL.Scheme != "https" && !IsLocal(c.URL) {
		const text = "%s: a token goes to another machine over https only; anyone on the way could read it"
		return nil, fmt.Errorf(text, c.URL)
	}
	return &Client{
		config: c,
		base:   strings.TrimSuffix(c.URL.String(), "/"),
		http:   http.Client{Transport: c.Transport, CheckRedirect: stayOnHost},
	}, nil
}

// ParseURL reads the URL of an API.
func ParseURL(text string) (*url.URL, error) {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return nil, fmt.Errorf("%q is not an http or https URL", text)
	}
	return parsed, nil
}

// IsLocal reports whether the API is one of this machine.
func (c *Client) IsLocal() bool { return IsLocal(c.config.URL) }

// IsLocal reports whether a URL leads to this machine.
func IsLocal(u *url.URL) bool {
	return u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
}

// stayOnHost lets redirects lead nowhere else: credentials are for the host of the client's URL. A redirect that turns
// a change into a GET is refused too, because its success would pass for that of the change.
func stayOnHost(next *http.Request, earlier []*http.Request) error {
	first := earlier[0]
	switch {
	case next.URL.Scheme != first.URL.Scheme || next.URL.Host != first.URL.Host:
		return fmt.Errorf("the server redirects to %s://%s, which gets no credentials; "+
			"if it is the right one, name it as the URL of the API", next.URL.Scheme, next.URL.Host)
	case next.Method != first.Method:
		return fmt.Errorf("the server redirects in answer to a %s", first.Method)
	case len(earlier) >= 10:
		return errors.New("the server redirects without end")
	}
	return nil
}

// Options go with a change.
type Options struct {
	// IfMatch is the ETag of the license that the change is meant for. * stands for any.
	IfMatch string
	// IdempotencyKey is a text of the caller's, such as a UUID, that is new for each change. A request that comes twice
	// with it takes effect once.
	IdempotencyKey string
	// IfNoneMatch is * for a plan that must not be there yet.
	IfNoneMatch string
}

// conditions returns the options without an Idempotency-Key.
func (o Options) conditions() Options {
	o.IdempotencyKey = ""
	return o
}

// request is a call of one route.
type request struct {
	method, path string
	query        url.Values
	body         any  // sent as JSON; nil: none
	isPublic     bool // it needs no credentials, and gets none
	Options
}

// attempts bounds how often a request is sent.
const attempts = 3

// do sends a request and reads the response into a value: JSON, or a text as it is into a *string, or nothing into nil.
func (c *Client) do(ctx context.Context, r request, into any) (http.Header, error) {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return nil, err
		}
	}
	for attempt := 1; ; attempt++ {
		header, err := c.send(ctx, r, body, into)
		var problem *Problem
		if attempt == attempts || !errors.As(err, &problem) || !r.mayRepeat(problem) {
			return header, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause(problem, attempt)):
		}
	}
}

// mayRepeat reports whether the server asks for another attempt, and one does no harm.
func (r request) mayRepeat(p *Problem) bool {
	if r.method != http.MethodGet && r.IdempotencyKey == "" {
		return false
	}
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return p.Code == "IDEMPOTENCY_IN_FLIGHT" // of an attempt whose response was lost
}

// maxPause bounds what the server may ask for.
const maxPause = 10 * time.Second

// pause is random in part, so that clients that were refused together do not come again together.
func pause(p *Problem, attempt int) time.Duration {
	least := max(p.RetryAfter, 500*time.Millisecond<<attempt)
	return min(least, maxPause) + rand.N(500*time.Millisecond)
}

// timeout bounds an attempt: API Gateway's 29 seconds, and the way.
const timeout = 35 * time.Second

func (c *Client) send(ctx context.Context, r request, body []byte, into any) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	sent, err := c.newRequest(ctx, r, body)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(sent)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode < 200 || response.StatusCode > 299:
		return nil, newProblem(r.method+" "+r.path, response, text)
	case response.StatusCode == http.StatusNoContent:
		return response.Header, nil
	}
	switch into := into.(type) {
	case nil:
	case *string:
		*into = string(text)
	default:
		if err := json.Unmarshal(text, into); err != nil {
			return nil, fmt.Errorf("%s: %w", r.path, err)
		}
	}
	return response.Header, nil
}

// CredentialsError reports that there are no credentials to sign a request with: the sign-in has ended, as a rule.
type CredentialsError struct{ err error }

func (e *CredentialsError) Error() string { return "no credentials: " + e.err.Error() }

func (e *CredentialsError) Unwrap() error { return e.err }

func (c *Client) newRequest(ctx context.Context, r request, body []byte) (*http.Request, error) {
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	sent, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"If-Match": r.IfMatch, "If-None-Match": r.IfNoneMatch, "Idempotency-Key": r.IdempotencyKey,
	} {
		if value != "" {
			sent.Header.Set(name, value)
		}
	}
	if body != nil {
		sent.Header.Set("Content-Type", "application/json")
	}
	switch {
	case r.isPublic:
	case c.config.Token != "":
		sent.Header.Set("Authorization", "Bearer "+c.config.Token)
	case c.config.Sign != nil:
		if err := c.config.Sign(sent, body); err != nil {
			return nil, &CredentialsError{err}
		}
	}
	return sent, nil
}
