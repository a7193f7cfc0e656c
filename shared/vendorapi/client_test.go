package vendorapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"openlicenser/shared/license"
	"openlicenser/shared/token"
	"openlicenser/shared/vendorapi"
)

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := vendorapi.ParseURL(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func newClient(t *testing.T, c vendorapi.Config) *vendorapi.Client {
	t.Helper()
	client, err := vendorapi.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestRedirects: no credential goes where the URL of the API does not point, and no change becomes a GET.
func TestRedirects(t *testing.T) {
	var elsewhere []*http.Request
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		elsewhere = append(elsewhere, r)
	}))
	defer other.Close()
	target, status := "", 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/there" {
			w.Write([]byte(`{}`))
			return
		}
		http.Redirect(w, r, target, status)
	}))
	defer server.Close()
	c := newClient(t, vendorapi.Config{URL: parse(t, server.URL), Token: "token"})
	list := func() error {
		_, err := c.LicensePage(t.Context(), vendorapi.ListQuery{})
		return err
	}
	issue := func() error {
		_, err := c.Issue(t.Context(), vendorapi.LicenseDraft{}, vendorapi.Options{})
		return err
	}
	for name, test := range map[string]struct {
		call   func() error
		target string
		status int
		want   string
	}{
		"other port": {
			list, other.URL + "/licenses", http.StatusTemporaryRedirect, "redirects to " + other.URL,
		},
		"other name": {
			list, strings.Replace(other.URL, "127.0.0.1", "localhost", 1) + "/licenses",
			http.StatusTemporaryRedirect, "gets no credentials",
		},
		"same host":           {list, "/there", http.StatusTemporaryRedirect, ""},
		"in a circle":         {list, "/licenses", http.StatusTemporaryRedirect, "without end"},
		"change, same method": {issue, "/there", http.StatusTemporaryRedirect, ""},
		"change, as a GET":    {issue, "/there", http.StatusFound, "redirects in answer to a POST"},
	} {
		t.Run(name, func(t *testing.T) {
			target, status = test.target, test.status
			err := test.call()
			isWanted := err == nil
			if test.want != "" {
				isWanted = err != nil && strings.Contains(err.Error(), test.want)
			}
			if !isWanted {
				t.Errorf("got %v", err)
			}
			if len(elsewhere) > 0 {
				t.Errorf("the other host got %v", elsewhere[0].Header)
			}
		})
	}
}

func TestParseURL(t *testing.T) {
	for text, isURL := range map[string]bool{
		"https://abc.example.com/prod": true, "http://127.0.0.1:3000": true,
		"localhost": false, "ftp://example.com": false, "http:///x": false, "": false, "%": false,
	} {
		if _, err := vendorapi.ParseURL(text); (err == nil) != isURL {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

// script responds to requests one after the other, and keeps them.
type script struct {
	responses []*http.Response
	sent      []*http.Request
	bodies    []string
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.sent, s.bodies = append(s.sent, r), append(s.bodies, string(body))
	next := s.responses[0]
	s.responses = s.responses[1:]
	return next, nil
}

func response(status int, body string, header ...string) *http.Response {
	r := &http.Response{
		StatusCode: status,
		Status:     http.StatusText(status),
		Header:     http.Header{},
		Body:       io.NopCloser(strings.NewReader(body)),
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func scripted(t *testing.T, responses ...*http.Response) (*script, *vendorapi.Client) {
	t.Helper()
	s := &script{responses: responses}
	return s, newClient(t, vendorapi.Config{URL: parse(t, "https://api.example.com/prod/"), Transport: s})
}

// TestRepeats: a request is sent again after the pause that the server asks for, where that is safe, and three times at
// most.
func TestRepeats(t *testing.T) {
	get := func(ctx context.Context, c *vendorapi.Client) error { _, err := c.License(ctx, "1"); return err }
	revoke := func(key string) func(context.Context, *vendorapi.Client) error {
		return func(ctx context.Context, c *vendorapi.Client) error {
			_, err := c.Revoke(ctx, "1", "ended", vendorapi.Options{IdempotencyKey: key})
			return err
		}
	}
	remove := func(ctx context.Context, c *vendorapi.Client) error {
		return c.Delete(ctx, "1", "mistake", vendorapi.Options{IfMatch: "*", IdempotencyKey: "key"})
	}
	busy := func() *http.Response { return response(503, `{"code":"BUSY"}`, "Retry-After", "5") }
	inFlight := func() *http.Response { return response(409, `{"code":"IDEMPOTENCY_IN_FLIGHT"}`) }
	for name, test := range map[string]struct {
		call      func(context.Context, *vendorapi.Client) error
		responses []*http.Response
		sent      int
		pause     time.Duration // at least
		status    int           // of the error; 0: none
	}{
		"busy":              {get, []*http.Response{busy(), response(200, `{}`)}, 2, 5 * time.Second, 0},
		"busy all the time": {get, []*http.Response{busy(), busy(), busy()}, 3, 10 * time.Second, 503},
		"too many requests": {get, []*http.Response{response(429, ``), response(200, `{}`)}, 2, time.Second, 0},
		"gateway": {
			get, []*http.Response{response(502, ``), response(504, ``), response(200, `{}`)}, 3, 3 * time.Second, 0,
		},
		"a pause of a day": {
			get, []*http.Response{response(429, ``, "Retry-After", "86400"), response(200, `{}`)},
			2, 10 * time.Second, 0,
		},
		"fault": {get, []*http.Response{response(500, ``)}, 1, 0, 500},
		"change with a key": {
			revoke("key"), []*http.Response{busy(), inFlight(), response(200, `{}`)}, 3, 7 * time.Second, 0,
		},
		"change without a key": {revoke(""), []*http.Response{busy()}, 1, 0, 503},
		"conflict": {
			revoke("key"), []*http.Response{response(409, `{"code":"STATUS_FORBIDS"}`)}, 1, 0, 409,
		},
		"removal": {remove, []*http.Response{busy()}, 1, 0, 503},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := scripted(t, test.responses...)
				begun := time.Now()
				err := test.call(t.Context(), c)
				var problem *vendorapi.Problem
				if errors.As(err, &problem) != (test.status != 0) ||
					problem != nil && problem.Status != test.status ||
					problem == nil && err != nil {
					t.Errorf("got %v", err)
				}
				took, most := time.Since(begun), test.pause+time.Duration(test.sent-1)*500*time.Millisecond
				if len(s.sent) != test.sent || took < test.pause || took > most {
					t.Errorf("%d requests in %v", len(s.sent), took)
				}
				if len(slices.Compact(s.bodies)) != 1 {
					t.Errorf("sent %q", s.bodies)
				}
			})
		})
	}
	t.Run("until the context ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			s, c := scripted(t, busy())
			begun := time.Now()
			if err := get(ctx, c); err == nil || time.Since(begun) > time.Second || len(s.sent) != 1 {
				t.Errorf("%v after %v", err, time.Since(begun))
			}
		})
	})
}

// TestTimeout: a server that never responds is waited for, but not for ever.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, vendorapi.Config{URL: parse(t, "https://api.example.com"), Transport: silent{}})
		begun := time.Now()
		_, err := c.License(t.Context(), "1")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 35*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestProblem: an error tells all that the server said, be it API Gateway or something else.
func TestProblem(t *testing.T) {
	for name, test := range map[string]struct {
		response *http.Response
		want     vendorapi.Problem
		text     string
	}{
		"problem detail": {
			response(400, `{"type":"about:blank","status":400,"code":"INVALID_FIELDS","detail":"Some fields.",`+
				`"errors":[{"field":"notes","message":"is long"}]}`),
			vendorapi.Problem{
				Status: 400, Code: "INVALID_FIELDS", Detail: "Some fields.",
				Errors: []license.FieldError{{Field: "notes", Message: "is long"}},
			},
			"GET /licenses/a%2Fb: Bad Request INVALID_FIELDS Some fields.\n  notes is long",
		},
		"a reference that is taken": {
			response(409, `{"type":"about:blank","status":409,"code":"REFERENCE_TAKEN","detail":"Taken.",`+
				`"licenseid":"869b100f-06b7-44cc-80df-b4c4bf728461"}`),
			vendorapi.Problem{
				Status: 409, Code: "REFERENCE_TAKEN", Detail: "Taken.",
				LicenseID: "869b100f-06b7-44cc-80df-b4c4bf728461",
			},
			"GET /licenses/a%2Fb: Conflict REFERENCE_TAKEN Taken.",
		},
		"API Gateway's": {
			response(403, `{"message":"Forbidden"}`), vendorapi.Problem{Status: 403, Detail: "Forbidden"},
			"GET /licenses/a%2Fb: Forbidden Forbidden",
		},
		"none": {response(418, `<html>`), vendorapi.Problem{Status: 418}, "GET /licenses/a%2Fb: I'm a teapot"},
	} {
		t.Run(name, func(t *testing.T) {
			_, c := scripted(t, test.response)
			_, err := c.License(t.Context(), "a/b")
			var got *vendorapi.Problem
			if !errors.As(err, &got) || err.Error() != test.text || got.Status != test.want.Status ||
				got.Code != test.want.Code || got.Detail != test.want.Detail || got.LicenseID != test.want.LicenseID ||
				!slices.Equal(got.Errors, test.want.Errors) {
				t.Errorf("got %+v %q", got, err)
			}
		})
	}
}

// TestPages: a list and a chain are read to their ends, page by page, and no further than the caller wants.
func TestPages(t *testing.T) {
	pages := func() []*http.Response {
		return []*http.Response{
			response(200, `{"licenses":[{"licenseid":"1"},{"licenseid":"2"}],"cursor":"a+b"}`),
			response(200, `{"licenses":[],"cursor":"c"}`),
			response(200, `{"licenses":[{"licenseid":"3"}]}`),
		}
	}
	s, c := scripted(t, pages()...)
	var ids []string
	query := vendorapi.ListQuery{Status: license.Active, ExpiringBefore: "2030-01-31", CustomerID: "x"}
	for l, err := range c.Licenses(t.Context(), query) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, l.LicenseID)
	}
	const target = "https://api.example.com/prod/licenses?" +
		"cursor=a%2Bb&customerid=x&expiringbefore=2030-01-31&limit=100&status=active"
	if strings.Join(ids, " ") != "1 2 3" || s.sent[1].URL.String() != target {
		t.Errorf("listed %v; asked for %v", ids, s.sent[1].URL)
	}
	s, c = scripted(t, pages()...)
	for range c.Licenses(t.Context(), vendorapi.ListQuery{Limit: 2}) {
		break
	}
	if len(s.sent) != 1 || s.sent[0].URL.RawQuery != "limit=2" {
		t.Errorf("%d requests, the first for %s", len(s.sent), s.sent[0].URL)
	}
	_, c = scripted(t, pages()[0], response(500, ``))
	ids = nil
	for l, err := range c.Licenses(t.Context(), vendorapi.ListQuery{}) {
		if err != nil {
			ids = append(ids, "error")
			continue
		}
		ids = append(ids, l.LicenseID)
	}
	if strings.Join(ids, " ") != "1 2 error" {
		t.Errorf("listed %v", ids)
	}

	_, c = scripted(t,
		response(200, `{"entries":[{"sequence":1},{"sequence":2}],"cursor":"a"}`),
		response(200, `{"entries":[{"sequence":3}],"head":{"sequence":3,"hash":"h"}}`))
	sum := int64(0)
	for e, err := range c.AuditEntries(t.Context(), "1") {
		if err != nil {
			t.Fatal(err)
		}
		sum += e.Sequence
	}
	if sum != 6 {
		t.Errorf("the sequences make %d", sum)
	}
}

// TestListQuery: each filter is sent under its name, and none that is empty.
func TestListQuery(t *testing.T) {
	for _, test := range []struct {
		query vendorapi.ListQuery
		want  string
	}{
		{vendorapi.ListQuery{}, ""},
		{vendorapi.ListQuery{Reference: "order 1/ä"}, "reference=order+1%2F%C3%A4"},
		{vendorapi.ListQuery{CustomerName: "R & D", Order: license.Descending}, "customername=R+%26+D&order=desc"},
		{
			vendorapi.ListQuery{
				Reference: "1", Email: "a+b@example.com", CustomerID: "x", CustomerName: "n",
				Status: license.Unreadable, ExpiringAfter: "2026-01-31", ExpiringBefore: "2027-01-31",
				Order: license.Ascending, Limit: 7, Cursor: "c",
			},
			"cursor=c&customerid=x&customername=n&email=a%2Bb%40example.com&expiringafter=2026-01-31&" +
				"expiringbefore=2027-01-31&limit=7&order=asc&reference=1&status=unreadable",
		},
	} {
		s, c := scripted(t, response(200, `{"licenses":[]}`))
		if _, err := c.LicensePage(t.Context(), test.query); err != nil || s.sent[0].URL.RawQuery != test.want {
			t.Errorf("%+v: asked for %q, %v", test.query, s.sent[0].URL.RawQuery, err)
		}
	}
}

// TestByReference: a reference stands for the license id in every call, as one part of the path.
func TestByReference(t *testing.T) {
	const prefix = "/prod/licenses/ref:order%204711%2F%C3%A4%2525"
	reference := vendorapi.ByReference("order 4711/ä%25")
	for path, call := range map[string]func(ctx context.Context, c *vendorapi.Client) error{
		"": func(ctx context.Context, c *vendorapi.Client) error { _, err := c.License(ctx, reference); return err },
		"/key": func(ctx context.Context, c *vendorapi.Client) error {
			_, err := c.LicenseKey(ctx, reference)
			return err
		},
		"/revoke": func(ctx context.Context, c *vendorapi.Client) error {
			_, err := c.Revoke(ctx, reference, "ended", vendorapi.Options{})
			return err
		},
		"/audit": func(ctx context.Context, c *vendorapi.Client) error {
			_, err := c.AuditPage(ctx, reference, 0, "")
			return err
		},
		"/audit/proof": func(ctx context.Context, c *vendorapi.Client) error {
			_, err := c.Proof(ctx, reference)
			return err
		},
	} {
		s, c := scripted(t, response(200, `{}`))
		if err := call(t.Context(), c); err != nil || s.sent[0].URL.EscapedPath() != prefix+path {
			t.Errorf("asked for %s, %v", s.sent[0].URL.EscapedPath(), err)
		}
	}
}

// TestFieldsOfALicense: what is sent has the fields that were given, and what is received those that there are.
func TestFieldsOfALicense(t *testing.T) {
	s, c := scripted(t,
		response(201, `{"licenseid":"1","reference":"4711","email":"a@example.com"}`),
		response(200, `{"licenseid":"1"}`))
	draft := vendorapi.LicenseDraft{
		CustomerName: "E", ExpirationDate: "never", Reference: "4711", Email: "a@example.com",
	}
	issued, err := c.Issue(t.Context(), draft, vendorapi.Options{})
	if err != nil || issued.Reference != "4711" || issued.Email != "a@example.com" {
		t.Errorf("issued %+v, %v", issued, err)
	}
	none, reference := "", "4712"
	patch := vendorapi.LicensePatch{Reference: &reference, Email: &none}
	changed, err := c.Change(t.Context(), "1", patch, vendorapi.Options{IfMatch: "*"})
	if err != nil || changed.Reference+changed.Email != "" {
		t.Errorf("changed to %+v, %v", changed, err)
	}
	for n, want := range []string{
		`{"customername":"E","expirationdate":"never","reference":"4711","email":"a@example.com"}`,
		`{"reference":"4712","email":""}`,
	} {
		if s.bodies[n] != want {
			t.Errorf("sent %s, want %s", s.bodies[n], want)
		}
	}
}

// TestEndOfALicense: a date, none, and one that cannot be understood are three things, on either side.
func TestEndOfALicense(t *testing.T) {
	for name, text := range map[string]string{
		"a date": `{"licenseid":"1","status":"active","customerid":"","customername":"",` +
			`"expirationdate":"2030-01-31T12:00:00.000Z","gracedays":0,"services":[],"notes":"","version":1,` +
			`"created":"2026-01-31T12:00:00.500Z"}`,
		"none": `{"licenseid":"1","status":"active","customerid":"","expirationdate":null,"notes":"","version":1}`,
		"not understood": `{"licenseid":"1","status":"unreadable","customerid":"","notes":"","version":1,` +
			`"problems":[{"field":"expirationdate","message":"x"}]}`,
	} {
		var l vendorapi.License
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		written, err := json.Marshal(l)
		if err != nil || string(written) != text {
			t.Errorf("%s: read %s, wrote %s, %v", name, text, written, err)
		}
		if l.ExpirationDate.IsNever() != (name == "none") || l.ExpirationDate.IsZero() != (name == "not understood") {
			t.Errorf("%s: %+v", name, l.ExpirationDate)
		}
	}
}

// TestDevices: a limit and none, and what is sent to take seats back.
func TestDevices(t *testing.T) {
	const device = `{"id":"q0fXo2JyTmCq1s9u7Zb3Zw","name":"A","since":"2026-11-01T12:00:00.001Z",` +
		`"until":"2026-11-15T12:00:00.000Z"}`
	s, c := scripted(t,
		response(200, `{"limit":3,"devices":[`+device+`]}`), response(200, `{"limit":null,"devices":[]}`),
		response(204, "", "ETag", `"2-x"`), response(204, ""), response(409, `{"code":"STATUS_FORBIDS"}`))
	held, err := c.Devices(t.Context(), vendorapi.ByReference("a/b"))
	if err != nil || held.Limit == nil || *held.Limit != 3 || len(held.Devices) != 1 {
		t.Fatalf("got %+v, %v", held, err)
	}
	if text, err := json.Marshal(held.Devices[0]); err != nil || string(text) != device {
		t.Errorf("read as %s, %v", text, err)
	}
	if none, err := c.Devices(t.Context(), "1"); err != nil || none.Limit != nil || len(none.Devices) != 0 {
		t.Errorf("without a limit: %+v, %v", none, err)
	}
	options := vendorapi.Options{IfMatch: `"1-x"`, IdempotencyKey: "key"}
	if etag, err := c.ResetDevices(t.Context(), "1", "replaced", options); err != nil || etag != `"2-x"` {
		t.Errorf("reset: %q, %v", etag, err)
	}
	if err := c.ReleaseDevice(t.Context(), "1", "a/b", "stolen", options); err != nil {
		t.Errorf("release: %v", err)
	}
	var problem *vendorapi.Problem
	etag, err := c.ResetDevices(t.Context(), "1", "x", vendorapi.Options{})
	if !errors.As(err, &problem) || etag != "" {
		t.Errorf("refused: %q, %v", etag, err)
	}
	for n, want := range []string{
		"GET /prod/licenses/ref:a%2Fb/devices", "GET /prod/licenses/1/devices",
		`DELETE /prod/licenses/1/devices "1-x" key {"reason":"replaced"}`,
		`DELETE /prod/licenses/1/devices/a%2Fb "1-x"  {"reason":"stolen"}`,
	} {
		r := s.sent[n]
		got := strings.Join([]string{
			r.Method, r.URL.EscapedPath(), r.Header.Get("If-Match"), r.Header.Get("Idempotency-Key"), s.bodies[n],
		}, " ")
		if strings.TrimRight(got, " ") != want {
			t.Errorf("sent %s, want %s", got, want)
		}
	}
}

// TestVerify: a verification carries no credentials, and a definite no is its code.
// TestErase: of a license that is gone there is none to return.
func TestErase(t *testing.T) {
	s := &script{responses: []*http.Response{
		response(http.StatusOK, `{"licenseid":"a","customername":"erased","erased":"m"}`, "ETag", `"2-x"`),
		response(http.StatusNoContent, ""),
		response(http.StatusInternalServerError, `{"code":"ERASURE_UNFINISHED","licenseid":"a"}`),
	}}
	c := newClient(t, vendorapi.Config{URL: parse(t, "http://127.0.0.1"), Transport: s})
	options := vendorapi.Options{IfMatch: `"1-x"`, IdempotencyKey: "key"}
	erase := func() (vendorapi.License, error) {
		return c.Erase(t.Context(), vendorapi.ByReference("order 1"), "asked by letter", options)
	}
	if l, err := erase(); err != nil || l.LicenseID != "a" || l.Erased != "m" || l.ETag != `"2-x"` {
		t.Errorf("got %+v, %v", l, err)
	}
	if l, err := erase(); err != nil || l.LicenseID != "" {
		t.Errorf("one that is gone: %+v, %v", l, err)
	}
	_, err := erase()
	if problem, isProblem := errors.AsType[*vendorapi.Problem](err); !isProblem || problem.LicenseID != "a" {
		t.Errorf("unfinished: %v", err)
	}
	sent := s.sent[0]
	if sent.Method != http.MethodPost || sent.URL.EscapedPath() != "/licenses/ref:order%201/erase" ||
		sent.Header.Get("If-Match") != `"1-x"` || sent.Header.Get("Idempotency-Key") != "key" ||
		s.bodies[0] != `{"reason":"asked by letter"}` {
		t.Errorf("sent %s %s %v %s", sent.Method, sent.URL, sent.Header, s.bodies[0])
	}
}

func TestVerify(t *testing.T) {
	s := &script{responses: []*http.Response{
		response(200, `{"message":"token"}`), response(400, `{"error":"LICENSE_REVOKED"}`),
	}}
	c := newClient(t, vendorapi.Config{URL: parse(t, "https://api.example.com"), Transport: s, Token: "secret"})
	asked := vendorapi.Verification{LicenseKey: "key", Fingerprint: "computer", LeaseMinutes: 60}
	token, err := c.Verify(t.Context(), asked)
	if token != "token" || err != nil || s.sent[0].Header["Authorization"] != nil ||
		s.sent[0].Method+s.sent[0].URL.Path != "POST/verify-license" ||
		s.bodies[0] != `{"licensekey":"key","fingerprint":"computer","leaseminutes":60}` {
		t.Errorf("got %q, %v for %s with %v", token, err, s.bodies[0], s.sent[0].Header)
	}
	_, err = c.Verify(t.Context(), asked)
	var refusal *vendorapi.Problem
	if !errors.As(err, &refusal) || refusal.Code != "LICENSE_REVOKED" || refusal.Request() != "POST /verify-license" {
		t.Errorf("got %+v", err)
	}
}

// TestPublicKeyPEM: the key comes as it is, and is asked for without credentials.
func TestPublicKeyPEM(t *testing.T) {
	const text = "-----BEGIN PUBLIC KEY-----\n"
	s := &script{responses: []*http.Response{response(200, text)}}
	c := newClient(t, vendorapi.Config{URL: parse(t, "https://api.example.com"), Transport: s, Token: "secret"})
	got, err := c.PublicKeyPEM(t.Context())
	if got != text || err != nil || s.sent[0].URL.Path != "/public-key.pem" ||
		s.sent[0].Header["Authorization"] != nil {
		t.Errorf("got %q, %v from %s with %v", got, err, s.sent[0].URL, s.sent[0].Header)
	}
}

// TestActivity: the local server has a route for it.
func TestActivity(t *testing.T) {
	s, c := scripted(t, response(200,
		`{"licenseid":"1","since":"2030-01-31T12:00:00.000Z","answers":[{"code":"OK","count":2}]}`))
	a, err := c.Activity(t.Context(), "1")
	if err != nil || a.Asked[0].Count != 2 || !a.Last.IsZero() || s.sent[0].URL.Path != "/prod/local/activity/1" {
		t.Errorf("got %+v, %v from %s", a, err, s.sent[0].URL)
	}
}

// TestIDOf: a license goes by its id, its key or its reference, as people paste them.
func TestIDOf(t *testing.T) {
	const id = "01a216af-b05d-76be-9d63-10b72acd9c6b" // as of now
	long, err := token.SignLicenseKey("a secret of at least 32 bytes, yes", "issuer", license.License{ID: id})
	short, ok := token.SignShortKey("a secret", id)
	if err != nil || !ok {
		t.Fatal(err)
	}
	order := "Order 2026-11-26 no 4711 Example Ltd Berlin seats 90"
	for text, want := range map[string]string{
		id: id, " " + id + "\n": id, strings.ToUpper(id): strings.ToUpper(id),
		"ref:4711": "ref:4711", "4711": "ref:4711", " order 4711 ": "ref:order 4711", order: "ref:" + order,
		"a.b.c": "ref:a.b.c", "eye.clinic.example": "ref:eye.clinic.example",
		long: id, long[:30] + "\r\n " + long[30:] + "=": id, long + ".": id, `"` + long + `"`: id,
		"Your license key: " + long: id, "ref:" + long[:200]: "ref:" + long[:200],
		short: id, strings.ToLower(strings.ReplaceAll(short, "-", "")): id, strings.ReplaceAll(short, "-", " "): id,
		"Key: " + short + ".": id, "\u201c" + short + "\u201d": id,
		strings.ReplaceAll(short, "-", " - "): id, strings.ReplaceAll(short, "-", "\u2013"): id,
		strings.Join(strings.Split(short, ""), " "): id, "my key eyJ is no key": "ref:my key eyJ is no key",
		"Valley Electronics Inc.": "ref:Valley Electronics Inc.", "Money Machines Ltd.": "ref:Money Machines Ltd.",
		"jane@disneyworldparis.com": "ref:jane@disneyworldparis.com", "the key " + long: id,
		"Order 4711 of 2026-11-26": "ref:Order 4711 of 2026-11-26",
	} {
		if got, err := vendorapi.IDOf(text); got != want || err != nil {
			t.Errorf("%q: got %q, want %q, %v", text, got, want, err)
		}
	}
	strange, err := token.SignLicenseKey("a secret of at least 32 bytes, yes", "issuer", license.License{ID: "../keys"})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]error{
		short[:len(short)-1]: vendorapi.ErrDamagedKey, strings.ReplaceAll(short, "-", ".")[1:]: vendorapi.ErrDamagedKey,
		"": vendorapi.ErrNoName, "ref:": vendorapi.ErrNoName, strings.Repeat("x", 257): vendorapi.ErrNoName,
		long[:len(long)/2]: vendorapi.ErrDamagedKey, strange: vendorapi.ErrDamagedKey,
		"06CX38-KW7SXN-N78E7W-N1PK2X-DTHSG0-WPA3H2-4FC37L": vendorapi.ErrDamagedKey,
	} {
		if got, err := vendorapi.IDOf(text); !errors.Is(err, want) || got != "" {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}

// TestForeignLists: a list that has more in it than is understood is not read, so that no edit loses it.
func TestForeignLists(t *testing.T) {
	own := vendorapi.License{
		Services: json.RawMessage(`[{"serviceName":"R","serviceValue":"r"}]`), AppURLs: json.RawMessage(`[]`),
	}
	services, errServices := own.ServiceList()
	urls, errURLs := own.AppURLList()
	if len(services) != 1 || services[0] != (license.Service{Name: "R", Value: "r"}) || len(urls) != 0 ||
		errors.Join(errServices, errURLs) != nil {
		t.Errorf("%v, %v, %v, %v", services, urls, errServices, errURLs)
	}
	for _, text := range []string{``, `{}`, `null`, `["x"]`, `[{"serviceName":"R","serviceValue":"r","price":1}]`} {
		foreign := vendorapi.License{Services: json.RawMessage(text), AppURLs: json.RawMessage(text)}
		if _, err := foreign.ServiceList(); !errors.Is(err, vendorapi.ErrForeignList) {
			t.Errorf("services %s: %v", text, err)
		}
		if _, err := foreign.AppURLList(); !errors.Is(err, vendorapi.ErrForeignList) {
			t.Errorf("URLs %s: %v", text, err)
		}
	}
}

// TestNoCredentials: an error of the signature says what is missing, and nothing is sent.
func TestNoCredentials(t *testing.T) {
	s := &script{}
	ended := errors.New("the sign-in has ended")
	c := newClient(t, vendorapi.Config{
		URL: parse(t, "https://api.example.com"), Transport: s, Sign: func(*http.Request,
			[]byte) error {
			return ended
		},
	})
	_, err := c.License(t.Context(), "1")
	var missing *vendorapi.CredentialsError
	if !errors.As(err, &missing) || !errors.Is(err, ended) || len(s.sent) != 0 {
		t.Errorf("%v, sent %d", err, len(s.sent))
	}
	if err := c.ReleaseDevice(t.Context(), "1", "", "sold", vendorapi.Options{}); err == nil ||
		!strings.Contains(err.Error(), "no device") {
		t.Errorf("of no device: %v", err)
	}
}
