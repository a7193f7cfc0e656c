package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/embedded"
	"openlicenser/shared/s3archive"
)

// acknowledgeCommand settles a finding of the checkpoint function.
type acknowledgeCommand struct {
	LicenseID string `arg:"" name:"licenseid" help:"The license id that the log names."`
	Sequence  int64  `arg:"" help:"The sequence or signedsequence that the log names."`
	Reason    string `help:"Why the finding is settled, for whoever asks later." required:""`
	Data      string `help:"Data folder of the local server, which may be running." type:"existingdir" xor:"where" required:""`
	Bucket    string `help:"Bucket of checkpoints, as the stack's output CheckpointBucketName says. S3 is reached with the AWS credentials of this environment, whose identity is kept with the reason." xor:"where" required:""`
}

func (acknowledgeCommand) Help() string {
	return examples(`licenser audit acknowledge 0199d1a2-7c3e-7b5a-9d0e-3f2a1b4c5d6e 3 ` +
		`--reason "restored from the backup of May 3" --data .licenser`)
}

// Run keeps who has settled the finding, when, and why. It is there for good.
func (c acknowledgeCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	a := checkpoint.Acknowledgement{Reason: strings.TrimSpace(c.Reason), Time: t.Now().UTC().Truncate(time.Second)}
	switch {
	case a.Reason == "":
		return usageError("--reason is empty")
	case c.Sequence < 0:
		return usageError("a sequence is 0 or more")
	}
	archive, actor, err := c.open(ctx)
	if err != nil {
		return err
	}
	a.Actor = actor
	err = checkpoint.Acknowledge(ctx, archive, c.LicenseID, c.Sequence, a)
	switch {
	case errors.Is(err, checkpoint.ErrExists):
		return errors.New("it is acknowledged already")
	case errors.Is(err, checkpoint.ErrNoFinding):
		return advised{err, "The log of the checkpoint function names the license and the sequence."}
	case err != nil:
		return err
	}
	t.Say("Acknowledged. The finding of license %s at entry %d is counted no longer.", c.LicenseID, c.Sequence)
	return nil
}

// open returns the archive, and who opens it.
func (c acknowledgeCommand) open(ctx context.Context) (checkpoint.Archive, string, error) {
	if c.Data != "" {
		if _, err := os.Stat(filepath.Join(c.Data, "checkpoints")); err != nil {
			return nil, "", fmt.Errorf("there are no checkpoints: %w", err)
		}
		archive, err := embedded.OpenCheckpoints(c.Data)
		if err != nil {
			return nil, "", err
		}
		current, err := user.Current()
		if err != nil {
			return nil, "", fmt.Errorf("name of the user: %w", err)
		}
		return archive, current.Username, nil
	}
	cfg, err := awsConfig(ctx)
	if err != nil {
		return nil, "", err
	}
	caller, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, "", fmt.Errorf("who you are on AWS: %w", err)
	}
	return s3archive.New(s3.NewFromConfig(cfg), c.Bucket), aws.ToString(caller.Arn), nil
}
