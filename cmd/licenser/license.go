package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

type licenseCommand struct {
	Issue    issueCommand    `cmd:"" help:"Issue a license, and print its license key."`
	List     listCommand     `cmd:"" help:"List licenses, the newest first, or those that a filter selects."`
	Show     showCommand     `cmd:"" help:"Show all that is known of a license."`
	Key      keyCommand      `cmd:"" help:"Print the license key of a license again."`
	History  historyCommand  `cmd:"" help:"Show who has changed a license, when, how and why: its audit trail."`
	Devices  devicesCommand  `cmd:"" help:"Show which devices hold the seats of a license."`
	Activity activityCommand `cmd:"" help:"Show when products last asked about a license, and what they were told."`

	Change    changeCommand    `cmd:"" help:"Change a license: add or remove a URL or a service, give it another plan, or set a field."`
	Renew     renewCommand     `cmd:"" help:"Give a license a later end."`
	Suspend   suspendCommand   `cmd:"" help:"Stop a license until it is reinstated."`
	Reinstate reinstateCommand `cmd:"" help:"Take a suspension or a revocation back."`
	Revoke    revokeCommand    `cmd:"" help:"End a license for good."`
	Delete    deleteCommand    `cmd:"" help:"Remove a license that was issued by mistake."`
	Erase     eraseCommand     `cmd:"" help:"Take out what a license tells about its customer."`

	ResetDevices  resetDevicesCommand  `cmd:"" help:"Take the seats of all devices back."`
	ReleaseDevice releaseDeviceCommand `cmd:"" help:"Take the seat of one device back."`
	Token         tokenCommand         `cmd:"" help:"Print an authorization token for a computer without a network: a license file."`
}

// filters select licenses.
type filters struct {
	CustomerName   string         `help:"Those of customers whose name begins like this." placeholder:"NAME"`
	CustomerID     string         `name:"customer-id" help:"Those of one customer." placeholder:"UUID"`
	Email          string         `help:"Those with this e-mail address." placeholder:"ADDRESS"`
	Reference      string         `help:"The one that has this reference." placeholder:"TEXT"`
	Status         license.Status `help:"Those that are active, grace, expired, suspended, revoked or unreadable." enum:",active,grace,expired,suspended,revoked,unreadable" default:"" placeholder:"STATUS"`
	ExpiringBefore string         `help:"Those that end before this date." placeholder:"DATE"`
	ExpiringAfter  string         `help:"Those that end at this date or later." placeholder:"DATE"`
	Order          license.Order  `help:"asc or desc, by what the list is sorted by: the issue, or the end or the name where the list is of these." enum:",asc,desc" default:"" placeholder:"ORDER"`
	Limit          int            `help:"How many at most. Without it all." placeholder:"N"`
}

// licenses returns the licenses that the filters select, through all pages.
func (f filters) licenses(ctx context.Context, api *vendorapi.Client) iter.Seq2[vendorapi.License, error] {
	all := api.Licenses(ctx, vendorapi.ListQuery{
		CustomerName: f.CustomerName, CustomerID: f.CustomerID, Email: f.Email, Reference: f.Reference,
		Status: f.Status, ExpiringBefore: f.ExpiringBefore, ExpiringAfter: f.ExpiringAfter, Order: f.Order,
		Limit: min(f.Limit, vendorapi.MaxLimit),
	})
	if f.Limit == 0 {
		return all
	}
	return func(yield func(vendorapi.License, error) bool) {
		left := f.Limit
		for l, err := range all {
			if left--; !yield(l, err) || left == 0 {
				return
			}
		}
	}
}

// Validate is called by the parser.
func (f filters) Validate() error {
	if f.Limit < 0 {
		return errors.New("--limit must not be negative")
	}
	return nil
}

type listCommand struct {
	filters
	vendorAPI
}

func (listCommand) Help() string {
	return examples(`licenser license list`,
		`licenser license list --customer-name Example --status active`,
		`licenser license list --expiring-after 2030-01-01 --expiring-before 2030-02-01 --output csv`)
}

// Run goes through all pages.
func (c listCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	return terminal.List(t, licenseColumns(t.Now()), c.licenses(ctx, api))
}

type showCommand struct{ licenseTarget }

func (showCommand) Help() string {
	return examples(`licenser license show order-4711`, `licenser license show order-4711 --output json`)
}

func (c showCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	l, err := api.License(ctx, c.License.id())
	if err != nil {
		return c.License.explain(err)
	}
	return terminal.Show(t, licenseColumns(t.Now()), l)
}

type keyCommand struct {
	licenseTarget
	Short bool `help:"The short form, which can be read over the telephone."`
}

func (keyCommand) Help() string {
	return examples(`licenser license key order-4711`, `licenser license key order-4711 --short`)
}

func (c keyCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	key, err := api.LicenseKey(ctx, c.License.id())
	if err != nil {
		return c.License.explain(err)
	}
	if t.Format != terminal.Text {
		return terminal.Show(t, keyColumns(), vendorapi.License{LicenseKey: key.LicenseKey, ShortKey: key.ShortKey})
	}
	text := key.LicenseKey
	if c.Short {
		if text = key.ShortKey; text == "" {
			return usageError("The license has no short key, as its id is no UUID in lower case: leave --short out.")
		}
	}
	_, err = fmt.Fprintln(t.Out, text)
	return err
}

type devicesCommand struct{ licenseTarget }

func (devicesCommand) Help() string { return examples(`licenser license devices ship-12`) }

// Run tells people the limit as well. Programs find it in the license.
func (c devicesCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	devices, err := api.Devices(ctx, c.License.id())
	if err != nil {
		return c.License.explain(err)
	}
	switch {
	case t.Format == terminal.JSON:
		return terminal.Show[vendorapi.Devices](t, nil, devices)
	case !t.ForPeople:
	case devices.Limit == nil:
		t.Say("The license is for as many devices as like.")
		return nil
	default:
		t.Say("%d of %d seats are taken.", len(devices.Devices), *devices.Limit)
	}
	now := t.Now()
	return terminal.List(t, []terminal.Column[vendorapi.Device]{
		{Name: "device", Title: "DEVICE", Text: func(d vendorapi.Device) string { return d.ID }},
		{Name: "name", Title: "NAME", Narrow: 8, Text: func(d vendorapi.Device) string { return d.Name }},
		{
			Name: "since", Title: "SINCE", Text: func(d vendorapi.Device) string { return instantText(d.Since) },
			People: func(d vendorapi.Device) string { return instantForPeople(d.Since, now) },
		},
		{
			Name: "until", Title: "UNTIL", Text: func(d vendorapi.Device) string { return instantText(d.Until) },
			People: func(d vendorapi.Device) string { return instantForPeople(d.Until, now) },
		},
	}, listed(devices.Devices))
}

// listed returns things that are all there already.
func listed[T any](things []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, thing := range things {
			if !yield(thing, nil) {
				return
			}
		}
	}
}

type tokenCommand struct {
	licenseTarget
	Fingerprint string `help:"The fingerprint that the product shows, of a license with devices." placeholder:"TEXT"`
	DeviceName  string `help:"What people call the computer, up to 32 bytes." placeholder:"NAME"`
	Days        int    `help:"How many days the token should be good for, as far as the license allows: see its maxleaseminutes." placeholder:"N"`
}

func (tokenCommand) Help() string {
	return "Write it into a file that ends with .lic, and take that to the computer. It takes a seat like any other " +
		"verification.\n\n" +
		examples(`licenser license token ship-12 --fingerprint bridge-computer --days 14 >device.lic`)
}

// Run verifies the license by its own key, as the product would.
func (c tokenCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	key, err := api.LicenseKey(ctx, c.License.id())
	if err != nil {
		return c.License.explain(err)
	}
	token, err := api.Verify(ctx, vendorapi.Verification{
		LicenseKey: key.LicenseKey, Fingerprint: c.Fingerprint, DeviceName: c.DeviceName,
		LeaseMinutes: c.Days * 24 * 60,
	})
	if err != nil {
		return err
	}
	until, err := expiryOf(token)
	if err != nil {
		return err
	}
	t.Say("The token is good until %s, %s.", terminal.Date(until), terminal.InWords(until, t.Now()))
	if asked := t.Now().AddDate(0, 0, c.Days); c.Days > 0 && until.Sub(asked).Abs() > 24*time.Hour {
		t.Say("That is not %d days: the license decides, by its end and its maxleaseminutes, and by maxdevices "+
			"whether a product may ask at all.", c.Days)
	}
	_, err = fmt.Fprintln(t.Out, token)
	return err
}

// Validate is called by the parser.
func (c tokenCommand) Validate() error {
	if c.Days < 0 {
		return errors.New("--days must not be negative")
	}
	return nil
}
