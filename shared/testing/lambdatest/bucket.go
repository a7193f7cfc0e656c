package lambdatest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Bucket is an endpoint that speaks the part of S3 that puts and gets objects, with path-style URLs
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html).
type Bucket struct {
	URL string

	mu      sync.Mutex
	objects map[string]string // by bucket/key
	faults  []string
}

// NewBucket returns a bucket that is served until the test ends.
func NewBucket(t testing.TB) *Bucket {
	b := &Bucket{objects: map[string]string{}}
	server := httptest.NewServer(b)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	b.URL = server.URL
	return b
}

// Object returns an object's content, or "" where there is none. The path is the bucket's name and the key.
func (b *Bucket) Object(path string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.objects[path]
}

// Put sets the content of an object.
func (b *Bucket) Put(path, content string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[path] = content
}

// Fail has the next requests fail with the error codes, one each.
func (b *Bucket) Fail(codes ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, codes...)
}

var s3Statuses = map[string]int{
	"NoSuchKey": http.StatusNotFound, "NoSuchBucket": http.StatusNotFound, "AccessDenied": http.StatusForbidden,
	"PreconditionFailed": http.StatusPreconditionFailed, "ConditionalRequestConflict": http.StatusConflict,
	"SlowDown": http.StatusServiceUnavailable,
}

// ServeHTTP implements http.Handler.
func (b *Bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	content, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	kept, found := b.objects[path]
	switch {
	case len(b.faults) > 0:
		s3Error(w, b.faults[0])
		b.faults = b.faults[1:]
	case r.Method == http.MethodGet && !found:
		s3Error(w, "NoSuchKey")
	case r.Method == http.MethodGet:
		io.WriteString(w, kept)
	case r.Method == http.MethodPut && found && r.Header.Get("If-None-Match") == "*":
		s3Error(w, "PreconditionFailed")
	case r.Method == http.MethodPut && hasChecksum(r):
		b.objects[path] = string(content)
	default:
		http.Error(w, "unexpected "+r.Method+" of "+path, http.StatusNotImplemented)
	}
}

// hasChecksum reports whether a request has a checksum in its header, not in a trailer. A bucket with Object Lock
// refuses an object without one.
func hasChecksum(r *http.Request) bool {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-Checksum-") || name == "Content-Md5" {
			return true
		}
	}
	return false
}

func s3Error(w http.ResponseWriter, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(s3Statuses[code])
	const text = `<?xml version="1.0" encoding="UTF-8"?>` +
		`<Error><Code>%s</Code><Message>said by the server</Message></Error>`
	fmt.Fprintf(w, text, code)
}
