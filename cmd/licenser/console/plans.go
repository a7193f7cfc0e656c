package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"openlicenser/shared/vendorapi"
)

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
	if !areLines(p.Services) {
		fields = slices.DeleteFunc(fields, func(f field) bool { return f.Name == "services" })
	}
	title, hidden := "Plan "+p.Plan, map[string]string{"etag": p.ETag}
	if p.Version == 0 {
		title = "New plan"
		fields = append([]field{{
			Name: "plan", Label: "Name", Type: "text", Required: true,
			Help: "Letters, digits, dots, hyphens. It stays.",
		}}, fields...)
		hidden = nil
	}
	data := planData{Plan: p, Form: formData{
		Intro:  "A license that is issued from it gets a copy. Changing the plan changes no license.",
		Button: "Save", Cancel: c.at("/plans"), Fields: f.fill(fields), Errors: f.other, Hidden: hidden,
	}}
	return page{status: status, template: "plan.html", title: data.Form.titled(title), data: data}
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
	before, options := vendorapi.Plan{Plan: f.text("plan")}, vendorapi.Options{IfNoneMatch: "*"}
	if name := r.PathValue("plan"); name != "" {
		var err error
		if before, err = c.API.Plan(r.Context(), name); err != nil {
			return page{}, err
		}
		before.ETag = f.text("etag")
		options = vendorapi.Options{IfMatch: before.ETag}
		if before.ETag == "" {
			return page{}, errBadForm
		}
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
	if !f.values.Has("services") { // which are not lines
		p.Services = before.Services
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
