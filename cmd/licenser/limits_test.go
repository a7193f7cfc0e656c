package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// crowd is a listener to which more clients come than are served.
type crowd struct {
	clients  chan net.Conn // the accepted ones
	accepted atomic.Int64
	closed   chan struct{}
	close    sync.Once
}

func (c *crowd) Accept() (net.Conn, error) {
	if c.accepted.Add(1) > 2*maxConnections {
		<-c.closed
		return nil, net.ErrClosed
	}
	client, server := net.Pipe()
	c.clients <- client
	return server, nil
}

func (c *crowd) Close() error {
	c.close.Do(func() { close(c.closed) })
	return nil
}

func (c *crowd) Addr() net.Addr { return &net.TCPAddr{} }

// TestConnections: those beyond the bound wait until another one has ended.
func TestConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := &crowd{clients: make(chan net.Conn, 2*maxConnections), closed: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- serveHTTP(ctx, listener, http.NotFoundHandler()) }()
		for _, want := range []int64{maxConnections, maxConnections + 1} {
			synctest.Wait()
			if got := listener.accepted.Load(); got != want {
				t.Errorf("accepted %d connections, want %d", got, want)
			}
			(<-listener.clients).Close()
		}
		cancel()
		for len(listener.clients) > 0 {
			(<-listener.clients).Close()
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// connect starts the server and connects to it, both until the test ends.
func connect(t *testing.T, server *http.Server) net.Conn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

// TestHeaderLength: the request line and the header may be as long as API Gateway takes them, and no longer.
func TestHeaderLength(t *testing.T) {
	for name, test := range map[string]struct{ length, want int }{
		"as API Gateway's": {10240, http.StatusNoContent},
		"a byte longer":    {10241, http.StatusRequestHeaderFieldsTooLarge},
		"much longer":      {1 << 20, http.StatusRequestHeaderFieldsTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			server := newServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusNoContent)
			}))
			connection := connect(t, server)
			const begun, end = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ", "\r\n\r\n"
			long := strings.Repeat("a", test.length-len(begun)-len(end))
			go io.WriteString(connection, begun+long+end)
			response, err := http.ReadResponse(bufio.NewReader(connection), nil)
			if err != nil || response.StatusCode != test.want {
				t.Errorf("got %v, %v", response, err)
			}
		})
	}
}

// TestSetCollector: whoever sets the environment variables knows better.
func TestSetCollector(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	for _, test := range []struct {
		set           bool
		percent, want int64
	}{{false, 400, memoryLimit}, {true, 100, math.MaxInt64}} {
		t.Run(fmt.Sprint(test.set), func(t *testing.T) {
			for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
				t.Setenv(name, "off") // restored after the test
				if !test.set {
					os.Unsetenv(name)
				}
			}
			debug.SetGCPercent(100)
			debug.SetMemoryLimit(math.MaxInt64)
			setCollector()
			if limit := debug.SetMemoryLimit(-1); limit != test.want {
				t.Errorf("the memory limit is %d, want %d", limit, test.want)
			}
			if percent := debug.SetGCPercent(100); int64(percent) != test.percent {
				t.Errorf("GOGC is %d, want %d", percent, test.percent)
			}
		})
	}
}
