package checkpointing_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/cfn"

	"openlicenser/functions/checkpoint/checkpointing"
	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
)

// cloudFormation is the server that the response URL names.
type cloudFormation struct {
	*httptest.Server
	refuses int // as many responses, before it takes one
	answers []cfn.Response
}

func newCloudFormation(t *testing.T) *cloudFormation {
	t.Helper()
	c := &cloudFormation{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		if c.refuses > 0 {
			c.refuses--
			out.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, _ := io.ReadAll(in.Body)
		var answer cfn.Response
		// The URL is signed for a PUT without a Content-Type.
		signed := in.Method == http.MethodPut && in.Header.Get("Content-Type") == ""
		if !signed || len(body) > 4096 || json.Unmarshal(body, &answer) != nil {
			t.Errorf("%s of %q: %s", in.Method, in.Header.Get("Content-Type"), body)
		}
		c.answers = append(c.answers, answer)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *cloudFormation) request(kind string) map[string]any {
	return map[string]any{
		"RequestType": kind, "ResponseURL": c.URL + "/?signature=secret",
		"StackId": "stack", "RequestId": "request", "LogicalResourceId": "FirstCheckpoint",
	}
}

// invoke runs the function, which pauses for no time.
func (f fixture) invoke(t *testing.T, event any) (checkpointing.Summary, error) {
	t.Helper()
	answer, _, err := f.invokeFor(t, t.Context(), event)
	return answer, err
}

// invokeFor returns how long the function would have paused.
func (f fixture) invokeFor(
	t *testing.T, ctx context.Context, event any,
) (_ checkpointing.Summary, pauses []time.Duration, _ error) {
	t.Helper()
	text, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	pause := func(ctx context.Context, d time.Duration) error {
		pauses = append(pauses, d)
		return ctx.Err()
	}
	answer, err := checkpointing.Function{Checkpointer: f.Checkpointer, Pause: pause}.Invoke(ctx, text)
	return answer, pauses, err
}

// deniedTrail is denied to a role that is new, as many times.
type deniedTrail struct {
	checkpoint.Trail
	times *int
}

func (d deniedTrail) Heads(ctx context.Context, bucket int) iter.Seq2[audit.ChainHead, error] {
	if bucket == 0 && *d.times > 0 { // buckets are read concurrently, and each once
		*d.times--
		return func(yield func(audit.ChainHead, error) bool) { yield(audit.ChainHead{}, errFault) }
	}
	return d.Trail.Heads(ctx, bucket)
}

func TestStack(t *testing.T) {
	const short, long = 15 * time.Second, 2 * time.Minute
	for _, test := range []struct {
		name    string
		kind    string
		denied  int // attempts
		refuses int // responses
		status  cfn.StatusType
		number  int64
		pauses  []time.Duration
	}{
		{"made", "Create", 0, 0, cfn.StatusSuccess, 1, []time.Duration{long}},
		{"changed", "Update", 0, 0, cfn.StatusSuccess, 1, []time.Duration{long}},
		{"removed", "Delete", 0, 0, cfn.StatusSuccess, 0, nil},
		{"permissions come late", "Create", 2, 0, cfn.StatusSuccess, 1, []time.Duration{short, short, long}},
		{"permissions never come", "Create", 100, 0, cfn.StatusFailed, 0, slices.Repeat([]time.Duration{short}, 9)},
		{
			"the answer is lost twice", "Create", 0, 2, cfn.StatusSuccess, 1,
			[]time.Duration{long, time.Second, time.Second},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, c := newFixture(t), newCloudFormation(t)
			f.Maker.Trail = deniedTrail{f.trail, &test.denied}
			c.refuses = test.refuses
			answer, pauses, err := f.invokeFor(t, t.Context(), c.request(test.kind))
			// An error would make Lambda call again, and set off an alarm.
			if err != nil || answer.Number != test.number {
				t.Errorf("got %+v, %v", answer, err)
			}
			if len(c.answers) != 1 || c.answers[0].Status != test.status {
				t.Fatalf("answered %+v", c.answers)
			}
			got := c.answers[0]
			if got.StackID != "stack" || got.RequestID != "request" ||
				got.LogicalResourceID != "FirstCheckpoint" || got.PhysicalResourceID != "FirstCheckpoint" {
				t.Errorf("answered %+v", got)
			}
			explained := strings.Contains(got.Reason, errFault.Error())
			if explained != (test.status == cfn.StatusFailed) {
				t.Errorf("because %q", got.Reason)
			}
			if !slices.Equal(pauses, test.pauses) {
				t.Errorf("paused for %v, want %v", pauses, test.pauses)
			}
		})
	}
}

// TestStackOfAnotherKey: a bucket whose checkpoints are of another key or origin fails the stack, and says why.
func TestStackOfAnotherKey(t *testing.T) {
	f, c := newFixture(t), newCloudFormation(t)
	if _, err := f.invoke(t, nil); err != nil { // by hand
		t.Fatal(err)
	}
	f.Maker.Origin = "openlicenser/another/audit"
	if _, err := f.invoke(t, c.request("Create")); err != nil {
		t.Fatal(err)
	}
	const named = "object checkpoints/00000000000000000001 of the archive"
	if got := c.answers[0]; got.Status != cfn.StatusFailed || !strings.Contains(got.Reason, named) {
		t.Errorf("answered %+v", got)
	}
}

// TestStackOutOfTime: the response is sent before Lambda ends the invocation.
func TestStackOutOfTime(t *testing.T) {
	f, c := newFixture(t), newCloudFormation(t)
	f.Maker.Trail = brokenTrail{f.trail}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second) // of the minute that is kept back
	defer cancel()
	_, pauses, err := f.invokeFor(t, ctx, c.request("Create"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.answers) != 1 || c.answers[0].Status != cfn.StatusFailed || len(pauses) != 1 {
		t.Errorf("answered %+v after %v", c.answers, pauses)
	}
}

// brokenRecords cannot be read.
type brokenRecords struct{ err error }

func (r brokenRecords) Hashes(context.Context) iter.Seq2[checkpoint.RecordHash, error] {
	return func(yield func(checkpoint.RecordHash, error) bool) { yield(checkpoint.RecordHash{}, r.err) }
}

func (r brokenRecords) Record(context.Context, string) (attribute.Map, error) { return nil, r.err }

// TestStackLongReason: CloudFormation takes 4,096 bytes.
func TestStackLongReason(t *testing.T) {
	f, c := newFixture(t), newCloudFormation(t)
	f.Reconciler.Records = brokenRecords{errors.New(strings.Repeat("<é", 5000))}
	_, err := f.invoke(t, c.request("Create"))
	if err != nil || len(c.answers) != 1 || c.answers[0].Status != cfn.StatusFailed {
		t.Errorf("%v, answered %d", err, len(c.answers))
	}
}

// TestStackAnswerIsSecret: the response URL is a credential. No error shows it, and Lambda calls again.
func TestStackAnswerIsSecret(t *testing.T) {
	for _, test := range []struct{ name, url string }{
		{"refused", ""},
		{"nobody listens", "http://127.0.0.1:1/?signature=secret"},
		{"no URL", "http://%zz/?signature=secret"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, c := newFixture(t), newCloudFormation(t)
			c.refuses = 100
			event := c.request("Create")
			if test.url != "" {
				event["ResponseURL"] = test.url
			}
			_, err := f.invoke(t, event)
			if err == nil || strings.Contains(err.Error()+f.log.String(), "secret") {
				t.Errorf("got %v\n%s", err, f.log)
			}
			if record := f.records(t)["answer"]; record["level"] != "ERROR" {
				t.Errorf("logged %v", record)
			}
		})
	}
}
