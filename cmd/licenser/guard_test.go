package main

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"openlicenser/shared/audit"
)

const testToken = "0123456789abcdefghijklmnopqrstuvwxyz-._~+/=="

// writeToken returns a file that holds a token.
func writeToken(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return file
}

// send sends a request with the headers, of which Host is one, and returns the response and its code.
func send(t *testing.T, method, url, body string, header map[string]string) (response *http.Response, code string) {
	t.Helper()
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		request.Header.Add(name, value)
	}
	request.Host = header["Host"]
	response, err = http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Error, Code, Detail string }
	if response.StatusCode >= 300 && json.Unmarshal(text, &got) != nil {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	switch response.Header.Get("Content-Type") {
	case "application/problem+json":
		if got.Error != "" || got.Detail == "" {
			t.Errorf("the vendor reads %s", text)
		}
	case "application/json":
		if got.Detail != "" && got.Error != got.Code {
			t.Errorf("products read %q, the vendor %q", got.Error, got.Code)
		}
	}
	return response, got.Code
}

// TestHosts: a request has to name this server.
func TestHosts(t *testing.T) {
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 3000}
	every := &net.TCPAddr{IP: net.IPv4zero, Port: 3000}
	for name, test := range map[string]struct {
		listen  string
		address net.Addr
		hosts   []string
		host    string
		local   string // address that the connection came to; 127.0.0.1 unless set
		passes  bool
	}{
		"localhost":                 {"127.0.0.1:3000", loopback, nil, "localhost:3000", "", true},
		"localhost, other port":     {"127.0.0.1:3000", loopback, nil, "localhost:8080", "", true},
		"localhost, no port":        {"127.0.0.1:3000", loopback, nil, "localhost", "", true},
		"LOCALHOST with a dot":      {"127.0.0.1:3000", loopback, nil, "LOCALHOST.:3000", "", true},
		"127.0.0.1":                 {"127.0.0.1:3000", loopback, nil, "127.0.0.1:3000", "", true},
		"another of this machine":   {"127.0.0.1:3000", loopback, nil, "127.8.9.1", "", true},
		"IPv6":                      {"[::1]:3000", loopback, nil, "[::1]:3000", "", true},
		"IPv6 without a port":       {"[::1]:3000", loopback, nil, "[::1]", "", true},
		"rebound name":              {"127.0.0.1:3000", loopback, nil, "rebound.example.org:3000", "", false},
		"rebound name, no port":     {"127.0.0.1:3000", loopback, nil, "rebound.example.org", "", false},
		"begins with localhost":     {"127.0.0.1:3000", loopback, nil, "localhost.example.org", "", false},
		"ends with localhost":       {"127.0.0.1:3000", loopback, nil, "example.localhost", "", false},
		"looks like an address":     {"127.0.0.1:3000", loopback, nil, "127.0.0.1.example.org", "", false},
		"another machine's address": {"127.0.0.1:3000", loopback, nil, "192.0.2.1:3000", "", false},
		"no host":                   {"127.0.0.1:3000", loopback, nil, "", "", false},
		"name of --listen": {
			"Licenses.example.com:3000", loopback, nil, "licenses.example.com:3000", "", true,
		},
		"address of --listen":       {"192.0.2.7:3000", every, nil, "192.0.2.7:3000", "192.0.2.7", true},
		"address of the connection": {":3000", every, nil, "192.0.2.7:3000", "192.0.2.7", true},
		"other than the connection": {":3000", every, nil, "192.0.2.8:3000", "192.0.2.7", false},
		"name on an open address":   {":3000", every, nil, "rebound.example.org", "192.0.2.7", false},
		"--host": {
			"127.0.0.1:3000", loopback, []string{"a.example.com", "B.example.com."}, "b.EXAMPLE.com:443", "", true,
		},
		"below --host":              {"127.0.0.1:3000", loopback, []string{"example.com"}, "a.example.com", "", false},
		"--host that is an address": {"127.0.0.1:3000", loopback, []string{"192.0.2.9"}, "192.0.2.9", "", true},
		"--host that is IPv6": {
			"127.0.0.1:3000", loopback, []string{"[2001:DB8::1]"}, "[2001:db8::1]:443", "", true,
		},
		"this machine beside --host": {"127.0.0.1:3000", loopback, []string{"example.com"}, "127.0.0.1:3000", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := newGuard(test.listen, test.address, test.hosts, testToken, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			passed := false
			handler := g.checkName(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true }))
			request := httptest.NewRequest("GET", "/licenses", nil)
			request.Host = test.host
			local := &net.TCPAddr{IP: net.ParseIP(cmp.Or(test.local, "127.0.0.1")), Port: 3000}
			request = request.WithContext(context.WithValue(request.Context(), http.LocalAddrContextKey, local))
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			if passed != test.passes || !passed && recorder.Code != http.StatusForbidden {
				t.Errorf("passed %t, %d %s", passed, recorder.Code, recorder.Body)
			}
		})
	}
}

// TestOtherPages sends to the built program what pages of other origins make a browser send.
func TestOtherPages(t *testing.T) {
	s := start(t, t.TempDir())
	host := strings.TrimPrefix(s.url, "http://")
	page := map[string]string{
		"Origin":         "https://evil.example",
		"Sec-Fetch-Site": "cross-site",
		"Content-Type":   "text/plain",
	}
	for name, test := range map[string]struct {
		method, path string
		header       map[string]string
		want         int
	}{
		"simple POST": {"POST", "/licenses", page, 403},
		"revocation":  {"POST", "/licenses/" + testID + "/revoke", page, 403},
		"POST, Origin alone": {
			"POST", "/licenses", map[string]string{"Origin": "https://evil.example"}, 403,
		},
		"POST, Sec-Fetch-Site alone": {"POST", "/licenses", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		"POST from a sandbox":        {"POST", "/licenses", map[string]string{"Origin": "null"}, 403},
		"POST from another port": {
			"POST", "/licenses", map[string]string{"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"}, 403,
		},
		"POST from another port, old": {"POST", "/licenses", map[string]string{"Origin": "http://127.0.0.1:1"}, 403},
		"GET":                         {"GET", "/licenses", map[string]string{"Origin": "https://evil.example"}, 403},
		"GET of an image": {
			"GET", "/licenses/" + testID, map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"},
			403,
		},
		"DELETE": {"DELETE", "/licenses/" + testID, page, 403},
		"rebound name": {
			"GET", "/licenses", map[string]string{"Host": "rebound.example", "Sec-Fetch-Site": "same-origin"}, 403,
		},
		"rebound name, POST": {
			"POST", "/licenses", map[string]string{"Host": "rebound.example", "Origin": "http://rebound.example"}, 403,
		},
		"rebound name, verification": {"POST", "/verify-license", map[string]string{"Host": "rebound.example"}, 403},
		"own page": {
			"POST", "/licenses", map[string]string{"Origin": s.url, "Sec-Fetch-Site": "same-origin"}, 201,
		},
		"own page, without metadata":  {"GET", "/licenses", map[string]string{"Origin": s.url}, 200},
		"address bar":                 {"GET", "/licenses", map[string]string{"Sec-Fetch-Site": "none"}, 200},
		"no browser":                  {"GET", "/licenses", nil, 200},
		"verification from a page":    {"POST", "/verify-license", page, 400},
		"keys for a page":             {"GET", "/.well-known/jwks.json", page, 200},
		"key for a page":              {"GET", "/public-key.pem", page, 200},
		"checkpoint's key for a page": {"GET", "/audit/checkpoint-key", page, 200},
		"POST through a forwarded port": {
			"POST", "/licenses", map[string]string{"Host": "localhost:8080", "Origin": "http://localhost:8080"}, 201,
		},
	} {
		t.Run(name, func(t *testing.T) {
			header := map[string]string{"Host": host}
			maps.Copy(header, test.header)
			response, code := send(t, test.method, s.url+test.path, order, header)
			if response.StatusCode != test.want || test.want == 403 && code != "ACCESS_DENIED" {
				t.Errorf("got %d %s", response.StatusCode, code)
			}
			contentType := "application/problem+json"
			if test.header["Host"] != "" {
				contentType = "application/json"
			}
			if got := response.Header.Get("Content-Type"); test.want == 403 && got != contentType {
				t.Errorf("refused with %s", got)
			}
		})
	}
	var list struct{ Licenses []struct{ LicenseID string } }
	s.get("/licenses", &list)
	if len(list.Licenses) != 2 {
		t.Errorf("there are %d licenses, of which the test's own requests have issued 2", len(list.Licenses))
	}
	s.stop()
	if log := s.stderr.String(); !strings.Contains(log, `"origin":"https://evil.example"`) &&
		!strings.Contains(log, "origin=https://evil.example") {
		t.Errorf("the log does not say who was refused:\n%s", log)
	}
}

// TestProxyWithoutToken: products may come through a proxy that has a name of its own; the vendor may not.
func TestProxyWithoutToken(t *testing.T) {
	s := start(t, t.TempDir(), "--host", "licenses.example.com")
	for name, test := range map[string]struct {
		path, host string
		want       int
	}{
		"product":                     {"/public-key.pem", "licenses.example.com", 200},
		"vendor":                      {"/licenses", "licenses.example.com", 403},
		"vendor, in capitals":         {"/licenses", "LICENSES.example.com:443", 403},
		"vendor, by another name":     {"/licenses", "licenses.example.org", 403},
		"vendor, by the machine's":    {"/licenses", "", 200},
		"vendor, by localhost's name": {"/licenses", "localhost", 200},
	} {
		t.Run(name, func(t *testing.T) {
			header := map[string]string{}
			if test.host != "" {
				header["Host"] = test.host
			}
			if response, code := send(t, "GET", s.url+test.path, "", header); response.StatusCode != test.want {
				t.Errorf("got %d %s, want %d", response.StatusCode, code, test.want)
			}
		})
	}
}

// TestProxies sends to the built program what a proxy does that has put the server's own address into Host.
func TestProxies(t *testing.T) {
	authorization := map[string]string{"Authorization": "Bearer " + testToken}
	open := start(t, t.TempDir())
	guarded := start(t, t.TempDir(), "--vendor-token-file", writeToken(t, testToken, 0o600))
	for name, value := range map[string]string{
		"X-Forwarded-For": "192.0.2.1", "x-forwarded-host": "licenses.example.com", "Forwarded": "for=192.0.2.1",
		"Via": "1.1 proxy", "X-Forwarded-FOR": "",
	} {
		header := map[string]string{name: value}
		if response, _ := send(t, "GET", open.url+"/public-key.pem", "", header); response.StatusCode != http.StatusOK {
			t.Errorf("a public route with %s: got %d", name, response.StatusCode)
		}
		for _, route := range []string{"POST /licenses", "GET /licenses", "GET /licenses/" + testID} {
			method, path, _ := strings.Cut(route, " ")
			response, code := send(t, method, open.url+path, order, map[string]string{name: value})
			if response.StatusCode != http.StatusForbidden || code != "ACCESS_DENIED" {
				t.Errorf("%s with %s: got %d %s", route, name, response.StatusCode, code)
			}
		}
		header = maps.Clone(authorization)
		header[name] = value
		if response, code := send(t, "GET", guarded.url+"/licenses", "", header); response.StatusCode != http.StatusOK {
			t.Errorf("%s, with the token: got %d %s", name, response.StatusCode, code)
		}
	}
	others := map[string]string{"X-Forwarded-Proto": "https", "X-Real-IP": "192.0.2.1"} // of no proxy in particular
	if response, code := send(t, "GET", open.url+"/licenses", "", others); response.StatusCode != http.StatusOK {
		t.Errorf("other headers: got %d %s", response.StatusCode, code)
	}
	open.stop()
	if !strings.Contains(open.stderr.String(), "--vendor-token-file") {
		t.Errorf("the log does not say what to do:\n%s", open.stderr)
	}
}

const testID = "d5b35ffa-af15-44b7-9de0-5b1b6dc4daec"

// TestVendorToken: with a token, the vendor's routes want it, on this machine too, and the others do not.
func TestVendorToken(t *testing.T) {
	file := writeToken(t, testToken+"\n", 0o600)
	s := start(t, t.TempDir(), "--vendor-token-file", file, "--host", "licenses.example.com")
	for name, test := range map[string]struct {
		method, path string
		header       map[string]string
		want         int
		challenge    string
	}{
		"none":       {"GET", "/licenses", nil, 401, `Bearer`},
		"none, POST": {"POST", "/licenses", nil, 401, `Bearer`},
		"wrong": {
			"POST", "/licenses", map[string]string{"Authorization": "Bearer " + strings.Repeat("a", 44)}, 401,
			`Bearer error="invalid_token"`,
		},
		"begun": {
			"POST", "/licenses", map[string]string{"Authorization": "Bearer " + testToken[:43]}, 401,
			`Bearer error="invalid_token"`,
		},
		"empty": {
			"POST", "/licenses", map[string]string{"Authorization": "Bearer "}, 401, `Bearer error="invalid_token"`,
		},
		"other scheme": {
			"POST", "/licenses", map[string]string{"Authorization": "Basic " + testToken}, 401, `Bearer`,
		},
		"token alone": {"POST", "/licenses", map[string]string{"Authorization": testToken}, 401, `Bearer`},
		"right": {
			"POST", "/licenses", map[string]string{"Authorization": "Bearer " + testToken}, 201, ``,
		},
		"right, lower case": {"GET", "/licenses", map[string]string{"Authorization": "bearer " + testToken}, 200, ``},
		"right, proxy's name": {
			"GET", "/licenses",
			map[string]string{"Authorization": "Bearer " + testToken, "Host": "licenses.example.com"}, 200, ``,
		},
		"right, other page": {
			"POST", "/licenses",
			map[string]string{"Authorization": "Bearer " + testToken, "Origin": "https://evil.example"}, 403, ``,
		},
		"right, other host": {
			"POST", "/licenses", map[string]string{"Authorization": "Bearer " + testToken, "Host": "evil.example"}, 403,
			``,
		},
		"public":      {"POST", "/verify-license", nil, 400, ``},
		"public keys": {"GET", "/.well-known/jwks.json", nil, 200, ``},
	} {
		t.Run(name, func(t *testing.T) {
			response, code := send(t, test.method, s.url+test.path, order, test.header)
			if response.StatusCode != test.want || response.Header.Get("WWW-Authenticate") != test.challenge ||
				test.want == 401 && code != "UNAUTHORIZED" {
				t.Errorf("got %d %s %q", response.StatusCode, code, response.Header.Get("WWW-Authenticate"))
			}
			if got := response.Header.Get("Content-Type"); test.want == 401 && got != "application/problem+json" {
				t.Errorf("refused with %s", got)
			}
		})
	}
	t.Run("twice", func(t *testing.T) {
		request, err := http.NewRequest("GET", s.url+"/licenses", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header["Authorization"] = []string{"Bearer " + testToken, "Bearer other"}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %d", response.StatusCode)
		}
	})

	// The commands that take --api bring the token.
	out, err := exec.Command(
		binary,
		"audit",
		"verify",
		"--all",
		"--api",
		s.url,
		"--api-token-file",
		file,
	).CombinedOutput()
	if err != nil || strings.Count(string(out), "  ok  ") != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	id, _, _ := strings.Cut(string(out), " ")
	command := exec.Command(binary, "audit", "export", id, "--api", s.url)
	command.Env = append(os.Environ(), "LICENSER_API_TOKEN_FILE="+file)
	if out, err = command.Output(); err != nil {
		t.Fatal(err)
	}
	var entry audit.Entry
	if err := json.Unmarshal(out, &entry); err != nil || entry.Actor != "vendor-token" {
		t.Errorf("the trail says %q, %v", entry.Actor, err)
	}
	out, err = exec.Command(binary, "audit", "export", id, "--api", s.url).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "(UNAUTHORIZED)") ||
		!strings.Contains(string(out), "--api-token-file") {
		t.Errorf("without a token: %v: %s", err, out)
	}
	s.stop()
	if strings.Contains(s.stderr.String()+s.welcome, testToken) {
		t.Error("the token is in what the program prints")
	}
}
