package browsertest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long the browser may take for one call.
const patience = 20 * time.Second

// Tab is one page, in a profile of its own. Its methods fail the test at once if the browser does not do what they say.
// Only the test's goroutine may call them.
type Tab struct {
	*testing.T
	Ctx context.Context // of chromedp, for what has no method here

	withoutScripts bool

	mu       sync.Mutex // for all below
	problems []string   // what the browser has complained of
}

// NewTab returns a tab of the browser that Start has started. It shows nothing yet, and closes with the test. The test
// fails at its end if the browser has complained, and nobody has taken that: of a violation of the page's policy, of an
// exception, of anything that the page has printed.
func NewTab(t *testing.T, ctx context.Context, width, height int64) *Tab {
	t.Helper()
	b := &Tab{T: t}
	ctx, cancel := chromedp.NewContext(ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.listen))
	t.Cleanup(cancel)
	b.Ctx = ctx
	// The first action makes the tab, which lives as long as the context of that action.
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height)); err != nil {
		t.Fatalf("the browser opens no tab: %v", err)
	}
	Call(b, log.Enable, struct{}{})
	t.Cleanup(func() {
		if problems := b.TakeProblems(); problems != "" {
			t.Errorf("the browser says\n%s", problems)
		}
	})
	return b
}

// listen keeps what the browser complains of. It leaves out that a response is an error.
func (b *Tab) listen(ev any) {
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
		b.mu.Lock()
		defer b.mu.Unlock()
		b.problems = append(b.problems, problem)
	}
}

// TakeProblems returns what the browser has complained of, a line each, and forgets it.
func (b *Tab) TakeProblems() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := strings.Join(b.problems, "\n")
	b.problems = nil
	return taken
}

// Do takes steps of chromedp, one after the other.
func (b *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

// Call runs a command of the DevTools protocol.
func Call[P, R any](b *Tab, command cdp.Command[P, R], parameters P) R {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, command, parameters)
	if err != nil {
		b.Fatal(err)
	}
	return result
}

// Size sets the size of the screen, in pixels of CSS.
func (b *Tab) Size(width, height int64) {
	b.Helper()
	b.Do(chromedp.EmulateViewport(width, height))
}

// Scheme sets what the user prefers: light or dark.
func (b *Tab) Scheme(name string) {
	b.Helper()
	Call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	})
}

// WithoutScripts forbids the scripts of all pages that the tab shows from now on. Those of the test still run: Run,
// Wait, Axe.
func (b *Tab) WithoutScripts() {
	b.Helper()
	b.withoutScripts = true
	Call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}
