// Package browser_test drives the page GET /activate in a real browser. It is a package of its own, so that nothing but
// its tests is built with what drives the browser. It holds tests only.
package browser_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
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
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"openlicenser/functions/verify/verification"
	"openlicenser/shared/testing/apitest"
)

// browserVariable names the program of a browser that the tests must use: a Chromium or Chrome. Without it they look
// for one, and are skipped where there is none. They are also skipped if it says none.
const browserVariable = "LICENSER_TEST_BROWSER"

func findBrowser(t *testing.T) string {
	t.Helper()
	if program := os.Getenv(browserVariable); program == "none" {
		t.Skipf("%s is none", browserVariable)
	} else if program != "" {
		return program
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if program, err := exec.LookPath(name); err == nil {
			return program
		}
	}
	t.Skipf("no Chromium in PATH, and %s names none", browserVariable)
	return ""
}

// startBrowser returns the context of a browser that has started. Each page gets a profile of its own in it.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(findBrowser(t)))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has no sandbox for root
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("the browser does not start: %v", err)
	}
	return ctx
}

// answer is what a route answers to one request. The status 0 breaks the connection.
type answer struct {
	status     int
	body       string
	retryAfter string
}

// page is a tab that shows the page, and what is behind it: prepared answers, or a service.
type page struct {
	*testing.T
	ctx       context.Context
	url       string // of the page
	downloads string // folder
	service   http.Handler

	mu       sync.Mutex // for all below
	answers  map[string][]answer
	asked    []string // requests that were answered, as "route body"
	problems []string // what the browser has complained of
}

// newPage returns a tab that shows nothing yet.
func newPage(t *testing.T, ctx context.Context) *page {
	t.Helper()
	p := &page{T: t, downloads: t.TempDir(), answers: map[string][]answer{}}
	server := httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(server.Close)
	p.url = server.URL + "/prod/activate"
	ctx, cancel := chromedp.NewContext(ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.listen))
	t.Cleanup(cancel)
	p.ctx = ctx
	p.do(chromedp.EmulateViewport(360, 740))
	call(p, log.Enable, struct{}{})
	call(p, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Asia/Tokyo"})
	call(p, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: p.downloads,
		BrowserContextID: chromedp.FromContext(ctx).BrowserContextID,
	})
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, problem := range p.problems {
			t.Errorf("the browser says %s", problem)
		}
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
	p.do(chromedp.Navigate(p.url))
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
		p.problems = append(p.problems, fmt.Sprintf("an unexpected %s %s %s", r.Method, r.URL, body))
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

// listen keeps what the browser complains of: violations of the policy, exceptions, and what is printed. It leaves out
// that a response is an error.
func (p *page) listen(ev any) {
	problem := ""
	switch ev := ev.(type) {
	case *log.EventEntryAdded:
		if ev.Entry.Source != log.EntrySourceNetwork {
			problem = ev.Entry.Text
		}
	case *runtime.EventExceptionThrown:
		problem = ev.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		problem = fmt.Sprintf("console.%s was called", ev.Type)
	}
	if problem != "" {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.problems = append(p.problems, problem)
	}
}

// takeProblems returns what the browser has complained of, and forgets it.
func (p *page) takeProblems() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := strings.Join(p.problems, "\n")
	p.problems = nil
	return taken
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

func (p *page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 20*time.Second)
	defer cancel()
	if chromedp.FromContext(p.ctx).Target == nil {
		ctx = p.ctx // the first action makes the tab, which lives as long as its context
	}
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.Fatal(err)
	}
}

func (p *page) key(keys string, options ...chromedp.KeyOption) {
	p.Helper()
	p.do(chromedp.KeyEvent(keys, options...))
}

// click clicks with the mouse, which only reaches what can be seen.
func (p *page) click(selector string) {
	p.Helper()
	p.do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// paste replaces the text of a field, as one input.
func (p *page) paste(selector, text string) {
	p.Helper()
	run[bool](p, fmt.Sprintf(`((field) => { field.focus(); field.select(); return true; })(document.querySelector(%q))`,
		selector))
	if text == "" {
		p.key(kb.Delete)
		return
	}
	call(p, input.InsertText, input.InsertTextParams{Text: text})
}

// wait waits until an expression is true.
func (p *page) wait(expression string) {
	p.Helper()
	poll := chromedp.Poll[bool](expression,
		chromedp.WithPollingTimeout(10*time.Second), chromedp.WithPollingInterval(20*time.Millisecond))
	if _, err := chromedp.Run(p.ctx, poll); err != nil {
		p.Fatalf("%s: %v; the page shows\n%s", expression, err, run[string](p, `document.body.innerText`))
	}
}

// waitText waits until an element shows a text, among others.
func (p *page) waitText(selector, text string) {
	p.Helper()
	p.wait(fmt.Sprintf(`document.querySelector(%q)?.innerText.includes(%s)`, selector, quote(text)))
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

// scheme sets what the user prefers: light or dark.
func (p *page) scheme(name string) {
	p.Helper()
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	})
}

// pictures is where to put pictures of the page in all its states, for people to look at.
var pictures = flag.String("pictures", "", "a `folder` for pictures of the page")

func (p *page) picture(name string) {
	p.Helper()
	if *pictures == "" {
		return
	}
	image, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*pictures, name+".png"), image, 0o644); err != nil {
		p.Fatal(err)
	}
}

// quote writes a text into a script.
func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always marshals
	}
	return string(quoted)
}
