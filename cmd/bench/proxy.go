//go:build unix

package main

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"time"
)

// delays maps operations to the time that AWS takes from a request to its response. Other operations take none.
var delays = map[string]time.Duration{
	"GetItem":        4 * time.Millisecond,
	"BatchGetItem":   4 * time.Millisecond,
	"PutItem":        4 * time.Millisecond,
	"Sign":           8 * time.Millisecond,
	"GetPublicKey":   8 * time.Millisecond,
	"GetSecretValue": 8 * time.Millisecond,
}

// proxy counts the calls to the handler behind it. It responds to none before its delay is over.
type proxy struct {
	next http.Handler

	mu    sync.Mutex
	calls map[string]int
	late  int // responses that took longer than their delay
}

func newProxy(next http.Handler) *proxy { return &proxy{next: next, calls: map[string]int{}} }

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := operation(r)
	due := time.Now().Add(delays[name])
	response := httptest.NewRecorder()
	p.next.ServeHTTP(response, r)
	isLate := time.Now().After(due)
	p.mu.Lock()
	p.calls[name]++
	if isLate {
		p.late++
	}
	p.mu.Unlock()
	waitUntil(due)
	maps.Copy(w.Header(), response.Header())
	w.WriteHeader(response.Code)
	w.Write(response.Body.Bytes())
}

// waitUntil sleeps more exactly than time.Sleep, which comes back a tenth of a millisecond late.
func waitUntil(due time.Time) {
	time.Sleep(time.Until(due) - 300*time.Microsecond)
	for time.Now().Before(due) {
		runtime.Gosched()
	}
}

// take returns the calls since it was last called.
func (p *proxy) take() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := p.calls
	p.calls = map[string]int{}
	return calls
}
