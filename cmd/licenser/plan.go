package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

type planCommand struct {
	Put    planPutCommand    `cmd:"" help:"Make a plan, or replace the one of this name."`
	Change planChangeCommand `cmd:"" help:"Change a plan: add or remove a URL or a service, or set a field."`
	List   planListCommand   `cmd:"" help:"List the plans."`
	Show   planShowCommand   `cmd:"" help:"Show a plan."`
	Delete planDeleteCommand `cmd:"" help:"Remove a plan. Licenses keep what they have of it."`
}

// planColumns are all facts about a plan, by the names of the vendor's API.
func planColumns(now time.Time) []terminal.Column[vendorapi.Plan] {
	number := func(name, title string, of func(vendorapi.Plan) int) terminal.Column[vendorapi.Plan] {
		return terminal.Column[vendorapi.Plan]{
			Name: name, Title: title, Extra: true,
			Text: func(p vendorapi.Plan) string { return numberText(of(p)) },
		}
	}
	return []terminal.Column[vendorapi.Plan]{
		{Name: "plan", Title: "PLAN", Narrow: 12, Text: func(p vendorapi.Plan) string { return p.Plan }},
		number("durationdays", "DAYS", func(p vendorapi.Plan) int { return p.DurationDays }),
		number("updatesdays", "UPDATES", func(p vendorapi.Plan) int { return p.UpdatesDays }),
		number("gracedays", "GRACE", func(p vendorapi.Plan) int { return p.GraceDays }),
		number("maxdevices", "DEVICES", func(p vendorapi.Plan) int { return p.MaxDevices }),
		number("leaseminutes", "", func(p vendorapi.Plan) int { return p.LeaseMinutes }),
		number("maxleaseminutes", "", func(p vendorapi.Plan) int { return p.MaxLeaseMinutes }),
		{
			Name: "services", Title: "SERVICES", Narrow: 16,
			Text: func(p vendorapi.Plan) string { return listText(p.Services) },
			People: func(p vendorapi.Plan) string {
				return servicesForPeople(vendorapi.License{Services: []byte(listText(p.Services))})
			},
		},
		{
			Name: "appurls",
			Text: func(p vendorapi.Plan) string { return listText(p.AppURLs) },
			People: func(p vendorapi.Plan) string {
				return urlsForPeople(vendorapi.License{AppURLs: []byte(listText(p.AppURLs))})
			},
		},
		{Name: "notes", Text: func(p vendorapi.Plan) string { return p.Notes }},
		{
			Name: "changed", Text: func(p vendorapi.Plan) string { return instantText(p.Changed) },
			People: func(p vendorapi.Plan) string { return instantForPeople(p.Changed, now) },
		},
		{Name: "changedby", Text: func(p vendorapi.Plan) string { return p.ChangedBy }},
	}
}

// listText returns a list as the API writes it.
func listText[T any](list []T) string {
	text, err := json.Marshal(append([]T{}, list...))
	if err != nil {
		panic(err) // structs of strings always marshal
	}
	return string(text)
}

type planName struct {
	Plan string `arg:"" name:"plan" help:"The name of the plan."`
	vendorAPI
}

// Validate is called by the parser.
func (p planName) Validate() error {
	if !license.IsPlanName(p.Plan) {
		return fmt.Errorf("%q is no name of a plan: 1 to 64 letters, digits, dots, underscores and hyphens, "+
			"and a letter or a digit first", p.Plan)
	}
	return nil
}

type planPutCommand struct {
	planName
	DurationDays    int      `help:"Days from the issue of a license to its end. Without it each license is given an end." placeholder:"N"`
	UpdatesDays     int      `help:"Days from the issue of a license to the end of its maintenance." placeholder:"N"`
	Service         services `help:"What its licenses allow: a name for people, and the value that the product asks for; can be repeated." placeholder:"NAME=VALUE" sep:"none"`
	URL             []string `name:"url" help:"Where a web application may run; can be repeated." placeholder:"URL" sep:"none"`
	Notes           string   `help:"What a new license gets for notes." placeholder:"TEXT"`
	GraceDays       int      `help:"Days after the end for which a license still works." placeholder:"N"`
	MaxDevices      int      `help:"How many devices may use a license at the same time; without it as many as like." placeholder:"N"`
	LeaseMinutes    int      `help:"How long a device holds its seat without asking again." placeholder:"N"`
	MaxLeaseMinutes int      `help:"The longest that a product may ask for." placeholder:"N"`
	New             bool     `help:"Refuse to replace a plan that is there."`
	consent
}

func (planPutCommand) Help() string {
	return "The flags are the whole plan: what is not named it does not have. At a terminal it asks before it " +
		"replaces another one; a script replaces. A changed plan changes no license.\n\n" +
		examples(`licenser plan put pro --duration-days 365 --updates-days 365 --service Reports=reports`,
			`licenser plan put trial --duration-days 14 --service Reports=reports --max-devices 1`)
}

func (c planPutCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	list, err := c.Service.read()
	if err != nil {
		return err
	}
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	options, err := c.conditions(ctx, t, api)
	if err != nil {
		return err
	}
	p, err := api.PutPlan(ctx, vendorapi.Plan{
		Plan: c.Plan, Services: list, AppURLs: appURLs(c.URL), Notes: c.Notes, GraceDays: c.GraceDays,
		MaxDevices: c.MaxDevices, LeaseMinutes: c.LeaseMinutes, MaxLeaseMinutes: c.MaxLeaseMinutes,
		DurationDays: c.DurationDays, UpdatesDays: c.UpdatesDays,
	}, options)
	var problem *vendorapi.Problem
	if errors.As(err, &problem) && problem.Code == "PLAN_EXISTS" {
		return exitError{"There is a plan " + c.Plan + " already. Leave --new out to replace it.", exitConflict}
	}
	if err != nil {
		return err
	}
	return terminal.Show(t, planColumns(t.Now()), p)
}

// conditions returns on which state the plan is put: on the one that was asked about.
func (c planPutCommand) conditions(
	ctx context.Context, t *terminal.Terminal, api *vendorapi.Client,
) (vendorapi.Options, error) {
	switch {
	case c.New:
		return vendorapi.Options{IfNoneMatch: "*"}, nil
	case c.Yes || !t.CanAsk:
		return vendorapi.Options{}, nil
	}
	before, err := api.Plan(ctx, c.Plan)
	var problem *vendorapi.Problem
	if errors.As(err, &problem) && problem.Status == http.StatusNotFound {
		return vendorapi.Options{IfNoneMatch: "*"}, nil
	}
	if err != nil {
		return vendorapi.Options{}, err
	}
	question := "There is a plan " + c.Plan + ". Replace it whole? licenser plan change changes parts of it."
	return vendorapi.Options{IfMatch: before.ETag}, t.Confirm(ctx, false, question)
}

type planChangeCommand struct {
	planName
	AddURL        []string `name:"add-url" help:"One URL more; can be repeated." placeholder:"URL" sep:"none"`
	RemoveURL     []string `name:"remove-url" help:"One URL less; can be repeated." placeholder:"URL" sep:"none"`
	Service       services `help:"One service more, or another name for the one of this value; can be repeated." placeholder:"NAME=VALUE" sep:"none"`
	RemoveService []string `help:"The service of this value less; can be repeated." placeholder:"VALUE" sep:"none"`

	DurationDays    *int    `help:"Days from the issue of a license to its end; 0: each license is given an end." placeholder:"N"`
	UpdatesDays     *int    `help:"Days from the issue of a license to the end of its maintenance; 0: no end." placeholder:"N"`
	Notes           *string `help:"What a new license gets for notes." placeholder:"TEXT"`
	GraceDays       *int    `help:"Days after the end for which a license still works." placeholder:"N"`
	MaxDevices      *int    `help:"How many devices may use a license at the same time; 0: as many as like." placeholder:"N"`
	LeaseMinutes    *int    `help:"How long a device holds its seat without asking again; 0: as long as a token is valid." placeholder:"N"`
	MaxLeaseMinutes *int    `help:"The longest that a product may ask for; 0: the lease." placeholder:"N"`
}

func (planChangeCommand) Help() string {
	return "It changes no license that was issued. licenser license change --plan brings one to the plan as it is " +
		"now.\n\n" +
		examples(`licenser plan change pro --service Charts=charts --max-devices 5`)
}

// Run begins anew where somebody else was faster: each flag says what it wants of any state of the plan.
func (c planChangeCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	added, err := c.Service.read()
	if err != nil {
		return err
	}
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		before, err := api.Plan(ctx, c.Plan)
		if err != nil {
			return err
		}
		after, err := c.edit(before, added)
		if err != nil {
			return err
		}
		after, err = api.PutPlan(ctx, after, vendorapi.Options{IfMatch: before.ETag})
		if attempt < maxChanges && isStale(err) {
			continue
		}
		if err != nil {
			return err
		}
		return terminal.Show(t, planColumns(t.Now()), after)
	}
}

func (c planChangeCommand) edit(p vendorapi.Plan, added []license.Service) (edited vendorapi.Plan, err error) {
	if p.Services, err = editServices(p.Services, added, c.RemoveService); err != nil {
		return p, err
	}
	if p.AppURLs, err = editAppURLs(p.AppURLs, c.AddURL, c.RemoveURL); err != nil {
		return p, err
	}
	for _, number := range []struct{ target, value *int }{
		{&p.DurationDays, c.DurationDays}, {&p.UpdatesDays, c.UpdatesDays}, {&p.GraceDays, c.GraceDays},
		{&p.MaxDevices, c.MaxDevices}, {&p.LeaseMinutes, c.LeaseMinutes}, {&p.MaxLeaseMinutes, c.MaxLeaseMinutes},
	} {
		if number.value != nil {
			*number.target = *number.value
		}
	}
	if c.Notes != nil {
		p.Notes = *c.Notes
	}
	return p, nil
}

type planListCommand struct{ vendorAPI }

func (planListCommand) Help() string { return examples(`licenser plan list`) }

func (c planListCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	return terminal.List(t, planColumns(t.Now()), api.Plans(ctx))
}

type planShowCommand struct{ planName }

func (planShowCommand) Help() string { return examples(`licenser plan show pro`) }

func (c planShowCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	p, err := api.Plan(ctx, c.Plan)
	if err != nil {
		return err
	}
	return terminal.Show(t, planColumns(t.Now()), p)
}

type planDeleteCommand struct {
	planName
	consent
}

func (planDeleteCommand) Help() string { return examples(`licenser plan delete basic --yes`) }

func (c planDeleteCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	question := "Delete the plan " + c.Plan + "? Licenses keep what they have of it."
	if err := t.Confirm(ctx, c.Yes, question); err != nil {
		return err
	}
	if err := api.DeletePlan(ctx, c.Plan, vendorapi.Options{}); err != nil {
		return err
	}
	t.Say("The plan %s is deleted.", c.Plan)
	return nil
}
