package awskeys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"openlicenser/shared/token"
)

// RingStoreAPI is what RingStore uses of a *secretsmanager.Client.
type RingStoreAPI interface {
	SecretsAPI
	stageMover
	PutSecretValue(
		context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options),
	) (*secretsmanager.PutSecretValueOutput, error)
	RotateSecret(
		context.Context, *secretsmanager.RotateSecretInput, ...func(*secretsmanager.Options),
	) (*secretsmanager.RotateSecretOutput, error)
}

// RingStore implements token.RingStore on a secret in Secrets Manager, for the person who changes it.
type RingStore struct {
	Client   RingStoreAPI
	SecretID string // name or ARN
	// RotateFunction is the ARN of the rotate function, which Rotate appoints. Empty where the secret has it already.
	RotateFunction string
}

var _ token.RingStore = RingStore{}

// Read implements token.RingStore.
func (s RingStore) Read(ctx context.Context) (token.Ring, error) {
	ring, _, err := s.read(ctx)
	return ring, err
}

func (s RingStore) read(ctx context.Context) (token.Ring, *secretsmanager.GetSecretValueOutput, error) {
	return fetchRing(ctx, s.Client, &secretsmanager.GetSecretValueInput{SecretId: &s.SecretID})
}

// rotationDays is how often Secrets Manager rotates a secret once its rotate function is appointed. There is no
// appointment without a schedule; this is the longest that it takes.
const rotationDays = 1000

// Rotate implements token.RingStore. It returns as soon as Secrets Manager has begun to call the rotate function.
func (s RingStore) Rotate(ctx context.Context, _ time.Time) (done bool, err error) {
	in := &secretsmanager.RotateSecretInput{SecretId: &s.SecretID}
	if s.RotateFunction != "" {
		in.RotationLambdaARN = &s.RotateFunction
		in.RotationRules = &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(rotationDays)}
	}
	if _, err := s.Client.RotateSecret(ctx, in); err != nil {
		return false, fmt.Errorf("rotate secret: %w", err)
	}
	return false, nil
}

// changingStage is the staging label of a version that is about to become the current one.
const changingStage = "LICENSER"

// Change implements token.RingStore.
func (s RingStore) Change(ctx context.Context, edit func(token.Ring) (token.Ring, error)) (token.Ring, error) {
	ring, read, err := s.read(ctx)
	if err != nil {
		return token.Ring{}, err
	}
	if ring, err = edit(ring); err != nil {
		return token.Ring{}, err
	}
	return ring, s.replace(ctx, read, ring)
}

// replace puts the ring into a version of its own, and then moves AWSCURRENT to it from the version that was read.
// Where a rotation has moved that meanwhile, Secrets Manager refuses, and nothing is changed. A crash in between leaves
// a version that nobody reads.
func (s RingStore) replace(ctx context.Context, read *secretsmanager.GetSecretValueOutput, ring token.Ring) error {
	text, err := ring.Marshal()
	if err != nil {
		return err
	}
	put, err := s.Client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &s.SecretID, SecretString: aws.String(string(text)), VersionStages: []string{changingStage},
	})
	if err != nil {
		return fmt.Errorf("put secret value: %w", err)
	}
	version := aws.ToString(put.VersionId)
	err = s.makeCurrent(ctx, read, version)
	errClear := moveStage(ctx, s.Client, s.SecretID, changingStage, version, "")
	if err == nil && errClear != nil {
		return fmt.Errorf("the secret is changed; its version has kept the stage %s, which does no harm: %w",
			changingStage, errClear)
	}
	return errors.Join(err, errClear)
}

// makeCurrent also takes AWSPENDING from the version that is replaced, where the last rotation has left it. While that
// stage is on another version than AWSCURRENT, no rotation can begin
// (https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html).
func (s RingStore) makeCurrent(ctx context.Context, read *secretsmanager.GetSecretValueOutput, version string) error {
	from := aws.ToString(read.VersionId)
	if slices.Contains(read.VersionStages, pendingStage) {
		if err := moveStage(ctx, s.Client, s.SecretID, pendingStage, from, ""); err != nil {
			return fmt.Errorf("nothing is changed, try again: %w", err)
		}
	}
	err := moveStage(ctx, s.Client, s.SecretID, currentStage, from, version)
	if err == nil {
		return nil
	}
	// The SDK repeats a call whose response was lost. The repetition is refused where the first call took effect.
	_, now, errRead := s.read(ctx)
	switch {
	case errRead != nil:
		return fmt.Errorf("nobody knows whether the secret is changed; read it to find out: %w",
			errors.Join(err, errRead))
	case aws.ToString(now.VersionId) == version:
		return nil
	default:
		return fmt.Errorf("the secret was changed meanwhile, or cannot be: nothing is changed, try again: %w", err)
	}
}
