package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/awskeys"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/token"
	"openlicenser/shared/vendorapi"
)

// keysCommand works on the secrets that sign license keys: the one that signs, and those that signed before.
type keysCommand struct {
	Show     showKeysCommand     `cmd:"" help:"Show the secrets that sign license keys: their ids (the kid in a license key) and what they are good for."`
	Rotate   rotateKeysCommand   `cmd:"" help:"Let a new secret sign license keys. Keys of earlier secrets stay good."`
	Retire   retireKeyCommand    `cmd:"" help:"Refuse the license keys of an earlier secret, one that leaked, from a date on."`
	Affected affectedKeysCommand `cmd:"" help:"List the licenses whose keys an earlier secret may have signed, as CSV unless --output is json. Those of other tools, which may not say when they were issued, are in it."`
}

// ringStoreFlags say where the secrets are kept.
type ringStoreFlags struct {
	Data   string `help:"Data folder of the local server, which may be running." type:"existingdir" xor:"where" required:""`
	Secret string `help:"Name or ARN of the secret in Secrets Manager, which is reached with the AWS credentials of this environment." xor:"where" required:""`
}

// store returns the store that the flags name. Only rotateKeysCommand knows a rotate function.
func (f ringStoreFlags) store(ctx context.Context, rotateFunction string) (token.RingStore, error) {
	if f.Data != "" {
		return embedded.RingStore{Folder: f.Data}, nil
	}
	cfg, err := awsConfig(ctx)
	if err != nil {
		return nil, err
	}
	client := secretsmanager.NewFromConfig(cfg)
	return awskeys.RingStore{Client: client, SecretID: f.Secret, RotateFunction: rotateFunction}, nil
}

func (f ringStoreFlags) read(ctx context.Context) (token.Ring, error) {
	store, err := f.store(ctx, "")
	if err != nil {
		return token.Ring{}, err
	}
	return store.Read(ctx)
}

type showKeysCommand struct {
	ringStoreFlags
}

func (showKeysCommand) Help() string {
	return examples(`licenser keys show --data .licenser`)
}

// Run prints no secret.
func (c showKeysCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	ring, err := c.read(ctx)
	if err != nil {
		return err
	}
	return showRing(t, ring)
}

type rotateKeysCommand struct {
	Function string `help:"ARN of the rotate function, as the stack's output RotateFunctionArn says; needed the first time, unless the stack rotates by itself. It also has Secrets Manager rotate every 1,000 days; aws secretsmanager cancel-rotate-secret ends that."`
	ringStoreFlags
}

func (rotateKeysCommand) Help() string {
	return examples(`licenser keys rotate --data .licenser`)
}

// Run shows the ring, unless the rotation has only begun.
func (c rotateKeysCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	store, err := c.store(ctx, c.Function)
	if err != nil {
		return err
	}
	done, err := store.Rotate(ctx, t.Now().UTC().Truncate(time.Millisecond))
	switch {
	case errors.Is(err, token.ErrRingFull):
		return fmt.Errorf("%w (licenser keys retire)", err)
	case err != nil:
		return err
	case !done:
		t.Say("Secrets Manager has begun to rotate the secret; licenser keys show tells when it is done.")
		return nil
	}
	ring, err := store.Read(ctx)
	if err != nil {
		return err
	}
	return showRing(t, ring)
}

type retireKeyCommand struct {
	KeyID string `arg:"" name:"kid" help:"Id of the secret, as licenser keys show tells."`
	From  string `help:"ISO 8601 date from which on its license keys are refused. Send the customers other keys before: licenser keys affected lists them." required:""`
	ringStoreFlags
}

func (retireKeyCommand) Help() string {
	return examples(`licenser keys retire KID --from 2099-01-31 --data .licenser`)
}

// Run changes nothing when it refuses.
func (c retireKeyCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	from, err := license.ParseDate(c.From)
	if err != nil {
		return usageError("--from %s: %w", c.From, err)
	}
	store, err := c.store(ctx, "")
	if err != nil {
		return err
	}
	ring, err := store.Change(ctx, func(r token.Ring) (token.Ring, error) { return r.Retire(c.KeyID, from) })
	if err != nil {
		return err
	}
	return showRing(t, ring)
}

type affectedKeysCommand struct {
	KeyID       string `arg:"" name:"kid" help:"Id of the secret, as licenser keys show tells."`
	LicenseKeys bool   `help:"Add two columns with a new license key for each, in its long and its short form, signed by the secret that signs now."`
	vendorAPI
	ringStoreFlags
}

func (affectedKeysCommand) Help() string {
	return examples(`licenser keys affected KID --data .licenser >affected.csv`)
}

// affectedLicense is a license whose keys a secret may have signed.
type affectedLicense struct {
	LicenseID    string            `json:"licenseid"`
	Status       license.Status    `json:"status"`
	CustomerID   string            `json:"customerid"`
	CustomerName string            `json:"customername"`
	Created      vendorapi.Instant `json:"created,omitzero"` // absent: nobody knows

	// The new license key in both forms, where the command is to get it.
	LicenseKey string `json:"licensekey,omitempty"`
	ShortKey   string `json:"shortkey,omitempty"`
}

// Run lists the licenses that were issued until the secret signed no more. That includes those from before the secret:
// their keys may have been fetched while it signed, and nobody records who fetches keys.
func (c affectedKeysCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	ring, err := c.read(ctx)
	if err != nil {
		return err
	}
	until, err := ring.SignedUntil(c.KeyID)
	if err != nil {
		return err
	}
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	file := *t
	if file.Format != terminal.JSON {
		file.Format = terminal.CSV
	}
	return terminal.List(&file, c.columns(), c.affected(ctx, api, until))
}

func (c affectedKeysCommand) columns() []terminal.Column[affectedLicense] {
	columns := []terminal.Column[affectedLicense]{
		{Name: "licenseid", Text: func(l affectedLicense) string { return l.LicenseID }},
		{Name: "status", Text: func(l affectedLicense) string { return string(l.Status) }},
		{Name: "customerid", Text: func(l affectedLicense) string { return l.CustomerID }},
		{Name: "customername", Text: func(l affectedLicense) string { return l.CustomerName }},
		{Name: "created", Text: func(l affectedLicense) string { return cmp.Or(instantText(l.Created), "unknown") }},
	}
	if !c.LicenseKeys {
		return columns
	}
	return append(columns,
		terminal.Column[affectedLicense]{
			Name: "licensekey", Text: func(l affectedLicense) string { return l.LicenseKey },
		},
		terminal.Column[affectedLicense]{
			Name: "shortkey", Text: func(l affectedLicense) string { return l.ShortKey },
		})
}

// affected returns the licenses that were issued until an instant, or all where that is zero.
func (c affectedKeysCommand) affected(
	ctx context.Context, api *vendorapi.Client, until time.Time,
) iter.Seq2[affectedLicense, error] {
	return func(yield func(affectedLicense, error) bool) {
		for l, err := range api.Licenses(ctx, vendorapi.ListQuery{}) {
			if err == nil && !until.IsZero() && l.Created.After(until) {
				continue
			}
			row := affectedLicense{
				LicenseID: l.LicenseID, Status: l.Status, CustomerID: l.CustomerID, Created: l.Created,
			}
			if l.CustomerName != nil {
				row.CustomerName = *l.CustomerName
			}
			if err == nil && c.LicenseKeys {
				err = c.addKeys(ctx, api, &row)
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// addKeys adds the license key that a license has now. One of the secret in question is an error.
func (c affectedKeysCommand) addKeys(ctx context.Context, api *vendorapi.Client, l *affectedLicense) error {
	key, err := api.LicenseKey(ctx, l.LicenseID)
	if err != nil {
		return err
	}
	if token.UnverifiedKeyID(key.LicenseKey) == c.KeyID {
		return fmt.Errorf("the secret %s still signs, so a new license key would be refused with the others; "+
			"licenser keys show tells from when on another one signs", c.KeyID)
	}
	l.LicenseKey, l.ShortKey = key.LicenseKey, key.ShortKey
	return nil
}
