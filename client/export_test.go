package licensing

import (
	"context"
	"math/rand/v2"
	"time"
)

// OpenAt is Open with another clock.
func OpenAt(ctx context.Context, c Config, now func() time.Time) (*Client, error) {
	return open(ctx, c, environment{now, rand.Float64})
}
