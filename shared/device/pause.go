package device

import (
	"context"
	"math/rand/v2"
	"time"
)

// maxPause bounds a Pause. All pauses of a request together stay well below a function's timeout.
const maxPause = 200 * time.Millisecond

// Pause waits for a random time before a write is tried again, up to twice as long after each attempt. Where many want
// to change the same seats in the same moment, one of those that have read the same seats gets its turn: without a
// pause the others would be in each other's way again.
func Pause(ctx context.Context, attempt int) error {
	longest := min(maxPause, 5*time.Millisecond<<attempt)
	select {
	case <-time.After(rand.N(longest)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
