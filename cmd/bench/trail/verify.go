//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"openlicenser/shared/embedded"
)

// verifyAll runs licenser audit verify --all --checkpoint against licenser serve on a data folder that has a
// checkpoint. It begins once the server has made its own.
func (b *bench) verifyAll(ctx context.Context, data string, licenses int) error {
	archive, err := embedded.OpenCheckpoints(data)
	if err != nil {
		return err
	}
	latest, err := archive.Get(ctx, "latest")
	if err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	var log bytes.Buffer
	server := exec.Command(filepath.Join(b.Bin, "licenser"), "serve", "--listen", address, "--data", data)
	server.Stderr = &log
	begun := time.Now()
	if err := server.Start(); err != nil {
		return err
	}
	defer func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	}()
	ready, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	if err := nextCheckpoint(ready, archive, latest); err != nil {
		return fmt.Errorf("licenser serve makes no checkpoint: %w: %s", err, log.Bytes())
	}
	b.note(figure{Licenses: licenses, What: "licenser serve, until its first checkpoint",
		Seconds: time.Since(begun).Seconds(), Memory: resident(server.Process.Pid)})
	return b.runVerify(ctx, server.Process.Pid, "http://"+address, licenses)
}

func (b *bench) runVerify(ctx context.Context, serverPID int, url string, licenses int) error {
	bounded, cancel := context.WithTimeout(ctx, b.Verify)
	defer cancel()
	var out lineCounter
	var failure bytes.Buffer
	verify := exec.CommandContext(bounded, filepath.Join(b.Bin, "licenser"),
		"audit", "verify", "--all", "--checkpoint", "--api", url)
	verify.Stdout, verify.Stderr = &out, &failure
	begun := time.Now()
	if err := verify.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- verify.Wait() }()
	var client, server uint64
	for {
		select {
		case err := <-ended:
			took := time.Since(begun).Seconds()
			if err != nil && bounded.Err() == nil {
				return fmt.Errorf("licenser audit verify: %w: %s", err, failure.Bytes())
			}
			note := fmt.Sprintf("%d chains, %.0f a second", out, float64(out)/took)
			b.note(figure{Licenses: licenses, What: "verify --all, client", Seconds: took, Memory: client, Note: note})
			b.note(figure{Licenses: licenses, What: "verify --all, server", Seconds: took, Memory: server})
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
			client, server = max(client, resident(verify.Process.Pid)), max(server, resident(serverPID))
		}
	}
}

// lineCounter counts the lines that are written to it.
type lineCounter int

// Write implements io.Writer.
func (c *lineCounter) Write(p []byte) (int, error) {
	*c += lineCounter(bytes.Count(p, []byte("\n")))
	return len(p), nil
}

// resident returns the memory of a process without files that it has mapped, in bytes, or zero if the system has no
// /proc.
func resident(pid int) uint64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "RssAnon:" {
			kilobytes, _ := strconv.ParseUint(fields[1], 10, 64)
			return kilobytes * 1024
		}
	}
	return 0
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), errors.Join(listener.Close())
}
