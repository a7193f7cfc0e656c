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

// checkpointOrigin is the origin of the checkpoints of every data folder.
const checkpointOrigin = "openlicenser/local/audit"

// checkpoints stands in for the schedule. It runs the checkpoint function soon after the start, and then each interval.
type checkpoints struct {
	archive  embedded.Checkpoints
	key      embedded.CheckpointKey
	interval time.Duration
	handle   func(context.Context, events.EventBridgeEvent) (checkpointing.Summary, error)
}

func openCheckpoints(
	folder *embedded.Folder, path string, interval time.Duration, log *slog.Logger,
) (checkpoints, error) {
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
	c := checkpoints{archive: archive, key: key, interval: interval, handle: checkpointer.Handle}
	return c, errors.Join(errArchive, errKey)
}

// streamDelay is the time in which the stream has usually recorded a change.
const streamDelay = 5 * time.Second

// firstCheckpoint is the time from the start to the first checkpoint, in which the trail catches up.
const firstCheckpoint = 2 * time.Second

// run makes checkpoints until the context ends. The function logs a failure, and the next run tries again.
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
