package issuance

import (
	"errors"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"openlicenser/shared/api"
	"openlicenser/shared/license"
)

var (
	errBadIfNoneMatch = errors.New("If-None-Match is not *")
	errPlanStale      = errors.New("If-Match does not match the plan")
	errPlanExists     = errors.New("If-None-Match is *, and there is such a plan")
)

// planConditions are the preconditions of a PUT.
type planConditions struct {
	ifMatch   ifMatch
	isReplace bool // there was an If-Match, so there must be a plan
	isNew     bool // there must be none
}

// readPlanConditions reads If-Match and If-None-Match (RFC 9110 sections 13.1.1 and 13.1.2). Of the latter only * has a
// use here. The error is errBadIfMatch or errBadIfNoneMatch.
func readPlanConditions(r api.Request) (c planConditions, err error) {
	if c.ifMatch, err = readIfMatch(r); err != nil {
		return c, err
	}
	c.isReplace = r.HeaderValues("If-Match") != nil
	if lines := r.HeaderValues("If-None-Match"); lines != nil {
		c.isNew = trimSpace(strings.Join(lines, ",")) == "*"
		if !c.isNew {
			return c, errBadIfNoneMatch
		}
	}
	return c, nil
}

// check returns errPlanStale or errPlanExists where the plan, or that there is none, does not meet the preconditions.
func (c planConditions) check(p license.Plan) error {
	isThere := p.Version > 0
	switch {
	case c.isReplace && (!isThere || !c.ifMatch.allowsTag(planTag(p))):
		return errPlanStale
	case c.isNew && isThere:
		return errPlanExists
	}
	return nil
}

// readPlan reads a whole plan: what is absent or null is none. What only the server writes is ignored, so that a plan
// can be sent back as it was answered.
func readPlan(r api.Request) (p license.Plan, err error) {
	p.Name = r.PathParameter("plan")
	named := p.Name
	var ignored jsontext.Value
	err = readObject(r, map[string]field{
		"plan":         {&named, "must be a string"},
		"services":     {&p.Services, `must be a list of {"serviceName": "…", "serviceValue": "…"}`},
		"appurls":      {&p.AppURLs, `must be a list of {"URL": "…"}`},
		"notes":        {&p.Notes, "must be a string"},
		"gracedays":    {&p.GraceDays, "must be a whole number"},
		"durationdays": {&p.DurationDays, "must be a whole number"},
		"updatesdays":  {&p.UpdatesDays, "must be a whole number"},

		"maxdevices":      {&p.MaxDevices, "must be a whole number"},
		"leaseminutes":    {&p.LeaseMinutes, "must be a whole number"},
		"maxleaseminutes": {&p.MaxLeaseMinutes, "must be a whole number"},

		"version":   {&ignored, ""},
		"changed":   {&ignored, ""},
		"changedby": {&ignored, ""},
	})
	if err == nil && named != p.Name {
		other := license.FieldError{Field: "plan", Message: "must be the name in the path, or absent"}
		err = &license.InvalidError{Fields: []license.FieldError{other}}
	}
	return p, err
}
