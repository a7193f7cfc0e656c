package console

import (
	"net/http"
	"reflect"
	"strings"
	"time"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

// endInput writes the end of a license as a form takes it: the last day, where it is one.
func endInput(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	if !at.Before(license.Never) {
		return "never"
	}
	at = at.UTC()
	if terminal.IsEndOfDay(at) {
		return at.Format(time.DateOnly)
	}
	return license.FormatDate(at)
}

// editFields are the fields of a license as it is. A list that another tool has written in a form of its own is not
// among them.
func editFields(l vendorapi.License) (fields []field) {
	services, errServices := l.ServiceList()
	urls, errURLs := l.AppURLList()
	values := map[string]string{
		"email": l.Email, "expirationdate": endInput(l.ExpirationDate.Time),
		"updatesuntil": endInput(l.UpdatesUntil.Time),
		"reference":    l.Reference, "services": serviceLines(services), "appurls": urlLines(urls), "notes": l.Notes,
		"maxdevices": numberText(l.MaxDevices), "leaseminutes": numberText(l.LeaseMinutes),
		"maxleaseminutes": numberText(l.MaxLeaseMinutes),
	}
	if l.CustomerName != nil {
		values["customername"] = *l.CustomerName
	}
	if l.GraceDays != nil {
		values["gracedays"] = numberText(*l.GraceDays)
	}
	for _, f := range setValues(licenseFields(), values) {
		switch {
		case f.Name == "services" && (errServices != nil || !areLines(services)), f.Name == "appurls" && errURLs != nil:
			continue
		case f.Name == "reference" && l.Reference != "":
			continue // it is for good
		case l.Erased != "" && license.IsPersonal(f.Name) && (f.Value == "" || f.Value == license.ErasedName):
			continue // it takes no other value
		}
		if rows := len(lines(f.Value)) + 1; f.Type == "textarea" {
			f.Rows = min(max(f.Rows, rows), 20)
		}
		fields = append(fields, f)
	}
	return append(fields, reasonField(false))
}

// edit shows each field of a license that can be changed.
func (c *Console) edit(r *http.Request) (page, error) {
	l, err := c.API.License(r.Context(), r.PathValue("license"))
	if err != nil {
		return page{}, err
	}
	return c.editPage(l, l.ETag, newForm(nil), http.StatusOK), nil
}

func (c *Console) editPage(l vendorapi.License, etag string, f *form, status int) page {
	data := actionData{License: l, Title: "Change", Form: formData{
		Button: "Save", Cancel: c.at(licensePath(l.LicenseID)), Fields: f.fill(editFields(l)), Errors: f.other,
		Hidden: map[string]string{"etag": etag, "once": f.once()},
	}}
	return page{status: status, template: "action.html", title: data.Form.titled("Change"), data: data}
}

// change changes the fields that differ from the license, if nobody else has changed it since the form was shown.
func (c *Console) change(r *http.Request) (page, error) {
	l, err := c.API.License(r.Context(), r.PathValue("license"))
	if err != nil {
		return page{}, err
	}
	f := newForm(r.PostForm)
	patch := f.patch(l)
	if f.isFine() && !reflect.DeepEqual(patch, vendorapi.LicensePatch{}) {
		patch.Reason = f.text("reason")
		_, err = c.API.Change(r.Context(), l.LicenseID, patch, f.options())
	}
	refused, err := f.refused(err)
	switch {
	case err != nil:
		return page{}, err
	case refused || !f.isFine():
		return c.editPage(l, f.text("etag"), f, http.StatusBadRequest), nil
	}
	return goTo(licensePath(l.LicenseID) + "?done=edit"), nil
}

// patch returns the changes that the form makes of a license. What the form does not have stays.
func (f *form) patch(l vendorapi.License) (p vendorapi.LicensePatch) {
	was := map[string]field{}
	for _, field := range editFields(l) {
		was[field.Name] = field
	}
	changed := func(name string) bool {
		before, isThere := was[name]
		text := normalLines(before.Value)
		if before.Type != "textarea" { // the browser leaves the ends of lines out of other fields
			text = strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "").Replace(before.Value))
		}
		return isThere && f.values.Has(name) && text != f.text(name)
	}
	text := func(name string, target **string) {
		if changed(name) {
			value := f.text(name)
			*target = &value
		}
	}
	number := func(name string, target **int) {
		if changed(name) {
			if *target = f.number(name); *target == nil {
				*target = new(int)
			}
		}
	}
	text("customername", &p.CustomerName)
	text("email", &p.Email)
	text("expirationdate", &p.ExpirationDate)
	text("updatesuntil", &p.UpdatesUntil)
	if p.UpdatesUntil != nil && *p.UpdatesUntil == "" {
		*p.UpdatesUntil = "never"
	}
	text("reference", &p.Reference)
	text("notes", &p.Notes)
	number("gracedays", &p.GraceDays)
	number("maxdevices", &p.MaxDevices)
	number("leaseminutes", &p.LeaseMinutes)
	number("maxleaseminutes", &p.MaxLeaseMinutes)
	if changed("services") {
		services := append([]license.Service{}, f.services("services")...)
		p.Services = &services
	}
	if changed("appurls") {
		urls := append([]license.AppURL{}, f.appURLs("appurls")...)
		p.AppURLs = &urls
	}
	return p
}
