package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

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
	Affected affectedKeysCommand `cmd:"" help:"List the licenses whose keys an earlier secret may have signed, as CSV. Those of other tools, which may not say when they were issued, are in it."`
}

// ringStoreFlags say where the secrets are kept.
type ringStoreFlags struct {
	Data   string `help:"Data folder of the local server, which may be running." type:"existingdir" xor:"where" required:""`
	Secret string `help:"Name or ARN of the secret in Secrets Manager, which is reached with the AWS credentials of this environment." xor:"where" required:""`

	out io.Writer        // standard output, unless a test sets it
	now func() time.Time // time.Now, unless a test sets it
}

func (f ringStoreFlags) output() io.Writer {
	if f.out == nil {
		return os.Stdout
	}
	return f.out
}

func (f ringStoreFlags) clock() time.Time {
	if f.now == nil {
		return time.Now().UTC().Truncate(time.Millisecond)
	}
	return f.now()
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

// Run prints no secret.
func (c showKeysCommand) Run(ctx context.Context) error {
	ring, err := c.read(ctx)
	if err != nil {
		return err
	}
	return show(c.output(), ring, c.clock())
}

// shortAdvice is printed below the secrets when one that is accepted is too short.
const shortAdvice = `
A secret that is too short may be guessed by whoever has a license key. Rotate it (licenser keys rotate), send the
customers keys of the new one (licenser keys affected), and refuse the old keys from a date on (licenser keys retire).
`

func show(out io.Writer, ring token.Ring, now time.Time) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY ID\tSTATE\tCREATED\tREPLACED")
	signing := ring.Signing(now)
	state := "signs"
	if signing != ring.Current {
		state = "accepted, signs from " + instant(ring.Created.Add(token.SigningDelay))
	}
	fmt.Fprintf(table, "%s\t%s\t%s\t\n", ring.Current.KeyID(), state+shortMark(ring.Current), instant(ring.Created))
	for _, e := range ring.Earlier {
		state := earlierState(e, e.Secret == signing, now)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", e.Secret.KeyID(), state, instant(e.Created), instant(e.Replaced))
	}
	if err := table.Flush(); err != nil || ring.Short(now) == 0 {
		return err
	}
	_, err := io.WriteString(out, shortAdvice)
	return err
}

func earlierState(e token.EarlierSecret, signs bool, now time.Time) string {
	switch {
	case signs:
		return "signs" + shortMark(e.Secret)
	case e.RefusedFrom.IsZero():
		return "accepted" + shortMark(e.Secret)
	case now.Before(e.RefusedFrom):
		return "accepted, refused from " + instant(e.RefusedFrom) + shortMark(e.Secret)
	default:
		return "refused from " + instant(e.RefusedFrom)
	}
}

// shortMark returns what is added to the state of an accepted secret that is too short.
func shortMark(s token.Secret) string {
	if s.IsShort() {
		return "; too short"
	}
	return ""
}

func instant(t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return t.UTC().Format(time.RFC3339)
}

type rotateKeysCommand struct {
	Function string `help:"ARN of the rotate function, as the stack's output RotateFunctionArn says; needed the first time, unless the stack rotates by itself. It also has Secrets Manager rotate every 1,000 days; aws secretsmanager cancel-rotate-secret ends that."`
	ringStoreFlags
}

// Run shows the ring, unless the rotation has only begun.
func (c rotateKeysCommand) Run(ctx context.Context) error {
	store, err := c.store(ctx, c.Function)
	if err != nil {
		return err
	}
	done, err := store.Rotate(ctx, c.clock())
	switch {
	case errors.Is(err, token.ErrRingFull):
		return fmt.Errorf("%w (licenser keys retire)", err)
	case err != nil:
		return err
	case !done:
		const text = "Secrets Manager has begun to rotate the secret; licenser keys show tells when it is done."
		_, err := fmt.Fprintln(c.output(), text)
		return err
	}
	ring, err := store.Read(ctx)
	if err != nil {
		return err
	}
	return show(c.output(), ring, c.clock())
}

type retireKeyCommand struct {
	KeyID string `arg:"" name:"kid" help:"Id of the secret, as licenser keys show tells."`
	From  string `help:"ISO 8601 date from which on its license keys are refused. Send the customers other keys before: licenser keys affected lists them." required:""`
	ringStoreFlags
}

// Run changes nothing when it refuses.
func (c retireKeyCommand) Run(ctx context.Context) error {
	from, err := license.ParseDate(c.From)
	if err != nil {
		return fmt.Errorf("--from %s: %w", c.From, err)
	}
	store, err := c.store(ctx, "")
	if err != nil {
		return err
	}
	ring, err := store.Change(ctx, func(r token.Ring) (token.Ring, error) { return r.Retire(c.KeyID, from) })
	if err != nil {
		return err
	}
	return show(c.output(), ring, c.clock())
}

type affectedKeysCommand struct {
	KeyID       string `arg:"" name:"kid" help:"Id of the secret, as licenser keys show tells."`
	LicenseKeys bool   `help:"Add two columns with a new license key for each, in its long and its short form, signed by the secret that signs now."`
	vendorAPI
	ringStoreFlags
}

// Run lists the licenses that were issued until the secret signed no more. That includes those from before the secret:
// their keys may have been fetched while it signed, and nobody records who fetches keys.
func (c affectedKeysCommand) Run(ctx context.Context) error {
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
	out := csv.NewWriter(c.output())
	header := []string{"licenseid", "status", "customerid", "customername", "created"}
	if c.LicenseKeys {
		header = append(header, "licensekey", "shortkey")
	}
	if err := out.Write(header); err != nil {
		return err
	}
	err = c.write(ctx, out, api, until)
	out.Flush()
	return errors.Join(err, out.Error())
}

// write writes a row for each license that was issued until an instant, or for all where that is zero.
func (c affectedKeysCommand) write(ctx context.Context, out *csv.Writer, api *vendorapi.Client, until time.Time) error {
	for l, err := range api.Licenses(ctx, vendorapi.ListQuery{}) {
		if err != nil {
			return err
		}
		if !until.IsZero() && l.Created.After(until) {
			continue
		}
		var name string
		if l.CustomerName != nil {
			name = *l.CustomerName
		}
		row := []string{l.LicenseID, string(l.Status), l.CustomerID, name, instant(l.Created.Time)}
		if c.LicenseKeys {
			key, err := api.LicenseKey(ctx, l.LicenseID)
			if err != nil {
				return err
			}
			if token.UnverifiedKeyID(key.LicenseKey) == c.KeyID {
				return fmt.Errorf("the secret %s still signs, so a new license key would be refused with the others; "+
					"licenser keys show tells from when on another one signs", c.KeyID)
			}
			row = append(row, key.LicenseKey, key.ShortKey)
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	return nil
}
