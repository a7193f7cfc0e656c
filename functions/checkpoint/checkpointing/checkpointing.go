// Package checkpointing answers the schedule, and CloudFormation for a new stack: it makes a checkpoint over all audit
// chains, and reports the chains that were rewritten and the changes that the trail missed.
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

// The metrics, which alarms watch.
const (
	CheckpointsKey     = "AuditCheckpoints"
	ChainsRewrittenKey = "AuditChainsRewritten"
	ChangesMissedKey   = "AuditChangesMissed"
)

// Checkpointer makes checkpoints.
type Checkpointer struct {
	Maker      checkpoint.Maker
	Reconciler checkpoint.Reconciler
	Now        func() time.Time
	Log        *slog.Logger
}

// Answer is for whoever calls the function by hand; the schedule reads none.
type Answer struct {
	Number    int64 `json:"number"`    // of the checkpoint that was made
	Chains    int64 `json:"chains"`    // in it
	Rewritten int   `json:"rewritten"` // chains that do not go on from what was signed
	Missed    int   `json:"missed"`    // licenses with a change that the trail missed
}

// Handle makes one checkpoint. An error makes Lambda call again, twice; then the next hour does. Findings are no
// error: to make another checkpoint would not mend them. They are logged, one record each, and counted.
func (c Checkpointer) Handle(ctx context.Context, _ events.EventBridgeEvent) (Answer, error) {
	ctx, record := telemetry.Begin(ctx)
	begun := time.Now()
	counts := map[string]int{}
	answer, err := c.checkpoint(ctx, counts)
	// One fault must not silence both: what the trail missed is looked for without a checkpoint, too.
	missed, errReconcile := c.reconcile(ctx, counts)
	answer.Missed, err = missed, errors.Join(err, errReconcile)
	level, attrs := slog.LevelInfo, telemetry.Counts(begun, "checkpoint", counts)
	if err != nil {
		level, attrs = slog.LevelError, append(attrs, slog.String("error", err.Error()))
	}
	attrs = append(attrs, slog.Float64(telemetry.MillisecondsKey, float64(time.Since(begun).Microseconds())/1000))
	c.Log.LogAttrs(ctx, level, "checkpoint", append(attrs, record.Attrs()...)...)
	return answer, err
}

func (c Checkpointer) checkpoint(ctx context.Context, counts map[string]int) (Answer, error) {
	result, err := c.Maker.Make(ctx, c.Now())
	if err != nil {
		return Answer{}, err
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
	return Answer{
		Number: result.Checkpoint.Number, Chains: result.Checkpoint.Size, Rewritten: len(result.Findings),
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
