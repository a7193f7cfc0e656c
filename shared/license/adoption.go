package license

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"openlicenser/shared/attribute"
)

// Adoption gives the records that are there what they lack, as Adopt says. It can be interrupted and repeated: a record
// that lacks nothing costs its read only.
type Adoption struct {
	Scan
	Writers int                         // records that are written at once
	Write   func(context.Context) error // Pace before each record that is written
	Now     func() time.Time
	Done    func(seen int) // is called after each record, one call after the other
}

// Adopted counts the records that an Adoption has seen. Each is in one of the other numbers too.
type Adopted struct {
	Seen       int `json:"seen"`
	Adopted    int `json:"adopted"`
	Right      int `json:"right"` // lacked nothing
	Gone       int `json:"gone"`  // removed since they were read
	Unreadable int `json:"unreadable"`
	Failed     int `json:"failed"`
}

// maxFailures is the number of records that fail before an Adoption gives up. A single odd record, such as one without
// room for more, must not hold up the others. A store that takes nothing should not be asked for all of them.
const maxFailures = 10

var errGaveUp = errors.New("gave up, because too many records failed")

// adopting is an Adoption that runs.
type adopting struct {
	Adoption
	giveUp context.CancelCauseFunc

	mu       sync.Mutex
	counts   Adopted
	failures []error
}

// Run looks at all records. When the context ends it finishes the writes that are under way, and returns what was done
// until then with the context's error. What was written stays. The error also names the records that failed.
func (a Adoption) Run(ctx context.Context) (Adopted, error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	r := &adopting{Adoption: a, giveUp: giveUp}
	lacking := make(chan attribute.Map)
	var writers sync.WaitGroup
	for range a.Writers {
		writers.Go(func() {
			for record := range lacking {
				r.write(ctx, record)
			}
		})
	}
	err := a.each(ctx, func(ctx context.Context, record attribute.Map, err error) error {
		switch {
		case err != nil:
			r.count(&r.counts.Unreadable)
		case Adopt(record, a.Now()).IsNothing():
			r.count(&r.counts.Right)
		default:
			select {
			case lacking <- record:
			case <-ctx.Done():
			}
		}
		return ctx.Err()
	})
	close(lacking)
	writers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return r.counts, errors.Join(append(r.failures, err)...)
}

// write adopts a record, unless the run has ended before its turn. A write that has begun is finished: otherwise nobody
// would know its outcome.
func (r *adopting) write(ctx context.Context, record attribute.Map) {
	if r.Write(ctx) != nil || ctx.Err() != nil {
		return
	}
	id, _ := record[AttrID].(string)
	number, err := r.adopt(context.WithoutCancel(ctx), id, record)
	if err == nil {
		r.count(number)
		return
	}
	r.count(&r.counts.Failed)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Errorf("license %q: %w", id, err))
	if len(r.failures) == maxFailures {
		r.giveUp(errGaveUp)
	}
}

// adopt returns the number that counts what has become of the record. Where others write at the same time, it looks
// again.
func (r *adopting) adopt(ctx context.Context, id string, record attribute.Map) (number *int, err error) {
	for range maxAmendments {
		a := Adopt(record, r.Now())
		if a.IsNothing() {
			return &r.counts.Right, nil // somebody else has done it meanwhile
		}
		if err = r.Records.Amend(ctx, id, a); err == nil {
			return &r.counts.Adopted, nil
		}
		if !errors.Is(err, ErrConflict) {
			return nil, err
		}
		switch record, err = r.Records.Record(ctx, id); {
		case errors.Is(err, ErrNotFound):
			return &r.counts.Gone, nil
		case errors.Is(err, ErrUnreadable):
			return &r.counts.Unreadable, nil
		case err != nil:
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w %d times", ErrConflict, maxAmendments)
}

func (r *adopting) count(number *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*number++
	r.counts.Seen++
	r.Done(r.counts.Seen)
}
