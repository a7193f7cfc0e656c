package issuance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"openlicenser/shared/api"
	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/token"
	"openlicenser/shared/vendorapi"
)

// Plans makes, replaces, shows, lists and removes plans. No license changes with them, so there is no audit trail of
// plans: the log says who did it.
type Plans struct {
	Store   license.PlanStore
	Secrets token.Secrets // sign the cursors of the list
	Now     func() time.Time

	// TokenLifetime is as in Licenses.
	TokenLifetime time.Duration
}

var _ Part = Plans{}

func (s Plans) routes() api.Routes {
	return api.Routes{
		"PUT /plans/{plan}":    s.put,
		"GET /plans/{plan}":    s.get,
		"DELETE /plans/{plan}": s.remove,
		"GET /plans":           s.list,
	}
}

func (s Plans) lacking() []string {
	return lacking("Plans", ports{
		"Store": s.Store != nil, "Secrets": s.Secrets != nil, "Now": s.Now != nil, "TokenLifetime": s.TokenLifetime > 0,
	})
}

// put makes the plan that the path names, or replaces it. It is idempotent, so it takes no Idempotency-Key. Where
// others change the plan between reading and writing it begins anew, and whatever the caller has sent to prevent that
// is held to what is there then.
func (s Plans) put(ctx context.Context, r api.Request) (api.Response, error) {
	conditions, err := readPlanConditions(r)
	if err != nil {
		return api.Response{}, err
	}
	asked, err := readPlan(r)
	if err != nil {
		return api.Response{}, err
	}
	notePlan(ctx, r)
	change := license.Change{At: s.Now().UTC().Truncate(time.Millisecond), By: r.Principal(), RequestID: r.ID()}
	for range maxUpdates {
		before, err := s.Store.Get(ctx, asked.Name)
		if err != nil && !errors.Is(err, license.ErrNoPlan) {
			return api.Response{}, fmt.Errorf("put: %w", err)
		}
		if err := conditions.check(before); err != nil {
			return api.Response{}, err
		}
		after, err := before.Replace(asked, wholeMinutes(s.TokenLifetime), change)
		if err != nil {
			return api.Response{}, err
		}
		if after.Version != before.Version {
			err = s.Store.Put(ctx, before, after)
		}
		switch {
		case err == nil && before.Version == 0:
			return madePlan(r, after)
		case err == nil:
			return respondPlan(http.StatusOK, after)
		case !errors.Is(err, license.ErrPlanConflict):
			return api.Response{}, fmt.Errorf("put: %w", err)
		}
	}
	return api.Response{}, license.ErrPlanConflict
}

// get shows one plan.
func (s Plans) get(ctx context.Context, r api.Request) (api.Response, error) {
	p, err := s.Store.Get(ctx, r.PathParameter("plan"))
	if err != nil {
		return api.Response{}, err
	}
	return respondPlan(http.StatusOK, p)
}

// remove removes a plan. Where it goes between reading and removing it, an earlier try of the SDK may have removed it,
// or somebody else has: it is gone, as was asked for.
func (s Plans) remove(ctx context.Context, r api.Request) (api.Response, error) {
	ifMatch, err := readIfMatch(r)
	if err != nil {
		return api.Response{}, err
	}
	notePlan(ctx, r)
	done := api.Response{Status: http.StatusNoContent, Header: map[string]string{"Cache-Control": "no-store"}}
	for attempt := range maxUpdates {
		p, err := s.Store.Get(ctx, r.PathParameter("plan"))
		switch {
		case errors.Is(err, license.ErrNoPlan) && attempt > 0:
			return done, nil
		case err != nil:
			return api.Response{}, fmt.Errorf("remove: %w", err)
		case !ifMatch.allowsTag(planTag(p)):
			return api.Response{}, errPlanStale
		}
		switch err := s.Store.Delete(ctx, p); {
		case err == nil:
			return done, nil
		case !errors.Is(err, license.ErrPlanConflict):
			return api.Response{}, fmt.Errorf("remove: %w", err)
		}
	}
	return api.Response{}, license.ErrPlanConflict
}

// list shows a page of plans, in the order of their names.
func (s Plans) list(ctx context.Context, r api.Request) (api.Response, error) {
	q := readQuery(r, queryParameters["GET /plans"]...)
	limit := q.limit()
	c, err := newCursors(ctx, s.Secrets, s.Now(), "plans")
	if err != nil {
		return api.Response{}, err
	}
	position := q.position(c)
	if err := q.err(); err != nil {
		return api.Response{}, err
	}
	plans, err := s.Store.List(ctx, position, limit+1)
	if err != nil {
		return api.Response{}, fmt.Errorf("list: %w", err)
	}
	page := vendorapi.PlanPage{Plans: []vendorapi.Plan{}}
	for _, p := range plans {
		page.Plans = append(page.Plans, representPlan(p))
	}
	fit, err := fitting(page.Plans[:min(limit, len(plans))], func(p vendorapi.Plan) ([]byte, error) {
		return json.Marshal(p)
	})
	if err != nil {
		return api.Response{}, err
	}
	if fit < len(plans) {
		page.Plans = page.Plans[:fit]
		page.Cursor = c.encode(plans[fit-1].Name)
	}
	return noStore(api.JSON(http.StatusOK, page))
}

// notePlan has the log say who changes which plan. What is no name is whatever the caller has sent.
func notePlan(ctx context.Context, r api.Request) {
	if name := r.PathParameter("plan"); license.IsPlanName(name) {
		telemetry.Note(ctx, slog.String("plan", name))
	}
	telemetry.Note(ctx, slog.String("principal", r.Principal()))
}

// planTag returns the entity tag of a plan without its quotes. A plan that was removed and made again counts from 1
// again, so the instant is in it.
func planTag(p license.Plan) string {
	return strconv.FormatInt(p.Version, 10) + "-" + strconv.FormatInt(p.Changed.UnixMilli(), 36)
}

// representPlan returns a plan as the vendor sees it.
func representPlan(p license.Plan) vendorapi.Plan {
	return vendorapi.Plan{
		Plan:            p.Name,
		Services:        append([]license.Service{}, p.Services...),
		AppURLs:         append([]license.AppURL{}, p.AppURLs...),
		Notes:           p.Notes,
		GraceDays:       p.GraceDays,
		MaxDevices:      p.MaxDevices,
		LeaseMinutes:    p.LeaseMinutes,
		MaxLeaseMinutes: p.MaxLeaseMinutes,
		DurationDays:    p.DurationDays,
		UpdatesDays:     p.UpdatesDays,
		Version:         p.Version,
		Changed:         instant(p.Changed),
		ChangedBy:       p.ChangedBy,
	}
}

func respondPlan(status int, p license.Plan) (api.Response, error) {
	response, err := noStore(api.JSON(status, representPlan(p)))
	if err != nil {
		return api.Response{}, err
	}
	response.Header["ETag"] = `"` + planTag(p) + `"`
	return response, nil
}

// madePlan responds with a plan that the request has made.
func madePlan(r api.Request, p license.Plan) (api.Response, error) {
	response, err := respondPlan(http.StatusCreated, p)
	if err != nil {
		return api.Response{}, err
	}
	response.Header["Location"] = r.URLPath()
	return response, nil
}
