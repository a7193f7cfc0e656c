package apitest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
)

// Transport checks every response that comes over HTTP. It is for a package's TestMain, so that no test can forget it:
//
//	transport := apitest.NewTransport()
//	http.DefaultTransport = transport
//	code := m.Run()
//	err := transport.Err()
type Transport struct {
	base http.RoundTripper

	mu       sync.Mutex
	problems []error
}

// NewTransport returns a Transport that sends requests as http.DefaultTransport does now. It panics without
// openapi.yaml.
func NewTransport() *Transport {
	if _, err := Read(); err != nil {
		panic(err)
	}
	return &Transport{base: http.DefaultTransport}
}

// RoundTrip implements http.RoundTripper. It returns every response as it is. Err returns what is wrong with them.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	t.check(r, NewResponse(response, body))
	return response, nil
}

func (t *Transport) check(r *http.Request, a Response) {
	d, err := Read()
	if err == nil {
		err = d.Check(d.route(r.Method, r.URL.EscapedPath()), a)
	}
	if err != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.problems = append(t.problems, err)
	}
}

// Err returns how the responses so far differ from what the description promises.
func (t *Transport) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Join(t.problems...)
}

// NewResponse returns a response that came over HTTP.
func NewResponse(response *http.Response, body []byte) Response {
	header := make(map[string]string, len(response.Header))
	for name := range response.Header {
		header[name] = response.Header.Get(name)
	}
	return Response{response.StatusCode, header, string(body)}
}
