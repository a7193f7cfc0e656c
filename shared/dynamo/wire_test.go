package dynamo_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
)

// call is a request as it reached the server.
type call struct {
	operation string
	body      map[string]any
}

// answer is what the server says: an HTTP status and a JSON body.
type answer struct {
	status int
	body   string
}

func ok(body string) answer { return answer{http.StatusOK, body} }

// noItem is what DynamoDB says of an item that a table does not have.
func noItem(table string) answer {
	return ok(fmt.Sprintf(`{"ConsumedCapacity":{"CapacityUnits":1.0,"TableName":%q}}`, table))
}

// fault is an error of DynamoDB; members are more members of its body, as `,"Item":{}`.
func fault(status int, code, members string) answer {
	return answer{status, fmt.Sprintf(
		`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"said by the server"%s}`, code, members)}
}

// wire is a server that speaks DynamoDB's protocol, AWS JSON 1.0, as far as to give prepared answers in turn.
type wire struct {
	calls   []call
	answers []answer
}

// serve makes a real client whose requests, each in up to two attempts, get the answers in turn. Answers that
// are not called for fail the test, as does a call without an answer.
func serve(t *testing.T, answers ...answer) (*wire, *dynamodb.Client) {
	t.Helper()
	w := &wire{answers: answers}
	server := httptest.NewServer(w)
	t.Cleanup(func() {
		server.Close()
		if len(w.calls) != len(answers) {
			t.Errorf("%d calls, want %d", len(w.calls), len(answers))
		}
	})
	return w, newClient(server.URL)
}

func newClient(endpoint string) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		BaseEndpoint: &endpoint,
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("test", "test", ""),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = 2
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		}),
	})
}

func (w *wire) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	text, err := io.ReadAll(in.Body)
	c := call{operation: strings.TrimPrefix(in.Header.Get("X-Amz-Target"), "DynamoDB_20120810.")}
	if err != nil || json.Unmarshal(text, &c.body) != nil || len(w.calls) >= len(w.answers) {
		w.calls = append(w.calls, c)
		http.Error(out, "an unexpected request", http.StatusNotImplemented)
		return
	}
	a := w.answers[len(w.calls)]
	w.calls = append(w.calls, c)
	out.Header().Set("Content-Type", "application/x-amz-json-1.0")
	out.WriteHeader(a.status)
	_, _ = io.WriteString(out, a.body)
}

// wantRequest compares the i-th request with an operation and a JSON body.
func (w *wire) wantRequest(t *testing.T, i int, operation, body string) {
	t.Helper()
	if i >= len(w.calls) {
		t.Fatalf("no request %d", i)
	}
	if w.calls[i].operation != operation {
		t.Errorf("request %d is a %s, want %s", i, w.calls[i].operation, operation)
	}
	if diff := cmp.Diff(parse(t, body), w.calls[i].body); diff != "" {
		t.Errorf("request %d (-want +got):\n%s", i, diff)
	}
}

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return object
}

// dynamoJSON writes a record with package attribute, which knows nothing of the SDK.
func dynamoJSON(t *testing.T, record attribute.Map) string {
	t.Helper()
	text, err := record.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// with returns a copy of the record with one attribute more.
func with(record attribute.Map, name string, value any) attribute.Map {
	more := attribute.Map{name: value}
	for n, v := range record {
		if n != name {
			more[n] = v
		}
	}
	return more
}

// faults are errors of DynamoDB that say nothing about a license or a chain. Those that the SDK repeats come
// twice.
var faults = map[string][]answer{
	"Throttled": {fault(400, "ThrottlingException", ""), fault(400, "ThrottlingException", "")},
	"NoThroughput": {
		fault(400, "ProvisionedThroughputExceededException", ""),
		fault(400, "ProvisionedThroughputExceededException", ""),
	},
	"InternalError": {fault(500, "InternalServerError", ""), fault(500, "InternalServerError", "")},
	"NoSuchTable":   {fault(400, "ResourceNotFoundException", "")},
	"AccessDenied":  {fault(400, "AccessDeniedException", "")},
	"Invalid":       {fault(400, "ValidationException", "")},
	"NotJSON":       {ok(`<html>`)},
	"UnknownError":  {fault(400, "SomethingNewException", "")},
}
