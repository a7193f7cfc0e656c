// Package checkpointing makes a checkpoint over all audit chains, on a schedule and when CloudFormation makes a
// stack. It reports the chains that were rewritten and the changes that the trail missed. Of AWS it knows the
// schedule's events and CloudFormation's requests. It must not know where licenses, chains and checkpoints are stored,
// nor where the key is.
package checkpointing

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/checkpoint"
	"openlicenser/shared/telemetry"
)

// The names of the metrics that alarms watch.
const (
	CheckpointsKey     = "AuditCheckpoints"
	ChainsRewrittenKey = "AuditChainsRewritten"
	ChangesMissedKey   = "AuditChangesMissed"
)

// Checkpointer makes a checkpoint, and compares the records with the trail.
type Checkpointer struct {
	Maker      checkpoint.Maker
	Reconciler checkpoint.Reconciler
	Now        func() time.Time
	Log        *slog.Logger
}

// Summary tells what a run made and found. It is for whoever invokes the function by hand; the schedule ignores it.
type Summary struct {
	Number    int64 `json:"number"`    // of the checkpoint that was made
	Chains    int64 `json:"chains"`    // in the checkpoint
	Rewritten int   `json:"rewritten"` // chains that are not a continuation of what was signed
	Missed    int   `json:"missed"`    // licenses with a change that the trail missed
}

// Handle makes one checkpoint. After an error Lambda tries twice again, and then there is the next hour's run. Findings
// are no error, because another run would find them again: each is logged, and they are counted.
func (c Checkpointer) Handle(ctx context.Context, _ events.EventBridgeEvent) (Summary, error) {
	ctx, record := telemetry.Begin(ctx)
	begun := time.Now()
	counts := map[string]int{}
	summary, err := c.checkpoint(ctx, counts)
	// Without a checkpoint, what the trail missed is still looked for.
	missed, errReconcile := c.reconcile(ctx, counts)
	summary.Missed, err = missed, errors.Join(err, errReconcile)
	level, attrs := slog.LevelInfo, telemetry.Counts(begun, "checkpoint", counts)
	if err != nil {
		level, attrs = slog.LevelError, append(attrs, slog.String("error", err.Error()))
	}
	attrs = append(attrs, slog.Float64(telemetry.MillisecondsKey, float64(time.Since(begun).Microseconds())/1000))
	c.Log.LogAttrs(ctx, level, "checkpoint", append(attrs, record.Attrs()...)...)
	return summary, err
}

func (c Checkpointer) checkpoint(ctx context.Context, counts map[string]int) (Summary, error) {
	result, err := c.Maker.Make(ctx, c.Now())
	if err != nil {
		return Summary{}, err
	}
	for _, finding := range result.Findings {
		c.Log.LogAttrs(ctx, slog.LevelError, "an audit chain was rewritten",
			slog.String("licenseid", finding.Leaf.LicenseID),
			slog.Int64("signedsequence", finding.Leaf.Sequence),
			slog.String("signedhash", finding.Leaf.Hash),
			slog.String("error", finding.Why.Error()))
	}
	telemetry.Note(ctx,
		slog.Int64("number", result.Checkpoint.Number),
		slog.Int64("chains", result.Checkpoint.Size),
		slog.String("root", result.Checkpoint.Root.String()))
	counts[CheckpointsKey], counts[ChainsRewrittenKey] = 1, len(result.Findings)
	return Summary{
		Number:    result.Checkpoint.Number,
		Chains:    result.Checkpoint.Size,
		Rewritten: len(result.Findings),
	}, nil
}

func (c Checkpointer) reconcile(ctx context.Context, counts map[string]int) (missed int, err error) {
	discrepancies, err := c.Reconciler.Reconcile(ctx)
	if err != nil {
		return 0, err
	}
	for _, d := range discrepancies {
		c.Log.LogAttrs(ctx, slog.LevelError, "the audit trail missed a change",
			slog.String("licenseid", d.LicenseID), slog.String("error", d.Why.Error()))
	}
	counts[ChangesMissedKey] = len(discrepancies)
	return len(discrepancies), nil
}
