package issuance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"openlicenser/shared/api"
	"openlicenser/shared/audit"
	"openlicenser/shared/device"
	"openlicenser/shared/idempotency"
	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/token"
	"openlicenser/shared/vendorapi"
)

// Licenses issues, reads, lists and changes licenses.
type Licenses struct {
	Store       license.Store
	Idempotency idempotency.Store // of requests with an Idempotency-Key
	Keys        Keys              // sign the license keys of new licenses
	Secrets     token.Secrets     // sign the cursors of lists
	Trail       audit.Store       // is only read: what an earlier attempt has done
	Devices     device.Store      // the seats of devices
	Plans       license.PlanStore // are only read
	Now         func() time.Time

	// References returns the references that a license had according to its history, which an erasure frees besides the
	// one that its record has. Nil: nobody knows of any.
	References func(ctx context.Context, licenseID string) ([]string, error)

	// Signatures are removed by an erasure. Nil: none are kept.
	Signatures token.SignatureRemover

	// TokenLifetime is how long an authorization token is valid. No license may say a longer leaseminutes.
	TokenLifetime time.Duration
}

var _ Part = Licenses{}

func (s Licenses) routes() api.Routes {
	return api.Routes{
		"POST /licenses":                       s.once(s.issue),
		"GET /licenses":                        s.list,
		"GET /licenses/{licenseid}":            s.get,
		"PATCH /licenses/{licenseid}":          s.once(s.patch),
		"DELETE /licenses/{licenseid}":         s.remove,
		"POST /licenses/{licenseid}/revoke":    s.once(s.transition(license.License.Revoke)),
		"POST /licenses/{licenseid}/suspend":   s.once(s.transition(license.License.Suspend)),
		"POST /licenses/{licenseid}/reinstate": s.once(s.transition(license.License.Reinstate)),
		"POST /licenses/{licenseid}/renew":     s.once(s.renew),
		"POST /licenses/{licenseid}/erase":     s.onceAt(untellingPath, s.erase),

		"GET /licenses/{licenseid}/devices":             s.devices,
		"DELETE /licenses/{licenseid}/devices":          s.once(s.resetDevices),
		"DELETE /licenses/{licenseid}/devices/{device}": s.releaseDevice,
	}
}

func (s Licenses) lacking() []string {
	return append(s.Keys.lacking(), lacking("Licenses", ports{
		"Store": s.Store != nil, "Idempotency": s.Idempotency != nil, "Secrets": s.Secrets != nil,
		"Trail": s.Trail != nil, "Devices": s.Devices != nil, "Plans": s.Plans != nil, "Now": s.Now != nil,
		"TokenLifetime": s.TokenLifetime > 0,
	})...)
}

// get shows one license.
func (s Licenses) get(ctx context.Context, r api.Request) (api.Response, error) {
	l, err := read(ctx, s.Store, r)
	if err != nil {
		return api.Response{}, err
	}
	return s.respond(l)
}

// patch changes fields by a JSON merge patch.
func (s Licenses) patch(ctx context.Context, r api.Request, a attempt) (api.Response, error) {
	if _, err := requireIfMatch(r); err != nil {
		return api.Response{}, err
	}
	patch, reason, err := readPatch(r)
	if err != nil {
		return api.Response{}, err
	}
	patch.TokenMinutes = wholeMinutes(s.TokenLifetime)
	// The plan is read last: a later attempt is answered without it.
	return s.update(ctx, r, a, reason, func(l license.License, c license.Change) (license.License, error) {
		whole, err := s.withPlan(ctx, patch)
		if err != nil {
			return l, err
		}
		return l.Patch(whole, c)
	})
}

// remove marks the license, so that the audit trail can say who removed it, and then removes it. A license that a crash
// leaves marked is as good as revoked. Removing it again completes the removal, whatever If-Match says.
//
// The seats go between the two. From the mark on nobody gets one: every verification reads the license first, and the
// mark is for good. If the seats cannot be removed, the license stays marked, so that removing it again completes that
// too. Only a verification that read the license before the mark can still write seats after they were removed. They
// stay then, and are of no account: nobody reads the seats of a license that is gone, and one that another tool makes
// again under its id has none of them, unless neither ever had an epoch.
func (s Licenses) remove(ctx context.Context, r api.Request) (api.Response, error) {
	ifMatch, err := requireIfMatch(r)
	if err != nil {
		return api.Response{}, err
	}
	reason, err := readRequiredReason(r)
	if err != nil {
		return api.Response{}, err
	}
	a, err := s.newAttempt(r)
	if err != nil {
		return api.Response{}, err
	}
	l, err := read(ctx, s.Store, r)
	if err != nil {
		return api.Response{}, err
	}
	if !l.Deleted {
		if !ifMatch.allows(l) {
			return api.Response{}, errStale
		}
		marked := l.Delete(a.change(reason))
		if err := s.Store.Update(ctx, l, marked); err != nil {
			return api.Response{}, fmt.Errorf("mark: %w", err)
		}
		l = marked
	}
	if err := s.Devices.Remove(ctx, l.ID); err != nil {
		return api.Response{}, fmt.Errorf("remove: %w", err)
	}
	if err := s.Store.Remove(ctx, l); err != nil {
		return api.Response{}, fmt.Errorf("remove: %w", err)
	}
	return api.Response{Status: http.StatusNoContent}, nil
}

// transition handles a change of status. It needs no If-Match, because it is right for any state of the license.
func (s Licenses) transition(do edit) attemptHandler {
	return func(ctx context.Context, r api.Request, a attempt) (api.Response, error) {
		reason, err := readReason(r)
		if err != nil {
			return api.Response{}, err
		}
		return s.update(ctx, r, a, reason, do)
	}
}

// renew moves the end to a later date.
func (s Licenses) renew(ctx context.Context, r api.Request, a attempt) (api.Response, error) {
	expirationDate, reason, err := readRenewal(r)
	if err != nil {
		return api.Response{}, err
	}
	return s.update(ctx, r, a, reason, func(l license.License, c license.Change) (license.License, error) {
		return l.Renew(expirationDate, c)
	})
}

// edit returns the license as it shall be.
type edit func(license.License, license.Change) (license.License, error)

// maxUpdates bounds how often an update begins anew because others have changed the license meanwhile.
const maxUpdates = 5

// update reads the license, edits it and writes it. Where the caller sent If-Match, it must match what is read. When
// others change the license between reading and writing, the update begins anew, so that no change is lost.
func (s Licenses) update(
	ctx context.Context, r api.Request, a attempt, reason string, do edit,
) (api.Response, error) {
	ifMatch, err := readIfMatch(r)
	if err != nil {
		return api.Response{}, err
	}
	change := a.change(reason)
	for range maxUpdates {
		before, err := read(ctx, s.Store, r)
		if err != nil {
			return api.Response{}, err
		}
		switch isDone, err := s.isDone(ctx, a, before); {
		case err != nil:
			return api.Response{}, err
		case isDone:
			return s.respond(before)
		}
		if !ifMatch.allows(before) {
			return api.Response{}, errStale
		}
		after, err := do(before, change)
		if err != nil {
			return api.Response{}, err
		}
		if after.Version != before.Version {
			err = s.Store.Update(ctx, before, after)
		}
		switch {
		case err == nil:
			return s.respond(after)
		case !errors.Is(err, license.ErrConflict):
			return api.Response{}, fmt.Errorf("update: %w", err)
		}
	}
	return api.Response{}, license.ErrConflict
}

// list shows a page of licenses.
func (s Licenses) list(ctx context.Context, r api.Request) (api.Response, error) {
	query, cursors, err := s.readListQuery(ctx, r)
	if err != nil {
		return api.Response{}, err
	}
	page, err := s.page(ctx, query)
	if err != nil {
		return api.Response{}, fmt.Errorf("list: %w", err)
	}
	now, licenses := s.Now(), make([]vendorapi.License, len(page.Licenses))
	for n, l := range page.Licenses {
		licenses[n] = represent(l, now)
	}
	body := vendorapi.LicensePage{Licenses: licenses, Cursor: cursors.encode(page.Next)}
	return noStore(api.JSON(http.StatusOK, body))
}

// page lists licenses. Those of a reference are the one that has it, if it passes the other filters.
func (s Licenses) page(ctx context.Context, q listQuery) (page license.Page, err error) {
	if q.reference == "" {
		return s.Store.List(ctx, q.Query)
	}
	id, err := findReference(ctx, s.Store, q.reference)
	if err == nil {
		var l license.License
		l, err = s.Store.Get(ctx, id)
		if errors.Is(err, license.ErrUnreadable) {
			telemetry.Note(ctx, slog.String("licenseid", id), slog.String("unreadable", err.Error()))
			l, err = license.Damaged(id), nil
		}
		if err == nil && q.Matches(l) {
			page.Licenses = append(page.Licenses, l)
		}
	}
	if errors.Is(err, license.ErrNotFound) {
		err = nil
	}
	return page, err
}

// respond shows the license as it is now.
func (s Licenses) respond(l license.License) (api.Response, error) {
	return withETag(http.StatusOK, represent(l, s.Now()))
}
