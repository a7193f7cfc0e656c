package tracing

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
)

// segment is a subsegment that is sent on its own
// (https://docs.aws.amazon.com/xray/latest/devguide/xray-api-segmentdocuments.html#api-segmentdocuments-subsegments).
type segment struct {
	Name        string            `json:"name"`
	ID          string            `json:"id"`
	TraceID     string            `json:"trace_id"`
	ParentID    string            `json:"parent_id"`
	Type        string            `json:"type"`
	Start       float64           `json:"start_time"` // Unix seconds
	End         float64           `json:"end_time"`
	Namespace   string            `json:"namespace,omitempty"`
	Fault       bool              `json:"fault,omitempty"`    // of the server
	Error       bool              `json:"error,omitempty"`    // of the client
	Throttle    bool              `json:"throttle,omitempty"` // an Error too
	Cause       *cause            `json:"cause,omitempty"`
	HTTP        *httpCall         `json:"http,omitempty"`
	AWS         *awsCall          `json:"aws,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type awsCall struct {
	Operation string `json:"operation"`
	Region    string `json:"region,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}

type httpCall struct {
	Response httpResponse `json:"response"`
}

type httpResponse struct {
	Status int `json:"status"`
}

type cause struct {
	Exceptions []exception `json:"exceptions"`
}

type exception struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Message string `json:"message"`
	Remote  bool   `json:"remote,omitempty"`
}

func begin(name, traceID, parentID string) *segment {
	return &segment{
		Name:     name,
		ID:       newID(),
		TraceID:  traceID,
		ParentID: parentID,
		Type:     "subsegment",
		Start:    seconds(time.Now()),
	}
}

// datagramHeader tells the daemon what follows
// (https://docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html#xray-api-daemon).
const datagramHeader = `{"format":"json","version":1}` + "\n"

// end sends the segment. A segment that cannot be sent is lost, because an invocation must not fail for its trace.
func (t Tracer) end(s *segment) {
	s.End = seconds(time.Now())
	if document, err := json.Marshal(s); err == nil {
		_, _ = t.daemon.Write(append([]byte(datagramHeader), document...))
	}
}

// responded records the status of a response. Zero stands for no response.
func (s *segment) responded(status int) {
	if status == 0 {
		s.Fault = true
		return
	}
	s.HTTP = &httpCall{httpResponse{status}}
	s.Fault = status >= http.StatusInternalServerError
	s.Error = status >= http.StatusBadRequest && !s.Fault
}

// because records why the segment failed. Throttling is recognized by AWS's code, because DynamoDB and KMS throttle
// with the status 400.
func (s *segment) because(err error, remote bool) {
	e := exception{newID(), fmt.Sprintf("%T", err), err.Error(), remote}
	var refusal smithy.APIError
	if errors.As(err, &refusal) {
		e.Type = refusal.ErrorCode()
		_, s.Throttle = retry.DefaultThrottleErrorCodes[e.Type]
	}
	s.Cause = &cause{[]exception{e}}
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

func newID() string {
	var id [8]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}
