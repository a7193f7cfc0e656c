package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Go shows the page of an address, and returns when it has loaded.
func (b *Tab) Go(url string) {
	b.Helper()
	b.Do(chromedp.Navigate(url))
}

// Key presses keys, as kb.Tab + kb.Enter.
func (b *Tab) Key(keys string, options ...chromedp.KeyOption) {
	b.Helper()
	b.Do(chromedp.KeyEvent(keys, options...))
}

// Click clicks with the mouse, which only reaches what can be seen.
func (b *Tab) Click(selector string) {
	b.Helper()
	b.Do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Paste replaces the text of a field, as one input.
func (b *Tab) Paste(selector, text string) {
	b.Helper()
	Run[bool](b, fmt.Sprintf(`((field) => { field.focus(); field.select(); return true; })(document.querySelector(%s))`,
		Quote(selector)))
	if text == "" {
		b.Key(kb.Delete)
		return
	}
	Call(b, input.InsertText, input.InsertTextParams{Text: text})
}

// Run returns the value of an expression on the page, or of its promise.
func Run[V any](b *Tab, expression string) V {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[V](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return value
}

// Wait waits until an expression is true. Until then it may throw, and the tab may go to another page.
//
// It asks again and again from here: where scripts are forbidden, no timer runs on the page.
func (b *Tab) Wait(expression string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Ctx, patience/2)
	defer cancel()
	ask := chromedp.Evaluate[bool](`Promise.resolve((`+expression+`)).then(Boolean)`, chromedp.EvalAwaitPromise)
	for {
		is, err := chromedp.Run(ctx, ask)
		if is && err == nil {
			return
		}
		select {
		case <-ctx.Done():
			if err != nil {
				b.Log(err)
			}
			shown := Run[string](b, `document.body.innerText`)
			b.Fatalf("%s is not true after %v; the page shows\n%s", expression, patience/2, shown)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// WaitText waits until an element shows a text, among others.
func (b *Tab) WaitText(selector, text string) {
	b.Helper()
	b.Wait(fmt.Sprintf(`document.querySelector(%s)?.innerText.includes(%s)`, Quote(selector), Quote(text)))
}

// Picture writes a PNG of the whole page into a file: as wide as the screen, a pixel for each of CSS.
func (b *Tab) Picture(file string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Ctx, patience)
	defer cancel()
	image, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(file, image, 0o644); err != nil {
		b.Fatal(err)
	}
}

// Quote writes a text into a script.
func Quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always marshals
	}
	return string(quoted)
}
