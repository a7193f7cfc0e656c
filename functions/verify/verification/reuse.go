package verification

import (
	"bytes"
	"context"
	"log/slog"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/token"
)

// Reuse gives authorization tokens again instead of signing new ones. The zero Reuse gives none. The license is read for every
// one of them: a revocation made a moment ago is seen.
type Reuse struct {
	period time.Duration // from the moment of signing, exclusive
	memory *lru.Cache[string, token.Signature]
	shared token.Signatures // nil: memory alone
}

// inMemory bounds the signatures in memory, the least recently used ones go: half a kilobyte for each.
const inMemory = 10_000

// NewReuse makes what gives a token again for a period from its signing on; zero turns it off. The signatures that the
// instances share may be nil.
func NewReuse(period time.Duration, shared token.Signatures) Reuse {
	if period <= 0 {
		return Reuse{}
	}
	memory, err := lru.New[string, token.Signature](inMemory)
	if err != nil {
		panic(err) // only for a size below one
	}
	return Reuse{period: period, memory: memory, shared: shared}
}

func (r Reuse) isOn() bool { return r.memory != nil }

// earlier is the signature of a token that was given before; zero for none.
type earlier struct {
	token.Signature
	metric string // what it counts as where it serves again
}

// read answers a license as licenses does, and what there is of an earlier token that is recent enough. Where the memory has one,
// the shared ones are not asked.
func (r Reuse) read(ctx context.Context, licenses license.Reader, id string, now time.Time) (license.License, earlier, error) {
	var e earlier
	if r.isOn() {
		if signature, has := r.memory.Get(id); has && r.isRecent(signature, now) {
			e = earlier{signature, telemetry.ReusedFromMemoryKey}
		}
	}
	if !r.isOn() || e.metric != "" || r.shared == nil {
		l, err := licenses.Get(ctx, id)
		return l, e, err
	}
	l, signature, err := r.shared.Get(ctx, id)
	if err == nil && r.isRecent(signature, now) {
		e = earlier{signature, telemetry.ReusedFromTableKey}
	}
	return l, e, err
}

// isRecent is false for a time to come, which another clock has made.
func (r Reuse) isRecent(s token.Signature, now time.Time) bool {
	age := now.Sub(s.SignedAt)
	return age >= 0 && age < r.period
}

// keepTimeout bounds what an answer waits for the sake of the next ones. Lambda stops a process once it has answered, so that
// nothing can be kept afterwards.
const keepTimeout = time.Second

// keep remembers the signature of a token that is about to leave. A failure is logged and costs a signature later.
func (r Reuse) keep(ctx context.Context, id string, e earlier, s token.Signature) {
	if bytes.Equal(s.Bytes, e.Bytes) {
		telemetry.Count(ctx, e.metric)
		r.memory.Add(id, s)
		return
	}
	telemetry.Count(ctx, telemetry.SignaturesKey)
	if !r.isOn() {
		return
	}
	r.memory.Add(id, s)
	if r.shared == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	if err := r.shared.Keep(ctx, id, s, s.SignedAt.Add(r.period)); err != nil {
		slog.WarnContext(ctx, "the signature of a token could not be kept, another one will be made", "licenseid", id, "error", err)
	}
}
