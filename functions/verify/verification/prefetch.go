package verification

import (
	"context"
	"errors"
	"sync"
	"time"

	"openlicenser/shared/license"
)

// prefetchTimeout bounds what a start waits for AWS. Lambda ends a start that takes ten seconds
// (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib).
const prefetchTimeout = 3 * time.Second

// noLicense is an id that no license has.
const noLicense = "00000000-0000-0000-0000-000000000000"

// Prefetch reads what the first verification needs, side by side, and so opens the connections to all that it calls. What
// fails is logged, and the first verification tries again.
func (v Verifier) Prefetch(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, prefetchTimeout)
	defer cancel()
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
	all.Wait()
}
