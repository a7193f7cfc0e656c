package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"openlicenser/shared/vendorapi"
)

// sentBy returns the request that a list is asked for with, which is sent to nobody.
func sentBy(t *testing.T, a vendorAPI) (sent *http.Request, err error) {
	t.Helper()
	if _, err := a.client(t.Context()); err != nil {
		return nil, err
	}
	c, err := a.config(t.Context())
	if err != nil {
		return nil, err
	}
	c.Transport = transport(func(r *http.Request) (*http.Response, error) {
		sent = r
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(`{}`))}, nil
	})
	client, err := vendorapi.New(c)
	if err != nil {
		return nil, err
	}
	_, err = client.LicensePage(t.Context(), vendorapi.ListQuery{Cursor: "a+b", Limit: 100})
	return sent, err
}

type transport func(*http.Request) (*http.Response, error)

func (send transport) RoundTrip(r *http.Request) (*http.Response, error) { return send(r) }

// TestTokenOfTheClient: the token goes to this machine or over https, alone.
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
		"line breaks": {
			"https://licenses.example.com", writeToken(t, testToken+"\r\nX: y", 0o600), "one line",
		},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := sentBy(t, vendorAPI{API: test.api, APITokenFile: test.file})
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := request.Header["Authorization"]
			if len(got) != 1 || got[0] != "Bearer "+testToken || len(request.Header) != 1 {
				t.Errorf("sends %v", request.Header)
			}
		})
	}
}

// TestRequestsAreSigned: a request to another machine carries a signature for API Gateway.
func TestRequestsAreSigned(t *testing.T) {
	setAWS(t, "http://127.0.0.1:1")
	request, err := sentBy(t, vendorAPI{API: "https://api.example.com/prod/"})
	if err != nil {
		t.Fatal(err)
	}
	got := request.Header.Get("Authorization")
	const target = "https://api.example.com/prod/licenses?cursor=a%2Bb&limit=100"
	if !strings.Contains(got, "/eu-west-1/execute-api/aws4_request") || request.URL.String() != target {
		t.Errorf("signed %s with %q", request.URL, got)
	}
	local, err := sentBy(t, vendorAPI{API: "http://127.0.0.1:3000"})
	if err != nil || len(local.Header) > 0 {
		t.Errorf("the local server wants no signature: %v, %v", local, err)
	}
}
