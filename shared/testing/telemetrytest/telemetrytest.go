// Package telemetrytest fails a test run that logs a secret, and lets a test see what is logged.
package telemetrytest

import (
	"bytes"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"sync"
	"testing"

	"openlicenser/shared/telemetry"
)

// Log is the logger for the tests of a package. Main makes it the default logger too.
var Log = telemetry.NewLogger(output)

var output = &watcher{}

// webToken matches license keys and authorization tokens: every JWT begins with {" in base64url.
var webToken = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.`)

// Main runs a package's tests. It fails when a license key, a token or one of the secrets was logged. Where all tests
// ran, it also fails when nothing was logged at all.
func Main(m *testing.M, secrets ...string) {
	slog.SetDefault(Log)
	output.secrets = secrets
	code := m.Run()
	if ranAll() && !output.written {
		fmt.Println("FAIL: the tests have logged nothing")
		code = max(code, 1)
	}
	for _, leak := range output.leaks {
		fmt.Printf("FAIL: logged a secret: %s", leak)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Capture makes the default logger write to a buffer until the test ends.
func Capture(t testing.TB) *bytes.Buffer {
	t.Helper()
	var log bytes.Buffer
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	return &log
}

// ranAll reports whether all tests of the package were run in this process.
func ranAll() bool {
	for _, name := range []string{"test.run", "test.skip", "test.fuzz", "test.list"} {
		if flag.Lookup(name).Value.String() != "" {
			return false
		}
	}
	return true
}

// isFuzzWorker reports whether this process tries inputs for another one, which sees nothing of it but a panic.
func isFuzzWorker() bool { return flag.Lookup("test.fuzzworker").Value.String() == "true" }

// watcher is an io.Writer that looks for secrets in each record. Several tests may log at a time.
type watcher struct {
	secrets []string

	mu      sync.Mutex
	written bool
	leaks   []string
}

func (w *watcher) Write(record []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written = true
	leaks := webToken.Match(record)
	for _, secret := range w.secrets {
		leaks = leaks || bytes.Contains(record, []byte(secret))
	}
	if leaks {
		w.leaks = append(w.leaks, string(record))
		if isFuzzWorker() {
			panic("logged a secret: " + string(record))
		}
	}
	return len(record), nil
}
