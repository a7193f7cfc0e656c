package main

import (
	"net/http"
	"os"
	"runtime/debug"
	"time"
)

// The limits for a client, so that one that sends or reads slowly is not served for ever.
const (
	headerTimeout   = 10 * time.Second
	requestTimeout  = time.Minute // for the whole request
	responseTimeout = time.Minute // for reading the response
	idleTimeout     = 2 * time.Minute

	maxHeader  = 10 << 10 // bytes of the request line and the header, as API Gateway's
	headerSlop = 4 << 10  // bytes that net/http reads beyond MaxHeaderBytes
)

// maxConnections is how many connections are served at once. Further ones wait in the kernel. It bounds the memory that
// clients can take: see docs/operate.md.
const maxConnections = 2000

func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout + integrationTimeout + responseTimeout, // from the end of the header
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader - headerSlop,
	}
}

// memoryLimit is what the garbage collector keeps memory under, in bytes. It leaves the rest of MemoryMax in
// docs/operate.md to the kernel's buffers.
const memoryLimit = 400 << 20

// setCollector trades some tens of megabytes for a fifth more verifications a second. Next to nothing of a request
// outlives it. Near the memory limit the garbage collector runs as often as it has to. The environment variables GOGC
// and GOMEMLIMIT take precedence.
func setCollector() {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(400)
	}
	if _, set := os.LookupEnv("GOMEMLIMIT"); !set {
		debug.SetMemoryLimit(memoryLimit)
	}
}
