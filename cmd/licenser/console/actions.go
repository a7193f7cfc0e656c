package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"openlicenser/shared/vendorapi"
)

// action is something that is done with a license, after its page has said what that means to the customer.
type action struct {
	title, effect, button string
	done                  string // what is said afterwards
	danger                bool
	fields                func(c *Console, ctx context.Context, l vendorapi.License) ([]field, error)
	do                    func(ctx context.Context, api *vendorapi.Client, id string, f *form) error
}

// options has a change made on the state that the form was made for, and once, however often the form is sent.
func (f *form) options() vendorapi.Options {
	return vendorapi.Options{IfMatch: f.text("etag"), IdempotencyKey: f.text("once")}
}

func reasonField(required bool) field {
	help := "For the audit trail. It may be left empty."
	if required {
		help = "For the audit trail."
	}
	return field{Name: "reason", Label: "Reason", Type: "text", Help: help, Required: required}
}

func withReason(required bool) func(*Console, context.Context, vendorapi.License) ([]field, error) {
	return func(*Console, context.Context, vendorapi.License) ([]field, error) {
		return []field{reasonField(required)}, nil
	}
}

// changing returns what makes a change that leaves a license.
func changing(
	change func(c *vendorapi.Client, ctx context.Context, id, reason string, o vendorapi.Options) (vendorapi.License,
		error),
) func(context.Context, *vendorapi.Client, string, *form) error {
	return func(ctx context.Context, api *vendorapi.Client, id string, f *form) error {
		_, err := change(api, ctx, id, f.text("reason"), f.options())
		return err
	}
}

// actions are those of a license, by the names in their paths.
var actions = map[string]action{
	"renew": {
		title: "Renew", button: "Renew", done: "The license has its new end.",
		effect: "The customer can use the license until its new end, unless it is suspended. Products notice at " +
			"their next verification.",
		fields: renewFields, do: renew,
	},
	"suspend": {
		title: "Suspend", button: "Suspend", danger: true, done: "The license is suspended.", fields: withReason(false),
		effect: "The customer's products stop at their next verification, within a day as a rule, and say that the " +
			"license is suspended. Reinstating it lets them go on.",
		do: changing((*vendorapi.Client).Suspend),
	},
	"reinstate": {
		title: "Reinstate", button: "Reinstate", done: "The license is reinstated.", fields: withReason(true),
		effect: "The customer can use the license again, as far as it has not ended. Products go on at their next " +
			"verification, some only when the customer asks them to.",
		do: changing((*vendorapi.Client).Reinstate),
	},
	"revoke": {
		title: "Revoke", button: "Revoke for good", danger: true, done: "The license is revoked.",
		fields: withReason(true),
		effect: "The customer's products stop at their next verification, and say that the license is revoked. It is " +
			"meant for good: to have a break, suspend it.",
		do: changing((*vendorapi.Client).Revoke),
	},
	"delete": {
		title: "Delete", button: "Delete for good", danger: true, done: "The license is deleted.",
		fields: withReason(true),
		effect: "The license is gone, and its license key is refused for ever. Nobody can take that back. It is for " +
			"licenses that were issued by mistake: for one that has ended, revoke it. The audit trail stays.",
		do: func(ctx context.Context, api *vendorapi.Client, id string, f *form) error {
			return api.Delete(ctx, id, f.text("reason"), vendorapi.Options{IfMatch: f.text("etag")})
		},
	},
	"erase": {
		title: "Erase", button: "Erase for good", danger: true, done: "The license is erased.", fields: eraseFields,
		effect: "For a customer who asks to be forgotten. The customer's name, e-mail address, notes, reference and " +
			"the names of devices go from the license, and nobody can take that back. The customer can use the " +
			"license as before.",
		do: changing((*vendorapi.Client).Erase),
	},
	"plan": {
		title: "Another plan", button: "Take this plan", done: "The license has what the plan has.", fields: planFields,
		effect: "The license gets what the plan has of services, application URLs, days of grace and devices. Its " +
			"end and its notes stay. Products notice at their next verification.",
		do: func(ctx context.Context, api *vendorapi.Client, id string, f *form) error {
			plan := f.text("plan")
			_, err := api.Change(ctx, id, vendorapi.LicensePatch{Plan: &plan, Reason: f.text("reason")}, f.options())
			return err
		},
	},
	"pin": {
		title: "Pin to a token key", button: "Pin", done: "The pin is set.", fields: pinFields,
		effect: "For a product that has one public key built in: its tokens are signed with that key, also after " +
			"the key was replaced for all others. The customer notices nothing, if it is the right key.",
		do: func(ctx context.Context, api *vendorapi.Client, id string, f *form) error {
			kid := f.text("tokenkeyid")
			_, err := api.Change(ctx, id, vendorapi.LicensePatch{TokenKeyID: &kid, Reason: f.text("reason")},
				f.options())
			return err
		},
	},
	"reset-devices": {
		title: "Give all devices' seats back", button: "Give all back", danger: true, done: "No device holds a seat.",
		fields: withReason(true),
		effect: "No device holds a seat any more, and others can take them at once. Those that run now go on until " +
			"their token ends, and need a seat again then.",
		do: func(ctx context.Context, api *vendorapi.Client, id string, f *form) error {
			_, err := api.ResetDevices(ctx, id, f.text("reason"), f.options())
			return err
		},
	},
	releaseDevice: {
		title: "Give a device's seat back", button: "Give it back", danger: true, done: "The device holds no seat.",
		effect: "The device holds no seat any more, and another one can take it at once. If it still runs, it goes " +
			"on until its token ends, and needs a seat again then.",
		fields: func(_ *Console, _ context.Context, _ vendorapi.License) ([]field, error) {
			return []field{reasonField(true)}, nil
		},
		do: func(ctx context.Context, api *vendorapi.Client, id string, f *form) error {
			return api.ReleaseDevice(ctx, id, f.text("device"), f.text("reason"), vendorapi.Options{})
		},
	},
}

func eraseFields(*Console, context.Context, vendorapi.License) ([]field, error) {
	reason := reasonField(true)
	reason.Help = "For the audit trail, which keeps it: it must not name the customer."
	return []field{reason}, nil
}

// otherDate stands for the date that is typed.
const otherDate = "date"

func renewFields(c *Console, _ context.Context, l vendorapi.License) ([]field, error) {
	choices := []option{{otherDate, "another date"}, {"never", "never: it has no end any more"}}
	if end := l.ExpirationDate; !end.IsZero() && !end.IsNever() {
		next := nextYear(end.Time, c.Now()).Format(time.DateOnly)
		choices = slices.Insert(choices, 0, option{next, "one year later: " + next})
	}
	return []field{
		{Name: "until", Label: "New end", Type: "choices", Options: choices, Value: choices[0].Value},
		{Name: "expirationdate", Label: "Another date", Type: "date",
			Help: "The last day. Choose “another date” with it."},
		reasonField(false),
	}, nil
}

// nextYear returns the end a year later, or a year from now where that has passed already.
func nextYear(end, now time.Time) time.Time {
	if next := end.UTC().AddDate(1, 0, 0); next.After(now) {
		return next
	}
	return now.UTC().AddDate(1, 0, 0)
}

func renew(ctx context.Context, api *vendorapi.Client, id string, f *form) error {
	until, date := f.text("until"), f.text("expirationdate")
	switch {
	case until == otherDate:
		until = date
	case date != "":
		f.refuse("expirationdate", "is given, and another end is chosen: choose one")
		return nil
	}
	_, err := api.Renew(ctx, id, until, f.text("reason"), f.options())
	return err
}

func planFields(c *Console, ctx context.Context, l vendorapi.License) ([]field, error) {
	options, err := c.planOptions(ctx, "none: only the name is taken away")
	if !slices.ContainsFunc(options, func(o option) bool { return o.Value == l.Plan }) {
		options = append(options, option{l.Plan, l.Plan + ", which was deleted"})
	}
	return []field{
		{Name: "plan", Label: "Plan", Type: "select", Options: options, Value: l.Plan}, reasonField(false),
	}, err
}

func pinFields(c *Console, ctx context.Context, l vendorapi.License) ([]field, error) {
	keys, err := c.API.TokenKeys(ctx)
	options := []option{{"", "none: the one that signs for all"}}
	for _, key := range keys.Keys {
		options = append(options, option{key.KeyID, key.KeyID})
	}
	if !slices.ContainsFunc(options, func(o option) bool { return o.Value == l.TokenKeyID }) {
		options = append(options, option{l.TokenKeyID, l.TokenKeyID + ", which is no longer published"})
	}
	return []field{
		{Name: "tokenkeyid", Label: "Token key", Type: "select", Options: options, Value: l.TokenKeyID},
		reasonField(false),
	}, err
}

// planOptions returns all plans, behind what stands for none.
func (c *Console) planOptions(ctx context.Context, none string) ([]option, error) {
	options := []option{{"", none}}
	for p, err := range c.API.Plans(ctx) {
		problem, isProblem := errors.AsType[*vendorapi.Problem](err)
		if isProblem && problem.Status == http.StatusForbidden {
			break // without plans, everything can be said by hand
		}
		if err != nil {
			return nil, err
		}
		options = append(options, option{p.Plan, p.Plan})
	}
	return options, nil
}

// releaseDevice is the action that is about one device.
const releaseDevice = "release-device"

type actionData struct {
	License vendorapi.License
	Title   string
	Effect  string
	Form    formData
}

// confirm says what an action means to the customer, before it is done.
func (c *Console) confirm(r *http.Request) (page, error) {
	a, known := actions[r.PathValue("action")]
	if !known || r.PathValue("action") == releaseDevice && r.Form.Get("device") == "" {
		return page{}, errNoPage
	}
	return c.asks(r, a, newForm(url.Values{"device": r.Form["device"]}), http.StatusOK)
}

// asks is the page of an action, with what was filled in already.
func (c *Console) asks(r *http.Request, a action, f *form, status int) (page, error) {
	l, err := c.API.License(r.Context(), r.PathValue("license"))
	if err != nil {
		return page{}, err
	}
	fields, err := a.fields(c, r.Context(), l)
	if err != nil {
		return page{}, err
	}
	data := actionData{License: l, Title: a.title, Effect: a.effect, Form: formData{
		Button: a.button, Danger: a.danger, Cancel: c.at(licensePath(l.LicenseID)), Fields: f.fill(fields),
		Errors: f.other,
		Hidden: map[string]string{"etag": l.ETag, "once": f.once()},
	}}
	if device := f.text("device"); device != "" {
		data.Form.Hidden["device"] = device
		if data.Effect, err = c.aboutDevice(r.Context(), l.LicenseID, device, a.effect); err != nil {
			return page{}, err
		}
	}
	return page{status: status, template: "action.html", title: data.Form.titled(a.title), data: data}, nil
}

// aboutDevice says of which device an effect is.
func (c *Console) aboutDevice(ctx context.Context, licenseID, device, effect string) (string, error) {
	held, err := c.API.Devices(ctx, licenseID)
	for _, d := range held.Devices {
		if d.ID == device && d.Name != "" {
			device = d.Name
		}
	}
	return device + ": " + effect, err
}

// do does an action, and shows the license then.
func (c *Console) do(r *http.Request) (page, error) {
	a, known := actions[r.PathValue("action")]
	if !known {
		return page{}, errNoPage
	}
	f := newForm(r.PostForm)
	refused, err := f.refused(a.do(r.Context(), c.API, r.PathValue("license"), f))
	switch {
	case err != nil:
		return page{}, err
	case refused || !f.isFine():
		return c.asks(r, a, f, http.StatusBadRequest)
	case r.PathValue("action") == "delete":
		return goTo("/?done=delete"), nil
	}
	return goTo(licensePath(r.PathValue("license")) + "?done=" + r.PathValue("action")), nil
}

// refused reports whether an error is about the fields of the form, which then says so. Another error it returns.
func (f *form) refused(err error) (bool, error) {
	problem, isProblem := errors.AsType[*vendorapi.Problem](err)
	if isProblem && f.take(problem) {
		return true, nil
	}
	return false, err
}

func licensePath(id string) string { return fmt.Sprintf("/licenses/%s", url.PathEscape(id)) }
