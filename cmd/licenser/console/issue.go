package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"openlicenser/shared/vendorapi"
)

// issueFields are the fields of a new license. Those that are left empty come from the plan.
func (c *Console) issueFields(ctx context.Context) ([]field, error) {
	options, err := c.planOptions(ctx, "none: by hand")
	fields := append([]field{{
		Name: "plan", Label: "Plan", Type: "select", Options: options,
		Help: "Fields that are left empty come from the plan.",
	}}, licenseFields()...)
	return fields, err
}

// newLicense shows the form of a new license.
func (c *Console) newLicense(r *http.Request) (page, error) {
	return c.issuePage(r, newForm(url.Values{"plan": r.Form["plan"]}), http.StatusOK)
}

func (c *Console) issuePage(r *http.Request, f *form, status int) (page, error) {
	fields, err := c.issueFields(r.Context())
	if err != nil {
		return page{}, err
	}
	key := f.text("once")
	if key == "" {
		key = keyed().IdempotencyKey
	}
	return page{status: status, template: "form.html", title: "Issue a license", data: formData{
		Intro:  "The license can be used at once. Its license key is on the next page, with a text for the customer.",
		Button: "Issue", Cancel: c.at("/"), Fields: f.fill(fields), Errors: f.other,
		Hidden: map[string]string{"once": key},
	}}, nil
}

// issue issues a license. A form that is sent twice issues one.
func (c *Console) issue(r *http.Request) (page, error) {
	f := newForm(r.PostForm)
	draft := vendorapi.LicenseDraft{
		Plan: f.text("plan"), CustomerName: f.text("customername"), Email: f.text("email"),
		ExpirationDate: f.text("expirationdate"), UpdatesUntil: f.text("updatesuntil"), Reference: f.text("reference"),
		Services: f.services("services"), AppURLs: f.appURLs("appurls"), GraceDays: f.number("gracedays"),
		MaxDevices: f.number("maxdevices"), LeaseMinutes: f.number("leaseminutes"),
		MaxLeaseMinutes: f.number("maxleaseminutes"), Notes: f.pointer("notes"),
	}
	var issued vendorapi.License
	var err error
	if f.isFine() {
		issued, err = c.API.Issue(r.Context(), draft, vendorapi.Options{IdempotencyKey: f.text("once")})
	}
	refused, err := f.refused(err)
	switch {
	case err != nil:
		return page{}, err
	case refused || !f.isFine():
		return c.issuePage(r, f, http.StatusBadRequest)
	}
	return goTo(licensePath(issued.LicenseID) + "?issued=1"), nil
}

// plans shows all plans.
func (c *Console) plans(r *http.Request) (page, error) {
	var all []vendorapi.Plan
	for p, err := range c.API.Plans(r.Context()) {
		if err != nil {
			return page{}, err
		}
		all = append(all, p)
	}
	return page{template: "plans.html", title: "Plans", data: all}, nil
}

// planFormFields are the fields of a plan but for its name.
func planFormFields() []field {
	fields := []field{
		{
			Name: "durationdays", Label: "Duration in days", Type: "number",
			Help: "From the issue of a license to its end. Empty: each license is given an end.",
		},
		{
			Name: "updatesdays", Label: "Updates in days", Type: "number",
			Help: "From the issue of a license to the end of its maintenance.",
		},
	}
	fields = append(fields, rightsFields()...)
	return append(fields, field{
		Name: "notes", Label: "Notes", Type: "textarea", Rows: 3, Help: "What a new license gets for notes.",
	})
}

type planData struct {
	Plan vendorapi.Plan
	Form formData
}

func (c *Console) planPage(p vendorapi.Plan, f *form, status int) page {
	fields := setValues(planFormFields(), map[string]string{
		"durationdays": numberText(p.DurationDays), "updatesdays": numberText(p.UpdatesDays),
		"services": serviceLines(p.Services), "appurls": urlLines(p.AppURLs), "gracedays": numberText(p.GraceDays),
		"maxdevices": numberText(p.MaxDevices), "leaseminutes": numberText(p.LeaseMinutes),
		"maxleaseminutes": numberText(p.MaxLeaseMinutes), "notes": p.Notes,
	})
	title, hidden := "Plan "+p.Plan, map[string]string{"etag": p.ETag}
	if p.Version == 0 {
		title = "New plan"
		fields = append([]field{{
			Name: "plan", Label: "Name", Type: "text", Required: true,
			Help: "Letters, digits, dots, hyphens. It stays.",
		}}, fields...)
		hidden = nil
	}
	return page{status: status, template: "plan.html", title: title, data: planData{Plan: p, Form: formData{
		Intro:  "A license that is issued from it gets a copy. Changing the plan changes no license.",
		Button: "Save", Cancel: c.at("/plans"), Fields: f.fill(fields), Errors: f.other, Hidden: hidden,
	}}}
}

func (c *Console) newPlan(*http.Request) (page, error) {
	return c.planPage(vendorapi.Plan{}, newForm(nil), http.StatusOK), nil
}

func (c *Console) plan(r *http.Request) (page, error) {
	p, err := c.API.Plan(r.Context(), r.PathValue("plan"))
	if err != nil {
		return page{}, err
	}
	return c.planPage(p, newForm(nil), http.StatusOK), nil
}

// putPlan makes the plan that the form names, or replaces the one that the path names.
func (c *Console) putPlan(r *http.Request) (page, error) {
	f := newForm(r.PostForm)
	before := vendorapi.Plan{Plan: r.PathValue("plan"), Version: 1, ETag: f.text("etag")}
	options := vendorapi.Options{IfMatch: before.ETag}
	if before.Plan == "" {
		before, options = vendorapi.Plan{Plan: f.text("plan")}, vendorapi.Options{IfNoneMatch: "*"}
	}
	number := func(name string) int {
		if n := f.number(name); n != nil {
			return *n
		}
		return 0
	}
	p := vendorapi.Plan{
		Plan: before.Plan, Services: f.services("services"), AppURLs: f.appURLs("appurls"), Notes: f.text("notes"),
		GraceDays: number("gracedays"), MaxDevices: number("maxdevices"), LeaseMinutes: number("leaseminutes"),
		MaxLeaseMinutes: number("maxleaseminutes"), DurationDays: number("durationdays"),
		UpdatesDays: number("updatesdays"),
	}
	if p.Plan == "" {
		f.refuse("plan", "is required")
	}
	var err error
	if f.isFine() {
		_, err = c.API.PutPlan(r.Context(), p, options)
	}
	var problem *vendorapi.Problem
	if errors.As(err, &problem) && problem.Code == "PLAN_EXISTS" {
		f.refuse("plan", "is the name of a plan already")
		err = nil
	}
	refused, err := f.refused(err)
	switch {
	case err != nil:
		return page{}, err
	case refused || !f.isFine():
		return c.planPage(before, f, http.StatusBadRequest), nil
	}
	return goTo("/plans"), nil
}

func (c *Console) confirmDeletePlan(r *http.Request) (page, error) {
	p, err := c.API.Plan(r.Context(), r.PathValue("plan"))
	if err != nil {
		return page{}, err
	}
	return page{template: "form.html", title: "Delete the plan " + p.Plan, data: formData{
		Intro: "Customers notice nothing: their licenses keep what they have of it. No license can be issued from " +
			"it any more.",
		Button: "Delete the plan", Danger: true, Cancel: c.at("/plans/" + url.PathEscape(p.Plan)),
		Hidden: map[string]string{"etag": p.ETag},
	}}, nil
}

func (c *Console) deletePlan(r *http.Request) (page, error) {
	err := c.API.DeletePlan(r.Context(), r.PathValue("plan"),
		vendorapi.Options{IfMatch: newForm(r.PostForm).text("etag")})
	return goTo("/plans"), err
}
