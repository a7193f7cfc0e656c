package main

import (
	"context"
	"errors"
	"net/http"
	"reflect"

	"github.com/google/uuid"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

type changeCommand struct {
	licenseTarget
	AddURL        []string `name:"add-url" help:"One URL more; can be repeated." placeholder:"URL" sep:"none"`
	RemoveURL     []string `name:"remove-url" help:"One URL less; can be repeated." placeholder:"URL" sep:"none"`
	ClearURLs     bool     `name:"clear-urls" help:"Begin with no URLs, and add those of --add-url."`
	Service       services `help:"One service more, or another name for the one of this value; can be repeated." placeholder:"NAME=VALUE" sep:"none"`
	RemoveService []string `help:"The service of this value less; can be repeated." placeholder:"VALUE" sep:"none"`
	ClearServices bool     `help:"Begin with no services, and add those of --service."`

	Plan         *string `help:"Another plan. What it has of services, URLs, grace and devices comes with it, and other flags win. An empty one takes the name away." placeholder:"NAME"`
	CustomerName *string `help:"What the customer is called." placeholder:"NAME"`
	Expires      *string `help:"Another end, also an earlier one: a date or never." placeholder:"DATE"`
	UpdatesUntil *string `help:"Another end of maintenance: a date or never." placeholder:"DATE"`
	Reference    *string `help:"The reference of a license that has none yet." placeholder:"TEXT"`
	Email        *string `help:"The customer's e-mail address; an empty one takes it away." placeholder:"ADDRESS"`
	Notes        *string `help:"For your own people." placeholder:"TEXT"`
	GraceDays    *int    `help:"Days after the end for which the license still works." placeholder:"N"`
	TokenKeyID   *string `name:"token-key-id" help:"The kid of the token key that signs for this license alone; an empty one takes the pin away." placeholder:"KID"`

	MaxDevices      *int `help:"How many devices may use it at the same time; 0: as many as like." placeholder:"N"`
	LeaseMinutes    *int `help:"How long a device holds its seat without asking again; 0: as long as a token is valid." placeholder:"N"`
	MaxLeaseMinutes *int `help:"The longest that a product may ask for; 0: the lease." placeholder:"N"`

	Reason string `help:"Why, for the audit trail." placeholder:"TEXT"`
}

func (changeCommand) Help() string {
	return "It reads the license, and changes it only if nobody else has changed it meanwhile.\n\n" + examples(
		`licenser license change order-4711 --add-url https://app.example.com --reason "second site"`,
		`licenser license change order-4711 --plan pro --email office@example.com`,
		`licenser license change order-4711 --remove-url https://app.example.com --max-devices 5`)
}

// maxChanges bounds how often a change begins anew because others have changed the license meanwhile.
const maxChanges = 3

// Run begins anew where somebody else was faster: each flag says what it wants of any state of the license.
func (c changeCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	if c.isEmpty() {
		return usageError("Nothing to change: say what, as --add-url URL. licenser license change --help lists it all.")
	}
	added, err := c.Service.read()
	if err != nil {
		return err
	}
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		before, err := api.License(ctx, c.License.id())
		if err != nil {
			return c.License.explain(err)
		}
		patch, err := c.patch(ctx, api, before, added)
		if err != nil {
			return err
		}
		options := vendorapi.Options{IfMatch: before.ETag, IdempotencyKey: uuid.NewString()}
		after, err := api.Change(ctx, before.LicenseID, patch, options)
		if attempt < maxChanges && isStale(err) {
			continue
		}
		if err != nil {
			return err
		}
		if after.Version == before.Version {
			t.Say("It was so already: nothing was changed.")
		}
		return terminal.Show(t, licenseColumns(t.Now()), after)
	}
}

// isEmpty reports whether nothing is to be changed.
func (c changeCommand) isEmpty() bool {
	c.licenseTarget, c.Reason = licenseTarget{}, ""
	return reflect.DeepEqual(c, changeCommand{})
}

// patch returns what to send. Lists are edited as the license has them, or as the new plan does.
func (c changeCommand) patch(
	ctx context.Context, api *vendorapi.Client, l vendorapi.License, added []license.Service,
) (vendorapi.LicensePatch, error) {
	p := vendorapi.LicensePatch{
		Plan: c.Plan, CustomerName: c.CustomerName, ExpirationDate: c.Expires, UpdatesUntil: c.UpdatesUntil,
		Reference: c.Reference, Email: c.Email, Notes: c.Notes, GraceDays: c.GraceDays, TokenKeyID: c.TokenKeyID,
		MaxDevices: c.MaxDevices, LeaseMinutes: c.LeaseMinutes, MaxLeaseMinutes: c.MaxLeaseMinutes, Reason: c.Reason,
	}
	editsServices := c.ClearServices || len(c.Service)+len(c.RemoveService) > 0
	editsURLs := c.ClearURLs || len(c.AddURL)+len(c.RemoveURL) > 0
	if !editsServices && !editsURLs {
		return p, nil
	}
	var plan vendorapi.Plan
	if valueOf(c.Plan) != "" {
		var err error
		if plan, err = api.Plan(ctx, *c.Plan); err != nil {
			return p, err
		}
	}
	if c.ClearServices && len(c.RemoveService) > 0 || c.ClearURLs && len(c.RemoveURL) > 0 {
		return p, usageError("With --clear-services there is nothing left to remove, and so it is with --clear-urls.")
	}
	if editsServices {
		list, err := startingList(c.ClearServices, plan.Services, l.ServiceList)
		if err != nil {
			return p, usageError("The services of the license: %v; --clear-services begins anew.", err)
		}
		if list, err = editServices(list, added, c.RemoveService); err != nil {
			return p, err
		}
		p.Services = &list
	}
	if editsURLs {
		list, err := startingList(c.ClearURLs, plan.AppURLs, l.AppURLList)
		if err != nil {
			return p, usageError("The URLs of the license: %v; --clear-urls begins anew.", err)
		}
		if list, err = editAppURLs(list, c.AddURL, c.RemoveURL); err != nil {
			return p, err
		}
		p.AppURLs = &list
	}
	return p, nil
}

// startingList returns the list that is edited, which is not nil.
func startingList[T any](clear bool, ofPlan []T, ofLicense func() ([]T, error)) (list []T, err error) {
	switch {
	case clear:
	case len(ofPlan) > 0:
		list = ofPlan
	default:
		list, err = ofLicense()
	}
	return append([]T{}, list...), err
}

// isStale reports whether an error says that somebody else has changed the license.
func isStale(err error) bool {
	var problem *vendorapi.Problem
	return errors.As(err, &problem) &&
		(problem.Status == http.StatusPreconditionFailed || problem.Code == "CONFLICT")
}
