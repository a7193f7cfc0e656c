package main

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func upTo(n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
	}
}

// TestInOrder: results come in the order of the things, several are worked on at once, and few are held.
func TestInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, workers = 500, 8
		var begun, handedOn, most atomic.Int64
		var got []int
		err := inOrder(t.Context(), upTo(n), workers, func(_ context.Context, i int) (int, error) {
			most.Store(max(most.Load(), begun.Add(1)-handedOn.Load()))
			time.Sleep(rand.N(100 * time.Millisecond))
			return i * i, nil
		}, func(square int) error {
			handedOn.Add(1)
			got = append(got, square)
			return nil
		})
		for i, square := range got {
			if square != i*i {
				t.Fatalf("result %d is %d", i, square)
			}
		}
		if err != nil || len(got) != n || most.Load() < workers || most.Load() > 2*workers+1 {
			t.Errorf("%d results, at most %d at once, %v", len(got), most.Load(), err)
		}
	})
}

// TestInOrderEnds: the first error ends it, wherever it comes from, and no goroutine is left.
func TestInOrderEnds(t *testing.T) {
	broken := errors.New("broken")
	work := func(_ context.Context, i int) (int, error) { return i, nil }
	sink := func(int) error { return nil }
	for name, do := range map[string]func(context.Context) error{
		"a thing": func(ctx context.Context) error {
			return inOrder(ctx, func(yield func(int, error) bool) {
				if yield(1, nil) {
					yield(0, broken)
				}
			}, 4, work, sink)
		},
		"the work": func(ctx context.Context) error {
			return inOrder(ctx, upTo(1000), 4, func(_ context.Context, i int) (int, error) {
				if i == 7 {
					return 0, broken
				}
				return i, nil
			}, sink)
		},
		"the sink": func(ctx context.Context) error {
			return inOrder(ctx, upTo(1000), 4, work, func(i int) error {
				if i == 7 {
					return broken
				}
				return nil
			})
		},
		"the caller": func(ctx context.Context) error {
			ctx, cancel := context.WithCancelCause(ctx)
			return inOrder(ctx, upTo(1000), 4, work, func(i int) error {
				if i == 7 {
					cancel(broken)
				}
				return nil
			})
		},
	} {
		for range 20 {
			synctest.Test(t, func(t *testing.T) {
				if err := do(t.Context()); !errors.Is(err, broken) {
					t.Errorf("%s: got %v", name, err)
				}
			})
		}
	}
}

// TestInOrderOfNone: nothing to do is done.
func TestInOrderOfNone(t *testing.T) {
	var got []int
	err := inOrder(t.Context(), upTo(0), 4, func(_ context.Context, i int) (int, error) { return i, nil },
		func(i int) error { got = append(got, i); return nil })
	if err != nil || !slices.Equal(got, nil) {
		t.Errorf("got %v, %v", got, err)
	}
}
