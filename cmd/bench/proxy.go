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

// delays are what AWS takes, from the arrival of a request to its answer. What is not here takes none.
var delays = map[string]time.Duration{
	"GetItem":        4 * time.Millisecond,
	"BatchGetItem":   4 * time.Millisecond,
	"PutItem":        4 * time.Millisecond,
	"Sign":           8 * time.Millisecond,
	"GetPublicKey":   8 * time.Millisecond,
	"GetSecretValue": 8 * time.Millisecond,
}

// proxy counts the calls to the handler behind it, and answers none before its delay is over, however fast that is.
type proxy struct {
	next http.Handler

	mu    sync.Mutex
	calls map[string]int
	late  int // answers that took longer than their delay
}

func newProxy(next http.Handler) *proxy { return &proxy{next: next, calls: map[string]int{}} }

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := operation(r)
	due := time.Now().Add(delays[name])
	answer := httptest.NewRecorder()
	p.next.ServeHTTP(answer, r)
	isLate := time.Now().After(due)
	p.mu.Lock()
	p.calls[name]++
	if isLate {
		p.late++
	}
	p.mu.Unlock()
	waitUntil(due)
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	w.Write(answer.Body.Bytes())
}

// waitUntil is more exact than time.Sleep, which comes back a tenth of a millisecond late.
func waitUntil(due time.Time) {
	time.Sleep(time.Until(due) - 300*time.Microsecond)
	for time.Now().Before(due) {
		runtime.Gosched()
	}
}

// take answers the calls since it was last asked.
func (p *proxy) take() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := p.calls
	p.calls = map[string]int{}
	return calls
}
