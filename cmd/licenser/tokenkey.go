package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"openlicenser/shared/awskeys"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/token"
	"openlicenser/shared/vendorapi"
)

// tokenKeyCommand gives the key that signs authorization tokens a successor. KMS does not rotate such keys.
type tokenKeyCommand struct {
	Show    showTokenKeysCommand   `cmd:"" help:"Show the published token keys: their ids (the kid in a token), what they do, and since when."`
	Prepare prepareTokenKeyCommand `cmd:"" help:"First step: make a successor and publish it. It signs nothing yet."`
	Promote promoteTokenKeyCommand `cmd:"" help:"Second step, when products know the successor: let it sign."`
	Retire  retireTokenKeyCommand  `cmd:"" help:"Third step, when the last token of the predecessor has expired: publish that no longer."`
}

// keyStoreFlags say where the token keys are kept.
type keyStoreFlags struct {
	Data string `help:"Data folder of the local server, which may be running." type:"existingdir" xor:"where" required:""`
	Key  string `help:"Alias of the key in KMS, as the stack's output TokenKeyAlias says (alias/…). KMS is reached with the AWS credentials of this environment." xor:"where" required:""`

	out io.Writer        // standard output, unless a test sets it
	now func() time.Time // time.Now, unless a test sets it
}

func (f keyStoreFlags) output() io.Writer {
	if f.out == nil {
		return os.Stdout
	}
	return f.out
}

func (f keyStoreFlags) succession(ctx context.Context) (token.Succession, error) {
	s := token.Succession{Now: time.Now}
	if f.now != nil {
		s.Now = f.now
	}
	if f.Data != "" {
		s.Store = embedded.KeyStore{Folder: f.Data}
		return s, nil
	}
	cfg, err := awsConfig(ctx)
	if err != nil {
		return s, err
	}
	s.Store, err = awskeys.NewKeyStore(kms.NewFromConfig(cfg), f.Key)
	return s, err
}

// take takes a step, and then shows the keys.
func (f keyStoreFlags) take(ctx context.Context, step func(token.Succession) error) error {
	s, err := f.succession(ctx)
	if err != nil {
		return err
	}
	if err := step(s); err != nil {
		return err
	}
	keys, err := s.Store.Keys(ctx)
	if err != nil {
		return err
	}
	return showTokenKeys(f.output(), keys)
}

func showTokenKeys(out io.Writer, keys token.StoredKeys) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY ID\tSTATE\tSINCE\tKEY")
	for _, row := range []struct {
		state token.KeyState
		text  string
	}{
		{token.Current, "signs"},
		{token.Next, "published, does not sign yet"},
		{token.Previous, "published, signs for licenses that are pinned to it"},
	} {
		if key, has := keys[row.state]; has {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", key.KeyID, row.text, instant(key.Since), key.Name)
		}
	}
	return table.Flush()
}

type showTokenKeysCommand struct {
	keyStoreFlags
}

// Run changes nothing.
func (c showTokenKeysCommand) Run(ctx context.Context) error {
	return c.take(ctx, func(token.Succession) error { return nil })
}

type prepareTokenKeyCommand struct {
	keyStoreFlags
}

// Run can be repeated.
func (c prepareTokenKeyCommand) Run(ctx context.Context) error {
	return c.take(ctx, func(s token.Succession) error { return s.Prepare(ctx) })
}

type promoteTokenKeyCommand struct {
	Lead time.Duration `help:"For how long the successor must have been published: longer than any product keeps the published keys." default:"${lead}"`
	keyStoreFlags
}

// Run can be repeated until it is done.
func (c promoteTokenKeyCommand) Run(ctx context.Context) error {
	return c.take(ctx, func(s token.Succession) error { return s.Promote(ctx, c.Lead) })
}

type retireTokenKeyCommand struct {
	TokenLifetimeDays int  `help:"Days for which an authorization token is valid; the most that were set since the predecessor last signed." env:"TOKEN_LIFETIME_DAYS" default:"90"`
	StrandDevices     bool `help:"Do not wait for devices whose tokens outlive that, as those of machines without a network. Nobody can check these tokens then."`
	vendorAPI
	keyStoreFlags
}

// Run never deletes a key of KMS. That cannot be undone, and is for a person to decide.
func (c retireTokenKeyCommand) Run(ctx context.Context) error {
	lifetime, err := token.Lifetime(c.TokenLifetimeDays)
	if err != nil {
		return fmt.Errorf("--token-lifetime-days: %w", err)
	}
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	return c.take(ctx, func(s token.Succession) error {
		if !c.StrandDevices {
			s.Leases = leases{api, lifetime, s.Now}.longest
		}
		retired, err := s.Retire(ctx, lifetime, pins{api}.find)
		if err == nil && c.Key != "" {
			fmt.Fprintf(c.output(), "The key %s is no longer published. "+
				"It is still there and still costs; to have it deleted:\n"+
				"  aws kms schedule-key-deletion --key-id %s --pending-window-in-days 30\n",
				retired.KeyID, retired.Name)
		}
		return err
	})
}

// leases finds the tokens of devices that outlive others.
type leases struct {
	api      *vendorapi.Client
	lifetime time.Duration
	now      func() time.Time
}

// longest is token.Succession.Leases. A token lasts as long as its seat, and no longer than the license allowed when it
// was signed. Tokens whose seats were given back, taken back or reset cannot be told.
func (f leases) longest(ctx context.Context, signedUntil time.Time) (until time.Time, err error) {
	for l, err := range f.api.Licenses(ctx, vendorapi.ListQuery{}) {
		if err != nil {
			return until, err
		}
		if l.MaxDevices == 0 {
			continue
		}
		lease := max(time.Duration(max(l.LeaseMinutes, l.MaxLeaseMinutes))*time.Minute, f.lifetime)
		held, err := f.api.Devices(ctx, l.LicenseID)
		if err != nil {
			return until, err
		}
		for _, d := range held.Devices {
			end, now := d.Until.Time, f.now()
			isUsual := !end.After(now.Add(lease)) // else it is of a time when the license allowed more
			if latest := signedUntil.Add(lease); isUsual && latest.Before(end) {
				end = latest
			}
			if !d.Since.After(signedUntil) && end.After(until) && (lease > f.lifetime || !isUsual) {
				until = end
			}
		}
	}
	return until, nil
}

// pins finds the licenses that are pinned to a token key.
type pins struct{ api *vendorapi.Client }

// find is a token.Pins. Once a pin is removed, only the chain still shows it. So the chain is read if the license has
// changed since.
func (p pins) find(ctx context.Context, kid string, since time.Time) (licenseIDs []string, err error) {
	for l, err := range p.api.Licenses(ctx, vendorapi.ListQuery{}) {
		if err != nil {
			return nil, err
		}
		pinned := l.TokenKeyID == kid
		if !pinned && (l.Changed.IsZero() || !l.Changed.Before(since)) {
			if pinned, err = p.wasPinnedSince(ctx, l.LicenseID, kid, since); err != nil {
				return nil, err
			}
		}
		if pinned {
			licenseIDs = append(licenseIDs, l.LicenseID)
		}
	}
	return licenseIDs, nil
}

// wasPinnedSince reports whether a license's pin was taken away at an instant or later. A change whose values the trail
// does not keep, because it is too large, may have done so.
func (p pins) wasPinnedSince(ctx context.Context, licenseID, kid string, since time.Time) (was bool, err error) {
	for e, err := range p.api.AuditEntries(ctx, licenseID) {
		if err != nil {
			return false, err
		}
		at, err := time.Parse(time.RFC3339, e.Time)
		if err != nil {
			return false, err
		}
		taken := string(e.Changes[license.AttrTokenKeyID].Old) == fmt.Sprintf(`{"S":%q}`, kid)
		was = was || !at.Before(since) && (taken || e.ChangesDigest != nil)
	}
	return was, nil
}
