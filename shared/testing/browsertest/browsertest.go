// Package browsertest drives pages in a real browser, for tests. It knows Chromium, and none of our pages.
package browsertest

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
)

// Variable names the program of a browser that the tests must use: a Chromium or Chrome. Without it they look for one,
// and are skipped where there is none. They are also skipped if it says none.
const Variable = "LICENSER_TEST_BROWSER"

func find(t *testing.T) string {
	t.Helper()
	if program := os.Getenv(Variable); program == "none" {
		t.Skipf("%s is none", Variable)
	} else if program != "" {
		return program
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if program, err := exec.LookPath(name); err == nil {
			return program
		}
	}
	t.Skipf("no Chromium in PATH, and %s names none", Variable)
	return ""
}

// Start returns the context of a browser that has started, for NewTab. It skips the test where there is no browser. The
// browser ends with the test.
func Start(t *testing.T) context.Context {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(find(t)))
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
