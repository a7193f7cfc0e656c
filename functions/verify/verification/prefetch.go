package verification

import (
	"context"
	"errors"
	"sync"
	"time"

	"openlicenser/shared/license"
)

const (
	// prefetchTimeout bounds what is asked for at a start.
	prefetchTimeout = 3 * time.Second
	// startDelay bounds what a start waits for it. The first verification waits for what is still missing, so that it makes no
	// difference to its product where the time is spent; and the event is fetched meanwhile.
	startDelay = 3 * time.Millisecond
)

// noLicense is an id that no license has.
const noLicense = "00000000-0000-0000-0000-000000000000"

// Prefetch asks for what the first verification needs, side by side, and so opens the connections to all that it calls. It may
// return before the answers are there. What fails is logged, and the first verification tries again.
func (v Verifier) Prefetch(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, prefetchTimeout)
	var all sync.WaitGroup
	for what, fetch := range map[string]func() error{
		"license-key secret": func() error {
			_, err := v.Secrets.Ring(ctx)
			return err
		},
		"token key": func() error {
			_, err := v.Authorizer.Key.PublicKey(ctx)
			return err
		},
		"license table": func() error {
			_, _, err := v.Reuse.read(ctx, v.Licenses, noLicense, v.Now())
			if errors.Is(err, license.ErrNotFound) {
				return nil
			}
			return err
		},
	} {
		all.Go(func() {
			if err := fetch(); err != nil {
				v.Log.WarnContext(ctx, "prefetch failed; the first request tries again", "what", what, "error", err)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		cancel()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(startDelay):
	}
}
