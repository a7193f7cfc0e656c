package awskeys

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"openlicenser/shared/telemetry"
)

const (
	freshFor     = 5 * time.Minute  // exclusive: at five minutes the value is read anew
	retryAfter   = 30 * time.Second // from a refresh that failed to the next one
	fetchTimeout = 3 * time.Second  // of one fetch, with the repetitions of the SDK
	recentFor    = time.Minute      // exclusive: what refresh takes for recent
	staleAfter   = 15 * time.Minute // inclusive: from this age on a failure to read the value anew sets off an alarm
)

// servesFor is how long a value serves that cannot be read anew, exclusive, counted from when it was last read. Then it
// is as if there were none: the caller gets an error, which is a fault of ours. The danger differs, and a day suits each:
//
//   - The secret. An old ring accepts license keys of a secret that was retired since, and signs new ones with it.
//     Without a bound a leak is not ended for as long as a process cannot read. Stopping refuses nobody: products go on
//     with the tokens that they have.
//   - The token key. KMS names the key of each new signature, but is not asked for a token that is given again. With an
//     old public half such tokens go out although their key was replaced, as one that was compromised is. Stopping
//     holds up no definite no, which does not need the key.
//   - The published keys. An old set lacks a successor, whose tokens products then refuse, or holds a key that was
//     taken away, which they go on trusting. But a product that has no set, and gets none, can check no token at all,
//     so stopping early does more harm. Products keep a set for a day themselves; token.DefaultLead is as long as both.
//   - The checkpoint key. It is for good, and each signature is checked against it: any bound would do.
const servesFor = 24 * time.Hour

// packageName stands for the function's name in metrics, where Lambda has given none.
const packageName = "awskeys"

// Option changes how a value is cached.
type Option func(*settings)

type settings struct{ now func() time.Time }

// WithClock sets the clock by which a cached value grows old, time.Now unless set.
func WithClock(now func() time.Time) Option { return func(s *settings) { s.now = now } }

// cached keeps a value of AWS in memory. At most one fetch runs at a time. While there is a value, a fetch
// holds up the request that began it and no other, and its failure is logged and costs no request anything
// more: the value serves on, for servesFor.
type cached[T any] struct {
	what  string // for the log
	fetch func(context.Context) (T, error)
	settings

	mu     sync.Mutex
	value  *T        // nil: none yet, or dropped
	until  time.Time // when the value is to be fetched anew
	since  time.Time // when the value was last fetched
	failed error     // of the last fetch, nil if it succeeded
	flight *flight[T]
}

// flight is a fetch under way. The results are set when done is closed.
type flight[T any] struct {
	done  chan struct{}
	value *T
	err   error
}

func newCached[T any](what string, fetch func(context.Context) (T, error), options []Option) *cached[T] {
	c := &cached[T]{what: what, fetch: fetch, settings: settings{now: time.Now}}
	for _, option := range options {
		option(&c.settings)
	}
	return c
}

// get returns the value, and an error only where there is none that serves.
func (c *cached[T]) get(ctx context.Context) (T, error) {
	c.mu.Lock()
	value, f := c.serving(), c.flight
	waits := c.clock().Before(c.until) // for the next fetch to be due
	switch {
	case value != nil && (f != nil || waits):
		defer c.mu.Unlock()
		return *value, nil
	case f != nil:
	case c.value != nil && value == nil && waits: // too old, and just now it could not be read
		defer c.mu.Unlock()
		return *new(T), c.failed
	default:
		f = c.start(ctx)
	}
	c.mu.Unlock()
	return f.wait(ctx, value)
}

// serving is the value, and nil where there is none or it is too old. c.mu is held.
func (c *cached[T]) serving() *T {
	if c.value == nil || c.age() >= servesFor {
		return nil
	}
	return c.value
}

// age is the time since the value was last fetched. c.mu is held.
func (c *cached[T]) age() time.Duration { return c.clock().Sub(c.since) }

// refresh answers a recent value or an error, never an old value. After a failed fetch it answers the failure
// until the next fetch is due.
func (c *cached[T]) refresh(ctx context.Context) (T, error) {
	c.mu.Lock()
	f := c.flight
	switch {
	case f != nil:
	case c.value != nil && c.clock().Before(c.since.Add(recentFor)):
		defer c.mu.Unlock()
		return *c.value, nil
	case c.failed != nil && c.clock().Before(c.until):
		defer c.mu.Unlock()
		return *new(T), c.failed
	default:
		f = c.start(ctx)
	}
	c.mu.Unlock()
	return f.wait(ctx, nil)
}

// wait answers what the flight brought, or else the value from before, if there is one.
func (f *flight[T]) wait(ctx context.Context, before *T) (T, error) {
	var err error
	select {
	case <-f.done:
		if f.err == nil {
			return *f.value, nil
		}
		err = f.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	if before != nil {
		return *before, nil
	}
	return *new(T), err
}

// start begins a fetch that outlives the request which it serves, so that one caller who hangs up does not
// fail the others who wait. c.mu is held.
func (c *cached[T]) start(ctx context.Context) *flight[T] {
	f := &flight[T]{done: make(chan struct{})}
	c.flight = f
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		value, err := c.fetch(ctx)
		c.land(ctx, f, value, err)
	}()
	return f
}

func (c *cached[T]) land(ctx context.Context, f *flight[T], value T, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		now := c.clock()
		f.value, c.value, c.since, c.until = &value, &value, now, now.Add(freshFor)
	case c.value != nil:
		c.until = c.clock().Add(retryAfter)
		err = c.report(ctx, err)
	}
	c.flight, c.failed, f.err = nil, err, err
	close(f.done)
}

// report logs that the value could not be read anew and, once that has lasted, counts it. It returns the error for
// those whom the value no longer serves. c.mu is held.
func (c *cached[T]) report(ctx context.Context, err error) error {
	level, text := slog.LevelWarn, c.what+" could not be read anew, the cached one serves on"
	attrs := []slog.Attr{slog.Any("error", err), slog.Time("lastread", c.since)}
	if c.age() >= staleAfter {
		level = slog.LevelError
		attrs = append(attrs, telemetry.CountMetric(c.clock(), packageName, telemetry.StaleKeysKey, 1)...)
	}
	if c.serving() == nil {
		text = c.what + " could not be read anew, and the cached one is too old to serve"
		err = fmt.Errorf("last read at %s, too long ago to serve on: %w", c.since.UTC().Format(time.RFC3339), err)
	}
	slog.LogAttrs(ctx, level, text, attrs...)
	return err
}

// peek returns the value without a fetch.
func (c *cached[T]) peek() (value T, present bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	serving := c.serving()
	if serving == nil {
		return value, false
	}
	return *serving, true
}

// dropIf forgets a value that turned out wrong. The next get fetches.
func (c *cached[T]) dropIf(isWrong func(T) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.value != nil && isWrong(*c.value) {
		c.value = nil
	}
}

// clock answers wall time: the monotonic clock stands still while Lambda keeps a process frozen.
func (c *cached[T]) clock() time.Time { return c.now().Round(0) }
