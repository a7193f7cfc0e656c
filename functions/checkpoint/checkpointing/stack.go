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

// Function is what Lambda runs: a Checkpointer for the schedule, which also makes the first checkpoint of a stack when
// CloudFormation asks for the template's resource FirstCheckpoint.
type Function struct {
	Checkpointer
	// Pause waits, or returns the error of the context that ended first.
	Pause func(context.Context, time.Duration) error
}

const (
	// attempts of the first checkpoint, with a pause between two. IAM gives a new role its permissions some seconds late.
	attempts     = 10
	attemptPause = 15 * time.Second

	// metricDelay is the time after which CloudWatch shows the metrics of a log record. The alarm CheckpointOverdue is
	// made next, looks at once, and takes silence for a fault.
	metricDelay = 2 * time.Minute

	// answerTime is kept back from the invocation for the answer. Without one CloudFormation waits for sixteen minutes.
	answerTime     = time.Minute
	answerAttempts = 5
)

// Invoke makes a checkpoint, whoever asks for it. To CloudFormation a fault is an answer like another, and no error
// here.
func (f Function) Invoke(ctx context.Context, event json.RawMessage) (Answer, error) {
	var request cfn.Event
	// Whatever does not read as a request of CloudFormation is the schedule's, or of someone who calls by hand.
	if err := json.Unmarshal(event, &request); err != nil || request.RequestType == "" || request.ResponseURL == "" {
		return f.Handle(ctx, events.EventBridgeEvent{})
	}
	return f.answer(ctx, request)
}

func (f Function) answer(ctx context.Context, request cfn.Event) (Answer, error) {
	var answer Answer
	var err error
	if request.RequestType != cfn.RequestDelete { // a checkpoint is never taken back
		answer, err = f.first(ctx)
	}
	response := cfn.NewResponse(&request)
	response.PhysicalResourceID = cmp.Or(request.PhysicalResourceID, request.LogicalResourceID)
	response.Status = cfn.StatusSuccess
	if err != nil {
		response.Status, response.Reason = cfn.StatusFailed, reason(err)
	}
	return answer, f.send(ctx, request.ResponseURL, response)
}

// first makes a checkpoint, and returns when an alarm can see that it did.
func (f Function) first(ctx context.Context) (answer Answer, err error) {
	if end, ends := ctx.Deadline(); ends {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-answerTime))
		defer cancel()
	}
	for attempt := range attempts {
		if attempt > 0 && f.Pause(ctx, attemptPause) != nil {
			break
		}
		if answer, err = f.Handle(ctx, events.EventBridgeEvent{}); err == nil {
			_ = f.Pause(ctx, metricDelay) // out of time, the checkpoint is made all the same
			return answer, nil
		}
	}
	return answer, err
}

// reason is what the stack's events show. CloudFormation takes 4,096 bytes of answer, and JSON may take six for a
// character.
func reason(err error) string {
	const most = 500
	text := []rune("The first checkpoint could not be made: " + err.Error())
	return string(text[:min(len(text), most)])
}

// send puts the response where CloudFormation awaits it. The URL is a credential, so no error names it.
func (f Function) send(ctx context.Context, to string, response *cfn.Response) error {
	body, err := json.Marshal(response)
	if err != nil {
		return err
	}
	for attempt := range answerAttempts {
		if attempt > 0 && f.Pause(ctx, time.Second) != nil {
			break
		}
		if err = put(ctx, to, body); err == nil {
			return nil
		}
	}
	err = fmt.Errorf("answer CloudFormation: %w", err)
	f.Log.LogAttrs(ctx, slog.LevelError, "answer", slog.String("error", err.Error()))
	return err
}

func put(ctx context.Context, to string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// Without a Content-Type, as the URL is signed.
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, to, bytes.NewReader(body))
	if err != nil {
		return errors.New("no URL to answer at")
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
