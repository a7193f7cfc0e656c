package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/vendorapi"
)

// optionalReason is for the changes that need none, and neededReason for those that do.
type optionalReason struct {
	Reason string `help:"Why, for the audit trail." placeholder:"TEXT"`
}

type neededReason struct {
	Reason string `help:"Why, for the audit trail." required:"" placeholder:"TEXT"`
}

// consent is asked for where a change cannot be undone.
type consent struct {
	Yes bool `help:"Do not ask. Without a terminal that is needed." short:"y"`
}

// ask asks about a license, unless that is not needed. The question gets what people know of it, and the answer is for
// that state of the license alone: ask returns its ETag, or * where nobody was asked.
func (c consent) ask(
	ctx context.Context, t *terminal.Terminal, api *vendorapi.Client, name licenseName, question string,
) (etag string, err error) {
	if c.Yes || !t.CanAsk {
		return "*", t.Confirm(ctx, c.Yes, "")
	}
	l, err := api.License(ctx, name.id())
	if err != nil {
		return "", name.explain(err)
	}
	about := fmt.Sprintf("License %s of %s, %s, ends %s.",
		l.LicenseID, valueOf(l.CustomerName), l.Status, endForPeople(l, t.Now()))
	return l.ETag, t.Confirm(ctx, false, about+"\n"+question)
}

// change makes a change that leaves a license, and shows it.
func (target licenseTarget) change(
	ctx context.Context, t *terminal.Terminal,
	do func(api *vendorapi.Client, id string, o vendorapi.Options) (vendorapi.License, error),
) error {
	api, err := target.client(ctx)
	if err != nil {
		return err
	}
	l, err := do(api, target.License.id(), vendorapi.Options{IdempotencyKey: uuid.NewString()})
	if err != nil {
		return target.License.explain(err)
	}
	return terminal.Show(t, licenseColumns(t.Now()), l)
}

type renewCommand struct {
	licenseTarget
	Expires string `help:"The later end: a date, whose whole day counts, or never." required:"" placeholder:"DATE"`
	optionalReason
}

func (renewCommand) Help() string {
	return examples(`licenser license renew order-4711 --expires 2101-12-31 --reason "paid for another year"`)
}

func (c renewCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.change(ctx, t, func(api *vendorapi.Client, id string, o vendorapi.Options) (vendorapi.License, error) {
		return api.Renew(ctx, id, c.Expires, c.Reason, o)
	})
}

type suspendCommand struct {
	licenseTarget
	optionalReason
}

func (suspendCommand) Help() string {
	return examples(`licenser license suspend order-4711 --reason "payment is late"`)
}

func (c suspendCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.change(ctx, t, func(api *vendorapi.Client, id string, o vendorapi.Options) (vendorapi.License, error) {
		return api.Suspend(ctx, id, c.Reason, o)
	})
}

type reinstateCommand struct {
	licenseTarget
	optionalReason
}

func (reinstateCommand) Help() string {
	return "To take a revocation back needs a reason.\n\n" +
		examples(`licenser license reinstate order-4711 --reason "payment has come"`)
}

func (c reinstateCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.change(ctx, t, func(api *vendorapi.Client, id string, o vendorapi.Options) (vendorapi.License, error) {
		return api.Reinstate(ctx, id, c.Reason, o)
	})
}

type revokeCommand struct {
	licenseTarget
	neededReason
	consent
}

func (revokeCommand) Help() string {
	return "Products learn it at their next verification. Those without a network go on until their token ends.\n\n" +
		examples(`licenser license revoke order-4711 --reason "contract ended" --yes`)
}

func (c revokeCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	const question = "Revoke it? The customer's products stop at their next verification."
	etag, err := c.ask(ctx, t, api, c.License, question)
	if err != nil {
		return err
	}
	return c.change(ctx, t, func(api *vendorapi.Client, id string, o vendorapi.Options) (vendorapi.License, error) {
		o.IfMatch = etag
		return api.Revoke(ctx, id, c.Reason, o)
	})
}

type deleteCommand struct {
	licenseTarget
	neededReason
	consent
}

func (deleteCommand) Help() string {
	return "The audit trail keeps what it was. A contract that has ended is better revoked.\n\n" +
		examples(`licenser license delete order-4712 --reason "issued twice" --yes`)
}

func (c deleteCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	const question = "Delete it? Its license key is refused from then on, and nobody can take that back."
	etag, err := c.ask(ctx, t, api, c.License, question)
	if err != nil {
		return err
	}
	if err := api.Delete(ctx, c.License.id(), c.Reason, vendorapi.Options{IfMatch: etag}); err != nil {
		return c.License.explain(err)
	}
	t.Say("The license is deleted.")
	return nil
}

type resetDevicesCommand struct {
	licenseTarget
	neededReason
	consent
}

func (resetDevicesCommand) Help() string {
	return examples(`licenser license reset-devices ship-12 --reason "all computers were replaced" --yes`)
}

func (c resetDevicesCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	const question = "Take the seats of all its devices back? Others can take them at once."
	etag, err := c.ask(ctx, t, api, c.License, question)
	if err != nil {
		return err
	}
	options := vendorapi.Options{IfMatch: etag, IdempotencyKey: uuid.NewString()}
	if _, err := api.ResetDevices(ctx, c.License.id(), c.Reason, options); err != nil {
		return c.License.explain(err)
	}
	t.Say("No device holds a seat any more.")
	return nil
}

type releaseDeviceCommand struct {
	licenseTarget
	Device string `arg:"" help:"The device, as licenser license devices shows it."`
	neededReason
}

func (releaseDeviceCommand) Help() string {
	return "It is told of a device that holds no seat, because the id may be mistyped.\n\n" +
		examples(`licenser license release-device ship-12 DEVICE --reason "stolen"`)
}

func (c releaseDeviceCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	held, err := api.Devices(ctx, c.License.id())
	if err != nil {
		return c.License.explain(err)
	}
	if !slices.ContainsFunc(held.Devices, func(d vendorapi.Device) bool { return d.ID == c.Device }) {
		return exitError{"No device of this id holds a seat: licenser license devices shows those that do.",
			exitNotFound}
	}
	if err := api.ReleaseDevice(ctx, c.License.id(), c.Device, c.Reason, vendorapi.Options{}); err != nil {
		return c.License.explain(err)
	}
	t.Say("The device holds no seat.")
	return nil
}
