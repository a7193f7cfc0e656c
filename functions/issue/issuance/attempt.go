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
	"openlicenser/shared/audit"
	"openlicenser/shared/idempotency"
	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
)

// attempt is an attempt at a request that changes something. All attempts with one Idempotency-Key share at, requestID
// and newID, so that a later attempt recognizes what an earlier one did.
type attempt struct {
	at        time.Time
	by        string
	requestID string
	newID     string // of the license to issue
	again     bool   // an earlier attempt may have had its effect

	key       string // of the record of an Idempotency-Key; empty: the request came without one
	licenseID string // that the first attempt with the key has found in the path; empty: none
}

// change returns the change that the attempt makes, in the name of whom the front has named for the request.
func (a attempt) change(reason string) license.Change {
	return license.Change{At: a.at, By: a.by, Reason: reason, RequestID: a.requestID}
}

// newAttempt begins an attempt. Stored instants are of milliseconds.
func (s Licenses) newAttempt(r api.Request) (attempt, error) {
	id, err := license.NewID()
	return attempt{at: s.Now().UTC().Truncate(time.Millisecond), by: r.Principal(), requestID: r.ID(), newID: id}, err
}

var errGone = errors.New("the license that the request made was removed since")

// made returns the license that an earlier attempt has made, or license.ErrNotFound. It returns errGone where somebody
// has removed that. To make it anew would let its license key work again.
func (s Licenses) made(ctx context.Context, a attempt) (license.License, error) {
	if !a.again {
		return license.License{}, license.ErrNotFound
	}
	l, err := s.Store.Get(ctx, a.newID)
	if err == nil {
		note(ctx, l)
	}
	if !errors.Is(err, license.ErrNotFound) {
		return l, err
	}
	chain, errTrail := s.Trail.State(ctx, a.newID)
	switch {
	case errTrail != nil:
		return license.License{}, errTrail
	case chain.Sequence > 0:
		return license.License{}, errGone
	}
	return license.License{}, err
}

// isDone reports whether an earlier attempt has made the change. Where others have changed the license since, the trail
// tells.
func (s Licenses) isDone(ctx context.Context, a attempt, l license.License) (bool, error) {
	if !a.again || l.RequestID == a.requestID {
		return a.again, nil
	}
	return audit.Contains(ctx, s.Trail, l.ID, func(e audit.Entry) bool { return e.RequestID == a.requestID })
}

// attemptHandler is an api.Handler of a request that changes something.
type attemptHandler func(context.Context, api.Request, attempt) (api.Response, error)

var errIdempotencyKey = errors.New("Idempotency-Key is not one value of 1 to 255 printable ASCII characters")

// once lets a request with an Idempotency-Key take effect once, and repeats its response for 24 hours
// (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/). Refusals are not kept: they changed
// nothing, and the caller may mend the request under the same key.
func (s Licenses) once(do attemptHandler) api.Handler { return s.onceAt(canonicalPath, do) }

// onceAt is once for requests that are the same where their path is, as the function returns it.
func (s Licenses) onceAt(path func(api.Request) string, do attemptHandler) api.Handler {
	return func(ctx context.Context, r api.Request) (api.Response, error) {
		a, err := s.newAttempt(r)
		if err != nil {
			return api.Response{}, err
		}
		keys := r.HeaderValues("Idempotency-Key")
		if keys == nil {
			return do(ctx, r, a)
		}
		request, err := s.idempotentRequest(ctx, r, path(r), keys, a)
		if err != nil {
			return api.Response{}, err
		}
		lease := leaseEnds(ctx, a.at)
		outcome, err := idempotency.Begin(ctx, s.Idempotency, request, lease)
		switch {
		case err != nil:
			return api.Response{}, err
		case outcome.Response != nil:
			return replay(ctx, *outcome.Response), nil
		}
		first := outcome.Request
		response, err := do(ctx, r, attempt{
			at: first.At, by: a.by, requestID: first.ID, newID: first.NewID, again: outcome.Again,
			key: request.Key, licenseID: first.LicenseID,
		})
		s.conclude(ctx, request.Key, lease, a.at, response, err)
		return response, err
	}
}

func (s Licenses) idempotentRequest(
	ctx context.Context, r api.Request, path string, keys []string, a attempt,
) (idempotency.Request, error) {
	key := keys[0]
	isPrintable := strings.IndexFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) < 0
	if !isPrintable || strings.Trim(key, " ") == "" || len(key) > idempotency.MaxKey || len(slices.Compact(keys)) > 1 {
		return idempotency.Request{}, errIdempotencyKey
	}
	body, err := readBody(r)
	if err != nil {
		return idempotency.Request{}, err
	}
	about, err := s.about(ctx, r, a)
	if err != nil {
		return idempotency.Request{}, err
	}
	return idempotency.Request{
		Key:         idempotency.RecordKey(a.by, key),
		Fingerprint: idempotency.Fingerprint(r.Method(), path, string(body)),
		ID:          a.requestID,
		At:          a.at,
		NewID:       a.newID,
		LicenseID:   about,
	}, nil
}

// about returns the id of the license that the request is about, in lower case: the one that it makes, or the one that
// its path names. It is empty where the path names none. A reference costs a read of its own.
func (s Licenses) about(ctx context.Context, r api.Request, a attempt) (string, error) {
	if r.PathParameter("licenseid") == "" {
		return a.newID, nil
	}
	id, err := licenseID(ctx, s.Store, r)
	if errors.Is(err, license.ErrNotFound) {
		return "", nil
	}
	return strings.ToLower(id), err
}

// unboundedLease is the lease of a request without a deadline.
const unboundedLease = 30 * time.Second

// leaseEnds returns when this invocation is over, whatever becomes of it.
func leaseEnds(ctx context.Context, at time.Time) time.Time {
	if deadline, bounded := ctx.Deadline(); bounded {
		return at.Add(time.Until(deadline) + time.Second).Truncate(time.Millisecond)
	}
	return at.Add(unboundedLease)
}

// conclude records how the attempt ended. Where that fails, the failure is logged and the response goes out. It leaves
// what a crash leaves, a record without a response. The next attempt then finds by the request's id what this one did.
func (s Licenses) conclude(
	ctx context.Context, key string, leaseEnds, at time.Time, response api.Response, failed error,
) {
	var err error
	switch {
	case failed == nil:
		err = s.Idempotency.Complete(ctx, key, idempotency.Response{
			Status: response.Status, Header: response.Header, Body: string(response.Body),
		})
	case failure(failed).Status < http.StatusInternalServerError && !errors.Is(failed, errGone):
		err = s.Idempotency.Release(ctx, key)
	default: // the change may or may not have been made, or was undone; the next attempt may look at once
		err = s.Idempotency.TakeOver(ctx, key, leaseEnds, at)
	}
	if err != nil {
		telemetry.Note(ctx, slog.String("idempotencyerror", err.Error()))
	}
}

// replay repeats the response of an earlier attempt.
func replay(ctx context.Context, kept idempotency.Response) api.Response {
	telemetry.Note(ctx, slog.Bool("replayed", true))
	kept.Header["Idempotency-Replayed"] = "true"
	return api.Response{Status: kept.Status, Header: kept.Header, Body: []byte(kept.Body)}
}
