package checkpointing

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-lambda-go/events"
)

// Function is a Checkpointer that also is a custom resource of CloudFormation: it makes the first checkpoint of a stack
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html).
type Function struct {
	Checkpointer
	// Pause waits, or returns the error of the context that ended first.
	Pause func(context.Context, time.Duration) error
}

const (
	// The first checkpoint is tried more than once, because IAM gives a new role its permissions some seconds late.
	attempts     = 10
	attemptPause = 15 * time.Second

	// metricDelay is the time until CloudWatch has the metrics of a log record. The stack's next resource is an alarm
	// that is raised where there are none.
	metricDelay = 2 * time.Minute

	// responseReserve is the part of the invocation's time that is kept for the response. Without a response
	// CloudFormation waits for sixteen minutes.
	responseReserve  = time.Minute
	responseAttempts = 5
)

// Invoke makes a checkpoint, for CloudFormation as well as for anyone else. To CloudFormation it reports a failure
// in its response, and returns no error.
func (f Function) Invoke(ctx context.Context, event json.RawMessage) (Summary, error) {
	var request cfn.Event
	if err := json.Unmarshal(event, &request); err != nil || request.RequestType == "" || request.ResponseURL == "" {
		return f.Handle(ctx, events.EventBridgeEvent{}) // of the schedule, or of someone who invokes it by hand
	}
	return f.handleResource(ctx, request)
}

func (f Function) handleResource(ctx context.Context, request cfn.Event) (Summary, error) {
	var summary Summary
	var err error
	if request.RequestType != cfn.RequestDelete { // nothing removes a checkpoint
		summary, err = f.makeFirst(ctx)
	}
	response := cfn.NewResponse(&request)
	response.PhysicalResourceID = cmp.Or(request.PhysicalResourceID, request.LogicalResourceID)
	response.Status = cfn.StatusSuccess
	if err != nil {
		response.Status, response.Reason = cfn.StatusFailed, reason(err)
	}
	return summary, f.send(ctx, request.ResponseURL, response)
}

// makeFirst makes a checkpoint, and returns when alarms can see its metrics.
func (f Function) makeFirst(ctx context.Context) (summary Summary, err error) {
	if deadline, bounded := ctx.Deadline(); bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-responseReserve))
		defer cancel()
	}
	for attempt := range attempts {
		if attempt > 0 && f.Pause(ctx, attemptPause) != nil {
			break
		}
		if summary, err = f.Handle(ctx, events.EventBridgeEvent{}); err == nil {
			_ = f.Pause(ctx, metricDelay) // where the time runs out, the checkpoint is made all the same
			return summary, nil
		}
	}
	return summary, err
}

// reason returns the text that the stack's events show. A response has at most 4,096 bytes, and a character may
// take six in JSON.
func reason(err error) string {
	const most = 500
	text := []rune("The first checkpoint could not be made: " + err.Error())
	return string(text[:min(len(text), most)])
}

// send puts the response to the URL that CloudFormation gave. The URL is a credential, so no error contains it.
func (f Function) send(ctx context.Context, to string, response *cfn.Response) error {
	body, err := json.Marshal(response)
	if err != nil {
		return err
	}
	for attempt := range responseAttempts {
		if attempt > 0 && f.Pause(ctx, time.Second) != nil {
			break
		}
		if err = put(ctx, to, body); err == nil {
			return nil
		}
	}
	err = fmt.Errorf("response to CloudFormation: %w", err)
	f.Log.LogAttrs(ctx, slog.LevelError, "answer", slog.String("error", err.Error()))
	return err
}

func put(ctx context.Context, to string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// The signature of the URL allows no Content-Type.
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, to, bytes.NewReader(body))
	if err != nil {
		return errors.New("the response URL is not a URL")
	}
	response, err := http.DefaultClient.Do(request)
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		return wrapped.Err
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}
