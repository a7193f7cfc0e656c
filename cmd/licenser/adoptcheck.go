package main

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/awskeys"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
)

// exitCodeFirst is the exit code of a check that has found what must be done first.
const exitCodeFirst = 4

var errDoFirst error = exitError{"something must be done first, see above", exitCodeFirst}

// checkFolder does not even bring an older folder up to date.
func (c adoptCommand) checkFolder(ctx context.Context) (err error) {
	records, closeFile, err := embedded.ReadRecords(ctx, c.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeFile()) }()
	c.Segments = 1
	survey, err := c.survey(ctx, records, c.paceOf(nil), 0)
	if err != nil {
		return err
	}
	return c.report(&checkReport{Records: survey, adopt: "licenser adopt --data " + quoteForShell(c.Data)})
}

func (c adoptCommand) checkTable(ctx context.Context, cfg aws.Config) error {
	client := newTableClient(cfg)
	state, err := dynamo.ReadTableState(ctx, client, c.Table)
	if err != nil {
		return err
	}
	r := &checkReport{
		Table: newTableReport(state), adopt: "licenser adopt --table " + state.Name, state: &state,
	}
	if c.Secret != "" {
		check, err := awskeys.CheckSecret(ctx, secretsmanager.NewFromConfig(cfg), c.Secret, c.now())
		if err != nil {
			return err
		}
		r.Secret = &secretReport{Name: c.Secret, Problem: check.Problem, Short: check.Short}
	}
	if c.Key != "" {
		check, err := awskeys.CheckKey(ctx, kms.NewFromConfig(cfg), c.Key)
		if err != nil {
			return err
		}
		r.Key = &keyReport{Name: c.Key, ARN: check.ARN, KeyID: check.KeyID, Problems: check.Problems}
	}
	if state.CanBeUsed() && state.HasLicenseKey() {
		p := c.paceOf(&state)
		records := dynamo.NewRecords(client, c.Table).InPages(p.page(c.Segments))
		if r.Records, err = c.survey(ctx, records, p, state.Records); err != nil {
			return err
		}
	}
	return c.report(r)
}

func (c adoptCommand) survey(
	ctx context.Context, records license.Records, p pace, total int64,
) (*license.Survey, error) {
	shown := newProgress(c.log, "records", total)
	defer shown.end()
	survey, err := license.Scan{Records: records, Segments: c.Segments, Pace: p.reads.Wait}.Survey(
		ctx, c.now(), shown.show)
	if ctx.Err() != nil {
		err = errors.New("interrupted; nothing is changed")
	}
	return &survey, err
}

// report prints a report, and returns errDoFirst where something stands in the way.
func (c adoptCommand) report(r *checkReport) error {
	r.conclude()
	print := r.print
	if c.format == terminal.JSON {
		print = r.printJSON
	}
	if err := print(c.out); err != nil {
		return err
	}
	if !r.Ready {
		return errDoFirst
	}
	return nil
}
