package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/audit"
	"openlicenser/shared/embedded"
	"openlicenser/shared/telemetry"
)

type auditCommand struct {
	Verify      verifyCommand      `cmd:"" help:"Check that nobody has changed the audit trail: recompute its chains, and compare them with the licenses and with a signed checkpoint."`
	Export      auditExportCommand `cmd:"" help:"Write the audit trail of a license, one entry in a line, for licenser audit verify --file or another verifier."`
	Explain     explainCommand     `cmd:"" help:"Say whether a license could be used at a moment, since when, by whom and why, and what proves it."`
	Acknowledge acknowledgeCommand `cmd:"" help:"Say that a finding of the checkpoint function is settled: it is counted no longer."`
	Restore     restoreCommand     `cmd:"" help:"Make the changes again that the trail knows and a license table from a backup has forgotten, revocations first."`
	Replay      replayCommand      `cmd:"" help:"Hand changes that were set aside to their function again."`
}

type auditExportCommand struct {
	License  licenseName `arg:"" name:"license" help:"The license: its id, its license key in either form, or its reference. By its id it may be gone."`
	Evidence bool        `help:"Write all that proves the chain to someone without access to a server: the chain, the proof and the signed checkpoint."`

	WithoutValues bool `help:"Leave out personal values, and the nonces with which they can be held to the commitments that stand in their place. The chain can be checked without them."`
	vendorAPI
}

func (auditExportCommand) Help() string {
	return examples(`licenser audit export order-4711 >chain.jsonl`,
		`licenser audit export order-4711 --evidence >evidence.jsonl`,
		`licenser audit export order-4711 --without-values >chain.jsonl`)
}

// Run writes the chain in the form that audit.ReadChain reads, which is JSON of its own.
func (c auditExportCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	if t.Format == terminal.CSV {
		return usageError("The trail is JSON Lines in the form that was hashed: leave out --output csv.")
	}
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	id, err := c.License.resolve(ctx, api)
	if err != nil {
		return err
	}
	if c.Evidence {
		return exportEvidence(ctx, t, api, id, c.WithoutValues)
	}
	isEmpty := true
	for e, err := range api.AuditEntries(ctx, id) {
		if err != nil {
			return err
		}
		if c.WithoutValues {
			e = e.Closed()
		}
		if err := audit.WriteChain(t.Out, []audit.Entry{e}); err != nil {
			return err
		}
		isEmpty = false
	}
	if isEmpty {
		return fmt.Errorf("the trail has no entries of the license %s", id)
	}
	return nil
}

// replayCommand hands failures to the function that failed. It can be repeated: both functions recognize what is done.
type replayCommand struct {
	Files    []string `arg:"" help:"Files of the failure destination: on AWS the objects of the bucket AuditFailures, locally the files in audit-failures/ of the data folder." type:"existingfile"`
	Function string   `help:"Name of the function on AWS that failed, audit or index, which is invoked with the credentials of this environment. A failure names it in functionArn." xor:"where" required:""`
	Data     string   `help:"Data folder of the local server, which must be stopped." type:"existingdir" xor:"where" required:""`
}

func (replayCommand) Help() string {
	return examples(`licenser audit replay .licenser/audit-failures/*.json --data .licenser`)
}

// Run goes on after a file that fails, and names all that did.
func (c replayCommand) Run(ctx context.Context, t *terminal.Terminal) (err error) {
	handle := invoke(c.Function)
	if c.Data != "" {
		folder, errOpen := embedded.OpenExisting(ctx, c.Data)
		if errOpen != nil {
			return errOpen
		}
		defer func() { err = errors.Join(err, scrubAndClose(ctx, folder)) }()
		handle = streamHandler(folder, telemetry.NewConsoleLogger(t.Err))
	}
	var failed error
	hasDone := false
	err = terminal.List(t, replayColumns, func(yield func(replayedFile, error) bool) {
		for _, file := range c.Files {
			replayed, err := replay(ctx, file, handle)
			failed = errors.Join(failed, err)
			hasDone = hasDone || replayed.Done
			if !yield(replayed, nil) {
				return
			}
		}
	})
	if hasDone {
		t.Say("Files whose changes are done can be removed.")
	}
	return errors.Join(failed, err)
}

// replayedFile is what became of a file.
type replayedFile struct {
	File    string `json:"file"`
	Changes int    `json:"changes"` // in the file; 0 where it cannot be read
	Done    bool   `json:"done"`    // all of them; the file can be removed
}

func (f replayedFile) done() string {
	if f.Done {
		return "yes"
	}
	return "no"
}

var replayColumns = []terminal.Column[replayedFile]{
	{Name: "file", Title: "FILE", Text: func(f replayedFile) string { return f.File }},
	{Name: "changes", Title: "CHANGES", Text: func(f replayedFile) string { return strconv.Itoa(f.Changes) }},
	{
		Name: "done", Title: "DONE", Text: func(f replayedFile) string { return strconv.FormatBool(f.Done) },
		People: replayedFile.done,
		Color: func(f replayedFile) terminal.Color {
			if f.Done {
				return terminal.Good
			}
			return terminal.Bad
		},
	},
}

// replay hands a file to the function. The error says why the changes are not done.
func replay(ctx context.Context, file string, handle handler) (replayedFile, error) {
	replayed := replayedFile{File: file}
	batch, err := readFailure(file)
	if err != nil {
		return replayed, err
	}
	replayed.Changes = len(batch.Records)
	response, err := handle(ctx, batch)
	switch {
	case err != nil:
		return replayed, fmt.Errorf("%s: %w", file, err)
	case len(response.BatchItemFailures) > 0:
		return replayed, fmt.Errorf("%s: %d of %d changes failed, the first is %s; the function's log says why",
			file, len(response.BatchItemFailures), len(batch.Records), response.BatchItemFailures[0].ItemIdentifier)
	}
	replayed.Done = true
	return replayed, nil
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
