// The checkpoint function signs the heads of all audit chains, when its stack is made and on a schedule.
package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"openlicenser/functions/checkpoint/checkpointing"
	"openlicenser/shared/awskeys"
	"openlicenser/shared/bootstrap"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/s3archive"
)

// environment is the function's configuration.
type environment struct {
	// LicenseTable is the name of the license table, which this function only reads.
	LicenseTable string `env:"LICENSER_DB,required,notEmpty"`
	// AuditTable is the name of the table that holds the audit trail, which this function only reads.
	AuditTable string `env:"AUDIT_TABLE,required,notEmpty"`
	// DisclosureTable is the name of the table of what entries disclose. This function only removes what was erased.
	DisclosureTable string `env:"DISCLOSURE_TABLE,required,notEmpty"`
	// CheckpointBucket is the name of the bucket that keeps checkpoints.
	CheckpointBucket string `env:"CHECKPOINT_BUCKET,required,notEmpty"`
	// CheckpointKeyID is the id, ARN or alias of the ECC_NIST_EDWARDS25519 key that signs checkpoints. It signs nothing
	// else: whoever may sign tokens must not be able to sign checkpoints.
	CheckpointKeyID string `env:"CHECKPOINT_KEY_ID,required,notEmpty"`
	// Origin is the first line of checkpoints, and the name of their key. With another origin, or another key, no
	// checkpoint can follow those that are there.
	Origin string `env:"CHECKPOINT_ORIGIN,required,notEmpty"`
}

func main() { bootstrap.Start("checkpoint", wire) }

func wire(e environment, cfg aws.Config) (bootstrap.Handler[json.RawMessage, checkpointing.Summary], error) {
	return checkpointing.Function{
		Checkpointer: newCheckpointer(e, cfg),
		Pause:        pause,
	}.Invoke, nil
}

// pause waits, or returns the error of a context that ended first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// uploadTimeout bounds one request to S3: the page of one bucket among ten million licenses has 1.2 MB.
const uploadTimeout = time.Minute

// The license table may have little capacity. Then verifications get their turn between the pages of a scan, and the
// scan waits, for minutes, until auto scaling has seen it or the invocation's time is over.
const (
	scanPage       = 100 // records; some 13 read units
	scanAttempts   = 200
	scanMaxBackoff = 5 * time.Second // half of that on average
)

func patiently(o *dynamodb.Options) {
	o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff, o.RateLimiter = scanAttempts, scanMaxBackoff, ratelimit.None
	})
}

func newCheckpointer(e environment, cfg aws.Config) checkpointing.Checkpointer {
	bucket := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.HTTPClient = awshttp.NewBuildableClient().WithTimeout(uploadTimeout)
	})
	tables := dynamodb.NewFromConfig(cfg)
	trail := dynamo.NewAuditTrail(tables, e.AuditTable, e.DisclosureTable)
	archive := s3archive.New(bucket, e.CheckpointBucket)
	return checkpointing.Checkpointer{
		Maker: checkpoint.Maker{
			Trail:   trail,
			Archive: archive,
			Signer:  awskeys.NewCheckpointKey(kms.NewFromConfig(cfg), e.CheckpointKeyID),
			Origin:  e.Origin,
		},
		Reconciler: checkpoint.Reconciler{
			Records: checkpoint.StoredRecords{
				Records: dynamo.NewRecords(dynamodb.NewFromConfig(cfg, patiently), e.LicenseTable).InPages(scanPage),
			},
			Chains:  trail,
			Archive: archive,
		},
		Erasures: trail,
		Now:      time.Now,
		Log:      slog.Default(),
	}
}
