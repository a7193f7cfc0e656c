// Package checkpointing makes a checkpoint over all audit chains, on a schedule and when CloudFormation makes a
// stack. It reports the chains that were rewritten and the changes that the trail missed. Of AWS it knows the
// schedule's events and CloudFormation's requests. It must not know where licenses, chains and checkpoints are stored,
// nor where the key is.
package checkpointing

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"golang.org/x/sync/errgroup"

	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/telemetry"
)

// The names of the metrics that alarms watch.
const (
	CheckpointsKey = "AuditCheckpoints" // runs that did all that they should: what fails again and again is overdue
	FindingsKey    = "AuditFindings"    // in sum: chains rewritten, changes missed, objects of the archive damaged
)

// Checkpointer makes a checkpoint, compares the records with the trail, and completes erasures that were interrupted.
type Checkpointer struct {
	Maker      checkpoint.Maker
	Reconciler checkpoint.Reconciler
	Erasures   audit.Erasures
	Now        func() time.Time
	Log        *slog.Logger
}

// Summary tells what a run made and found. It is for whoever invokes the function by hand; the schedule ignores it.
type Summary struct {
	Number    int64 `json:"number"`    // of the checkpoint that was made
	Chains    int   `json:"chains"`    // in the checkpoint
	Rewritten int   `json:"rewritten"` // chains that are not a continuation of what was signed
	Missed    int   `json:"missed"`    // licenses with a change that the trail missed
	Backlog   int   `json:"backlog"`   // licenses with a change that the trail may record yet
	Damaged   int   `json:"damaged"`   // objects of the archive that are missing or were replaced
}

// attrs returns what the log record of a run counts. What is to be looked at is in FindingsKey too, where an alarm is.
func (s Summary) attrs() []slog.Attr {
	return []slog.Attr{
		slog.Int("rewritten", s.Rewritten),
		slog.Int("missed", s.Missed),
		slog.Int("backlog", s.Backlog),
		slog.Int("damaged", s.Damaged),
	}
}

// Handle makes one checkpoint. After an error Lambda tries twice again, and then there is the next hour's run. Findings
// are no error, because another run would find them again: each is logged, and they are counted.
func (c Checkpointer) Handle(ctx context.Context, _ events.EventBridgeEvent) (Summary, error) {
	ctx, record := telemetry.Begin(ctx)
	begun := time.Now()
	var summary Summary
	rewritten, erased, err := c.checkpoint(ctx, &summary)
	// Without a checkpoint, what the trail missed is still looked for.
	missed, errReconcile := c.reconcile(ctx, &summary)
	if err = errors.Join(err, errReconcile); err == nil { // else what was found before stays
		err = checkpoint.KeepStatements(ctx, c.Maker.Archive, append(rewritten, missed...))
	}
	err = errors.Join(err, c.completeErasures(ctx, erased))
	level, attrs := slog.LevelInfo, summary.attrs()
	counts := map[string]int{FindingsKey: summary.Rewritten + summary.Missed + summary.Damaged, CheckpointsKey: 1}
	if err != nil {
		level, attrs = slog.LevelError, append(attrs, slog.String("error", err.Error()))
		counts[CheckpointsKey] = 0
	}
	attrs = append(attrs, telemetry.Counts(begun, "checkpoint", counts)...)
	attrs = append(attrs, slog.Float64(telemetry.MillisecondsKey, float64(time.Since(begun).Microseconds())/1000))
	c.Log.LogAttrs(ctx, level, "checkpoint", append(attrs, record.Attrs()...)...)
	return summary, err
}

func (c Checkpointer) checkpoint(
	ctx context.Context, summary *Summary,
) (findings []checkpoint.Statement, erased []audit.ChainHead, err error) {
	result, err := c.Maker.Make(ctx, c.Now())
	var damage *checkpoint.ArchiveError
	if errors.As(err, &damage) { // without which no checkpoint can be made
		c.logDamages(ctx, summary, damage)
	}
	if err != nil {
		return nil, nil, err
	}
	var found []finding
	for _, f := range result.Findings {
		findings = append(findings, f.Statement())
		found = append(found, finding{f.Why, []slog.Attr{
			slog.String("licenseid", f.Leaf.LicenseID),
			slog.Int64("signedsequence", f.Leaf.Sequence),
			slog.String("signedhash", f.Leaf.Hash),
		}})
	}
	summary.Rewritten = c.logFindings(ctx, "an audit chain was rewritten", findings, found)
	c.logDamages(ctx, summary, result.Damages...)
	telemetry.Note(ctx,
		slog.Int64("number", result.Checkpoint.Number),
		slog.Int("chains", result.Chains),
		slog.String("root", result.Checkpoint.Root.String()))
	summary.Number, summary.Chains = result.Checkpoint.Number, result.Chains
	return findings, result.Erased, nil
}

// erasureWorkers is how many erasures are completed at once.
const erasureWorkers = 16

// completeErasures goes on after one that fails.
func (c Checkpointer) completeErasures(ctx context.Context, erased []audit.ChainHead) error {
	failed := make([]error, len(erased))
	var group errgroup.Group
	group.SetLimit(erasureWorkers)
	for i, head := range erased {
		group.Go(func() error {
			failed[i] = audit.CompleteErasure(ctx, c.Erasures, head.LicenseID, head.ErasedSequence)
			return nil
		})
	}
	return errors.Join(group.Wait(), errors.Join(failed...))
}

func (c Checkpointer) reconcile(ctx context.Context, summary *Summary) (findings []checkpoint.Statement, err error) {
	compared, err := c.Reconciler.Reconcile(ctx, c.Now())
	if err != nil {
		return nil, err
	}
	var found []finding
	for _, d := range compared.Missed {
		findings = append(findings, d.Statement())
		found = append(found, finding{d.Why, []slog.Attr{
			slog.String("licenseid", d.LicenseID),
			slog.Int64("sequence", d.Sequence),
			slog.Time("since", d.Since),
		}})
	}
	summary.Missed = c.logFindings(ctx, "the audit trail missed a change", findings, found)
	if len(compared.Backlog) > 0 {
		oldest := slices.MinFunc(compared.Backlog, func(a, b checkpoint.Discrepancy) int {
			return a.Since.Compare(b.Since)
		})
		telemetry.Note(ctx, slog.String("oldestlicenseid", oldest.LicenseID), slog.Time("oldestsince", oldest.Since))
	}
	c.logDamages(ctx, summary, compared.Damages...)
	summary.Backlog = len(compared.Backlog)
	return findings, nil
}

func (c Checkpointer) logDamages(ctx context.Context, summary *Summary, damages ...*checkpoint.ArchiveError) {
	for _, damage := range damages {
		summary.Damaged++
		c.Log.LogAttrs(ctx, slog.LevelError, "the archive of checkpoints is damaged",
			slog.String("object", damage.Name), slog.String("error", damage.Why.Error()))
	}
}

// finding is one as the log tells it.
type finding struct {
	why   error
	attrs []slog.Attr
}

// logFindings logs each finding, and returns how many nobody has settled. In doubt nobody has.
func (c Checkpointer) logFindings(
	ctx context.Context, message string, statements []checkpoint.Statement, findings []finding,
) (open int) {
	isSettled, err := checkpoint.AcknowledgedOf(ctx, c.Maker.Archive, statements)
	if err != nil {
		c.Log.LogAttrs(ctx, slog.LevelError, "acknowledgements cannot be read", slog.String("error", err.Error()))
	}
	for i, f := range findings {
		level := slog.LevelInfo
		if !isSettled[i] {
			level = slog.LevelError
			open++
		}
		c.Log.LogAttrs(ctx, level, message,
			append(f.attrs, slog.Bool("acknowledged", isSettled[i]), slog.String("error", f.why.Error()))...)
	}
	return open
}
