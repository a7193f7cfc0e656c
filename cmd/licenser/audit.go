package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"openlicenser/shared/embedded"
	"openlicenser/shared/telemetry"
)

type auditCommand struct {
	Verify verifyCommand `cmd:"" help:"Check that nobody has changed the audit trail: recompute its chains, and compare them with the licenses and with a signed checkpoint."`
	Export exportCommand `cmd:"" help:"Write the audit trail of a license, one entry in a line, for licenser audit verify --file or another verifier."`
	Replay replayCommand `cmd:"" help:"Hand changes that were set aside to their function again."`
}

// replayCommand hands failures to the function that failed. It can be repeated: both functions recognize what is done.
type replayCommand struct {
	Files    []string `arg:"" help:"Files of the failure destination: on AWS the objects of the bucket AuditFailures, locally the files in audit-failures/ of the data folder." type:"existingfile"`
	Function string   `help:"Name of the function on AWS that failed, audit or index, which is invoked with the credentials of this environment. A failure names it in functionArn." xor:"where" required:""`
	Data     string   `help:"Data folder of the local server, which must be stopped." type:"existingdir" xor:"where" required:""`

	out io.Writer // standard output, unless a test sets it
}

// Run goes on after a file that fails, and names all that did.
func (c replayCommand) Run(ctx context.Context) (err error) {
	if c.out == nil {
		c.out = os.Stdout
	}
	handle := invoke(c.Function)
	if c.Data != "" {
		folder, errOpen := embedded.OpenExisting(c.Data)
		if errOpen != nil {
			return errOpen
		}
		defer func() { err = errors.Join(err, folder.Close()) }()
		handle = streamHandler(folder, telemetry.NewConsoleLogger(os.Stderr))
	}
	for _, file := range c.Files {
		err = errors.Join(err, c.replay(ctx, file, handle))
	}
	return err
}

func (c replayCommand) replay(ctx context.Context, file string, handle handler) error {
	batch, err := readFailure(file)
	if err != nil {
		return err
	}
	response, err := handle(ctx, batch)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", file, err)
	case len(response.BatchItemFailures) > 0:
		return fmt.Errorf("%s: %d of %d changes failed, the first is %s; the function's log says why",
			file, len(response.BatchItemFailures), len(batch.Records), response.BatchItemFailures[0].ItemIdentifier)
	}
	fmt.Fprintf(c.out, "%s: %d changes are done; the file can be removed\n", file, len(batch.Records))
	return nil
}

// invoke returns a handler that calls a function on AWS.
func invoke(function string) handler {
	return func(ctx context.Context, batch events.DynamoDBEvent) (response events.DynamoDBEventResponse, err error) {
		cfg, err := awsConfig(ctx)
		if err != nil {
			return response, err
		}
		payload, err := json.Marshal(batch)
		if err != nil {
			return response, err
		}
		input := lambda.InvokeInput{FunctionName: &function, Payload: payload}
		out, err := lambda.NewFromConfig(cfg).Invoke(ctx, &input)
		switch {
		case err != nil:
			return response, err
		case out.FunctionError != nil:
			return response, fmt.Errorf("function %s: %s", *out.FunctionError, out.Payload)
		}
		return response, json.Unmarshal(out.Payload, &response)
	}
}
