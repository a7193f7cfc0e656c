package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/functions/checkpoint/checkpointing"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/embedded"
)

// checkpointOrigin is the origin of the checkpoints of every data folder.
const checkpointOrigin = "openlicenser/local/audit"

// checkpoints stands in for the schedule. It runs the checkpoint function soon after the start, and then each interval,
// as soon as the trail has caught up.
type checkpoints struct {
	changes  *embedded.Changes
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
			Records: checkpoint.StoredRecords{Records: folder.Licenses},
			Chains:  folder.AuditTrail,
			Archive: archive,
		},
		Erasures: folder.AuditTrail,
		Now:      time.Now,
		Log:      log,
	}
	c := checkpoints{
		changes: folder.Changes, archive: archive, key: key, interval: interval, handle: checkpointer.Handle,
	}
	return c, errors.Join(errArchive, errKey)
}

// catchUpTimeout bounds how long a checkpoint waits for a stream that stands still. The stream needs seconds for a full
// feed, and half a minute more for each license that it sets aside.
const catchUpTimeout = 10 * time.Minute

// catchUp waits until the stream has recorded every change that was made so far, or has set it aside.
func catchUp(ctx context.Context, changes *embedded.Changes) error {
	ctx, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	if err := changes.WaitRecorded(ctx); err != nil {
		return fmt.Errorf("the audit trail has not caught up with the licenses: %w", err)
	}
	return nil
}

// firstCheckpoint is the time from the start to the first checkpoint.
const firstCheckpoint = 2 * time.Second

// run makes checkpoints until the context ends. The function logs a failure, and the next run tries again.
func (c checkpoints) run(ctx context.Context) {
	for wait := min(firstCheckpoint, c.interval); ; wait = c.interval {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		// A trail that does not catch up is signed as it is. What it lacks is backlog.
		if _ = catchUp(ctx, c.changes); ctx.Err() != nil {
			return
		}
		_, _ = c.handle(ctx, events.EventBridgeEvent{Source: "local", Time: time.Now()})
	}
}
