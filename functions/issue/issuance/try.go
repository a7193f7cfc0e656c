package issuance

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"openlicenser/shared/api"
	"openlicenser/shared/idempotency"
	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
)

// try is one attempt at a request that changes something. All attempts with the same Idempotency-Key share what is in
// it, so that a later one recognizes what an earlier one did.
type try struct {
	at        time.Time
	by        string
	requestID string
	newID     string // of the license to issue
	again     bool   // an earlier attempt may have had its effect
}

// change says who makes the change: the IAM principal that signed the request.
func (t try) change(reason string) license.Change {
	return license.Change{At: t.at, By: t.by, Reason: reason, RequestID: t.requestID}
}

// newTry begins a request. Stored instants are of milliseconds.
func (i Issuer) newTry(r api.Request) (try, error) {
	id, err := license.NewID()
	return try{at: i.Now().UTC().Truncate(time.Millisecond), by: r.Principal(), requestID: r.ID(), newID: id}, err
}

var errIdempotencyKey = errors.New("Idempotency-Key is not one value of 1 to 255 printable ASCII characters")

// once lets a handler take effect once for an Idempotency-Key
// (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/), and answer the same for 24 hours.
// Refusals are not kept: they changed nothing, and the request may be mended under the same key.
func (i Issuer) once(do func(context.Context, api.Request, try) (api.Response, error)) api.Handler {
	return func(ctx context.Context, r api.Request) (api.Response, error) {
		t, err := i.newTry(r)
		if err != nil {
			return api.Response{}, err
		}
		keys := r.HeaderValues("Idempotency-Key")
		if keys == nil {
			return do(ctx, r, t)
		}
		request, err := idempotentRequest(r, keys, t)
		if err != nil {
			return api.Response{}, err
		}
		lease := leaseEnds(ctx, t.at)
		outcome, err := idempotency.Begin(ctx, i.Idempotency, request, lease)
		switch {
		case err != nil:
			return api.Response{}, err
		case outcome.Answer != nil:
			return replay(ctx, *outcome.Answer), nil
		}
		first := outcome.Request
		response, err := do(ctx, r, try{at: first.At, by: t.by, requestID: first.ID, newID: first.NewID, again: outcome.Again})
		i.conclude(ctx, request.Key, lease, t.at, response, err)
		return response, err
	}
}

func idempotentRequest(r api.Request, keys []string, t try) (idempotency.Request, error) {
	key := keys[0]
	isPrintable := strings.IndexFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) < 0
	if !isPrintable || strings.Trim(key, " ") == "" || len(key) > idempotency.MaxKey || len(slices.Compact(keys)) > 1 {
		return idempotency.Request{}, errIdempotencyKey
	}
	body, err := readBody(r)
	if err != nil {
		return idempotency.Request{}, err
	}
	return idempotency.Request{
		Key:         idempotency.RecordKey(t.by, key),
		Fingerprint: idempotency.Fingerprint(r.Method(), canonicalPath(r), string(body)),
		ID:          t.requestID,
		At:          t.at,
		NewID:       t.newID,
	}, nil
}

// unboundedLease is the lease of a request without a deadline.
const unboundedLease = 30 * time.Second

// leaseEnds is when this invocation, whatever becomes of it, is over.
func leaseEnds(ctx context.Context, at time.Time) time.Time {
	if deadline, bounded := ctx.Deadline(); bounded {
		return at.Add(time.Until(deadline) + time.Second).Truncate(time.Millisecond)
	}
	return at.Add(unboundedLease)
}

// conclude records how the try ended. A crash before it, or its failure, leaves the record without an answer: the next
// try then finds what this one has done by the request's id, so the failure is logged and the answer goes out.
func (i Issuer) conclude(ctx context.Context, key string, leaseEnds, at time.Time, response api.Response, failed error) {
	var err error
	switch {
	case failed == nil:
		err = i.Idempotency.Complete(ctx, key, idempotency.Answer{Status: response.Status, Header: response.Header, Body: string(response.Body)})
	case failure(failed).Status < http.StatusInternalServerError:
		err = i.Idempotency.Release(ctx, key)
	default: // the change may or may not have been made; the next try may look at once
		err = i.Idempotency.TakeOver(ctx, key, leaseEnds, at)
	}
	if err != nil {
		telemetry.Note(ctx, slog.String("idempotencyerror", err.Error()))
	}
}

func replay(ctx context.Context, a idempotency.Answer) api.Response {
	telemetry.Note(ctx, slog.Bool("replayed", true))
	a.Header["Idempotency-Replayed"] = "true"
	return api.Response{Status: a.Status, Header: a.Header, Body: []byte(a.Body)}
}
