package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"openlicenser/shared/embedded"
)

// whileSound serves until the context ends or a check of the data file, which goes on meanwhile, finds damage. The
// damage is logged at once, and is the error in the end.
func whileSound(
	ctx context.Context, folder *embedded.Folder, log *slog.Logger, serve func(context.Context) error,
) error {
	ctx, stop := context.WithCancel(ctx)
	var damage error
	var checking sync.WaitGroup
	checking.Go(func() {
		damage = folder.Check(ctx)
		if errors.Is(damage, context.Canceled) {
			damage = nil // the server stops, and the next start checks anew
		}
		if damage != nil {
			log.Error("the server stops, because its data is damaged", "error", damage.Error())
			stop()
		}
	})
	err := serve(ctx)
	stop()
	checking.Wait()
	return errors.Join(damage, err)
}
