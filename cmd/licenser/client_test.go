package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestTokenOfTheClient: the token goes to this machine or over https, alone, and to no other host.
func TestTokenOfTheClient(t *testing.T) {
	file := writeToken(t, testToken, 0o600)
	setAWS(t, "http://127.0.0.1:1")
	for name, test := range map[string]struct {
		api, file string
		want      string // in the error; "": the requests carry the token
	}{
		"this machine":                 {"http://127.0.0.1:3000", file, ""},
		"this machine by name":         {"http://localhost:3000", file, ""},
		"https":                        {"https://licenses.example.com", file, ""},
		"https on AWS":                 {"https://abc.execute-api.eu-central-1.amazonaws.com/prod", file, ""},
		"http to another machine":      {"http://licenses.example.com", file, "over https only"},
		"http to an address":           {"http://192.0.2.1:3000", file, "over https only"},
		"http, name with this address": {"http://127.0.0.1.example.com", file, "over https only"},
		"no such file":                 {"https://licenses.example.com", file + "s", "no such file"},
		"everybody can read it":        {"https://licenses.example.com", writeToken(t, testToken, 0o604), "chmod o="},
		"too short":                    {"https://licenses.example.com", writeToken(t, "secret", 0o600), "32 to 1024"},
		"line breaks":                  {"https://licenses.example.com", writeToken(t, testToken+"\r\nX: y", 0o600), "one line"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := vendorAPI{API: test.api, APITokenFile: test.file}.client(t.Context())
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			request := httptest.NewRequest(http.MethodGet, c.base+"/licenses", nil)
			if err := c.authorize(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			if got := request.Header["Authorization"]; len(got) != 1 || got[0] != "Bearer "+testToken || len(request.Header) != 1 {
				t.Errorf("sends %v", request.Header)
			}
		})
	}
}

// TestRedirects: no credential goes where --api does not point.
func TestRedirects(t *testing.T) {
	var elsewhere []*http.Request
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { elsewhere = append(elsewhere, r) }))
	defer other.Close()
	target := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/there" {
			w.Write([]byte(`{}`))
			return
		}
		http.Redirect(w, r, target, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	plain := http.DefaultTransport
	http.DefaultTransport = &http.Transport{} // redirects are no answers of openapi.yaml's
	t.Cleanup(func() { http.DefaultTransport = plain })
	c, err := vendorAPI{API: server.URL, APITokenFile: writeToken(t, testToken, 0o600)}.client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ target, want string }{
		"other port":  {other.URL + "/licenses", "redirects to " + other.URL},
		"other name":  {strings.Replace(other.URL, "127.0.0.1", "localhost", 1) + "/licenses", "gets no credentials"},
		"same host":   {"/there", ""},
		"in a circle": {"/licenses", "without end"},
	} {
		t.Run(name, func(t *testing.T) {
			target = test.target
			var answer struct{}
			err := c.get(t.Context(), "/licenses", nil, &answer)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v", err)
			}
			if len(elsewhere) > 0 {
				t.Errorf("the other host got %v", elsewhere[0].Header)
			}
		})
	}
}
