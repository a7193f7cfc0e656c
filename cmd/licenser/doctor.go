package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/vendorapi"
	"openlicenser/shared/vendorapi/sigv4"
)

// doctorCommand tries what only AWS can tell of a stack.
type doctorCommand struct {
	Stack string        `help:"Name of the stack. AWS is reached with the credentials of this environment." required:"" placeholder:"NAME"`
	Check bool          `help:"Only look: issue no license, and say what was therefore not tried."`
	Wait  time.Duration `help:"How long to wait at most for entries of the audit trail, and then for metrics." default:"5m"`

	pause time.Duration // before another look at what is on its way; 0: lookPause
}

// doctorActions are the IAM actions that the command needs.
var doctorActions = []string{
	"apigateway:GET",
	"cloudformation:DescribeStacks", "cloudformation:ListStackResources",
	"cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData",
	"dynamodb:DescribeContinuousBackups", "dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive",
	"execute-api:Invoke",
	"kms:DescribeKey", "kms:GetPublicKey", "kms:ListAliases",
	"lambda:GetAccountSettings", "lambda:GetEventSourceMapping", "lambda:GetFunctionConcurrency",
	"lambda:GetFunctionConfiguration",
	"secretsmanager:DescribeSecret",
	"servicequotas:GetAWSDefaultServiceQuota", "servicequotas:GetServiceQuota",
	"sns:GetTopicAttributes",
}

func (doctorCommand) Help() string {
	last := len(doctorActions) - 1
	return "Unless --check is given, it issues a license of its own for the customer " + trialCustomer +
		", verifies, revokes and deletes it, also where something fails in between or Ctrl-C ends the command. Its " +
		"entries in the audit trail stay, and its reference.\n\n" +
		"The exit code is 0 where all is well, and 1 where something is to be done. What could not be tried is to be " +
		"done, too.\n\n" +
		"It needs " + strings.Join(doctorActions[:last], ", ") + " and " + doctorActions[last] + ".\n\n" +
		examples(`licenser doctor --stack open-licenser-dev`, `licenser doctor --stack open-licenser-dev --check`)
}

// The patience for AWS. A stack that is well takes some seconds, and as long as metrics are on their way.
const (
	callTimeout = 20 * time.Second // for an attempt at a call
	partTimeout = time.Minute      // for all calls of a part of the examination
	lookPause   = 500 * time.Millisecond
)

var errToDo error = exitError{"something is to be done, see above", exitOther}

// Run writes the report also where it was interrupted.
func (c doctorCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	if c.Wait < 0 {
		return usageError("--wait: %v is negative", c.Wait)
	}
	cfg, err := awsConfig(ctx)
	if err != nil {
		return err
	}
	if client, isUsual := cfg.HTTPClient.(*awshttp.BuildableClient); isUsual {
		cfg.HTTPClient = client.WithTimeout(callTimeout)
	}
	s, err := readStack(ctx, cloudformation.NewFromConfig(cfg), c.Stack, cfg.Region)
	if err != nil {
		return err
	}
	d, err := newDoctor(cfg, s, t)
	if err != nil {
		return err
	}
	d.wait, d.pause = c.Wait, cmp.Or(c.pause, lookPause)
	d.examine(ctx, c.Check)
	if err := d.write(t); err != nil {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted: what comes after the above was not tried")
	case slices.ContainsFunc(d.rows, examined.isToDo):
		return errToDo
	}
	t.Say("All is well.")
	return nil
}

// doctor examines a stack. Its parts add rows to the report.
type doctor struct {
	report
	cfg   aws.Config
	stack deployedStack
	// signed calls the vendor's API as the caller, and unsigned as anybody.
	signed, unsigned *vendorapi.Client
	say              func(format string, args ...any)
	now              func() time.Time
	wait, pause      time.Duration

	served    []string // the kids of the public keys that are served, once they are known
	streamARN string   // of the license table, once that is known
}

func newDoctor(cfg aws.Config, s deployedStack, t *terminal.Terminal) (*doctor, error) {
	d := &doctor{cfg: cfg, stack: s, say: t.Say, now: t.Now}
	if s.outputs["ApiUrl"] == "" {
		return d, nil // examine says what that means
	}
	url, err := vendorapi.ParseURL(s.outputs["ApiUrl"])
	if err != nil {
		return nil, fmt.Errorf("the output ApiUrl of the stack %s: %w", s.name, err)
	}
	signed, errSigned := vendorapi.New(vendorapi.Config{URL: url, Sign: sigv4.New(cfg)})
	unsigned, errUnsigned := vendorapi.New(vendorapi.Config{URL: url})
	d.signed, d.unsigned = signed, unsigned
	return d, errors.Join(errSigned, errUnsigned)
}

// examine goes through all parts, until the context ends. A part that fails holds up no other.
func (d *doctor) examine(ctx context.Context, isReadOnly bool) {
	if !d.examineStack() {
		return
	}
	parts := []func(context.Context){d.publicKeys, d.tokenKeys, d.unsignedRequest, d.signedRequest}
	for _, part := range parts {
		d.bounded(ctx, part)
	}
	if isReadOnly {
		d.on("life of a license").leaveOut("--check issues none, so none was verified, revoked and deleted")
		d.on("audit trail").leaveOut("--check changes no license, so nothing came to it")
	} else if ctx.Err() == nil {
		d.life(ctx)
	}
	for _, part := range []func(context.Context){
		d.checkpoint, d.secret, d.licenseTable, d.otherTables, d.functions, d.streamReaders, d.alarms,
		d.lambdaQuota, d.signatureQuota, d.gatewayAccount,
	} {
		d.bounded(ctx, part)
	}
	if ctx.Err() == nil {
		d.metrics(ctx, isReadOnly)
	}
}

// bounded runs a part that waits for nothing but responses.
func (d *doctor) bounded(ctx context.Context, part func(context.Context)) {
	if ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	part(ctx)
}

// sleep pauses, and reports whether there is time for another look.
func sleep(ctx context.Context, pause time.Duration, deadline time.Time) bool {
	if time.Now().Add(pause).After(deadline) {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}
