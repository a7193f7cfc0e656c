package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/token"
	"openlicenser/shared/vendorapi"
)

// keysCommand works on the secrets that sign license keys: the one that signs, and those that signed before it.
type keysCommand struct {
	Show     showKeysCommand     `cmd:"" help:"Show the secrets that sign license keys: their ids (the kid in a license key) and what they are good for."`
	Rotate   rotateKeysCommand   `cmd:"" help:"Let a new secret sign license keys. Keys of earlier secrets stay good."`
	Retire   retireKeyCommand    `cmd:"" help:"Refuse the license keys of an earlier secret, one that leaked, from a date on."`
	Affected affectedKeysCommand `cmd:"" help:"List the licenses whose keys an earlier secret may have signed, as CSV. On AWS those that other tools alone have written are NOT in it, because the vendor's API does not list them: add them from the table before you retire a secret."`
}

// ringPlace is where the secrets are kept.
type ringPlace struct {
	Data   string `help:"Data folder of the local server, which may be running." type:"existingdir" xor:"where" required:""`
	Secret string `help:"Name or ARN of the secret in Secrets Manager, which is reached with the AWS credentials of this environment." xor:"where" required:""`

	out io.Writer        // standard output, unless a test sets it
	now func() time.Time // time.Now, unless a test sets it
}

func (p ringPlace) output() io.Writer {
	if p.out == nil {
		return os.Stdout
	}
	return p.out
}

func (p ringPlace) clock() time.Time {
	if p.now == nil {
		return time.Now().UTC().Truncate(time.Millisecond)
	}
	return p.now()
}

func (p ringPlace) read(ctx context.Context) (token.Ring, error) {
	if p.Data != "" {
		return embedded.ReadRing(p.Data)
	}
	client, err := newSecretsManager(ctx)
	if err != nil {
		return token.Ring{}, err
	}
	ring, _, err := p.readVersion(ctx, client)
	return ring, err
}

// change puts what becomes of the ring in its place, in Secrets Manager unless another change has come first.
func (p ringPlace) change(ctx context.Context, of func(token.Ring) (token.Ring, error)) (token.Ring, error) {
	if p.Data != "" {
		return p.changeFile(of)
	}
	client, err := newSecretsManager(ctx)
	if err != nil {
		return token.Ring{}, err
	}
	ring, read, err := p.readVersion(ctx, client)
	if err != nil {
		return token.Ring{}, err
	}
	if ring, err = of(ring); err != nil {
		return token.Ring{}, err
	}
	return ring, p.replace(ctx, client, read, ring)
}

func (p ringPlace) changeFile(of func(token.Ring) (token.Ring, error)) (token.Ring, error) {
	ring, err := embedded.ReadRing(p.Data)
	if err != nil {
		return token.Ring{}, err
	}
	if ring, err = of(ring); err != nil {
		return token.Ring{}, err
	}
	return ring, embedded.WriteRing(p.Data, ring)
}

// The stages of versions that matter here.
const (
	current  = "AWSCURRENT"
	pending  = "AWSPENDING"
	changing = "LICENSER" // of a version that is about to become the current one
)

// readVersion answers the current ring in Secrets Manager, and the version that holds it.
func (p ringPlace) readVersion(ctx context.Context, client *secretsmanager.Client) (token.Ring, *secretsmanager.GetSecretValueOutput, error) {
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &p.Secret})
	if err != nil {
		return token.Ring{}, nil, err
	}
	ring, err := token.ParseRing([]byte(aws.ToString(out.SecretString)))
	return ring, out, err
}

// replace puts the ring into a version of its own, and then moves AWSCURRENT to it from the version that was read: where a rotation has
// moved that meanwhile, Secrets Manager refuses, and nothing is changed. A crash before leaves a version that nobody reads.
func (p ringPlace) replace(ctx context.Context, client *secretsmanager.Client, read *secretsmanager.GetSecretValueOutput, ring token.Ring) error {
	text, err := ring.Marshal()
	if err != nil {
		return err
	}
	put, err := client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &p.Secret, SecretString: aws.String(string(text)), VersionStages: []string{changing},
	})
	if err != nil {
		return err
	}
	if err := p.makeCurrent(ctx, client, read, put.VersionId); err != nil {
		return errors.Join(err, p.moveStage(ctx, client, changing, put.VersionId, nil))
	}
	if err := p.moveStage(ctx, client, changing, put.VersionId, nil); err != nil {
		return fmt.Errorf("the secret is changed; its version has kept the stage %s, which does no harm: %w", changing, err)
	}
	return nil
}

// makeCurrent also takes AWSPENDING from the version that is replaced, where the last rotation has left it: as long as it is on another
// version than AWSCURRENT is, no rotation can begin (https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html).
func (p ringPlace) makeCurrent(ctx context.Context, client *secretsmanager.Client, read *secretsmanager.GetSecretValueOutput, to *string) error {
	if slices.Contains(read.VersionStages, pending) {
		if err := p.moveStage(ctx, client, pending, read.VersionId, nil); err != nil {
			return fmt.Errorf("nothing is changed, try again: %w", err)
		}
	}
	err := p.moveStage(ctx, client, current, read.VersionId, to)
	if err == nil {
		return nil
	}
	// The SDK repeats a call whose reply was lost, and the repetition is refused where the first one took effect.
	_, now, errRead := p.readVersion(ctx, client)
	switch {
	case errRead != nil:
		return fmt.Errorf("nobody knows whether the secret is changed, licenser keys show tells: %w", errors.Join(err, errRead))
	case aws.ToString(now.VersionId) == aws.ToString(to):
		return nil
	default:
		return fmt.Errorf("the secret was changed meanwhile, or cannot be: nothing is changed, try again: %w", err)
	}
}

// moveStage takes a stage from one version, and gives it to the other unless that is nil.
func (p ringPlace) moveStage(ctx context.Context, client *secretsmanager.Client, stage string, from, to *string) error {
	_, err := client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &p.Secret, VersionStage: &stage, RemoveFromVersionId: from, MoveToVersionId: to,
	})
	return err
}

func newSecretsManager(ctx context.Context) (*secretsmanager.Client, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	return secretsmanager.NewFromConfig(cfg), err
}

type showKeysCommand struct {
	ringPlace
}

// Run prints no secret.
func (c showKeysCommand) Run(ctx context.Context) error {
	ring, err := c.read(ctx)
	if err != nil {
		return err
	}
	return show(c.output(), ring, c.clock())
}

// shortAdvice stands below the secrets when one of them is too short.
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
	for _, earlier := range ring.Earlier {
		var state string
		switch refused := earlier.RefusedFrom; {
		case earlier.Secret == signing:
			state = "signs" + shortMark(earlier.Secret)
		case !refused.IsZero() && now.Before(refused):
			state = "accepted, refused from " + instant(refused) + shortMark(earlier.Secret)
		case !refused.IsZero():
			state = "refused from " + instant(refused)
		default:
			state = "accepted" + shortMark(earlier.Secret)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", earlier.Secret.KeyID(), state, instant(earlier.Created), instant(earlier.Replaced))
	}
	if err := table.Flush(); err != nil || ring.Short(now) == 0 {
		return err
	}
	_, err := io.WriteString(out, shortAdvice)
	return err
}

// shortMark is what the state of an accepted secret says of its length.
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
	ringPlace
}

// Run changes a local secret itself, and asks Secrets Manager to have the rotate function do it.
func (c rotateKeysCommand) Run(ctx context.Context) error {
	if c.Secret != "" {
		client, err := newSecretsManager(ctx)
		if err != nil {
			return err
		}
		in := &secretsmanager.RotateSecretInput{SecretId: &c.Secret}
		if c.Function != "" {
			in.RotationLambdaARN, in.RotationRules = &c.Function, &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(1000)}
		}
		if _, err := client.RotateSecret(ctx, in); err != nil {
			return err
		}
		fmt.Fprintln(c.output(), "Secrets Manager has begun to rotate the secret; licenser keys show tells when it is done.")
		return nil
	}
	ring, err := c.change(ctx, func(ring token.Ring) (token.Ring, error) { return ring.Rotate(token.NewSecret(), c.clock()) })
	if err != nil {
		return err
	}
	return show(c.output(), ring, c.clock())
}

type retireKeyCommand struct {
	KeyID string `arg:"" name:"kid" help:"Id of the secret, as licenser keys show tells."`
	From  string `help:"ISO 8601 date from which on its license keys are refused. Send the customers other keys before: licenser keys affected lists them." required:""`
	ringPlace
}

// Run changes nothing when it refuses.
func (c retireKeyCommand) Run(ctx context.Context) error {
	from, err := license.ParseDate(c.From)
	if err != nil {
		return fmt.Errorf("--from %s: %w", c.From, err)
	}
	ring, err := c.change(ctx, func(ring token.Ring) (token.Ring, error) { return ring.Retire(c.KeyID, from) })
	if err != nil {
		return err
	}
	return show(c.output(), ring, c.clock())
}

type affectedKeysCommand struct {
	KeyID       string `arg:"" name:"kid" help:"Id of the secret, as licenser keys show tells."`
	LicenseKeys bool   `help:"Add a column with a new license key for each, signed by the secret that signs now."`
	vendorAPI
	ringPlace
}

// Run lists the licenses that were issued until the secret signed no more. Older ones are in it, because whoever fetched the key
// of one in that time has a key of that secret, and nobody records who fetched keys.
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
		header = append(header, "licensekey")
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
		row := []string{l.LicenseID, string(l.Status), l.CustomerID, aws.ToString(l.CustomerName), instant(l.Created.Time)}
		if c.LicenseKeys {
			key, err := api.LicenseKey(ctx, l.LicenseID)
			if err != nil {
				return err
			}
			if token.UnverifiedKeyID(key) == c.KeyID {
				return fmt.Errorf("the secret %s still signs, so a new license key would be refused with the others; "+
					"licenser keys show tells from when on another one signs", c.KeyID)
			}
			row = append(row, key)
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	return nil
}
