package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"openlicenser/shared/vendorapi"
)

// issueFields are the fields of a new license. Those that are left empty come from the plan.
func (c *Console) issueFields(ctx context.Context, f *form) ([]field, error) {
	options, err := c.planOptions(ctx, "none: by hand")
	if asked := f.text("plan"); err == nil && !slices.ContainsFunc(options,
		func(o option) bool { return o.Value == asked }) {
		f.refuse("plan", "the plan "+asked+" was deleted")
	}
	fields := append([]field{{
		Name: "plan", Label: "Plan", Type: "select", Options: options,
		Help: "Fields that are left empty come from the plan.",
	}}, licenseFields()...)
	return append(fields, field{
		Name: "customerid", Label: "Customer id", Type: "text", Help: "Of a customer who has licenses already.",
	}), err
}

// newLicense shows the form of a new license.
func (c *Console) newLicense(r *http.Request) (page, error) {
	given := url.Values{}
	for _, name := range []string{"plan", "customerid", "customername", "email"} {
		given[name] = r.Form[name]
	}
	return c.issuePage(r, newForm(given), http.StatusOK)
}

func (c *Console) issuePage(r *http.Request, f *form, status int) (page, error) {
	fields, err := c.issueFields(r.Context(), f)
	if err != nil {
		return page{}, err
	}
	data := formData{
		Intro:  "The license can be used at once. Its license key is on the next page, with a text for the customer.",
		Button: "Issue", Cancel: c.at("/"), Fields: f.fill(fields), Errors: f.other,
		Hidden: map[string]string{"once": f.once()},
	}
	return page{status: status, template: "form.html", title: data.titled("Issue a license"), data: data}, nil
}

// issue issues a license. A form that is sent twice issues one.
func (c *Console) issue(r *http.Request) (page, error) {
	f := newForm(r.PostForm)
	draft := vendorapi.LicenseDraft{
		Plan: f.text("plan"), CustomerID: f.text("customerid"), CustomerName: f.text("customername"),
		Email:          f.text("email"),
		ExpirationDate: f.text("expirationdate"), UpdatesUntil: f.text("updatesuntil"), Reference: f.text("reference"),
		Services: f.services("services"), AppURLs: f.appURLs("appurls"), GraceDays: f.number("gracedays"),
		MaxDevices: f.number("maxdevices"), LeaseMinutes: f.number("leaseminutes"),
		MaxLeaseMinutes: f.number("maxleaseminutes"), Notes: f.pointer("notes"),
	}
	var issued vendorapi.License
	var err error
	if f.isFine() {
		issued, err = c.API.Issue(r.Context(), draft, vendorapi.Options{IdempotencyKey: f.once()})
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
