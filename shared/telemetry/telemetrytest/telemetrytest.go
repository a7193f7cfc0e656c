// Package telemetrytest watches what a whole test run logs.
package telemetrytest

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"sync"
	"testing"

	"openlicenser/shared/telemetry"
)

// Log gathers what the tests of a package log. Main makes it the default logger too.
var Log = telemetry.NewLogger(output)

var output = &lockedBuffer{}

// webToken matches license keys and authorization tokens: every JWT begins with {" in base64url.
var webToken = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.`)

// Main runs a package's tests, and fails when nothing was logged, or a license key, a token or one of the secrets.
func Main(m *testing.M, secrets ...string) {
	slog.SetDefault(Log)
	code := m.Run()
	if output.Len() == 0 {
		fmt.Println("FAIL: the tests have logged nothing")
		code = max(code, 1)
	}
	for line := range bytes.Lines(output.Bytes()) {
		leaks := webToken.Match(line)
		for _, secret := range secrets {
			leaks = leaks || bytes.Contains(line, []byte(secret))
		}
		if leaks {
			fmt.Printf("FAIL: logged a secret: %s", line)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// lockedBuffer may be written by several tests at a time.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}
