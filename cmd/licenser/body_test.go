package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"openlicenser/functions/verify/verification"
	"openlicenser/shared/api"
)

// TestBodies: of a body, no more is kept than tells the function that it is too long.
func TestBodies(t *testing.T) {
	const limit = 64 << 10
	for name, test := range map[string]struct {
		length, kept int
		err          error
	}{
		"none":                       {0, 0, nil},
		"small":                      {smallBody - 1, smallBody - 1, nil},
		"just small":                 {smallBody, smallBody, nil},
		"longer than small":          {smallBody + 1, smallBody + 1, nil},
		"as long as may be":          {limit, limit, nil},
		"a byte too long":            {limit + 1, limit + 1, nil},
		"much too long":              {limit * 10, limit + 1, nil},
		"as API Gateway takes":       {maxPayload, limit + 1, nil},
		"longer than API Gateway's":  {maxPayload + 1, 0, errBodyOverPayload},
		"much longer than Gateway's": {maxPayload * 2, 0, errBodyOverPayload},
	} {
		for _, length := range []int64{int64(test.length), -1} { // -1: not known, as of a chunked body
			t.Run(fmt.Sprintf("%s, %d", name, length), func(t *testing.T) {
				b := newBodies(limit)
				sent := strings.Repeat("abcdefg", test.length/7+1)[:test.length]
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				read, done, err := b.read(strings.NewReader(sent), length)
				runtime.ReadMemStats(&after)
				if !errors.Is(err, test.err) || len(read) != test.kept || !strings.HasPrefix(sent, read) {
					t.Errorf("read %d bytes, %v", len(read), err)
				}
				if took := after.TotalAlloc - before.TotalAlloc; took > 10*limit {
					t.Errorf("reading took %d bytes of memory", took)
				}
				if err == nil {
					done()
				}
				if free := b.free.Load(); free != allBodies {
					t.Errorf("%d of %d bytes are free afterwards", free, allBodies)
				}
			})
		}
	}
}

// TestBodyThatBreaksOff gives its memory free.
func TestBodyThatBreaksOff(t *testing.T) {
	for name, length := range map[string]int{"small": 10, "long": 30 << 10, "too long": 100 << 10} {
		t.Run(name, func(t *testing.T) {
			b := newBodies(64 << 10)
			broken := io.MultiReader(bytes.NewReader(make([]byte, length)), errorReader{io.ErrUnexpectedEOF})
			if _, _, err := b.read(broken, -1); !errors.Is(err, io.ErrUnexpectedEOF) || b.free.Load() != allBodies {
				t.Errorf("%v, %d bytes free", err, b.free.Load())
			}
		})
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// TestTooLongForTheFunction: between the function's limit and API Gateway's, the function answers, as on AWS.
func TestTooLongForTheFunction(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	server := httptest.NewServer(newGateway(
		lambdaFunction{router: verification.Verifier{Log: log, Now: time.Now}.Router()},
		lambdaFunction{router: vendorRouter(t)},
	))
	defer server.Close()
	for name, test := range map[string]struct {
		path, body string
		status     int
		code       string
	}{
		"verification": {
			"/verify-license", strings.Repeat("a", 1<<20), 400, `"error":"BAD_LICENSE_SERVER_REQUEST"`,
		},
		"verification, binary": {
			"/verify-license", strings.Repeat("\xff", 1<<20), 400, `"error":"BAD_LICENSE_SERVER_REQUEST"`,
		},
		"vendor's":           {"/licenses", strings.Repeat("a", 1<<20), 413, `"code":"BODY_TOO_LARGE"`},
		"vendor's, binary":   {"/licenses", strings.Repeat("\xff", 1<<20), 413, `"code":"BODY_TOO_LARGE"`},
		"vendor's, cut in é": {"/licenses", strings.Repeat("é", 1<<19), 413, `"code":"BODY_TOO_LARGE"`},
	} {
		t.Run(name, func(t *testing.T) {
			response, err := http.Post(server.URL+test.path, "application/json", strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != test.status || !strings.Contains(string(text), test.code) {
				t.Errorf("%d %s %v", response.StatusCode, text, err)
			}
		})
	}
}

// TestBodiesInFlight: when long bodies take all memory that there is for them, the next one is turned away at once, and
// small ones go on.
func TestBodiesInFlight(t *testing.T) {
	const limit = 1 << 20
	entered, leave := make(chan struct{}, 100), make(chan struct{})
	router := api.Router{
		Routes: api.Routes{
			"POST /licenses": func(_ context.Context, r api.Request) (api.Response, error) {
				if body, err := r.Body(limit); err != nil || len(body) <= smallBody {
					return api.Response{Status: http.StatusNoContent}, err
				}
				entered <- struct{}{}
				<-leave
				return api.Response{Status: http.StatusNoContent}, nil
			},
		},
		MaxBody: limit,
		Log:     slog.New(slog.DiscardHandler),
	}
	server := httptest.NewServer(newGateway(lambdaFunction{router: router}))
	defer server.Close()
	client := &http.Client{
		Transport: server.Client().Transport,
		Timeout:   20 * time.Second,
	} // past the check of openapi.yaml
	post := func(length int) *http.Response {
		response, err := client.Post(
			server.URL+"/licenses",
			"application/json",
			strings.NewReader(strings.Repeat("a", length)),
		)
		if err != nil {
			t.Error(err)
			return &http.Response{Header: http.Header{}}
		}
		response.Body.Close()
		return response
	}
	const held = allBodies / (limit + 1)
	answers := make(chan *http.Response, held)
	for range held {
		go func() { answers <- post(limit / 2) }()
	}
	for range held {
		<-entered
	}
	if response := post(limit / 2); response.StatusCode != http.StatusServiceUnavailable ||
		response.Header.Get("Retry-After") != "1" ||
		!response.Close {
		t.Errorf("one too many got %d %v, connection closed %t", response.StatusCode, response.Header, response.Close)
	}
	if response := post(1000); response.StatusCode != http.StatusNoContent {
		t.Errorf("a small one got %d", response.StatusCode)
	}
	close(leave)
	for range held {
		if response := <-answers; response.StatusCode != http.StatusNoContent {
			t.Errorf("one of those that were read got %d", response.StatusCode)
		}
	}
	if response := post(limit / 2); response.StatusCode != http.StatusNoContent {
		t.Errorf("afterwards one got %d", response.StatusCode)
	}
}

func noContent(context.Context, api.Request) (api.Response, error) {
	return api.Response{Status: 204}, nil
}

// TestSlowClients: none is held for ever, and none gets a 400, a definite no, for being slow.
func TestSlowClients(t *testing.T) {
	for name, test := range map[string]struct {
		request string
		drip    string // goes on one byte at a time
	}{
		"header does not end": {"POST /things/1 HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", "a"},
		"body does not end": {
			"POST /things/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", "a",
		},
		"chunks do not end": {
			"POST /things/1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n",
		},
		"answer is not read":      {"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n", ""},
		"nothing after a request": {"GET /short HTTP/1.1\r\nHost: localhost\r\n\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			router := api.Router{
				Routes: api.Routes{
					"POST /things/{licenseid}": noContent,
					"GET /short":               noContent,
					"GET /long": func(context.Context, api.Request) (api.Response, error) {
						return api.Response{Status: 200, Body: make([]byte, 64<<20)}, nil
					},
				},
				MaxBody: 1 << 20,
				Log:     slog.New(slog.DiscardHandler),
			}
			gateway := newGateway(lambdaFunction{router: router})
			server := newServer(gateway)
			if server.ReadTimeout == 0 || server.WriteTimeout < server.ReadTimeout+integrationTimeout+30*time.Second {
				t.Fatalf("%v to write leave no time for an answer", server.WriteTimeout)
			}
			const hurry = 300 // the server's times, this much shorter
			server.ReadHeaderTimeout, server.ReadTimeout = server.ReadHeaderTimeout/hurry, server.ReadTimeout/hurry
			server.WriteTimeout, server.IdleTimeout = server.WriteTimeout/hurry, server.IdleTimeout/hurry
			closed := make(chan struct{})
			server.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateClosed {
					close(closed)
				}
			}
			connection := connect(t, server)
			if _, err := io.WriteString(connection, test.request); err != nil {
				t.Fatal(err)
			}
			for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
				select {
				case <-closed:
				default:
					if time.Since(begun) > 20*time.Second {
						t.Fatal("the connection is still open")
					}
					io.WriteString(connection, test.drip)
					continue
				}
				break
			}
			gateway.inFlight.Wait()
			if test.drip == "" {
				return
			}
			if text, _ := io.ReadAll(connection); strings.HasPrefix(string(text), "HTTP/1.1 400") {
				t.Errorf("it got %s", text)
			}
		})
	}
}
