// Package browser_test drives the page GET /activate in a real browser. It is a package of its own, so that nothing but
// its tests is built with what drives the browser. It holds tests only.
package browser_test

import (
	"bytes"
	"context"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"openlicenser/functions/verify/verification"
	"openlicenser/shared/testing/apitest"
	"openlicenser/shared/testing/browsertest"
)

// answer is what a route answers to one request. The status 0 breaks the connection.
type answer struct {
	status     int
	body       string
	retryAfter string
}

// page is a tab that shows the page, and what is behind it: prepared answers, or a service.
type page struct {
	*browsertest.Tab
	url       string // of the page
	downloads string // folder
	service   http.Handler

	mu      sync.Mutex // for all below
	answers map[string][]answer
	asked   []string // requests that were answered, as "route body"
}

// newPage returns a tab that shows nothing yet.
func newPage(t *testing.T, ctx context.Context) *page {
	t.Helper()
	p := &page{downloads: t.TempDir(), answers: map[string][]answer{}}
	server := httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(server.Close)
	p.url = server.URL + "/prod/activate"
	p.Tab = browsertest.NewTab(t, ctx, 360, 740)
	browsertest.Call(p.Tab, emulation.SetTimezoneOverride,
		emulation.SetTimezoneOverrideParams{TimezoneID: "Asia/Tokyo"})
	browsertest.Call(p.Tab, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: p.downloads,
		BrowserContextID: chromedp.FromContext(p.Ctx).BrowserContextID,
	})
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for route, left := range p.answers {
			if len(left) > 0 {
				t.Errorf("%s was not asked for %v", route, left)
			}
		}
	})
	return p
}

// open returns a tab that shows the page.
func open(t *testing.T, ctx context.Context) *page {
	t.Helper()
	p := newPage(t, ctx)
	p.Go(p.url)
	return p
}

func (p *page) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	route := path.Base(r.URL.Path)
	if r.Method == http.MethodGet && route == "activate" {
		p.servePage(w)
		return
	}
	if route == "favicon.ico" {
		http.NotFound(w, r)
		return
	}
	if p.service != nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
		p.service.ServeHTTP(w, r)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.answers[route]
	if r.Method != http.MethodPost || r.URL.Path != "/prod/"+route || r.URL.RawQuery != "" || len(left) == 0 ||
		r.Header.Get("Content-Type") != "application/json" || r.Referer() != "" {
		p.Errorf("the page asked for an unexpected %s %s %s", r.Method, r.URL, body)
		http.Error(w, "unexpected", http.StatusTeapot)
		return
	}
	p.asked = append(p.asked, route+" "+string(body))
	p.answers[route] = left[1:]
	if left[0].status == 0 {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	if left[0].retryAfter != "" {
		w.Header().Set("Retry-After", left[0].retryAfter)
	}
	w.WriteHeader(left[0].status)
	io.WriteString(w, left[0].body)
}

// servePage serves what the function returns.
func (p *page) servePage(w http.ResponseWriter) {
	event := events.APIGatewayProxyRequest{HTTPMethod: http.MethodGet, Resource: "/activate", Path: "/activate"}
	router := verification.Verifier{Log: slog.New(slog.DiscardHandler)}.Router()
	response, err := router.Invoke(context.Background(), apitest.Event(event))
	if err != nil {
		p.Error(err)
	}
	for name, value := range response.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(response.StatusCode)
	io.WriteString(w, response.Body)
}

// prepare adds answers of a route.
func (p *page) prepare(route string, answers ...answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[route] = append(p.answers[route], answers...)
}

// takeAsked returns the requests so far, and forgets them.
func (p *page) takeAsked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.asked
	p.asked = nil
	return taken
}

// wantAsked compares the requests since the last call.
func (p *page) wantAsked(want ...string) {
	p.Helper()
	if got := p.takeAsked(); !slices.Equal(got, want) {
		p.Errorf("the page asked\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// run returns the value of an expression on the page, or of its promise.
func run[V any](p *page, expression string) V {
	p.Helper()
	return browsertest.Run[V](p.Tab, expression)
}

// wantFocus compares what has the focus: its id, or else its text.
func (p *page) wantFocus(want string) {
	p.Helper()
	if got := run[string](p, `document.activeElement.id || document.activeElement.innerText`); got != want {
		p.Errorf("the focus is on %q, want %q", got, want)
	}
}

// download returns the one file that was saved, by its name.
func (p *page) download() (name, text string) {
	p.Helper()
	for range 100 {
		time.Sleep(50 * time.Millisecond)
		found, err := filepath.Glob(filepath.Join(p.downloads, "*.lic"))
		if err != nil {
			p.Fatal(err)
		}
		if len(found) == 1 {
			text, err := os.ReadFile(found[0])
			if err != nil {
				p.Fatal(err)
			}
			return filepath.Base(found[0]), string(text)
		}
	}
	p.Fatal("no file was saved")
	return "", ""
}

// pictures is where to put pictures of the page in all its states, for people to look at.
var pictures = flag.String("pictures", "", "a `folder` for pictures of the page")

func (p *page) picture(name string) {
	p.Helper()
	if *pictures == "" {
		return
	}
	p.Picture(filepath.Join(*pictures, name+".png"))
}
