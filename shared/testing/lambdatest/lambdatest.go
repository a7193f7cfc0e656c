// Package lambdatest runs built functions as Lambda does, for tests. It serves the Lambda Runtime API, endpoints of AWS
// that do what the test says, and the X-Ray daemon's socket. It knows nothing of licenses.
package lambdatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/testing/apitest"
)

// Operation handles a call of AWS. It returns the status of the response, and its body, which becomes JSON. It may also
// hold the call up, or panic with http.ErrAbortHandler to cut the connection.
type Operation func(input map[string]any) (status int, output any)

// AWS is an endpoint that speaks AWS JSON.
type AWS struct {
	URL string

	mu         sync.Mutex
	operations map[string]Operation
	calls      map[string]int
}

// NewAWS serves the operations, by name, as GetItem, until the test ends.
func NewAWS(t testing.TB, operations map[string]Operation) *AWS {
	a := &AWS{operations: operations, calls: map[string]int{}}
	server := httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	a.URL = server.URL
	return a
}

// Set replaces an operation.
func (a *AWS) Set(name string, operation Operation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.operations[name] = operation
}

// Calls returns how often an operation was called.
func (a *AWS) Calls(name string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[name]
}

// Fault returns an operation whose calls all fail with an AWS error.
func Fault(status int, code string) Operation {
	return func(map[string]any) (int, any) {
		return status, map[string]string{"__type": code, "message": "internals of " + code}
	}
}

// Item returns DynamoDB's response to a GetItem: the item, or none for nil, and the consumed capacity where the call
// asks for it.
func Item(input map[string]any, item any) (status int, output any) {
	response := map[string]any{}
	if item != nil {
		response["Item"] = item
	}
	if input["ReturnConsumedCapacity"] == "TOTAL" {
		response["ConsumedCapacity"] = map[string]any{"TableName": input["TableName"], "CapacityUnits": 1}
	}
	return http.StatusOK, response
}

func (a *AWS) serve(w http.ResponseWriter, r *http.Request) {
	_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var input map[string]any
	err := json.NewDecoder(r.Body).Decode(&input)
	a.mu.Lock()
	a.calls[name]++
	operation := a.operations[name]
	a.mu.Unlock()
	if err != nil || operation == nil {
		http.Error(w, "unexpected call of "+name, http.StatusNotImplemented)
		return
	}
	status, output := operation(input)
	text, err := json.Marshal(output)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotImplemented)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amz-Crc32", fmt.Sprint(crc32.ChecksumIEEE(text))) // DynamoDB's clients check it
	w.WriteHeader(status)
	w.Write(text)
}

// Function is a running function.
type Function struct {
	Timeout time.Duration // which the function is told it has for an invocation

	t      testing.TB
	events chan invocation
	output *lockedBuffer
}

type invocation struct {
	event    []byte
	traceID  string
	response chan []byte
}

// FunctionName is the name of the function in AWS_LAMBDA_FUNCTION_NAME.
const FunctionName = "stack-Function-1"

// Start builds the package in folder and runs it, like Run.
func Start(t testing.TB, folder string, environment ...string) *Function {
	t.Helper()
	return Run(t, Build(t, folder), environment...)
}

// Build builds the package in folder, and returns the binary's path.
func Build(t testing.TB, folder string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "bootstrap")
	command := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", binary, folder)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	dependOn(t, folder)
	return binary
}

// dependOn looks at every source file of the package and of what it imports. So `go test` runs the test again after one
// of them has changed: of a program that a test starts it knows nothing else, and would repeat the result that it has.
func dependOn(t testing.TB, folder string) {
	t.Helper()
	const files = `{{if not .Standard}}{{$folder := .Dir}}{{range .GoFiles}}{{$folder}}/{{.}}{{"\n"}}{{end}}{{end}}`
	out, err := exec.Command("go", "list", "-deps", "-tags", "lambda.norpc", "-f", files, folder).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for file := range strings.SplitSeq(string(out), "\n") {
		if _, err := os.Stat(file); file != "" && err != nil {
			t.Fatal(err)
		}
	}
}

// Run runs a built function until the test ends. It has the environment, NAME=value, and nothing of this process's.
func Run(t testing.TB, binary string, environment ...string) *Function {
	t.Helper()
	f := &Function{
		Timeout: invocationTimeout, t: t, events: make(chan invocation), output: &lockedBuffer{},
	}
	runtime := httptest.NewServer(f.runtimeAPI())
	command := exec.Command(binary)
	command.Env = append(environment,
		"AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(runtime.URL, "http://"),
		"AWS_LAMBDA_FUNCTION_NAME="+FunctionName,
		"AWS_REGION=eu-central-1", "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=example",
		"HOME="+os.TempDir())
	command.Stdout, command.Stderr = f.output, f.output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
		runtime.CloseClientConnections()
		runtime.Close()
	})
	return f
}

// invocationTimeout is the Timeout of a function unless a test sets another.
const invocationTimeout = 10 * time.Second

// runtimeAPI returns the Lambda Runtime API (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html).
func (f *Function) runtimeAPI() http.Handler {
	var mu sync.Mutex
	responses := map[string]chan []byte{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, r *http.Request) {
		select {
		case next := <-f.events:
			mu.Lock()
			id := fmt.Sprintf("invocation-%d", len(responses)+1)
			responses[id] = next.response
			mu.Unlock()
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", id)
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(f.Timeout).UnixMilli()))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn",
				"arn:aws:lambda:eu-central-1:123456789012:function:test")
			if next.traceID != "" {
				w.Header().Set("Lambda-Runtime-Trace-Id", next.traceID)
			}
			w.Write(next.event)
		case <-r.Context().Done():
		}
	})
	respond := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		responses[r.PathValue("id")] <- body
		w.WriteHeader(http.StatusAccepted)
	}
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", respond)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", respond)
	return mux
}

// Invoke sends an event to the function, and decodes the response. One to API Gateway must be as openapi.yaml says.
// traceID is X-Ray's header, empty for none.
func (f *Function) Invoke(event any, traceID string, response any) {
	f.t.Helper()
	text, err := json.Marshal(event)
	if err != nil {
		f.t.Fatal(err)
	}
	next := invocation{text, traceID, make(chan []byte, 1)}
	patience := time.After(time.Minute)
	select {
	case f.events <- next:
	case <-patience:
		f.t.Fatalf("the function does not ask for events:\n%s", f.output)
	}
	select {
	case got := <-next.response:
		if err := json.Unmarshal(got, response); err != nil {
			f.t.Fatalf("%v: %s", err, got)
		}
		f.check(text, response)
	case <-patience:
		f.t.Fatalf("the function does not respond:\n%s", f.output)
	}
}

// check holds a response to API Gateway to openapi.yaml.
func (f *Function) check(event []byte, response any) {
	f.t.Helper()
	if proxied, isProxied := response.(*events.APIGatewayProxyResponse); isProxied {
		apitest.CheckInvocation(f.t, event, *proxied)
	}
}

// Output returns all that the function has written.
func (f *Function) Output() string { return f.output.String() }

// lockedBuffer is a buffer that goroutines may share.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// Segment is what tests read of a segment document of X-Ray.
type Segment struct {
	ID          string
	Name        string
	Type        string
	TraceID     string `json:"trace_id"`
	ParentID    string `json:"parent_id"`
	Namespace   string
	Annotations map[string]any
	AWS         struct{ Operation, Region string }      `json:"aws"`
	HTTP        struct{ Response struct{ Status int } } `json:"http"`
	Fault       bool
	Error       bool
	Throttle    bool
	Cause       struct{ Exceptions []struct{ Type string } }
	Start       float64 `json:"start_time"`
	End         float64 `json:"end_time"`
}

// Daemon stands in for the X-Ray daemon.
type Daemon struct {
	Address string // as AWS_XRAY_DAEMON_ADDRESS wants it

	t          testing.TB
	connection net.PacketConn
}

// NewDaemon listens until the test ends.
func NewDaemon(t testing.TB) *Daemon {
	t.Helper()
	connection, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return &Daemon{Address: connection.LocalAddr().String(), t: t, connection: connection}
}

// Receive returns the next segment document and its text.
func (d *Daemon) Receive() (segment Segment, text string) {
	d.t.Helper()
	packet := make([]byte, 64<<10)
	if err := d.connection.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		d.t.Fatal(err)
	}
	n, _, err := d.connection.ReadFrom(packet)
	if err != nil {
		d.t.Fatal(err)
	}
	_, document, _ := strings.Cut(string(packet[:n]), "\n") // the first line is a header
	if err := json.Unmarshal([]byte(document), &segment); err != nil {
		d.t.Fatalf("%v: %s", err, packet[:n])
	}
	return segment, document
}

// SampleEvents returns the events in a folder of JSON files, by the file's name without ".json".
func SampleEvents[Event any](t testing.TB, folder string) map[string]Event {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d events in %s, %v", len(files), folder, err)
	}
	sampled := map[string]Event{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var event Event
		if err := json.Unmarshal(text, &event); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		sampled[strings.TrimSuffix(filepath.Base(file), ".json")] = event
	}
	return sampled
}
