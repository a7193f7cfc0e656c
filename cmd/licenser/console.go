package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"openlicenser/cmd/licenser/console"
	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/vendorapi"
)

type consoleCommand struct {
	Listen string `help:"Address and port of this machine; the port 0 is one that is free." default:"127.0.0.1:0"`
	Open   bool   `help:"Open the pages in the browser at once."`
	vendorAPI
}

func (consoleCommand) Help() string {
	return "It prints a link that one browser can open, once. What is done there is done with the credentials of " +
		"this environment, and the audit trail names them. The local server shows the same pages under /console/.\n\n" +
		examples(`licenser console`, `licenser console --listen 127.0.0.1:8081`)
}

// Run serves the pages until the context ends.
func (c consoleCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return usageError("cannot listen on %s (choose another address with --listen): %w", c.Listen, err)
	}
	defer listener.Close()
	if tcp, isTCP := listener.Addr().(*net.TCPAddr); !isTCP || !tcp.IP.IsLoopback() {
		return usageError("--listen %s is open to other machines: the console is for this one, as 127.0.0.1:8081",
			c.Listen)
	}
	url := "http://" + listener.Addr().String()
	printLink := announcer(t.Out, url)
	var opening sync.Once // further links are for browsers that ask for them
	announce := func(link string) {
		printLink(link)
		if c.Open {
			opening.Do(func() {
				if err := openBrowser(ctx, url+link); err != nil {
					t.Say("The browser does not open by itself: %v. Open the link there.", err)
				}
			})
		}
	}
	// Cookies are sent to all ports of this machine, but to this path alone, which no other server there knows.
	pages, err := console.New(console.Config{
		API: api, Path: "/" + rand.Text() + "/", Announce: announce, Log: telemetry.NewConsoleLogger(t.Err),
		Now: time.Now,
	})
	if err != nil {
		return err
	}
	t.Say("Stop it with Ctrl-C.")
	return serveHTTP(ctx, listener, pages)
}

// announcer prints a one-time link.
func announcer(out io.Writer, url string) func(link string) {
	return func(link string) { fmt.Fprintf(out, "Console, for one browser, once: %s%s\n", url, link) }
}

// openBrowser hands a link to the browser of whoever sits at this machine.
func openBrowser(ctx context.Context, link string) error {
	opener := []string{"xdg-open", link}
	switch runtime.GOOS {
	case "darwin":
		opener = []string{"open", link}
	case "windows":
		opener = []string{"rundll32", "url.dll,FileProtocolHandler", link}
	}
	return exec.CommandContext(ctx, opener[0], opener[1:]...).Start()
}

// consolePath is where the local server has the console.
const consolePath = "/console/"

// withConsole adds the console to the local server, where this machine reaches it by a name of its own. It calls the
// server's own API, as whoever runs the server.
func (c serveCommand) withConsole(next http.Handler, address net.Addr, log *slog.Logger) (http.Handler, error) {
	url, err := vendorapi.ParseURL("http://" + reachable(address))
	if err != nil || !vendorapi.IsLocal(url) {
		return next, err
	}
	api, err := vendorapi.New(vendorapi.Config{URL: url, Token: c.vendorToken, Transport: inProcess{next}})
	if err != nil {
		return nil, err
	}
	pages, err := console.New(console.Config{
		API: api, Path: consolePath, Announce: announcer(c.out, url.String()), Log: log, Now: time.Now,
	})
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, consolePath):
			pages.ServeHTTP(w, r)
		case r.URL.Path+"/" == consolePath:
			target := *r.URL
			target.Path = consolePath
			http.Redirect(w, r, target.RequestURI(), http.StatusSeeOther)
		default:
			next.ServeHTTP(w, r)
		}
	}), nil
}

// inProcess hands requests to a handler of this process, without a connection.
type inProcess struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	served := r.Clone(r.Context())
	served.RequestURI, served.Host, served.RemoteAddr = r.URL.RequestURI(), r.URL.Host, "127.0.0.1:0"
	if served.Body == nil {
		served.Body = http.NoBody
	}
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	p.handler.ServeHTTP(w, served)
	return &http.Response{
		StatusCode: w.status, Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.header, Request: r,
		Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()),
	}, nil
}

// recorder keeps a response.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header            { return w.header }
func (w *recorder) WriteHeader(status int)         { w.status = status }
func (w *recorder) Write(body []byte) (int, error) { return w.body.Write(body) }
