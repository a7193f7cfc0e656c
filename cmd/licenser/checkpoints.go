package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/functions/checkpoint/checkpointing"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/embedded"
)

// checkpointOrigin names the checkpoints of a data folder, wherever it is served.
const checkpointOrigin = "openlicenser/local/audit"

// checkpoints stands in for the schedule: it has the checkpoint function make one soon after the start, and then one
// each interval.
type checkpoints struct {
	archive  embedded.Checkpoints
	key      embedded.CheckpointKey
	interval time.Duration
	handle   func(context.Context, events.EventBridgeEvent) (checkpointing.Answer, error)
}

func openCheckpoints(folder *embedded.Folder, path string, interval time.Duration, log *slog.Logger) (checkpoints, error) {
	archive, errArchive := embedded.OpenCheckpoints(path)
	key, errKey := embedded.OpenCheckpointKey(path)
	checkpointer := checkpointing.Checkpointer{
		Maker: checkpoint.Maker{Trail: folder.AuditTrail, Archive: archive, Signer: key, Origin: checkpointOrigin},
		Reconciler: checkpoint.Reconciler{
			Records: embedded.RecordHashes{Licenses: folder.Licenses},
			Chains:  checkpoint.ChainHashes{Trail: folder.AuditTrail},
			Pause:   checkpoint.PauseFor(streamDelay),
		},
		Now: time.Now,
		Log: log,
	}
	return checkpoints{archive, key, interval, checkpointer.Handle}, errors.Join(errArchive, errKey)
}

// streamDelay is what the stream needs at most, as a rule, to record a change.
const streamDelay = 5 * time.Second

// firstCheckpoint is how long after the start the first one is made: the trail has caught up by then.
const firstCheckpoint = 2 * time.Second

// run makes checkpoints until the context ends. What fails, the function has logged, and the next one makes good.
func (c checkpoints) run(ctx context.Context) {
	for wait := min(firstCheckpoint, c.interval); ; wait = c.interval {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
			_, _ = c.handle(ctx, events.EventBridgeEvent{Source: "local", Time: time.Now()})
		}
	}
}
