package awskeys

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	freshFor     = 5 * time.Minute  // exclusive: at five minutes the value is read anew
	retryAfter   = 30 * time.Second // from a refresh that failed to the next one
	fetchTimeout = 3 * time.Second  // of one fetch, with the repetitions of the SDK
	recentFor    = time.Minute      // exclusive: what refresh takes for recent
)

// Option changes how a value is cached.
type Option func(*settings)

type settings struct{ now func() time.Time }

// WithClock sets the clock by which a cached value grows old, time.Now unless set.
func WithClock(now func() time.Time) Option { return func(s *settings) { s.now = now } }

// cached keeps a value of AWS in memory. At most one fetch runs at a time. While there is a value, a fetch
// holds up the request that began it and no other, and its failure is logged and costs no request anything
// more: the value serves on.
type cached[T any] struct {
	what  string // for the log
	fetch func(context.Context) (T, error)
	settings

	mu     sync.Mutex
	value  *T        // nil: none yet, or dropped
	until  time.Time // when the value is to be fetched anew
	since  time.Time // when the value was fetched
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

// get answers the value, and an error only where there is none.
func (c *cached[T]) get(ctx context.Context) (T, error) {
	c.mu.Lock()
	value, f := c.value, c.flight
	if value != nil && (f != nil || c.clock().Before(c.until)) {
		c.mu.Unlock()
		return *value, nil
	}
	if f == nil {
		f = c.start(ctx)
	}
	c.mu.Unlock()
	return f.wait(ctx, value)
}

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
	c.flight, c.failed = nil, err
	if err == nil {
		now := c.clock()
		f.value, c.value, c.since, c.until = &value, &value, now, now.Add(freshFor)
	} else {
		f.err = err
		if c.value != nil {
			c.until = c.clock().Add(retryAfter)
			slog.WarnContext(ctx, c.what+" could not be read anew, the cached one serves on", "error", err)
		}
	}
	close(f.done)
}

// peek answers the value without a fetch.
func (c *cached[T]) peek() (value T, present bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.value == nil {
		return value, false
	}
	return *c.value, true
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
