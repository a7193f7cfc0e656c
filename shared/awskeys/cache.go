package awskeys

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"openlicenser/shared/telemetry"
	"openlicenser/shared/token"
)

const (
	freshFor     = 5 * time.Minute  // exclusive: at five minutes the value is read anew
	retryAfter   = 30 * time.Second // from a refresh that failed to the next one
	fetchTimeout = 3 * time.Second  // of one fetch, with the repetitions of the SDK
	recentFor    = time.Minute      // exclusive: what refresh takes for recent
)

// packageName is the function's name in metrics where Lambda has given none.
const packageName = "awskeys"

// Option changes how a value is cached.
type Option func(*settings)

type settings struct{ now func() time.Time }

// WithClock sets the clock by which a cached value grows old, time.Now unless set.
func WithClock(now func() time.Time) Option { return func(s *settings) { s.now = now } }

// cached keeps a value of AWS in memory. At most one fetch runs at a time. While there is a value, a fetch holds up no
// request but the one that began it. A failed fetch is logged, and the value serves on, for token.ServesFor. That also
// suits the checkpoint key, which never changes.
type cached[T any] struct {
	what  string // the value's name in the log
	fetch func(context.Context) (T, error)
	settings

	mu        sync.Mutex
	value     *T        // nil: none yet, or dropped
	until     time.Time // when the value is to be fetched anew
	since     time.Time // when the value was last fetched
	failed    error     // of the last fetch, nil if it succeeded
	downSince time.Time // of the first failure since a fetch succeeded; zero: there was none
	fetching  *fetching[T]
}

// fetching is a fetch under way. Its results are set before done is closed.
type fetching[T any] struct {
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
	value, f := c.serving(), c.fetching
	notDue := c.clock().Before(c.until) // no fetch is due yet
	switch {
	case value != nil && (f != nil || notDue):
		defer c.mu.Unlock()
		return *value, nil
	case f != nil:
	case c.value != nil && value == nil && notDue: // too old, and just now it could not be read
		defer c.mu.Unlock()
		return *new(T), c.failed
	default:
		f = c.start(ctx)
	}
	c.mu.Unlock()
	return f.wait(ctx, value)
}

// serving returns the value, or nil where there is none or it is too old. c.mu is held.
func (c *cached[T]) serving() *T {
	if c.value == nil || c.clock().Sub(c.since) >= token.ServesFor {
		return nil
	}
	return c.value
}

// refresh returns a recent value or an error, never an old value. After a failed fetch it returns that failure until
// the next fetch is due.
func (c *cached[T]) refresh(ctx context.Context) (T, error) {
	c.mu.Lock()
	f := c.fetching
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

// wait returns what the fetch brought. Where that is an error, it returns the value from before, if there is one.
func (f *fetching[T]) wait(ctx context.Context, before *T) (T, error) {
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

// start begins a fetch. The fetch outlives the request that began it, so that a caller who hangs up does not fail the
// others who wait. c.mu is held.
func (c *cached[T]) start(ctx context.Context) *fetching[T] {
	f := &fetching[T]{done: make(chan struct{})}
	c.fetching = f
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		value, err := c.fetch(ctx)
		c.finish(ctx, f, value, err)
	}()
	return f
}

// finish ends a fetch with its results.
func (c *cached[T]) finish(ctx context.Context, f *fetching[T], value T, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock()
	if err != nil && c.downSince.IsZero() {
		c.downSince = now
	}
	switch {
	case err == nil:
		f.value, c.value, c.since, c.until, c.downSince = &value, &value, now, now.Add(freshFor), time.Time{}
	case c.value != nil:
		c.until = now.Add(retryAfter)
		err = c.report(ctx, now, err)
	}
	c.fetching, c.failed, f.err = nil, err, err
	close(f.done)
}

// report logs that the value could not be read anew. From token.StaleAfter on it counts that too. The age of the value
// does not tell for how long that lasts: a process that is seldom asked reads seldom. report returns the error for
// callers whom the value no longer serves. c.mu is held.
func (c *cached[T]) report(ctx context.Context, now time.Time, err error) error {
	level, text := slog.LevelWarn, c.what+" could not be read anew, the cached one serves on"
	attrs := []slog.Attr{slog.Any("error", err), slog.Time("lastread", c.since)}
	if now.Sub(c.downSince) >= token.StaleAfter {
		level = slog.LevelError
		attrs = append(attrs, slog.Int(telemetry.StaleKeysKey, 1)) // by which a metric filter finds it
	}
	if c.serving() == nil {
		level, text = slog.LevelError, c.what+" could not be read anew, and the cached one is too old to serve"
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

// dropIf drops a value that turned out wrong. The next get fetches.
func (c *cached[T]) dropIf(isWrong func(T) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.value != nil && isWrong(*c.value) {
		c.value = nil
	}
}

// clock returns the time without its monotonic reading, which stands still while Lambda keeps a process frozen.
func (c *cached[T]) clock() time.Time { return c.now().Round(0) }
