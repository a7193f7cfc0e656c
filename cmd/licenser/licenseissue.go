package main

import (
	"context"

	"github.com/google/uuid"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/vendorapi"
)

type issueCommand struct {
	CustomerName string   `help:"Who gets the license." required:"" placeholder:"NAME"`
	Expires      string   `help:"The end: a date, whose whole day counts, or never. May be left out with a plan that has a duration." placeholder:"DATE"`
	Plan         string   `help:"What the license has where nothing else is said: see licenser plan." placeholder:"NAME"`
	CustomerID   string   `name:"customer-id" help:"The customer's id, where there is one already." placeholder:"UUID"`
	Reference    string   `help:"Your own name for the license, as an order number. No other license ever gets it." placeholder:"TEXT"`
	Email        string   `help:"The customer's e-mail address." placeholder:"ADDRESS"`
	Service      services `help:"What the license allows: a name for people, and the value that the product asks for; can be repeated." placeholder:"NAME=VALUE" sep:"none"`
	URL          []string `name:"url" help:"Where a web application may run; can be repeated." placeholder:"URL" sep:"none"`
	Notes        *string  `help:"For your own people." placeholder:"TEXT"`
	GraceDays    *int     `help:"Days after the end for which the license still works." placeholder:"N"`
	UpdatesUntil string   `help:"The end of maintenance: versions that are released later do not run with the license." placeholder:"DATE"`

	MaxDevices      *int `help:"How many devices may use it at the same time; 0: as many as like." placeholder:"N"`
	LeaseMinutes    *int `help:"How long a device holds its seat without asking again." placeholder:"N"`
	MaxLeaseMinutes *int `help:"The longest that a product may ask for." placeholder:"N"`
	vendorAPI
}

func (issueCommand) Help() string {
	return examples(
		`licenser license issue --customer-name "Example Ltd" --expires 2099-12-31 --reference order-4713`,
		`licenser license issue --customer-name "Example Ltd" --plan trial`,
		`licenser license issue --customer-name "Ship 13" --expires never --service Charts=charts --max-devices 3`)
}

// Run sends an Idempotency-Key, so that no response that gets lost makes a second license.
func (c issueCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	list, err := c.Service.read()
	if err != nil {
		return err
	}
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	issued, err := api.Issue(ctx, vendorapi.LicenseDraft{
		Plan: c.Plan, CustomerID: c.CustomerID, CustomerName: c.CustomerName, ExpirationDate: c.Expires,
		UpdatesUntil: c.UpdatesUntil, Services: list, AppURLs: appURLs(c.URL), Notes: c.Notes, GraceDays: c.GraceDays,
		Reference: c.Reference, Email: c.Email, MaxDevices: c.MaxDevices, LeaseMinutes: c.LeaseMinutes,
		MaxLeaseMinutes: c.MaxLeaseMinutes,
	}, vendorapi.Options{IdempotencyKey: uuid.NewString()})
	if err != nil {
		return err
	}
	if err := terminal.Show(t, append(licenseColumns(t.Now()), keyColumns()...), issued); err != nil {
		return advised{err, "The license is issued all the same: licenser license show " + issued.LicenseID}
	}
	return nil
}
