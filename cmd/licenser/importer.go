package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"openlicenser/cmd/licenser/licensefile"
	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

// importer issues the licenses of rows.
type importer struct {
	api  *vendorapi.Client
	plan string // of rows that name none
	file string // tells files apart
	pace *rate.Limiter

	fastest rate.Limit // that was asked for

	changing sync.Mutex // the pace

	asking sync.Mutex
	plans  map[string]*vendorapi.Plan // by name; nil where there is none
}

// draft completes a row. Its reference is what makes a row that is sent again the same one.
func (i *importer) draft(row licensefile.Row) vendorapi.LicenseDraft {
	d := row.Draft
	if d.Plan == "" {
		d.Plan = i.plan
	}
	if d.Reference == "" {
		d.Reference = fmt.Sprintf("import-%s-%d", i.file, row.Line)
	}
	return d
}

// checkedRow is what is known of a row before anything is issued.
type checkedRow struct {
	line      int
	reference string // as the row has it, in the form in which it is stored
	problems  []license.FieldError
	exists    bool
}

// check checks a row by the rules of the server, without asking it. Only where a row is refused by them it asks whether
// the license is there: one that was issued a month ago may have ended since.
func (i *importer) check(ctx context.Context, row licensefile.Row) (checkedRow, error) {
	checked := checkedRow{line: row.Line, problems: row.Problems}
	checked.reference, _ = license.CanonicalReference(row.Draft.Reference)
	if len(checked.problems) > 0 {
		return checked, nil
	}
	draft := i.draft(row)
	plan, err := i.planOf(ctx, draft.Plan)
	if err != nil {
		return checked, err
	}
	if checked.problems = draftProblems(draft, plan, time.Now()); !mayHaveBeenFine(draft, checked.problems) {
		return checked, nil
	}
	var l vendorapi.License
	err = i.try(ctx, func() (err error) {
		l, err = i.api.License(ctx, vendorapi.ByReference(draft.Reference))
		return err
	})
	var problem *vendorapi.Problem
	switch {
	case err == nil && l.LicenseID != "":
		checked.problems, checked.exists = nil, true
	case errors.As(err, &problem) && isOfRow(problem):
	case err != nil:
		return checked, err
	}
	return checked, nil
}

// mayHaveBeenFine reports whether there are problems, and all of them can come with time: the end has passed, or the
// plan is another one or gone.
func mayHaveBeenFine(d vendorapi.LicenseDraft, problems []license.FieldError) bool {
	_, err := license.ParseEnd(d.ExpirationDate)
	isDate := err == nil || d.ExpirationDate == ""
	return len(problems) > 0 && isDate && !slices.ContainsFunc(problems, func(p license.FieldError) bool {
		return p.Field != "expirationdate" && p.Field != "plan"
	})
}

// planOf returns a plan, and nil where there is none of the name.
func (i *importer) planOf(ctx context.Context, name string) (*vendorapi.Plan, error) {
	if name == "" {
		return nil, nil
	}
	i.asking.Lock()
	defer i.asking.Unlock()
	plan, isKnown := i.plans[name]
	if isKnown {
		return plan, nil
	}
	err := i.try(ctx, func() error {
		p, err := i.api.Plan(ctx, name)
		plan = &p
		return err
	})
	var problem *vendorapi.Problem
	if errors.As(err, &problem) && isOfRow(problem) {
		plan, err = nil, nil
	}
	if err == nil {
		i.plans[name] = plan
	}
	return plan, err
}

// issue issues the license of a row. An earlier import may have done it, or an earlier try whose response was lost.
func (i *importer) issue(ctx context.Context, row licensefile.Row) (importedRow, error) {
	draft := i.draft(row)
	done := importedRow{Line: row.Line, Reference: draft.Reference, isAnonymous: row.Draft.Reference == ""}
	err := i.try(ctx, func() error {
		l, err := i.api.Issue(ctx, draft, vendorapi.Options{})
		if err == nil {
			done.Result, done.LicenseID = rowIssued, l.LicenseID
			done.LicenseKey, done.ShortKey = l.LicenseKey, l.ShortKey
		}
		return err
	})
	var problem *vendorapi.Problem
	if !errors.As(err, &problem) || !isOfRow(problem) {
		return done, err
	}
	return i.find(ctx, done, draft.Plan, problem)
}

// find completes a row that was refused: its license may exist.
func (i *importer) find(
	ctx context.Context, done importedRow, plan string, refusal *vendorapi.Problem,
) (importedRow, error) {
	var l vendorapi.License
	var key vendorapi.LicenseKey
	err := i.try(ctx, func() (err error) {
		if l, err = i.api.License(ctx, vendorapi.ByReference(done.Reference)); err == nil {
			key, err = i.api.LicenseKey(ctx, l.LicenseID)
		}
		return err
	})
	var problem *vendorapi.Problem
	switch {
	case err == nil:
		done.Result, done.LicenseID = rowExisted, l.LicenseID
		done.LicenseKey, done.ShortKey = key.LicenseKey, key.ShortKey
		if l.Plan != plan {
			done.Reason = fmt.Sprintf("it is of the plan %q and not of %q; a reference of its own makes another "+
				"license",
				l.Plan, plan)
		}
	case !errors.As(err, &problem) || !isOfRow(problem):
		return done, err
	case refusal.Code == "REFERENCE_TAKEN":
		done.Result, done.LicenseID = rowRefused, refusal.LicenseID
		done.Reason = "the license of this reference was deleted; give the row another reference to issue a new one"
	default:
		done.Result, done.Reason = rowRefused, reasonOf(refusal)
	}
	return done, nil
}

// reasonOf tells why a row was refused, in one line.
func reasonOf(p *vendorapi.Problem) string {
	if len(p.Errors) == 0 {
		return strings.TrimSpace(p.Code + " " + p.Detail)
	}
	return strings.Join(mapped(p.Errors, func(e license.FieldError) string { return e.Field + " " + e.Message }), "; ")
}

// The pauses between tries, and how the pace follows what the service bears.
const (
	importTries  = 8
	firstPause   = 500 * time.Millisecond
	longestPause = 20 * time.Second

	slowdown = 0.7 // of the pace, at each request that was one too many
	speedup  = 1.05
	firstCap = 100 // a second, where no pace was asked for
)

// try calls the service at the pace that was asked for, and again while it cannot be reached or asks for patience. Each
// call must be one that may be repeated.
func (i *importer) try(ctx context.Context, call func() error) (err error) {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		if err := i.pace.Wait(ctx); err != nil {
			return err
		}
		err = call()
		wait, mayPass := waitFor(err)
		switch {
		case err == nil:
			i.speedUp()
			return nil
		case !mayPass || attempt == importTries || ctx.Err() != nil:
			return err
		}
		i.slowDown()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(pause, wait)):
		}
		pause = min(2*pause, longestPause)
	}
}

// waitFor reports whether an error may pass, and how long the service asks to wait, up to a bound.
func waitFor(err error) (wait time.Duration, mayPass bool) {
	var problem *vendorapi.Problem
	var network *url.Error
	if errors.As(err, &problem) {
		isBusy := problem.Status == http.StatusTooManyRequests || problem.Status >= http.StatusInternalServerError
		return min(problem.RetryAfter, longestPause), isBusy
	}
	return 0, errors.As(err, &network)
}

// slowDown lowers the pace where the service is asked too much, and speedUp raises it again, up to what was asked for.
func (i *importer) slowDown() {
	i.changing.Lock()
	defer i.changing.Unlock()
	i.pace.SetLimit(max(min(i.pace.Limit(), firstCap)*slowdown, 1))
}

func (i *importer) speedUp() {
	i.changing.Lock()
	defer i.changing.Unlock()
	if limit := i.pace.Limit(); limit < i.fastest {
		i.pace.SetLimit(min(limit*speedup, i.fastest))
	}
}

// draftProblems returns what the server would refuse, but for what it alone knows: how long tokens are valid.
func draftProblems(asked vendorapi.LicenseDraft, plan *vendorapi.Plan, now time.Time) []license.FieldError {
	var draft license.Draft
	switch {
	case plan != nil:
		draft = domainPlan(*plan).Draft(now)
	case asked.Plan != "":
		return []license.FieldError{{
			Field: "plan", Message: "must be the name of a plan; licenser plan list shows them",
		}}
	}
	draft.CustomerID, draft.CustomerName = asked.CustomerID, asked.CustomerName
	draft.Reference, draft.Email = asked.Reference, asked.Email
	var own []string // fields that do not come from the plan
	over := func(field string, isGiven bool, set func()) {
		if isGiven {
			own = append(own, field)
			set()
		}
	}
	over("expirationdate", asked.ExpirationDate != "", func() { draft.ExpirationDate = asked.ExpirationDate })
	over("updatesuntil", asked.UpdatesUntil != "", func() { draft.UpdatesUntil = &asked.UpdatesUntil })
	over("services", asked.Services != nil, func() { draft.Services = asked.Services })
	over("appurls", asked.AppURLs != nil, func() { draft.AppURLs = asked.AppURLs })
	over("notes", asked.Notes != nil, func() { draft.Notes = *asked.Notes })
	over("gracedays", asked.GraceDays != nil, func() { draft.GraceDays = *asked.GraceDays })
	over("maxdevices", asked.MaxDevices != nil, func() { draft.MaxDevices = *asked.MaxDevices })
	over("leaseminutes", asked.LeaseMinutes != nil, func() { draft.LeaseMinutes = *asked.LeaseMinutes })
	over("maxleaseminutes", asked.MaxLeaseMinutes != nil, func() { draft.MaxLeaseMinutes = *asked.MaxLeaseMinutes })
	draft.Origin = draft.Origin.Without(own...)
	const anyID = "00000000-0000-7000-8000-000000000000"
	_, err := draft.Issue(anyID, license.Change{At: now})
	var invalid *license.InvalidError
	if errors.As(err, &invalid) {
		return invalid.Fields
	}
	return nil
}

func domainPlan(p vendorapi.Plan) license.Plan {
	return license.Plan{
		Name: p.Plan, Services: p.Services, AppURLs: p.AppURLs, Notes: p.Notes, GraceDays: p.GraceDays,
		MaxDevices: p.MaxDevices, LeaseMinutes: p.LeaseMinutes, MaxLeaseMinutes: p.MaxLeaseMinutes,
		DurationDays: p.DurationDays, UpdatesDays: p.UpdatesDays,
	}
}
