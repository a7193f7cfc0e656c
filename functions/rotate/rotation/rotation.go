// Package rotation changes the license-key secret in the four steps of a rotation by Secrets Manager
// (https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html). Every step can be
// repeated. No license key is lost: the secret that signed before stays in the ring. The package knows the port to the
// ring's versions, and no client of AWS.
package rotation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"openlicenser/shared/license"
	"openlicenser/shared/token"
)

// Event is what Secrets Manager sends for a step.
type Event struct {
	Step     string `json:"Step"`
	SecretID string `json:"SecretId"`
	Version  string `json:"ClientRequestToken"`
}

// Rotator takes the steps.
type Rotator struct {
	Versions token.RingVersions
	Now      func() time.Time
	Log      *slog.Logger
}

// Handle takes the step of an event. Its result is empty. An error makes Secrets Manager try the rotation again.
func (r Rotator) Handle(ctx context.Context, e Event) (struct{}, error) {
	err := r.step(ctx, e)
	level, outcome := slog.LevelInfo, "done"
	if err != nil {
		level, outcome = slog.LevelError, err.Error()
	}
	r.Log.LogAttrs(ctx, level, "rotation",
		slog.String("step", e.Step), slog.String("version", e.Version), slog.String("outcome", outcome))
	return struct{}{}, err
}

func (r Rotator) step(ctx context.Context, e Event) error {
	step := r.steps()[e.Step]
	if step == nil || e.SecretID == "" || e.Version == "" {
		return fmt.Errorf("not an event of a rotation: step %q, secret %q, version %q", e.Step, e.SecretID, e.Version)
	}
	current, isPending, err := r.Versions.Find(ctx, e.SecretID, e.Version)
	if err != nil {
		return err
	}
	switch {
	case current == e.Version:
		return nil // the rotation is finished, and the event is a repetition
	case current == "":
		return errors.New("the secret has no current version; give it a value first")
	case !isPending:
		return fmt.Errorf("version %s is not AWSPENDING; start the rotation through Secrets Manager", e.Version)
	}
	return step(ctx, e, current)
}

// steps returns the steps by name. AWS's documentation and its templates spell them differently.
func (r Rotator) steps() map[string]func(ctx context.Context, e Event, current string) error {
	nothing := func(context.Context, Event, string) error { return nil } // there is no other place to set the secret in
	return map[string]func(context.Context, Event, string) error{
		"createSecret": r.create, "create_secret": r.create,
		"setSecret": nothing, "set_secret": nothing,
		"testSecret": r.testSecret, "test_secret": r.testSecret,
		"finishSecret": r.finish, "finish_secret": r.finish,
	}
}

// maxDuration bounds the time from createSecret to finishSecret. The new secret signs a token.SigningDelay after it was
// made. By then every process must have read it, and a process keeps an old ring for five minutes after finishSecret.
const maxDuration = 2 * time.Minute

// create makes the ring with a new secret. After a crash behind the put, the next try finds the ring and leaves it as
// it is. A ring that cannot be finished any more is dropped, because a version cannot be given another one. Then the
// next rotation begins anew.
func (r Rotator) create(ctx context.Context, e Event, current string) error {
	ring, err := r.Versions.Get(ctx, e.SecretID, current)
	if err != nil {
		return fmt.Errorf("current version: %w", err)
	}
	made, err := r.Versions.Get(ctx, e.SecretID, e.Version)
	switch {
	case err == nil:
		unfit := r.check(made, ring)
		if unfit == nil {
			return nil
		}
		return errors.Join(unfit, r.Versions.DropPending(ctx, e.SecretID, e.Version))
	case !errors.Is(err, token.ErrNoRing):
		return err
	}
	next, err := ring.Rotate(token.NewSecret(), r.Now().UTC().Truncate(time.Millisecond))
	if err != nil {
		return err
	}
	return r.Versions.PutPending(ctx, e.SecretID, e.Version, next)
}

// check returns why a pending ring cannot replace the current one, or nil.
func (r Rotator) check(next, current token.Ring) error {
	switch {
	case !next.Follows(current):
		return errors.New("the current version was changed after the pending one was made from it; " +
			"start the rotation again")
	case r.Now().Sub(next.Created) > maxDuration:
		return fmt.Errorf("the pending version was made more than %v ago and would sign before everyone knows it; "+
			"start the rotation again", maxDuration)
	}
	return nil
}

// testSecret is the step, which also comes without the other steps: where a schedule is set that does not begin with
// a rotation, Secrets Manager takes this step to see whether the function works. The pending version then has no value,
// or a copy of the current one
// (https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html, RotateImmediately).
func (r Rotator) testSecret(ctx context.Context, e Event, current string) error {
	ring, err := r.Versions.Get(ctx, e.SecretID, current)
	if err != nil {
		return fmt.Errorf("current version: %w", err)
	}
	next, err := r.Versions.Get(ctx, e.SecretID, e.Version)
	if errors.Is(err, token.ErrNoRing) || err == nil && next.Current == ring.Current {
		return r.signAndRead(ring)
	}
	return r.test(ctx, e, current)
}

// test returns an error unless the pending ring can replace the current one, and signs and reads license keys.
func (r Rotator) test(ctx context.Context, e Event, current string) error {
	next, err := r.Versions.Get(ctx, e.SecretID, e.Version)
	if err != nil {
		return fmt.Errorf("pending version: %w", err)
	}
	ring, err := r.Versions.Get(ctx, e.SecretID, current)
	if err != nil {
		return fmt.Errorf("current version: %w", err)
	}
	if err := r.check(next, ring); err != nil {
		return err
	}
	return r.signAndRead(next)
}

func (r Rotator) signAndRead(ring token.Ring) error {
	key, err := token.SignLicenseKey(ring.Current, "rotation", license.License{ID: "rotation", Created: r.Now()})
	if err != nil {
		return err
	}
	_, err = token.ReadLicenseKey(ring, key, r.Now())
	return err
}

// finish tests once more, because the current version may have been changed since. It changes what is current in one
// call, so a crash leaves the old ring in force or the new one.
func (r Rotator) finish(ctx context.Context, e Event, current string) error {
	if err := r.test(ctx, e, current); err != nil {
		return err
	}
	return r.Versions.MakeCurrent(ctx, e.SecretID, current, e.Version)
}
