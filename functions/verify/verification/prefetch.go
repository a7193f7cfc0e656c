package verification

import (
	"context"
	"errors"
	"sync"
	"time"

	"openlicenser/shared/api"
	"openlicenser/shared/license"
	"openlicenser/shared/token"
)

// prefetchTimeout bounds what is asked for at a start.
const prefetchTimeout = 3 * time.Second

// noLicense is an id that no license has.
const noLicense = "00000000-0000-0000-0000-000000000000"

// Prefetch asks for what the first verification needs, side by side, and so opens the connections to all that it calls. It does not
// wait for the answers: the first verification does, and its event is fetched meanwhile. So it returns the router that knows
// what is on its way, in place of Router. The channel is closed when all have come. What fails is logged, and the first
// verification tries again.
func (v Verifier) Prefetch(ctx context.Context) (router api.Router, done <-chan struct{}) {
	prefetchedSecret := make(chan struct{})
	v.prefetchedSecret = prefetchedSecret
	ctx, cancel := context.WithTimeout(ctx, prefetchTimeout)
	var all sync.WaitGroup
	for what, fetch := range map[string]func() error{
		"license-key secret": func() error {
			defer close(prefetchedSecret)
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
	ended := make(chan struct{})
	go func() {
		all.Wait()
		cancel()
		close(ended)
	}()
	return v.Router(), ended
}

// readAhead reads the license that a key names while the secret that proves the key is still on its way, so that the first
// verification waits for the longer of the two and not for both. Afterwards it reads nothing: a forged key costs no read. What it
// answers counts only when the key has proved to be of that license.
func (v Verifier) readAhead(ctx context.Context, key string, now time.Time) reading {
	if v.prefetchedSecret == nil {
		return reading{}
	}
	select {
	case <-v.prefetchedSecret:
		return reading{}
	default:
	}
	id := token.UnverifiedLicenseID(key)
	if id == "" {
		return reading{}
	}
	return v.read(ctx, id, now)
}
