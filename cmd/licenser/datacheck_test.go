package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"openlicenser/shared/embedded"
)

// largeData makes a data folder of a license for "Example Ltd", whose file is too large to be checked at once.
func largeData(t *testing.T) (data, file string, l issued) {
	t.Helper()
	data = t.TempDir()
	s := start(t, data)
	l = s.issue()
	s.stop()
	file = filepath.Join(data, "licenser.db")
	if err := errors.Join(os.Truncate(file, 65<<20), os.Remove(file+".sha256")); err != nil {
		t.Fatal(err)
	}
	return data, file, l
}

// TestDamageOfLargeData: the server starts, and ends with an error when it finds the damage.
func TestDamageOfLargeData(t *testing.T) {
	data, file, _ := largeData(t)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.ReplaceAll(content, []byte("Example Ltd"), []byte("Another Ltd"))
	if err := os.WriteFile(file, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, data)
	kill := time.AfterFunc(time.Minute, func() { s.command.Process.Kill() })
	defer kill.Stop()
	err = s.command.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitOther {
		t.Errorf("it ended with %v", err)
	}
	logged, last, _ := strings.Cut(s.stderr.String(), "\nlicenser: ")
	for _, text := range []string{logged, last} {
		if !strings.Contains(text, file+" is damaged (") || !strings.Contains(text, "restore it from a copy") {
			t.Errorf("got %q", text)
		}
	}
	if !strings.Contains(logged, "the server stops, because its data is damaged") {
		t.Errorf("logged %q", logged)
	}
}

// TestStopBeforeTheCheckEnds: the check ends with the server, and that is no damage.
func TestStopBeforeTheCheckEnds(t *testing.T) {
	data, _, _ := largeData(t)
	folder, err := embedded.Open(data)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	err = whileSound(ctx, folder, logger, func(context.Context) error { return errors.New("of the server") })
	if err == nil || err.Error() != "of the server" || log.Len() > 0 {
		t.Errorf("got %v, logged %s", err, log.String())
	}
}

// TestProductsBeforeTheCheckEnds: until then a license that is not there is a fault, at which no product ends.
func TestProductsBeforeTheCheckEnds(t *testing.T) {
	data, _, l := largeData(t)
	folder, err := embedded.Open(data)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	stored, err := folder.Licenses.Get(t.Context(), l.LicenseID)
	if err := errors.Join(err, folder.Licenses.Remove(t.Context(), stored)); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	checkpoints, errCheckpoints := openCheckpoints(folder, data, time.Hour, log)
	gateway, err := serveCommand{lifetime: time.Hour}.gateway(folder, checkpoints, "vendor", log)
	if err := errors.Join(errCheckpoints, err); err != nil {
		t.Fatal(err)
	}
	verify := func() int {
		body := strings.NewReader(fmt.Sprintf(`{"licensekey":%q}`, l.LicenseKey))
		response := httptest.NewRecorder()
		gateway.ServeHTTP(response, httptest.NewRequest(http.MethodPost, "/verify-license", body))
		return response.Code
	}
	if status := verify(); status != http.StatusInternalServerError {
		t.Errorf("before: %d", status)
	}
	if err := folder.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status := verify(); status != http.StatusBadRequest {
		t.Errorf("after: %d", status)
	}
}
