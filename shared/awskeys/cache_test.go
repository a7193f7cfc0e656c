package awskeys

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"openlicenser/shared/testing/telemetrytest"
)

// tick is a clock that stands still until it is moved.
type tick struct{ now time.Time }

func (c *tick) clock() time.Time                  { return c.now }
func (c *tick) advance(by time.Duration)          { c.now = c.now.Add(by) }
func newTick() *tick                              { return &tick{time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)} }
func constant(text string) func() (string, error) { return func() (string, error) { return text, nil } }

var errDown = errors.New("the service is down")

func down() (string, error) { return "", errDown }

// source is what a cache fetches from: it counts, and answers with whatever answer is at the time.
type source struct {
	fetches int
	answer  func() (string, error)
}

func (s *source) fetch(context.Context) (string, error) {
	s.fetches++
	return s.answer()
}

func (s *source) cache(clock *tick) *cached[string] {
	return newCached("the value", s.fetch, []Option{WithClock(clock.clock)})
}

// wantValue asks the cache, and wants a value after so many fetches in all.
func wantValue(t *testing.T, c *cached[string], s *source, value string, fetches int) {
	t.Helper()
	got, err := c.get(t.Context())
	if err != nil || got != value || s.fetches != fetches {
		t.Errorf("got %q, %v after %d fetches, want %q after %d", got, err, s.fetches, value, fetches)
	}
}

func TestCacheAge(t *testing.T) {
	clock, s := newTick(), &source{answer: constant("first")}
	c := s.cache(clock)
	wantValue(t, c, s, "first", 1)
	s.answer = constant("second")

	clock.advance(5*time.Minute - 1)
	wantValue(t, c, s, "first", 1)
	clock.advance(1)
	wantValue(t, c, s, "second", 2)
	clock.advance(5*time.Minute - 1)
	wantValue(t, c, s, "second", 2)
}

func TestCacheRefreshFails(t *testing.T) {
	log := telemetrytest.Capture(t)
	clock, s := newTick(), &source{answer: constant("first")}
	c := s.cache(clock)
	wantValue(t, c, s, "first", 1)
	clock.advance(5 * time.Minute)
	s.answer = down

	wantValue(t, c, s, "first", 2)
	if text := log.String(); strings.Count(text, "WARN") != 1 || !strings.Contains(text, errDown.Error()) ||
		!strings.Contains(text, "the value could not be read anew") || strings.Contains(text, "first") {
		t.Errorf("logged %s", text)
	}
	clock.advance(30*time.Second - 1)
	wantValue(t, c, s, "first", 2)
	clock.advance(1)
	wantValue(t, c, s, "first", 3)

	s.answer = constant("second")
	clock.advance(30 * time.Second)
	wantValue(t, c, s, "second", 4)
}

// TestCacheStale: a value that cannot be read anew serves on for a day and no longer, and is counted long before.
func TestCacheStale(t *testing.T) {
	t.Setenv("AWS_LAMBDA_FUNCTION_NAME", "stack-VerifyFunction")
	log := telemetrytest.Capture(t)
	clock, s := newTick(), &source{answer: constant("first")}
	c := s.cache(clock)
	wantValue(t, c, s, "first", 1)
	read := clock.now
	s.answer = down
	for _, step := range []struct {
		age     time.Duration
		serves  bool
		fetches int
		logs    []string // of the record; none where nothing is fetched
	}{
		{5 * time.Minute, true, 2, []string{"level=WARN", "the cached one serves on"}},
		{20*time.Minute - 1, true, 3, []string{"level=WARN", "the cached one serves on"}},
		{20 * time.Minute, true, 3, nil}, // half a minute after a failure the next fetch is due
		{21 * time.Minute, true, 4,
			[]string{"level=ERROR", "the cached one serves on", "StaleKeys=1"}},
		{24*time.Hour - 1, true, 5, []string{"level=ERROR", "the cached one serves on", "StaleKeys=1"}},
		{24 * time.Hour, false, 5, nil},
		{24*time.Hour + 30*time.Second, false, 6, []string{"level=ERROR", "too old to serve", "StaleKeys=1"}},
		{24*time.Hour + time.Minute - 1, false, 6, nil},
		{48 * time.Hour, false, 7, []string{"level=ERROR", "too old to serve", "StaleKeys=1"}},
	} {
		log.Reset()
		clock.now = read.Add(step.age)
		got, err := c.get(t.Context())
		if serves := err == nil && got == "first"; serves != step.serves || s.fetches != step.fetches {
			t.Errorf("at %s: %q, %v after %d fetches, want %d", step.age, got, err, s.fetches, step.fetches)
		}
		if !step.serves && (got != "" || !errors.Is(err, errDown)) {
			t.Errorf("at %s: %q, %v", step.age, got, err)
		}
		if step.age > 24*time.Hour && !strings.Contains(err.Error(), "last read at 2026-11-01T12:00:00Z") {
			t.Errorf("at %s: %v", step.age, err)
		}
		if _, present := c.peek(); present != step.serves {
			t.Errorf("at %s: peek sees the value: %t", step.age, present)
		}
		records := strings.Count(log.String(), "\n")
		isCounted := records > 0 && step.age >= 20*time.Minute
		if records != min(len(step.logs), 1) || strings.Contains(log.String(), "StaleKeys") != isCounted {
			t.Errorf("at %s: logged %s", step.age, log)
		}
		for _, want := range step.logs {
			if !strings.Contains(log.String(), want) {
				t.Errorf("at %s: %q is not in %s", step.age, want, log)
			}
		}
	}
	s.answer = constant("second")
	clock.advance(30 * time.Second)
	wantValue(t, c, s, "second", 8)
}

// TestCacheStaleBegins: what counts is for how long no fetch has succeeded in spite of attempts, not how old the value
// is. A process that is asked once an hour has an old one each time.
func TestCacheStaleBegins(t *testing.T) {
	log := telemetrytest.Capture(t)
	clock, s := newTick(), &source{answer: constant("first")}
	c := s.cache(clock)
	wantValue(t, c, s, "first", 1)
	for i, step := range []struct {
		after     time.Duration
		answer    func() (string, error)
		isCounted bool
	}{
		{time.Hour, down, false},
		{time.Hour, constant("first"), false},
		{time.Hour, down, false},
		{15*time.Minute - 1, down, false},
		{30 * time.Second, down, true},
		{30 * time.Second, constant("first"), false},
		{5 * time.Minute, down, false},
		{15 * time.Minute, down, true},
		{time.Minute, constant("first"), false},
	} {
		log.Reset()
		clock.advance(step.after)
		s.answer = step.answer
		wantValue(t, c, s, "first", i+2)
		if strings.Contains(log.String(), "StaleKeys") != step.isCounted {
			t.Errorf("step %d: logged %s", i, log)
		}
	}
}

// TestCacheStaleAfterIdling: a value that is too old to serve is an error at once, but no alarm before its time.
func TestCacheStaleAfterIdling(t *testing.T) {
	log := telemetrytest.Capture(t)
	clock, s := newTick(), &source{answer: constant("first")}
	c := s.cache(clock)
	wantValue(t, c, s, "first", 1)
	s.answer = down
	clock.advance(24 * time.Hour)
	if got, err := c.get(t.Context()); !errors.Is(err, errDown) {
		t.Errorf("got %q, %v", got, err)
	}
	if text := log.String(); !strings.Contains(text, "level=ERROR") || strings.Contains(text, "StaleKeys") {
		t.Errorf("logged %s", text)
	}
}

// TestCacheStaleIsShared: those who find a value that is too old wait for one fetch.
func TestCacheStaleIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := cachedOld(t)
		time.Sleep(24 * time.Hour)
		answers := []<-chan result{ask(t.Context(), c), ask(t.Context(), c)}
		synctest.Wait()
		g.open <- "new"
		for _, answer := range answers {
			if r := <-answer; r != (result{"new", nil}) {
				t.Errorf("got %+v", r)
			}
		}
		if n := g.fetches.Load(); n != 2 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestCacheFirstFetchFails(t *testing.T) {
	log := telemetrytest.Capture(t)
	clock, s := newTick(), &source{answer: down}
	c := s.cache(clock)
	if got, err := c.get(t.Context()); !errors.Is(err, errDown) {
		t.Errorf("got %q, %v", got, err)
	}
	s.answer = constant("first")
	wantValue(t, c, s, "first", 2) // at once: there was nothing to fall back on
	if log.Len() != 0 {
		t.Errorf("an error that is returned was logged too: %s", log)
	}
}

// TestCacheRefresh: a value is at most a minute old, and a stream of refreshes is no stream of fetches.
func TestCacheRefresh(t *testing.T) {
	telemetrytest.Capture(t)
	clock, s := newTick(), &source{answer: constant("first")}
	c := s.cache(clock)
	want := func(value string, err error, fetches int) {
		t.Helper()
		for range 3 {
			if got, gotErr := c.refresh(t.Context()); got != value || !errors.Is(gotErr, err) || s.fetches != fetches {
				t.Errorf("got %q, %v after %d fetches, want %q, %v after %d",
					got, gotErr, s.fetches, value, err, fetches)
			}
		}
	}
	wantValue(t, c, s, "first", 1)
	s.answer = constant("second")
	clock.advance(time.Minute - 1)
	want("first", nil, 1)
	clock.advance(1)
	want("second", nil, 2)

	s.answer = down
	clock.advance(time.Minute)
	want("", errDown, 3)
	wantValue(t, c, s, "second", 3) // the cached value serves on
	clock.advance(30*time.Second - 1)
	want("", errDown, 3)
	clock.advance(1)
	want("", errDown, 4)
	s.answer = constant("third")
	clock.advance(30 * time.Second)
	want("third", nil, 5)
}

func TestCacheDrop(t *testing.T) {
	clock, s := newTick(), &source{answer: constant("first")}
	c := s.cache(clock)
	wantValue(t, c, s, "first", 1)
	s.answer = constant("second")

	c.dropIf(func(value string) bool { return value == "another" })
	wantValue(t, c, s, "first", 1)
	c.dropIf(func(value string) bool { return value == "first" })
	wantValue(t, c, s, "second", 2)

	s.answer = down
	c.dropIf(func(string) bool { return true })
	if got, err := c.get(t.Context()); !errors.Is(err, errDown) {
		t.Errorf("a dropped value came back: %q, %v", got, err)
	}
}

// gate is a fetch that lands when it is told to.
type gate struct {
	fetches atomic.Int32
	open    chan string
}

func (g *gate) fetch(ctx context.Context) (string, error) {
	g.fetches.Add(1)
	select {
	case value := <-g.open:
		return value, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

type result struct {
	value string
	err   error
}

// ask asks the cache in a goroutine of its own.
func ask(ctx context.Context, c *cached[string]) <-chan result {
	answer := make(chan result, 1)
	go func() {
		value, err := c.get(ctx)
		answer <- result{value, err}
	}()
	return answer
}

// cachedOld returns a cache that has fetched the text old.
func cachedOld(t *testing.T) (*gate, *cached[string]) {
	t.Helper()
	g := &gate{open: make(chan string)}
	c := newCached("the value", g.fetch, nil)
	first := ask(t.Context(), c)
	g.open <- "old"
	<-first
	return g, c
}

func TestCacheFirstFetchIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan string)}
		c := newCached("the value", g.fetch, nil)
		gone, hangUp := context.WithCancel(t.Context())
		first := ask(gone, c)
		synctest.Wait()
		var others []<-chan result
		for range 20 {
			others = append(others, ask(t.Context(), c))
		}
		synctest.Wait()

		hangUp() // who began the fetch does not wait for its end
		if r := <-first; !errors.Is(r.err, context.Canceled) {
			t.Errorf("got %+v", r)
		}
		g.open <- "value"
		for _, other := range others {
			if r := <-other; r != (result{"value", nil}) {
				t.Errorf("got %+v", r)
			}
		}
		if n := g.fetches.Load(); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestCacheRefreshHoldsUpOneRequestOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := cachedOld(t)
		time.Sleep(5 * time.Minute) // of the bubble's clock: it takes no time

		refreshing := ask(t.Context(), c)
		synctest.Wait()
		for range 20 {
			if value, err := c.get(t.Context()); value != "old" || err != nil {
				t.Errorf("got %q, %v", value, err)
			}
		}
		g.open <- "new"
		if r := <-refreshing; r != (result{"new", nil}) {
			t.Errorf("got %+v", r)
		}
		if n := g.fetches.Load(); n != 2 {
			t.Errorf("%d fetches", n)
		}
	})
}

// TestCacheFetchHangs: the service accepts the request and never answers.
func TestCacheFetchHangs(t *testing.T) {
	telemetrytest.Capture(t)
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan string)}
		c := newCached("the value", g.fetch, nil)
		began := time.Now()
		if value, err := c.get(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without a value: got %q, %v", value, err)
		}
		if took := time.Since(began); took != fetchTimeout {
			t.Errorf("without a value: took %v", took)
		}

		first := ask(t.Context(), c)
		g.open <- "old"
		<-first
		time.Sleep(5 * time.Minute)
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if value, err := c.get(soon); value != "old" || err != nil {
			t.Errorf("with an old value: got %q, %v", value, err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("with an old value: took %v", took)
		}
		time.Sleep(fetchTimeout) // the fetch ends too, and with it all goroutines of the bubble
	})
}
