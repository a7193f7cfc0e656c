package browsertest_test

import (
	"fmt"
	"html"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"openlicenser/shared/testing/browsertest"
)

// serve serves a page with a script, a form, and a field that has no label. The form leads to a page that says what was
// sent.
func serve(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if r.URL.Path == "/sent" {
			const page = `<!doctype html><html lang="en"><title>Sent</title><main><h1>%s</h1></main>`
			fmt.Fprintf(w, page, html.EscapeString(r.FormValue("text")))
			return
		}
		io.WriteString(w, `<!doctype html><html lang="en"><title>Test</title><main><h1>Test</h1>
			<noscript><p id="without">No script runs.</p></noscript><p id="with"></p>
			<form method="post" action="/sent"><input name="text" value="old"><button>Send</button></form>
			<div style="height: 2000px"></div></main>
			<script>document.querySelector('#with').innerText = 'A script has run.'</script>`)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestTab(t *testing.T) {
	ctx, url := browsertest.Start(t), serve(t)
	for _, scripts := range []bool{true, false} {
		t.Run(fmt.Sprintf("scripts %v", scripts), func(t *testing.T) {
			b := browsertest.NewTab(t, ctx, 360, 740)
			if !scripts {
				b.WithoutScripts()
			}
			b.Go(url)
			if scripts {
				b.WaitText("#with", "A script has run.")
			} else {
				b.WaitText("#without", "No script runs.")
				b.Wait(`document.querySelector('#with').innerText === ''`)
			}
			b.Paste("input", "a \"text\"\u2028")
			b.Click("button")
			b.WaitText("h1", "a \"text\"")
			if path := browsertest.Run[string](b, `location.pathname`); path != "/sent" {
				t.Errorf("the page is %s", path)
			}
		})
	}

	t.Run("picture", func(t *testing.T) {
		b := browsertest.NewTab(t, ctx, 360, 740)
		b.Size(500, 300)
		b.Go(url)
		name := filepath.Join(t.TempDir(), "page.png")
		b.Picture(name)
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		config, err := png.DecodeConfig(file)
		if err != nil {
			t.Fatal(err)
		}
		height := browsertest.Run[int](b, `document.documentElement.scrollHeight`)
		if config.Width != 500 || config.Height != height || height < 2000 {
			t.Errorf("the picture has %d x %d pixels, the page is %d high", config.Width, config.Height, height)
		}
	})

	t.Run("not true at first", func(t *testing.T) {
		b := browsertest.NewTab(t, ctx, 360, 740)
		b.WithoutScripts()
		b.Go(url)
		browsertest.Run[int](b, `window.count = 0`)
		b.Wait(`++count > 3 || (count > 2 ? Promise.reject(Error('not yet')) : count > 1 ? none.such : undefined)`)
	})

	t.Run("problems", func(t *testing.T) {
		b := browsertest.NewTab(t, ctx, 360, 740)
		b.Go(url)
		browsertest.Run[bool](b, `console.log('x'), true`)
		if problems := b.TakeProblems(); problems != "console.log was called" {
			t.Errorf("the browser says %q", problems)
		}
	})

	for _, scripts := range []bool{true, false} {
		t.Run(fmt.Sprintf("axe, scripts %v", scripts), func(t *testing.T) {
			b := browsertest.NewTab(t, ctx, 360, 740)
			if !scripts {
				b.WithoutScripts()
			}
			b.Scheme("dark")
			b.Go(url)
			if found := browsertest.Violations(b); !slices.Equal(found, []string{"label"}) {
				t.Errorf("axe-core finds %q", found)
			}
			b.Go(url + "/sent?text=Hello")
			b.Axe()
		})
	}
}
