// Package rotation changes the license-key secret in the four steps of Secrets Manager
// (https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html). Every step can be
// repeated. No license key is lost by it: the secret that signed before stays in the ring.
package rotation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"openlicenser/shared/license"
	"openlicenser/shared/token"
)

// The stages of versions that matter here.
const (
	current = "AWSCURRENT"
	pending = "AWSPENDING"
)

// Event is what Secrets Manager sends for a step.
type Event struct {
	Step     string `json:"Step"`
	SecretID string `json:"SecretId"`
	Version  string `json:"ClientRequestToken"`
}

// Rotator answers the steps.
type Rotator struct {
	Versions token.SecretVersions
	Now      func() time.Time
	Log      *slog.Logger
}

// Handle takes one step, and answers nothing. An error makes Secrets Manager try the rotation again.
func (r Rotator) Handle(ctx context.Context, e Event) (struct{}, error) {
	err := r.step(ctx, e)
	level, outcome := slog.LevelInfo, "done"
	if err != nil {
		level, outcome = slog.LevelError, err.Error()
	}
	r.Log.LogAttrs(ctx, level, "rotation", slog.String("step", e.Step), slog.String("version", e.Version), slog.String("outcome", outcome))
	return struct{}{}, err
}

func (r Rotator) step(ctx context.Context, e Event) error {
	step := r.steps()[e.Step]
	if step == nil || e.SecretID == "" || e.Version == "" {
		return fmt.Errorf("not an event of a rotation: step %q, secret %q, version %q", e.Step, e.SecretID, e.Version)
	}
	stages, err := r.Versions.Stages(ctx, e.SecretID)
	if err != nil {
		return err
	}
	inForce := versionIn(stages, current)
	switch {
	case inForce == e.Version:
		return nil // an earlier try has finished
	case inForce == "":
		return errors.New("the secret has no current version; give it a value first")
	case !slices.Contains(stages[e.Version], pending):
		return fmt.Errorf("version %s is not %s; start the rotation through Secrets Manager", e.Version, pending)
	}
	return step(ctx, e, inForce)
}

// steps are spelled in two ways in AWS's documentation and templates.
func (r Rotator) steps() map[string]func(ctx context.Context, e Event, inForce string) error {
	nothing := func(context.Context, Event, string) error { return nil } // whoever uses the secret reads it from Secrets Manager
	return map[string]func(context.Context, Event, string) error{
		"createSecret": r.create, "create_secret": r.create,
		"setSecret": nothing, "set_secret": nothing,
		"testSecret": r.testAlone, "test_secret": r.testAlone,
		"finishSecret": r.finish, "finish_secret": r.finish,
	}
}

func versionIn(stages map[string][]string, stage string) string {
	for version, in := range stages {
		if slices.Contains(in, stage) {
			return version
		}
	}
	return ""
}

// maxDuration bounds the time from createSecret to finishSecret. The new secret signs a token.SigningDelay after it was made, and
// every process must have read it by then: within the five minutes for which it keeps a ring, counted from the end of the rotation.
const maxDuration = 2 * time.Minute

// create makes the ring with a new secret. After a crash behind the put the next try finds it, and leaves it as it is. One that
// cannot be finished any more loses its stage, because a version cannot be given another value: the next rotation begins anew.
func (r Rotator) create(ctx context.Context, e Event, inForce string) error {
	ring, err := r.Versions.Get(ctx, e.SecretID, inForce)
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
	case !errors.Is(err, token.ErrNoSecretValue):
		return err
	}
	next, err := ring.Rotate(token.NewSecret(), r.Now().UTC().Truncate(time.Millisecond))
	if err != nil {
		return err
	}
	return r.Versions.PutPending(ctx, e.SecretID, e.Version, next)
}

// check says why a pending ring cannot take the place of the one in force.
func (r Rotator) check(next, inForce token.Ring) error {
	switch {
	case !next.Follows(inForce):
		return errors.New("the current version was changed after the pending one was made from it; start the rotation again")
	case r.Now().Sub(next.Created) > maxDuration:
		return fmt.Errorf("the pending version was made more than %v ago and would sign before everyone knows it; start the rotation again", maxDuration)
	}
	return nil
}

// testAlone is testSecret. Secrets Manager also takes that step alone, when a schedule is set that does not begin with a rotation, to
// see whether the function works: with a version that has no value, or a copy of the current one
// (https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html, RotateImmediately).
func (r Rotator) testAlone(ctx context.Context, e Event, inForce string) error {
	ring, err := r.Versions.Get(ctx, e.SecretID, inForce)
	if err != nil {
		return fmt.Errorf("current version: %w", err)
	}
	next, err := r.Versions.Get(ctx, e.SecretID, e.Version)
	if errors.Is(err, token.ErrNoSecretValue) || err == nil && next.Current == ring.Current {
		return r.signAndRead(ring)
	}
	return r.test(ctx, e, inForce)
}

// test wants a pending ring that signs, and reads license keys of every secret that is in force.
func (r Rotator) test(ctx context.Context, e Event, inForce string) error {
	next, err := r.Versions.Get(ctx, e.SecretID, e.Version)
	if err != nil {
		return fmt.Errorf("pending version: %w", err)
	}
	ring, err := r.Versions.Get(ctx, e.SecretID, inForce)
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

// finish tests once more: the current version may have been changed since. Moving a stage is one call, so a crash leaves the
// old secret in force or the new one.
func (r Rotator) finish(ctx context.Context, e Event, inForce string) error {
	if err := r.test(ctx, e, inForce); err != nil {
		return err
	}
	return r.Versions.MakeCurrent(ctx, e.SecretID, inForce, e.Version)
}
