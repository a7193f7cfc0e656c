package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"openlicenser/shared/audit"
	"openlicenser/shared/embedded"
	"openlicenser/shared/testing/apitest"
)

// binary is the built program; TestMain makes it.
var binary string

// checked checks every response that a test gets from http's clients against openapi.yaml.
var checked = apitest.NewTransport()

func TestMain(m *testing.M) {
	http.DefaultTransport = checked
	folder, err := os.MkdirTemp("", "licenser")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(folder, "licenser")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	if err := checked.Err(); err != nil {
		fmt.Printf("FAIL: answers that are not what openapi.yaml says:\n%v\n", err)
		code = max(code, 1)
	}
	os.RemoveAll(folder)
	os.Exit(code)
}

// server is a running `licenser serve`.
type server struct {
	t       *testing.T
	command *exec.Cmd
	url     string
	welcome string
	stderr  *bytes.Buffer
}

// start runs the program on a free port and waits for its welcome.
func start(t *testing.T, data string, options ...string) *server {
	t.Helper()
	arguments := append([]string{"serve", "--listen", "127.0.0.1:0", "--data", data}, options...)
	s := &server{t: t, command: exec.Command(binary, arguments...), stderr: &bytes.Buffer{}}
	s.command.Stderr = s.stderr
	stdout, err := s.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.command.Process.Kill() })
	scanner := bufio.NewScanner(stdout)
	for scanner.Scan() && !strings.Contains(s.welcome, "/revoke") {
		s.welcome += scanner.Text() + "\n"
	}
	found := regexp.MustCompile(`listens on (http://\S+)`).FindStringSubmatch(s.welcome)
	if found == nil {
		s.command.Wait()
		t.Fatalf("no welcome:\n%s%s", s.welcome, s.stderr)
	}
	s.url = found[1]
	return s
}

// stop ends the program as Ctrl-C does, and wants it to end well.
func (s *server) stop() {
	s.t.Helper()
	if err := s.command.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	if err := s.command.Wait(); err != nil {
		s.t.Fatalf("%v\n%s", err, s.stderr)
	}
}

func (s *server) call(method, path, body string) (status int, text string) {
	s.t.Helper()
	request, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(read)
}

func (s *server) get(path string, into any) {
	s.t.Helper()
	status, text := s.call(http.MethodGet, path, "")
	if status != http.StatusOK {
		s.t.Fatalf("%s: %d %s", path, status, text)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		s.t.Fatal(err)
	}
}

const order = `{"customername":"Example Ltd","expirationdate":"2099-01-31",` +
	`"services":[{"serviceName":"Reports","serviceValue":"reports"}],"appurls":[{"URL":"https://app.example.com"}]}`

type issued struct{ LicenseID, LicenseKey, ChangedBy string }

func (s *server) issue() (l issued) {
	s.t.Helper()
	status, text := s.call(http.MethodPost, "/licenses", order)
	if status != http.StatusCreated {
		s.t.Fatalf("%d %s", status, text)
	}
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		s.t.Fatal(err)
	}
	return l
}

func (s *server) verify(key string) (answer struct{ Message, Error string }) {
	s.t.Helper()
	_, text := s.call(http.MethodPost, "/verify-license", fmt.Sprintf(`{"licensekey":%q}`, key))
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		s.t.Fatal(err)
	}
	return answer
}

// trail waits for n entries: like on AWS, the trail follows the change by moments.
func (s *server) trail(id string, n int) (entries []audit.Entry) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var page struct{ Entries []audit.Entry }
		s.get("/licenses/"+id+"/audit?limit=100", &page)
		if len(page.Entries) >= n {
			return page.Entries
		}
	}
	s.t.Fatalf("the trail of %s did not come to %d entries", id, n)
	return nil
}

// TestTheLine drives a license's whole life through the built program.
func TestTheLine(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data)
	l := s.issue()

	answer := s.verify(l.LicenseKey)
	var set jose.JSONWebKeySet
	s.get("/.well-known/jwks.json", &set)
	parsed, err := jwt.ParseSigned(answer.Message, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := parsed.Claims(&set, &claims); err != nil {
		t.Fatal(err)
	}
	if claims["licenseid"] != l.LicenseID || claims["customername"] != "Example Ltd" {
		t.Errorf("claims %v", claims)
	}

	status, text := s.call(http.MethodPost, "/licenses/"+l.LicenseID+"/revoke", `{"reason":"contract ended"}`)
	if status != http.StatusOK {
		t.Fatalf("revoke: %d %s", status, text)
	}
	if answer := s.verify(l.LicenseKey); answer.Error != "LICENSE_REVOKED" {
		t.Errorf("after the revocation: %+v", answer)
	}
	entries := s.trail(l.LicenseID, 2)
	if entries[0].Action != audit.Issued || entries[1].Action != audit.Revoked ||
		entries[1].Reason != "contract ended" {
		t.Errorf("trail %+v", entries)
	}
	if entries[1].Actor == "" || entries[1].Actor == audit.UnknownActor || entries[1].Actor != l.ChangedBy {
		t.Errorf("the actor is %q, and who issued is %q", entries[1].Actor, l.ChangedBy)
	}
	if _, err := audit.Verify(l.LicenseID, audit.Head{}, entries); err != nil {
		t.Error(err)
	}
	s.stop()

	again := start(t, data)
	if answer := again.verify(l.LicenseKey); answer.Error != "LICENSE_REVOKED" {
		t.Errorf("after a restart: %+v", answer)
	}
	var after jose.JSONWebKeySet
	again.get("/.well-known/jwks.json", &after)
	if after.Keys[0].KeyID != set.Keys[0].KeyID {
		t.Error("the restart changed the token key")
	}
	again.stop()
}

// TestWelcome: the commands that the program prints do what they say, as printed.
func TestWelcome(t *testing.T) {
	t.Run("open", func(t *testing.T) { testWelcome(t) })
	t.Run("with a token", func(t *testing.T) { testWelcome(t, "--vendor-token-file", writeToken(t, testToken, 0o600)) })
}

// TestReachable: what is printed of a server on all addresses is one that clients can use.
func TestReachable(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:3000": "127.0.0.1:3000", "0.0.0.0:3000": "127.0.0.1:3000", "[::]:3000": "[::1]:3000",
		"192.0.2.1:3000": "192.0.2.1:3000",
	} {
		if got := reachable(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))); got != want {
			t.Errorf("%s is printed as %s", address, got)
		}
	}
}

func testWelcome(t *testing.T, options ...string) {
	for _, tool := range []string{"sh", "curl", "sed", "tee"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	s := start(t, filepath.Join(t.TempDir(), "data"), options...)
	// curl leaves the status and the headers in a file, for openapi.yaml; what it prints stays as it is.
	curlHome := t.TempDir()
	head := filepath.Join(curlHome, "head")
	if err := os.WriteFile(filepath.Join(curlHome, ".curlrc"), []byte("dump-header = "+head), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CURL_HOME", curlHome)
	var answers []string
	for _, command := range regexp.MustCompile(`(?m)^  (curl .*)$`).FindAllStringSubmatch(s.welcome, -1) {
		out, err := exec.Command("sh", "-c", command[1]).Output()
		if err != nil {
			t.Fatalf("%s: %v", command[1], err)
		}
		answers = append(answers, string(out))
		headers, err := os.ReadFile(head)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(append(headers, out...))), nil)
		if err != nil {
			t.Fatal(err)
		}
		route := "POST " + regexp.MustCompile(`http://[^/]+(/[a-z-]+)`).FindStringSubmatch(command[1])[1]
		if strings.Contains(command[1], "/revoke ") {
			route = "POST /licenses/{licenseid}/revoke"
		}
		apitest.Check(t, route, apitest.NewResponse(response, out))
	}
	if len(answers) != 3 || !strings.Contains(answers[0], `"licensekey":"eyJ`) ||
		!strings.HasPrefix(answers[1], `{"message":"eyJ`) ||
		!strings.Contains(answers[2], `"status":"revoked"`) {
		t.Errorf("answers:\n%s", strings.Join(answers, "\n"))
	}
	s.stop()
}

// TestStopUnderLoad: what was acknowledged before Ctrl-C is there after it, and its trail is complete.
func TestStopUnderLoad(t *testing.T) {
	data := t.TempDir()
	s := start(t, data)
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	enough := make(chan struct{})
	var once sync.Once
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				response, err := http.Post(s.url+"/licenses", "application/json", strings.NewReader(order))
				if err != nil {
					return // the server has gone
				}
				var l issued
				err = json.NewDecoder(response.Body).Decode(&l)
				response.Body.Close()
				if err != nil || response.StatusCode != http.StatusCreated {
					t.Errorf("%d %v", response.StatusCode, err)
					return
				}
				mu.Lock()
				acknowledged[l.LicenseID] = true
				if len(acknowledged) >= 100 {
					once.Do(func() { close(enough) })
				}
				mu.Unlock()
			}
		})
	}
	select {
	case <-enough:
	case <-time.After(time.Minute):
		t.Fatal("the load did not come up")
	}
	s.stop()
	clients.Wait()

	again := start(t, data)
	for id := range acknowledged {
		again.trail(id, 1)
	}
	again.stop()
	folder, err := embedded.Open(data)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	for id := range acknowledged {
		if _, err := folder.Licenses.Get(t.Context(), id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// TestStopWithASlowClient: a client that never ends its request does not hold up the end for ever, nor make it a
// failure.
func TestStopWithASlowClient(t *testing.T) {
	s := start(t, t.TempDir())
	connection, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := io.WriteString(
		connection, "POST /licenses HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
	); err != nil {
		t.Fatal(err)
	}
	s.issue() // the server is at work, so the request before is too
	s.stop()
}

// TestKilled: the same when it is killed without warning.
func TestKilled(t *testing.T) {
	data := t.TempDir()
	s := start(t, data)
	var ids []string
	for range 20 {
		ids = append(ids, s.issue().LicenseID)
	}
	s.command.Process.Signal(syscall.SIGKILL)
	s.command.Wait()
	again := start(t, data)
	for _, id := range ids {
		if entries := again.trail(id, 1); len(entries) != 1 {
			t.Errorf("%s has %d entries", id, len(entries))
		}
	}
	again.stop()
}

// TestRefusesToStart: one clear line, and a non-zero exit.
func TestRefusesToStart(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good := writeToken(t, testToken, 0o640)
	options := func(more ...string) []string {
		return append([]string{"--listen", "127.0.0.1:0", "--data", t.TempDir()}, more...)
	}
	damaged := t.TempDir()
	if err := os.WriteFile(
		filepath.Join(damaged, "licenser.db"), []byte(strings.Repeat("noise", 10000)), 0o600,
	); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"port in use": {
			[]string{"--listen", busy.Addr().String(), "--data", t.TempDir()}, "address already in use",
		},
		"no address":        {[]string{"--listen", "nowhere", "--data", t.TempDir()}, "--listen"},
		"folder is a file":  {[]string{"--listen", "127.0.0.1:0", "--data", file}, "data folder"},
		"data file damaged": {[]string{"--listen", "127.0.0.1:0", "--data", damaged}, "licenser.db is damaged"},
		"lifetime of 0":     {options("--token-lifetime-days", "0"), "from 1 to 3650"},
		"open to others":    {[]string{"--listen", "0.0.0.0:0", "--data", t.TempDir()}, "--vendor-token-file"},
		"open, all of them": {[]string{"--listen", ":0", "--data", t.TempDir()}, "--vendor-token-file"},
		"host is a URL":     {options("--vendor-token-file", good, "--host", "https://example.com"), "--host"},
		"host with a port":  {options("--vendor-token-file", good, "--host", "example.com:443"), "without a port"},
		"token file empty":  {options("--vendor-token-file", ""), "--vendor-token-file"},
		"no token file":     {options("--vendor-token-file", filepath.Join(t.TempDir(), "none")), "no such file"},
		"token for all":     {options("--vendor-token-file", writeToken(t, testToken, 0o644)), "chmod o="},
		"token too short":   {options("--vendor-token-file", writeToken(t, testToken[:31], 0o600)), "32 to 1024"},
		"token too long": {
			options("--vendor-token-file", writeToken(t, strings.Repeat("a", 1025), 0o600)), "32 to 1024",
		},
		"two tokens": {
			options("--vendor-token-file", writeToken(t, testToken+"\n"+testToken, 0o600)), "one line",
		},
		"lifetime too long": {options("--token-lifetime-days", "200000"), "from 1 to 3650"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var stderr bytes.Buffer
			command := exec.CommandContext(ctx, binary, append([]string{"serve"}, test.args...)...)
			command.Stderr = &stderr
			err := command.Run()
			lines := strings.Count(strings.TrimSpace(stderr.String()), "\n") + 1
			if err == nil || ctx.Err() != nil || lines != 1 || !strings.Contains(stderr.String(), test.want) ||
				strings.Contains(stderr.String(), testToken[:31]) {
				t.Errorf("%v: %s", err, stderr.String())
			}
		})
	}
	t.Run("folder cannot be written", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("root can write everywhere")
		}
		folder := t.TempDir()
		if err := os.Chmod(folder, 0o500); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(
			binary, "serve", "--data", filepath.Join(folder, "data"),
		).CombinedOutput(); err == nil ||
			!strings.Contains(string(out), "permission denied") {
			t.Errorf("%v: %s", err, out)
		}
	})
}
