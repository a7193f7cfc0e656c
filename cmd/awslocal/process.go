//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// process is a program that this one has started, with all that it starts in turn.
type process struct {
	command *exec.Cmd
	ended   chan struct{}
	err     error // of the program's end; valid once ended is closed
}

// start starts a program in a process group of its own. So Ctrl-C reaches this program alone, which then stops the
// others in order.
func start(args []string, stdout, stderr io.Writer, environment ...string) (*process, error) {
	p := &process{command: exec.Command(args[0], args[1:]...), ended: make(chan struct{})}
	p.command.Env = append(os.Environ(), environment...)
	p.command.Stdout, p.command.Stderr = stdout, stderr
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.command.WaitDelay = time.Second // for a grandchild that keeps the output open
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.command.Wait()
		close(p.ended)
	}()
	return p, nil
}

// stopTimeout is how long a program may take to end after a SIGTERM.
const stopTimeout = 20 * time.Second

// stop ends the whole group with SIGTERM, and after stopTimeout with SIGKILL.
func (p *process) stop() {
	group := -p.command.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-p.ended
}

// ready polls a URL until the response has a status that isReady accepts.
func (p *process) ready(ctx context.Context, url string, timeout time.Duration, isReady func(status int) bool) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
			if isReady(response.StatusCode) {
				return nil
			}
		}
		select {
		case <-p.ended:
			return fmt.Errorf("it ended at once: %w", p.err)
		case <-ctx.Done():
			return fmt.Errorf("it is not ready after %v: %w", timeout, ctx.Err())
		case <-tick.C:
		}
	}
}

// freePort returns a port that nothing listens on. If something else takes it before it is used, the program that
// was to listen there fails.
func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, err
}
