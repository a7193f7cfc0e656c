package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"openlicenser/shared/embedded"
)

// scrubber is the part of a data folder that overwrites what erasures leave in the data file.
type scrubber interface {
	AwaitScrub(ctx context.Context) error
	Scrub(ctx context.Context) error
}

var _ scrubber = (*embedded.Folder)(nil)

// scrubRetry is the time from a scrub that failed to the next.
const scrubRetry = time.Minute

// scrub scrubs the data file until the context ends: each time that the stream has recorded an erasure, and at first
// where an earlier run did not come to it.
func scrub(ctx context.Context, folder scrubber, log *slog.Logger) {
	for {
		err := folder.AwaitScrub(ctx)
		begun := time.Now()
		if err == nil {
			err = folder.Scrub(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			took := time.Since(begun).Round(time.Millisecond)
			log.Info("what was erased is overwritten in the data file", "took", took.String())
			continue
		}
		log.Error("what was erased is still in the data file", "error", err.Error(), "retryin", scrubRetry.String())
		select {
		case <-ctx.Done():
			return
		case <-time.After(scrubRetry):
		}
	}
}

// scrubAndClose closes a folder that no server serves. What cannot be scrubbed is left to the next server.
func scrubAndClose(ctx context.Context, folder *embedded.Folder) error {
	err := folder.Scrub(ctx)
	if err != nil {
		err = fmt.Errorf("what was erased is still in the data file, and licenser serve overwrites it: %w", err)
	}
	return errors.Join(err, folder.Close())
}
