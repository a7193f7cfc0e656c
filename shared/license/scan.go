package license

import (
	"context"
	"errors"
	"sync"

	"openlicenser/shared/attribute"
)

// Scan goes through all records of a store, several of its segments at once.
type Scan struct {
	Records  Records
	Segments int
	// Pace is called before each record. It waits as long as the store is to be spared.
	Pace func(context.Context) error
}

// each calls do with each record, or with the id of one that is ErrUnreadable, from several goroutines at once. It
// returns the first error, which ends it.
func (s Scan) each(ctx context.Context, do func(context.Context, attribute.Map, error) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var segments sync.WaitGroup
	for segment := range s.Segments {
		segments.Go(func() {
			if err := s.segment(ctx, segment, do); err != nil {
				cancel(err)
			}
		})
	}
	segments.Wait()
	return context.Cause(ctx)
}

func (s Scan) segment(
	ctx context.Context, segment int, do func(context.Context, attribute.Map, error) error,
) error {
	for record, err := range s.Records.Segment(ctx, segment, s.Segments) {
		if err != nil && !errors.Is(err, ErrUnreadable) {
			return err
		}
		if err := s.Pace(ctx); err != nil {
			return err
		}
		if err := do(ctx, record, err); err != nil {
			return err
		}
	}
	return nil
}
