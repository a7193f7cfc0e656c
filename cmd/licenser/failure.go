package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/embedded"
)

// failure is what an event source mapping writes to the bucket that is its failure destination: a batch of changes that
// one of the stream's readers failed at.
// (https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html)
type failure struct {
	RequestContext struct {
		Condition string `json:"condition"`
	} `json:"requestContext"`
	Version   string          `json:"version"`
	Timestamp time.Time       `json:"timestamp"`
	Payload   json.RawMessage `json:"payload"` // the event, or a string that holds its JSON
}

// writeFailure writes a batch to a file. The file is whole or not there at all, and on disk when writeFailure returns:
// the change is nowhere else afterwards.
func writeFailure(file string, batch events.DynamoDBEvent, now time.Time) error {
	payload, err := json.Marshal(batch)
	if err != nil {
		return err
	}
	f := failure{Version: "1.0", Timestamp: now.UTC(), Payload: payload}
	f.RequestContext.Condition = "RetryAttemptsExhausted"
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return embedded.WriteFile(file, text)
}

// readFailure returns the batch in a file of the failure destination.
func readFailure(file string) (batch events.DynamoDBEvent, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return batch, err
	}
	var f failure
	if err := json.Unmarshal(text, &f); err != nil {
		return batch, fmt.Errorf("%s: %w", file, err)
	}
	payload := f.Payload
	var quoted string
	if json.Unmarshal(payload, &quoted) == nil {
		payload = json.RawMessage(quoted)
	}
	if err := json.Unmarshal(payload, &batch); err != nil {
		return batch, fmt.Errorf("%s: payload: %w", file, err)
	}
	if len(batch.Records) == 0 {
		return batch, fmt.Errorf("%s: %w", file, errNoRecords)
	}
	return batch, nil
}

var errNoRecords = errors.New(
	"there are no changes in it; it must be a file of a function's failure destination")
