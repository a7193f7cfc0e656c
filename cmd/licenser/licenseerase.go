package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/vendorapi"
)

type eraseCommand struct {
	licenseTarget
	Reason string `help:"Why, for the audit trail, which keeps it: it must not name the customer." required:"" placeholder:"TEXT"`
	consent
}

func (eraseCommand) Help() string {
	return "For a customer who asks to be forgotten. The name becomes erased. E-mail address, notes, reference, the " +
		"names of devices, and what other tools have added, go for good. The license can be used as before. One that " +
		"was deleted can be erased as well, by its id or its reference.\n\n" +
		examples(`licenser license erase order-4713 --reason "asked for by letter of 3 November" --yes`)
}

// Run sends the id in place of a reference. That goes too, so that the command could not be run again where the service
// fails half-way.
func (c eraseCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	if !c.Yes && !t.CanAsk {
		return terminal.ErrCannotAsk
	}
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	l, err := api.License(ctx, c.License.id())
	problem, isProblem := errors.AsType[*vendorapi.Problem](err)
	if err != nil && !(isProblem && problem.Code == "LICENSE_NOT_FOUND") {
		return err
	}
	if err := t.Confirm(ctx, c.Yes, eraseQuestion(l, t.Now())); err != nil {
		return err
	}
	options := vendorapi.Options{IfMatch: "*", IdempotencyKey: uuid.NewString()}
	if !c.Yes && l.ETag != "" {
		options.IfMatch = l.ETag // the answer is for that state alone
	}
	erased, err := api.Erase(ctx, cmp.Or(l.LicenseID, c.License.id()), c.Reason, options)
	switch {
	case err != nil:
		return c.License.explain(err)
	case erased.LicenseID == "":
		t.Say("The license is gone, and what was left of it is erased.")
		return nil
	}
	return terminal.Show(t, licenseColumns(t.Now()), erased)
}

// eraseQuestion asks about a license, or about one that is gone where that is zero.
func eraseQuestion(l vendorapi.License, now time.Time) string {
	question := "There is no such license any more. Erase what is left of it?"
	if l.LicenseID != "" {
		question = fmt.Sprintf("License %s of %s, %s, ends %s.\nErase it? It can be used as before.",
			l.LicenseID, valueOf(l.CustomerName), l.Status, endForPeople(l, now))
	}
	return question + " The customer's name, e-mail address, notes, reference and names of devices go, and nobody " +
		"can take that back."
}
