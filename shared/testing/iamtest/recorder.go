package iamtest

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Backends are what a Recorder hands requests to, by the service that they are signed for, as dynamodb.
type Backends map[string]http.Handler

// Recorder is an endpoint for all of AWS that one function calls. It keeps the calls, and hands the requests on.
type Recorder struct {
	URL string

	t        testing.TB
	backends Backends
	keyOf    func(alias string) string
	mu       sync.Mutex
	calls    map[string]Call // by their text: each once
	faults   []fault
}

type fault struct{ operation, code string }

// NewRecorder serves a recorder until the test ends. keyOf returns the ARN of the key that has an alias. A request that
// this package does not know fails the test.
func NewRecorder(t testing.TB, backends Backends, keyOf func(alias string) string) *Recorder {
	r := &Recorder{t: t, backends: backends, keyOf: keyOf, calls: map[string]Call{}}
	server := httptest.NewServer(r)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	r.URL = server.URL
	return r
}

// Calls returns all calls until now, each once, in the order of their texts.
func (r *Recorder) Calls() (calls []Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, text := range slices.Sorted(maps.Keys(r.calls)) {
		calls = append(calls, r.calls[text])
	}
	return calls
}

// Fail has the next requests of an operation of AWS JSON, as many as there are codes, fail with these.
func (r *Recorder) Fail(operation string, codes ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, code := range codes {
		r.faults = append(r.faults, fault{operation, code})
	}
}

// ServeHTTP implements http.Handler.
func (r *Recorder) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(in.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	in.Body = io.NopCloser(bytes.NewReader(body))
	service, operation := serviceOf(in), ""
	var calls []Call
	if service == "s3" {
		calls, err = ofS3(in)
	} else {
		_, operation, _ = strings.Cut(in.Header.Get("X-Amz-Target"), ".")
		calls, err = ofRequest(service, operation, body, r.keyOf)
	}
	backend := r.backends[service]
	if err != nil || backend == nil {
		r.t.Errorf("a call of %q: %v", service, err)
		http.Error(w, "unknown to the recorder", http.StatusNotImplemented)
		return
	}
	r.keep(calls)
	if code := r.faultOf(operation); code != "" {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"__type":%q,"message":"said by the recorder"}`, code)
		return
	}
	answer := &watched{ResponseWriter: w}
	backend.ServeHTTP(answer, in)
	if service == "s3" && in.Method == http.MethodGet && answer.status == http.StatusNotFound {
		r.keep([]Call{ofMissing(calls[0])})
	}
}

// serviceOf returns the service that a request is signed for
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html).
func serviceOf(in *http.Request) string {
	_, credential, _ := strings.Cut(in.Header.Get("Authorization"), "Credential=")
	scope := strings.Split(credential, "/") // key, date, region, service, …
	if len(scope) < 5 {
		return ""
	}
	return scope[3]
}

func (r *Recorder) keep(calls []Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range calls {
		r.calls[c.String()] = c
	}
}

// faultOf returns the code that a request of an operation has to fail with, or "".
func (r *Recorder) faultOf(operation string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.faults, func(f fault) bool { return f.operation == operation })
	if i < 0 {
		return ""
	}
	code := r.faults[i].code
	r.faults = slices.Delete(r.faults, i, i+1)
	return code
}

// watched keeps the status of a response.
type watched struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *watched) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
