package issuance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"openlicenser/shared/api"
	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

// issue makes a license and its license key. What an earlier attempt has made is the answer, whatever has become of the
// plan since.
func (s Licenses) issue(ctx context.Context, r api.Request, a attempt) (api.Response, error) {
	switch l, err := s.made(ctx, a); {
	case err == nil:
		key, err := s.Keys.sign(ctx, l)
		if err != nil {
			return api.Response{}, err
		}
		return s.issued(r, l, key)
	case !errors.Is(err, license.ErrNotFound):
		return api.Response{}, err
	}
	l, err := s.asked(ctx, r, a)
	if err != nil {
		return api.Response{}, err
	}
	note(ctx, l)
	// The key comes first. Without one there is no response, and nobody would know of a license that is stored already.
	key, err := s.Keys.sign(ctx, l)
	if err != nil {
		return api.Response{}, err
	}
	err = s.Store.Create(ctx, l)
	var taken *license.ReferenceTakenError
	isOwn := errors.As(err, &taken) && taken.LicenseID == a.newID
	if isOwn || a.again && errors.Is(err, license.ErrExists) {
		// An earlier attempt has made it meanwhile, perhaps with a customer id of its own.
		if l, err = s.Store.Get(ctx, a.newID); err == nil {
			key, err = s.Keys.sign(ctx, l)
		}
		if isOwn && errors.Is(err, license.ErrNotFound) {
			err = errGone // its reference stays
		}
	}
	if err != nil {
		return api.Response{}, fmt.Errorf("create: %w", err)
	}
	return s.issued(r, l, key)
}

// issued responds with a license that the request has made.
func (s Licenses) issued(r api.Request, l license.License, key vendorapi.LicenseKey) (api.Response, error) {
	body := represent(l, s.Now())
	body.LicenseKey, body.ShortKey = key.LicenseKey, key.ShortKey
	response, err := withETag(http.StatusCreated, body)
	if err != nil {
		return api.Response{}, err
	}
	response.Header["Location"] = r.URLPath() + "/" + l.ID
	return response, nil
}

// asked returns the license that the request asks for: what it says, over what its plan says.
func (s Licenses) asked(ctx context.Context, r api.Request, a attempt) (license.License, error) {
	object, err := readMembers(r)
	if err != nil {
		return license.License{}, err
	}
	var draft license.Draft
	plan, errPlan := s.plan(ctx, readPlanName(object))
	switch {
	case errPlan == nil && plan.Version > 0:
		draft = plan.Draft(a.at)
	case errPlan != nil && !isInvalid(errPlan):
		return license.License{}, errPlan
	}
	err = readDraft(object, &draft)
	if errPlan != nil {
		return license.License{}, mergeInvalid(err, errPlan) // what is missing could be in the right plan
	}
	draft.Origin = draft.Origin.Without(slices.Collect(maps.Keys(object))...)
	draft.TokenMinutes = wholeMinutes(s.TokenLifetime)
	l, errDraft := draft.Issue(a.newID, a.change(""))
	return l, mergeInvalid(err, errDraft)
}

// plan returns the plan with the name, and the zero Plan for an empty one. A name that is no plan's is a
// *license.InvalidError.
func (s Licenses) plan(ctx context.Context, name string) (license.Plan, error) {
	if name == "" {
		return license.Plan{}, nil
	}
	p, err := s.Plans.Get(ctx, name)
	switch {
	case errors.Is(err, license.ErrNoPlan):
		return license.Plan{}, &license.InvalidError{Fields: []license.FieldError{{
			Field: "plan", Message: "must be the name of a plan; GET /plans lists them, PUT /plans/{plan} makes one",
		}}}
	case err != nil:
		return license.Plan{}, fmt.Errorf("plan: %w", err)
	}
	return p, nil
}

// withPlan returns the patch with what its plan says.
func (s Licenses) withPlan(ctx context.Context, p license.Patch) (license.Patch, error) {
	if p.Plan == nil || *p.Plan == "" {
		return p, nil
	}
	plan, err := s.plan(ctx, *p.Plan)
	if err != nil {
		return p, err
	}
	return p.WithPlan(plan), nil
}
