package licensing_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	licensing "openlicenser/client"
)

// server is the local server of the repository that this module is in.
type server struct {
	t                     *testing.T
	binary, data, address string
	running               *exec.Cmd
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, binary: filepath.Join(t.TempDir(), "licenser"), data: filepath.Join(t.TempDir(), "data")}
	if runtime.GOOS == "windows" {
		s.binary += ".exe"
	}
	build := exec.Command("go", "build", "-o", s.binary, "./cmd/licenser")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0") // the server comes back at the same address
	if err != nil {
		t.Fatal(err)
	}
	s.address = free.Addr().String()
	free.Close()
	t.Cleanup(s.stop)
	s.start()
	return s
}

func (s *server) url() string { return "http://" + s.address }

func (s *server) start() {
	s.t.Helper()
	s.running = exec.Command(s.binary, "serve", "--listen", s.address, "--data", s.data)
	var stderr bytes.Buffer
	s.running.Stderr = &stderr
	out, err := s.running.StdoutPipe()
	if err == nil {
		err = s.running.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		if strings.Contains(scanner.Text(), "listens on") {
			go io.Copy(io.Discard, out)
			return
		}
	}
	s.running.Wait()
	s.t.Fatalf("the server does not start:\n%s", &stderr)
}

func (s *server) stop() {
	if s.running != nil {
		s.running.Process.Kill()
		s.running.Wait()
		s.running = nil
	}
}

// run calls the command line on the server's data.
func (s *server) run(arguments ...string) []byte {
	s.t.Helper()
	out, err := exec.Command(s.binary, append(arguments, "--data", s.data)...).Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		s.t.Fatalf("licenser %v: %v\n%s", arguments, err, exit.Stderr)
	}
	return out
}

// promote has the successor of the token key sign, which was prepared long enough ago.
func (s *server) promote() {
	s.t.Helper()
	ago := time.Now().Add(-49 * time.Hour) // the key is published since its file was written
	if err := os.Chtimes(filepath.Join(s.data, "token-key-next.pem"), ago, ago); err != nil {
		s.t.Fatal(err)
	}
	s.run("token-key", "promote")
}

func (s *server) call(method, path, body string) (said struct{ LicenseID, LicenseKey, ShortKey string }) {
	s.t.Helper()
	request, err := http.NewRequest(method, s.url()+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %d %s, %v", method, path, response.StatusCode, text, err)
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &said); err != nil {
			s.t.Fatal(err)
		}
	}
	return said
}

const order = `{"customername":"Example Ltd","expirationdate":"2099-01-31",` +
	`"services":[{"serviceName":"Reports","serviceValue":"reports"}],"appurls":[{"URL":"https://app.example.com"}]%s}`

// product is one that a customer has installed.
type product struct {
	t      *testing.T
	config licensing.Config
	clock  time.Duration // by how much it is ahead
	*licensing.Client
}

func (p *product) start() licensing.State {
	p.t.Helper()
	client, err := licensing.OpenAt(p.t.Context(), p.config, func() time.Time { return time.Now().Add(p.clock) })
	if err != nil {
		p.t.Fatal(err)
	}
	p.Client = client
	return client.State()
}

func (p *product) restart() licensing.State {
	p.t.Helper()
	p.stop()
	return p.start()
}

func (p *product) stop() {
	p.t.Helper()
	if err := p.Close(); err != nil {
		p.t.Error(err)
	}
}

func want(t *testing.T, s licensing.State, status licensing.Status, reason licensing.Code) {
	t.Helper()
	if s.Status != status || s.Reason != reason {
		t.Errorf("the status is %s %s, %v; want %s %s", s.Status, s.Reason, s.Err, status, reason)
	}
}

// TestLife leads a product through its life with the local server.
func TestLife(t *testing.T) {
	s := newServer(t)
	issued := s.call("POST", "/licenses", fmt.Sprintf(order, ""))
	s.run("token-key", "prepare")
	p := &product{t: t, config: licensing.Config{
		URL: s.url(), Key: issued.ShortKey, Service: "reports", Trusted: s.run("token-key", "export"),
		Store: licensing.Dir(t.TempDir()),
	}}
	want(t, p.start(), licensing.Active, "")
	state := p.Refresh(t.Context())
	if l := state.License; l.ID != issued.LicenseID || !l.Allows("reports") || !l.AllowsHost("app.example.com") ||
		l.CustomerName != "Example Ltd" || time.Until(state.UsableUntil) < 89*24*time.Hour {
		t.Errorf("the state is %+v", state)
	}

	s.stop()
	want(t, p.restart(), licensing.Active, "")
	want(t, p.Refresh(t.Context()), licensing.Offline, "")
	if err := p.Check(); err != nil {
		t.Errorf("offline: %v", err)
	}
	s.start()
	want(t, p.Refresh(t.Context()), licensing.Active, "")

	path := "/licenses/" + issued.LicenseID
	s.call("POST", path+"/revoke", `{"reason":"a test"}`)
	want(t, p.Refresh(t.Context()), licensing.Refused, licensing.LicenseRevoked)
	s.stop()
	want(t, p.restart(), licensing.Refused, licensing.LicenseRevoked)
	s.start()
	s.call("POST", path+"/reinstate", `{"reason":"a test"}`)
	want(t, p.restart(), licensing.Active, "")

	s.promote()
	want(t, p.Refresh(t.Context()), licensing.Active, "")
	s.stop()
	want(t, p.restart(), licensing.Active, "")
	s.start()

	p.stop()
	p.clock = -25 * time.Hour
	s.stop()
	want(t, p.start(), licensing.ClockBack, "")
	if err := p.Check(); !errors.Is(err, licensing.ErrClock) {
		t.Errorf("the clock was set back: %v", err)
	}
	s.start()
	p.stop()
	p.clock = 0
	want(t, p.start(), licensing.Active, "")

	other := s.call("POST", "/licenses", fmt.Sprintf(order, ""))
	want(t, p.SetKey(t.Context(), " "+other.LicenseKey[:50]+"\r\n"+other.LicenseKey[50:]), licensing.Active, "")
	want(t, p.SetKey(t.Context(), "no key"), licensing.Refused, licensing.InvalidLicense)
	p.stop()
}

// TestDevicesLife: a seat is taken, given back, and taken by another computer.
func TestDevicesLife(t *testing.T) {
	s := newServer(t)
	issued := s.call("POST", "/licenses", fmt.Sprintf(order, `,"maxdevices":1,"leaseminutes":60`))
	on := func(computer string) *product {
		return &product{t: t, config: licensing.Config{
			URL: s.url(), Key: issued.LicenseKey, TrustOnFirstUse: true, Store: licensing.Dir(t.TempDir()),
			Fingerprint: "the machine id of " + computer, DeviceName: computer,
		}}
	}
	first, second := on("front desk"), on("back office")
	state := first.start()
	want(t, state, licensing.Active, "")
	if until := time.Until(state.RetryAt); until > 31*time.Minute || state.License.Device == "" {
		t.Errorf("asks again in %s, for the device %q", until, state.License.Device)
	}
	want(t, second.start(), licensing.Refused, licensing.DeviceLimitReached)
	devices, err := second.Devices(t.Context())
	if err != nil || devices.Limit != 1 || len(devices.Devices) != 1 || devices.Devices[0].Name != "front desk" {
		t.Fatalf("the devices are %+v, %v", devices, err)
	}
	if err := second.Release(t.Context(), devices.Devices[0].ID); err != nil {
		t.Error(err)
	}
	want(t, second.Refresh(t.Context()), licensing.Active, "")
	want(t, first.Refresh(t.Context()), licensing.Refused, licensing.DeviceLimitReached)
	if err := second.Release(t.Context(), ""); err != nil {
		t.Error(err)
	}
	want(t, second.State(), licensing.Unknown, "")
	want(t, first.Refresh(t.Context()), licensing.Active, "")
	first.stop()
	second.stop()

	s.run("token-key", "prepare")
	s.promote() // the keys are fetched anew
	third := on("front desk")
	third.config.Store = first.config.Store
	want(t, third.start(), licensing.Active, "")
	want(t, third.Refresh(t.Context()), licensing.Active, "")
	file := filepath.Join(t.TempDir(), "license.lic")
	if err := os.WriteFile(file, []byte("no token"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := third.ImportFile(file); err == nil {
		t.Error("a file that is none was imported")
	}
	third.stop()
}
