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

// Reuse gives authorization tokens again instead of signing new ones. Each time the license is read anew, so that a
// revocation made a moment ago is seen. The zero Reuse gives no token again.
type Reuse struct {
	period time.Duration // from the moment of signing, exclusive
	memory *lru.Cache[string, token.Signature]
	shared token.Signatures // nil: memory alone
}

// inMemory bounds how many signatures are in memory. Each takes half a kilobyte, and the least recently used ones go.
const inMemory = 10_000

// NewReuse returns a Reuse that gives a token again for a period after its signing. A period of zero turns it off.
// The signatures that all instances share may be nil.
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

// reusable is the signature of a token that may be given again. It is zero where there is none.
type reusable struct {
	token.Signature
	metric string // counts a token that was given again, by where its signature was found
}

// read returns a license as licenses does, and its reusable signature. It asks the shared signatures only where memory
// has none, or where the request names a device, whose seats come with them.
func (r Reuse) read(
	ctx context.Context, licenses license.Reader, id, deviceID string, now time.Time,
) (found lookup) {
	found = lookup{id: id, signature: r.remembered(id, now)}
	found.device.signature = r.rememberedOf(id, deviceID)
	if r.shared == nil || deviceID == "" && found.signature.metric != "" {
		found.license, found.err = licenses.Get(ctx, id)
		return found
	}
	kept, err := r.shared.Get(ctx, id, deviceID)
	found.license, found.err = kept.License, err
	if err != nil {
		return found
	}
	if found.signature.metric == "" && r.isRecent(kept.Signature, now) {
		found.signature = reusable{kept.Signature, telemetry.ReusedFromTableKey}
	}
	if deviceID != "" {
		found.device.seats, found.device.err, found.device.isRead = kept.Seats, kept.SeatsErr, true
		// Another instance may have signed a later token. It is given again, rather than a third one signed.
		if len(kept.OfDevice.Bytes) > 0 && kept.OfDevice.Expires.After(found.device.signature.Expires) {
			found.device.signature = reusable{kept.OfDevice, telemetry.ReusedFromTableKey}
		}
	}
	return found
}

func (r Reuse) remembered(id string, now time.Time) reusable {
	if !r.isOn() {
		return reusable{}
	}
	signature, has := r.memory.Get(id)
	if !has || !r.isRecent(signature, now) {
		return reusable{}
	}
	return reusable{signature, telemetry.ReusedFromMemoryKey}
}

// rememberedOf returns the signature of a device's token. Whether it may be given again, its lease says.
func (r Reuse) rememberedOf(id, deviceID string) reusable {
	if !r.isOn() || deviceID == "" {
		return reusable{}
	}
	signature, has := r.memory.Get(memoryKey(id, deviceID))
	if !has {
		return reusable{}
	}
	return reusable{signature, telemetry.ReusedFromMemoryKey}
}

func memoryKey(id, deviceID string) string {
	if deviceID == "" {
		return id
	}
	return id + "/" + deviceID
}

// isRecent reports whether the period of a signature runs. One from the future was made by another clock, and is not
// recent.
func (r Reuse) isRecent(s token.Signature, now time.Time) bool {
	age := now.Sub(s.SignedAt)
	return age >= 0 && age < r.period
}

// keepTimeout bounds how long a response waits for its signature to be kept. It cannot be kept afterwards: Lambda
// freezes a process that has responded.
const keepTimeout = time.Second

// keep remembers the signature of a token that is about to be sent, until it is of no use any more. A failure is
// logged, and costs another signature later.
func (r Reuse) keep(
	ctx context.Context, id, deviceID string, found reusable, used token.Signature, expires time.Time,
) {
	if bytes.Equal(used.Bytes, found.Bytes) {
		telemetry.Count(ctx, found.metric)
		r.memory.Add(memoryKey(id, deviceID), used)
		return
	}
	telemetry.Count(ctx, telemetry.SignaturesKey)
	if !r.isOn() {
		return
	}
	r.memory.Add(memoryKey(id, deviceID), used)
	if r.shared == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	if err := r.shared.Keep(ctx, id, deviceID, used, expires); err != nil {
		slog.WarnContext(ctx, "the signature of a token could not be kept, another one will be made",
			"licenseid", id, "error", err)
	}
}
