package licensing

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// service sends the requests of a product.
type service struct {
	base *url.URL
	http *http.Client
	own  *http.Transport // nil where the product brings its own client
}

const (
	requestTimeout = 15 * time.Second
	maxResponse    = 1 << 20 // bytes
)

// newService follows no redirects. A captive portal sends them, and what they lead to must not get the license key.
func newService(base *url.URL, given *http.Client) service {
	s := service{base: base, http: &http.Client{}}
	if given != nil {
		*s.http = *given
	} else {
		s.own = &http.Transport{ // as http.DefaultTransport, which the product may have replaced
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second,
		}
		s.http.Transport = s.own
	}
	s.http.Timeout = cmp.Or(s.http.Timeout, requestTimeout)
	s.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return s
}

// response is one that has been read to its end.
type response struct {
	status int
	header http.Header
	body   []byte
}

// question is the body of a request.
type question struct {
	LicenseKey  string `json:"licensekey"`
	Fingerprint string `json:"fingerprint,omitempty"`
	DeviceName  string `json:"devicename,omitempty"`
	Device      string `json:"device,omitempty"`
}

func (s service) post(ctx context.Context, path string, q question) (response, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return response{}, err
	}
	return s.send(ctx, http.MethodPost, path, body)
}

func (s service) send(ctx context.Context, method, path string, body []byte) (response, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.base.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return response{}, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "open-licenser-go/"+Version)
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
	}
	got, err := s.http.Do(request)
	if err != nil {
		return response{}, err
	}
	defer got.Body.Close()
	read, err := io.ReadAll(io.LimitReader(got.Body, maxResponse+1))
	if err == nil && len(read) > maxResponse {
		err = fmt.Errorf("a response of more than %d bytes", maxResponse)
	}
	return response{got.StatusCode, got.Header, read}, err
}

// keySet returns the JWK set that the service publishes, as it is.
func (s service) keySet(ctx context.Context) ([]byte, error) {
	got, err := s.send(ctx, http.MethodGet, "/.well-known/jwks.json", nil)
	if err == nil && got.status != http.StatusOK {
		err = &ServerError{got.status, codeOf(got.body)}
	}
	return got.body, err
}

func (s service) close() {
	if s.own != nil {
		s.own.CloseIdleConnections()
	}
}
