package main

import (
	"context"
	"iter"
	"sync"
)

// inOrder does work on things, several at once, and hands the results to sink in the order of the things. The first
// error ends it: of a thing, of work or of sink. What was begun before is done then, and not handed on. It holds about
// twice as many things as there are workers.
func inOrder[T, R any](
	ctx context.Context, things iter.Seq2[T, error], workers int, work func(context.Context, T) (R, error),
	sink func(R) error,
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type task struct {
		thing  T
		result chan R
	}
	tasks, pending := make(chan task), make(chan chan R, workers)
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for next := range tasks {
				result, err := work(ctx, next.thing)
				if err != nil {
					cancel(err)
					return
				}
				next.result <- result
			}
		})
	}
	working.Go(func() {
		defer close(pending)
		defer close(tasks)
		for thing, err := range things {
			if err != nil {
				cancel(err)
				return
			}
			next := task{thing, make(chan R, 1)}
			select {
			case <-ctx.Done():
				return
			case pending <- next.result:
			}
			select {
			case <-ctx.Done():
				return
			case tasks <- next:
			}
		}
	})
	err := drain(ctx, pending, sink)
	cancel(err)
	working.Wait()
	return err
}

// drain hands results on until there are no more.
func drain[R any](ctx context.Context, pending <-chan chan R, sink func(R) error) error {
	for result := range pending {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case r := <-result:
			if err := sink(r); err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
