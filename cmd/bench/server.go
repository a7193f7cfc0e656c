//go:build unix

package main

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// server is a running `licenser serve`.
type server struct {
	command *exec.Cmd
	address string
	folder  string
}

func startServer(binary, reuseDays string) (s *server, err error) {
	s = &server{}
	if s.folder, err = os.MkdirTemp("", "licenser-bench"); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.address = listener.Addr().String()
	listener.Close()
	s.command = exec.Command(binary,
		"serve", "--listen", s.address, "--data", s.folder, "--token-reuse-days", reuseDays)
	var log bytes.Buffer
	s.command.Stderr = nil // the log records are still written
	s.command.Stdout = &log
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	for range 200 {
		if response, err := http.Get("http://" + s.address + "/public-key.pem"); err == nil {
			response.Body.Close()
			return s, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.stop()
	return nil, fmt.Errorf("licenser serve does not respond: %s", log.Bytes())
}

func (s *server) stop() {
	_ = s.command.Process.Signal(syscall.SIGTERM)
	_ = s.command.Wait()
	_ = os.RemoveAll(s.folder)
}

// issue returns the bytes of requests that verify so many licenses.
func (s *server) issue(licenses int) (requests [][]byte, err error) {
	for range licenses {
		response, err := http.Post("http://"+s.address+"/licenses", "application/json", bytes.NewReader([]byte(
			`{"customername":"Example Ltd","expirationdate":"2099-01-01",`+
				`"services":[{"serviceName":"Reports","serviceValue":"reports"}],`+
				`"appurls":[{"URL":"https://app.example.com"}]}`)))
		if err != nil {
			return nil, err
		}
		var issued struct{ LicenseKey string }
		err = json.NewDecoder(response.Body).Decode(&issued)
		response.Body.Close()
		if err != nil || issued.LicenseKey == "" {
			return nil, fmt.Errorf("issuing: %s, %w", response.Status, err)
		}
		body := fmt.Sprintf(`{"licensekey":%q}`, issued.LicenseKey)
		requests = append(requests, fmt.Appendf(nil, "POST /verify-license HTTP/1.1\r\nHost: %s\r\n"+
			"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", s.address, len(body), body))
	}
	return requests, nil
}

// load sends the requests in turn by so many connections at once, and returns how many a second succeed.
func (s *server) load(requests [][]byte, connections int, d time.Duration) (float64, error) {
	var succeeded, turn atomic.Int64
	var all sync.WaitGroup
	failures := make(chan error, connections)
	begun := time.Now()
	for range connections {
		all.Go(func() {
			connection, err := net.Dial("tcp", s.address)
			if err != nil {
				failures <- err
				return
			}
			defer connection.Close()
			reader := bufio.NewReader(connection)
			for time.Since(begun) < d {
				if _, err := connection.Write(requests[int(turn.Add(1))%len(requests)]); err != nil {
					failures <- err
					return
				}
				if err := readOK(reader); err != nil {
					failures <- err
					return
				}
				succeeded.Add(1)
			}
		})
	}
	all.Wait()
	close(failures)
	return float64(succeeded.Load()) / time.Since(begun).Seconds(), <-failures
}

// readOK reads one response with the status 200 and a Content-Length.
func readOK(r *bufio.Reader) error {
	length := -1
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("got %s", line)
		}
		if value, is := bytes.CutPrefix(line, []byte("Content-Length: ")); is {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
		if len(line) == 2 {
			break
		}
	}
	if length < 0 {
		return errors.New("a response without a Content-Length")
	}
	_, err := io.CopyN(io.Discard, r, int64(length))
	return err
}

// rsaRate returns how many RSA-2048 signatures a second Go makes on all cores.
func rsaRate(d time.Duration) (float64, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return 0, err
	}
	var signed atomic.Int64
	var all sync.WaitGroup
	begun := time.Now()
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			digest := make([]byte, 32)
			for time.Since(begun) < d {
				if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest); err != nil {
					return
				}
				signed.Add(1)
			}
		})
	}
	all.Wait()
	return float64(signed.Load()) / time.Since(begun).Seconds(), nil
}

var signRate = regexp.MustCompile(`rsa\s+2048 bits\s+\S+\s+\S+\s+([\d.]+)`)

// opensslRate returns the same for openssl, or zero if that is not installed. It measures whole seconds.
func opensslRate(d time.Duration) float64 {
	seconds, processes := fmt.Sprint(max(1, int(d.Seconds()))), fmt.Sprint(runtime.GOMAXPROCS(0))
	out, err := exec.Command("openssl", "speed", "-seconds", seconds, "-multi", processes, "rsa2048").Output()
	if err != nil {
		return 0
	}
	found := signRate.FindSubmatch(out)
	if found == nil {
		return 0
	}
	rate, _ := strconv.ParseFloat(string(found[1]), 64)
	return rate
}
