package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"golang.org/x/time/rate"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
)

// adoptCommand gives the licenses that are there what the lists of the vendor's API read.
type adoptCommand struct {
	Table    string `help:"Name of the license table, which is reached with the AWS credentials of this environment." xor:"where" required:""`
	Data     string `help:"Data folder of the local server, which must be stopped." type:"existingdir" xor:"where" required:""`
	Check    bool   `help:"Change nothing, and report what moving over would meet and what to do next. The exit code is 4 if something must be done first."`
	Secret   string `help:"With --check: name or ARN of the secret in Secrets Manager that signs license keys, which is looked at too."`
	Key      string `help:"With --check: id, ARN or alias of the key in KMS that signs authorization tokens, which is looked at too."`
	Rate     int    `help:"Records that are written a second at most, each of which takes a write unit for each KB of it, of the table and of each index. Eight times as many are read at most, which takes as many read units for records of 1 KB. Unless set, half of the capacity that is provisioned, or ${adoptRate} of a table on demand." placeholder:"N"`
	Segments int    `help:"Parts of the table that are read at once." default:"4"`

	format   terminal.Format // of the report or the summary
	out, log io.Writer
	now      func() time.Time // time.Now, unless a test sets it
}

const (
	// onDemandRate is under half of what one partition takes, which is 1,000 write units a second. Three of the indexes
	// have all licenses in one, and what an index does not take, the table does not take either.
	// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html)
	onDemandRate = 400
	readsPerUnit = 8    // records of 1 KB in a read unit of a scan
	adoptWriters = 16   // writes under way at once
	maxPage      = 1000 // records

	// adoptAttempts makes a run outlast minutes of throttling.
	adoptAttempts = 10
)

func (adoptCommand) Help() string {
	return examples(`licenser adopt --check --data .licenser`, `licenser adopt --data .licenser`)
}

// Run prints what was done also where it fails.
func (c adoptCommand) Run(ctx context.Context, t *terminal.Terminal) (err error) {
	if t.Format == terminal.CSV {
		return usageError("licenser adopt has no CSV: --output json is for programs.")
	}
	c.format, c.out, c.log = t.Format, t.Out, t.Err
	return c.run(ctx)
}

func (c adoptCommand) run(ctx context.Context) (err error) {
	if err := c.readFlags(); err != nil {
		return err
	}
	if c.now == nil {
		c.now = time.Now
	}
	switch {
	case c.Data != "" && c.Check:
		return c.checkFolder(ctx)
	case c.Data != "":
		return c.adoptFolder(ctx)
	}
	cfg, err := awsConfig(ctx)
	if err != nil {
		return err
	}
	if c.Check {
		return c.checkTable(ctx, cfg)
	}
	return c.adoptTable(ctx, cfg)
}

func (c adoptCommand) readFlags() error {
	switch {
	case c.Rate < 0:
		return usageError("--rate: %d is negative", c.Rate)
	case c.Segments < 1 || c.Segments > 100:
		return usageError("--segments: %d is not from 1 to 100", c.Segments)
	case (c.Secret != "" || c.Key != "") && !(c.Check && c.Table != ""):
		return usageError("--secret and --key are looked at with --table and --check only")
	}
	return nil
}

func (c adoptCommand) adoptFolder(ctx context.Context) (err error) {
	folder, err := embedded.OpenExisting(ctx, c.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	c.Segments = 1
	return c.adopt(ctx, folder.Licenses, c.paceOf(nil), 0)
}

func (c adoptCommand) adoptTable(ctx context.Context, cfg aws.Config) error {
	client := newTableClient(cfg)
	state, err := dynamo.ReadTableState(ctx, client, c.Table)
	if err != nil {
		return err
	}
	if findings := firstFindings(tableFindings(state)); len(findings) > 0 {
		return fmt.Errorf("nothing is changed, because %s; licenser adopt --check --table %s says what to do",
			strings.Join(findings, ", and "), c.Table)
	}
	p := c.paceOf(&state)
	records := dynamo.NewRecords(client, c.Table).InPages(p.page(c.Segments))
	return c.adopt(ctx, records, p, state.Records)
}

func newTableClient(cfg aws.Config) *dynamodb.Client {
	return dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.RetryMaxAttempts = adoptAttempts })
}

// adopt prints the summary, whatever happens. total is about the number of records, or 0.
func (c adoptCommand) adopt(ctx context.Context, records license.Records, p pace, total int64) error {
	shown := newProgress(c.log, "records", total)
	done, err := license.Adoption{
		Scan:    license.Scan{Records: records, Segments: c.Segments, Pace: p.reads.Wait},
		Writers: adoptWriters,
		Write:   p.writes.Wait,
		Now:     c.now,
		Done:    shown.show,
	}.Run(ctx)
	shown.end()
	if ctx.Err() != nil {
		err = errors.New("interrupted: what was adopted stays, and the same command goes on with the rest")
	}
	return errors.Join(c.printSummary(done), err)
}

func (c adoptCommand) printSummary(done license.Adopted) error {
	if c.format == terminal.JSON {
		return printJSON(c.out, done)
	}
	_, err := fmt.Fprintf(c.out, "%d records seen: %d adopted, %d already right, %d gone meanwhile, "+
		"%d unreadable, %d failed\n", done.Seen, done.Adopted, done.Right, done.Gone, done.Unreadable, done.Failed)
	return err
}

func printJSON(out io.Writer, v any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// pace says how many records a second are read and written.
type pace struct{ reads, writes *rate.Limiter }

// paceOf returns the pace that the flags ask for, or else one that leaves room for what else uses the table. A folder,
// for which there is no state, is not used by anyone else.
func (c adoptCommand) paceOf(state *dynamo.TableState) pace {
	reads, writes := float64(c.Rate), float64(c.Rate)
	switch {
	case c.Rate > 0:
	case state == nil:
		return pace{rate.NewLimiter(rate.Inf, 0), rate.NewLimiter(rate.Inf, 0)}
	case state.WriteCapacity == 0:
		reads, writes = onDemandRate, onDemandRate
	default:
		reads, writes = float64(state.ReadCapacity)/2, float64(state.LeastWriteCapacity)/2
	}
	return pace{newLimiter(reads * readsPerUnit), newLimiter(writes)}
}

// newLimiter allows a tenth of a second's records at once, because a timer is not exact.
func newLimiter(perSecond float64) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(perSecond), int(math.Ceil(perSecond/10)))
}

// page returns the size of the pages in which each of the segments is read: a second's records.
func (p pace) page(segments int) int32 {
	return int32(max(1, min(maxPage, float64(p.reads.Limit())/float64(segments))))
}
