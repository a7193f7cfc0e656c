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

// prefetchTimeout bounds how long a prefetch takes.
const prefetchTimeout = 3 * time.Second

// noLicense is an id that no license has.
const noLicense = "00000000-0000-0000-0000-000000000000"

// Prefetch starts to fetch what the first verification needs: the secret, the token key, and a connection to the
// table. It returns at once, and closes done when all fetches have ended. The returned router takes the place of
// Router: its first verification waits for the fetch that it needs. A fetch that fails is logged, and the first
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
			found := v.Reuse.read(ctx, v.Licenses, noLicense, "", v.Now())
			if errors.Is(found.err, license.ErrNotFound) {
				return nil
			}
			return found.err
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

// readAhead reads the license that a key names while the secret that proves the key is still being fetched. So the
// first verification waits for the longer of the two, and not for their sum. The result counts only once the key has
// proved to be of that license. After the prefetch readAhead reads nothing, so that a forged key costs no read.
func (v Verifier) readAhead(ctx context.Context, asked request, now time.Time) lookup {
	if v.prefetchedSecret == nil {
		return lookup{}
	}
	select {
	case <-v.prefetchedSecret:
		return lookup{}
	default:
	}
	id := token.UnverifiedLicenseID(asked.key)
	if id == "" {
		return lookup{}
	}
	return v.read(ctx, id, asked, now)
}
