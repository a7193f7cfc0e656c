//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// function is a running Lambda function, with a Lambda Runtime API of its own
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html).
type function struct {
	command   *exec.Cmd
	server    *http.Server
	asked     chan time.Time // when the function asks for an event
	events    chan []byte
	handed    chan time.Time // when the function has got an event
	responses chan response
	log       recordLog
}

type response struct {
	at   time.Time
	body []byte
}

// patience is how long a function may take for anything.
const patience = 20 * time.Second

var errSilent = errors.New("the function does not respond")

// startFunction returns a function that is ready, and how long that took from the start of its process.
func startFunction(binary string, environment ...string) (*function, time.Duration, error) {
	f := &function{
		asked: make(chan time.Time, 1), events: make(chan []byte),
		handed: make(chan time.Time, 1), responses: make(chan response, 1),
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, 0, err
	}
	f.server = &http.Server{Handler: f.runtimeAPI()}
	go f.server.Serve(listener)
	f.command = exec.Command(binary)
	f.command.Env = append(environment,
		"AWS_LAMBDA_RUNTIME_API="+listener.Addr().String(), "AWS_LAMBDA_FUNCTION_NAME=bench", "AWS_REGION=eu-central-1",
		"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=example", "HOME="+os.TempDir())
	f.command.Stdout, f.command.Stderr = &f.log, os.Stderr
	begun := time.Now()
	if err := f.command.Start(); err != nil {
		return nil, 0, errors.Join(err, f.server.Close())
	}
	select {
	case at := <-f.asked:
		return f, at.Sub(begun), nil
	case <-time.After(patience):
		f.stop()
		return nil, 0, errSilent
	}
}

func (f *function) stop() {
	_ = f.command.Process.Kill()
	_ = f.command.Wait()
	_ = f.server.Close()
}

func (f *function) runtimeAPI() http.Handler {
	mux := http.NewServeMux()
	const trace = "Root=1-67340000-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1"
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, r *http.Request) {
		select {
		case f.asked <- time.Now():
		default: // nobody waits for that any more
		}
		select {
		case event := <-f.events:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "invocation")
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(10*time.Second).UnixMilli()))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn",
				"arn:aws:lambda:eu-central-1:123456789012:function:bench")
			w.Header().Set("Lambda-Runtime-Trace-Id", trace)
			f.handed <- time.Now()
			w.Write(event)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/{outcome}",
		func(w http.ResponseWriter, r *http.Request) {
			at := time.Now()
			body, _ := io.ReadAll(r.Body)
			w.WriteHeader(http.StatusAccepted)
			f.responses <- response{at, body}
		})
	return mux
}

// invoke returns how long an event took, from handing it out to the response. Any status but 200 is an error.
func (f *function) invoke(event []byte) (time.Duration, error) {
	timeout := time.After(patience)
	select {
	case f.events <- event:
	case <-timeout:
		return 0, errSilent
	}
	begun := <-f.handed
	select {
	case a := <-f.responses:
		if !bytes.Contains(a.body, []byte(`"statusCode":200`)) {
			return 0, fmt.Errorf("the function responds %s", a.body)
		}
		return a.at.Sub(begun), nil
	case <-timeout:
		return 0, errSilent
	}
}

// peakMemory returns VmHWM in bytes, or zero if the system has no /proc.
func (f *function) peakMemory() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.command.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
			kilobytes, _ := strconv.ParseFloat(fields[1], 64)
			return kilobytes * 1024
		}
	}
	return 0
}
