package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/awskeys"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/token"
	"openlicenser/shared/vendorapi"
)

// tokenKeyCommand gives the key that signs authorization tokens a successor. KMS does not rotate such keys.
type tokenKeyCommand struct {
	Show    showTokenKeysCommand   `cmd:"" help:"Show the published token keys: their ids (the kid in a token), what they do, and since when."`
	Export  exportTokenKeysCommand `cmd:"" help:"Write the published token keys, for products to build in: the one that signs, its successor and its predecessor."`
	Prepare prepareTokenKeyCommand `cmd:"" help:"First step: make a successor and publish it. It signs nothing yet."`
	Promote promoteTokenKeyCommand `cmd:"" help:"Second step, when products know the successor: let it sign."`
	Retire  retireTokenKeyCommand  `cmd:"" help:"Third step, when the last token of the predecessor has expired: publish that no longer."`
}

// keyStoreFlags say where the token keys are kept.
type keyStoreFlags struct {
	Data string `help:"Data folder of the local server, which may be running." type:"existingdir" xor:"where" required:""`
	Key  string `help:"Alias of the key in KMS, as the stack's output TokenKeyAlias says (alias/…). KMS is reached with the AWS credentials of this environment." xor:"where" required:""`
}

func (f keyStoreFlags) succession(ctx context.Context, now func() time.Time) (token.Succession, error) {
	s := token.Succession{Now: now}
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
func (f keyStoreFlags) take(ctx context.Context, t *terminal.Terminal, step func(token.Succession) error) error {
	s, err := f.succession(ctx, t.Now)
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
	return terminal.List(t, tokenKeyColumns, listed(shownTokenKeys(keys)))
}

// shownTokenKey is a published token key.
type shownTokenKey struct {
	KeyID string            `json:"kid"`
	State token.KeyState    `json:"state"`
	Since vendorapi.Instant `json:"since,omitzero"`
	Key   string            `json:"key"` // its name where it is kept
}

// shownTokenKeys returns the keys, the one that signs first.
func shownTokenKeys(keys token.StoredKeys) (shown []shownTokenKey) {
	for _, state := range []token.KeyState{token.Current, token.Next, token.Previous} {
		if key, has := keys[state]; has {
			shown = append(shown, shownTokenKey{key.KeyID, state, vendorapi.Instant{Time: key.Since}, key.Name})
		}
	}
	return shown
}

// tokenKeyStates says to people what a key does.
var tokenKeyStates = map[token.KeyState]string{
	token.Current:  "signs",
	token.Next:     "published, does not sign yet",
	token.Previous: "published, signs for licenses that are pinned to it",
}

var tokenKeyColumns = []terminal.Column[shownTokenKey]{
	{Name: "kid", Title: "KEY ID", Text: func(k shownTokenKey) string { return k.KeyID }},
	{
		Name: "state", Title: "STATE", Text: func(k shownTokenKey) string { return string(k.State) },
		People: func(k shownTokenKey) string { return tokenKeyStates[k.State] },
		Color: func(k shownTokenKey) terminal.Color {
			if k.State == token.Current {
				return terminal.Good
			}
			return terminal.Plain
		},
	},
	{
		Name: "since", Title: "SINCE", Text: func(k shownTokenKey) string { return instantText(k.Since) },
		People: func(k shownTokenKey) string { return dateOrUnknown(k.Since) },
	},
	{Name: "key", Title: "KEY", Extra: true, Text: func(k shownTokenKey) string { return k.Key }},
}

type showTokenKeysCommand struct {
	keyStoreFlags
}

func (showTokenKeysCommand) Help() string {
	return examples(`licenser token-key show --data .licenser`)
}

// Run changes nothing.
func (c showTokenKeysCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.take(ctx, t, func(token.Succession) error { return nil })
}

type exportTokenKeysCommand struct {
	PEM bool `help:"Write PEM instead of a JWK set." name:"pem"`
	keyStoreFlags
}

func (exportTokenKeysCommand) Help() string {
	return "A product that builds in the successor follows the replacement of the key without an update. " +
		"Neither form holds anything secret.\n\n" +
		examples(
			`licenser token-key export --data .licenser >trusted.json`,
			`licenser token-key export --data .licenser --pem >trusted.pem`,
		)
}

// Run changes nothing. The key that signs comes first, so that a reader of one key takes that.
func (c exportTokenKeysCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	s, err := c.succession(ctx, t.Now)
	if err != nil {
		return err
	}
	keys, err := s.Store.Keys(ctx)
	if err != nil {
		return err
	}
	text, err := exportedTokenKeys(keys, c.PEM)
	if err != nil {
		return err
	}
	_, err = t.Out.Write(text)
	return err
}

// exportedTokenKeys has each key once, although a step that was cut off leaves one in two states.
func exportedTokenKeys(keys token.StoredKeys, asPEM bool) (text []byte, err error) {
	var set token.KeySet
	for _, shown := range shownTokenKeys(keys) {
		public := keys[shown.State].Public
		written := token.NewJSONWebKey(public)
		if slices.Contains(set.Keys, written) {
			continue
		}
		set.Keys = append(set.Keys, written)
		block, err := token.PublicKeyPEM(public)
		if err != nil {
			return nil, err
		}
		text = append(text, block...)
	}
	if asPEM {
		return text, nil
	}
	text, err = json.MarshalIndent(set, "", "  ")
	return append(text, '\n'), err
}

type prepareTokenKeyCommand struct {
	keyStoreFlags
}

func (prepareTokenKeyCommand) Help() string {
	return examples(`licenser token-key prepare --data .licenser`)
}

// Run can be repeated.
func (c prepareTokenKeyCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.take(ctx, t, func(s token.Succession) error { return s.Prepare(ctx) })
}

type promoteTokenKeyCommand struct {
	Lead time.Duration `help:"For how long the successor must have been published: longer than any product keeps the published keys." default:"${lead}"`
	keyStoreFlags
}

func (promoteTokenKeyCommand) Help() string {
	return examples(`licenser token-key promote --data .licenser`)
}

// Run can be repeated until it is done.
func (c promoteTokenKeyCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.take(ctx, t, func(s token.Succession) error { return s.Promote(ctx, c.Lead) })
}

type retireTokenKeyCommand struct {
	TokenLifetimeDays int  `help:"Days for which an authorization token is valid; the most that were set since the predecessor last signed." env:"TOKEN_LIFETIME_DAYS" default:"90"`
	StrandDevices     bool `help:"Do not wait for devices whose tokens outlive that, as those of machines without a network. Nobody can check these tokens then."`
	vendorAPI
	keyStoreFlags
}

func (retireTokenKeyCommand) Help() string {
	return examples(`licenser token-key retire --data .licenser`)
}

// Run never deletes a key of KMS. That cannot be undone, and is for a person to decide.
func (c retireTokenKeyCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	lifetime, err := token.Lifetime(c.TokenLifetimeDays)
	if err != nil {
		return usageError("--token-lifetime-days: %w", err)
	}
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	return c.take(ctx, t, func(s token.Succession) error {
		if !c.StrandDevices {
			s.Leases = leases{api, lifetime, s.Now}.longest
		}
		retired, err := s.Retire(ctx, lifetime, pins{api}.find)
		if err == nil && c.Key != "" {
			t.Say("The key %s is no longer published. It is still there and still costs; to have it deleted:",
				retired.KeyID)
			t.Say("  aws kms schedule-key-deletion --key-id %s --pending-window-in-days 30", retired.Name)
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

// wasPinnedSince reports whether a license's pin was taken away at an instant or later.
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
		was = was || !at.Before(since) && taken
	}
	return was, nil
}
