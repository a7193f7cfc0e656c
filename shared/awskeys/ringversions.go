package awskeys

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"openlicenser/shared/token"
)

// The staging labels of versions that matter here
// (https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html).
const (
	currentStage = "AWSCURRENT"
	pendingStage = "AWSPENDING"
)

// RingVersionsAPI is what RingVersions uses of a *secretsmanager.Client.
type RingVersionsAPI interface {
	SecretsAPI
	stageMover
	DescribeSecret(
		context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options),
	) (*secretsmanager.DescribeSecretOutput, error)
	PutSecretValue(
		context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options),
	) (*secretsmanager.PutSecretValueOutput, error)
}

type stageMover interface {
	UpdateSecretVersionStage(
		context.Context, *secretsmanager.UpdateSecretVersionStageInput, ...func(*secretsmanager.Options),
	) (*secretsmanager.UpdateSecretVersionStageOutput, error)
}

// RingVersions implements token.RingVersions on the versions of a secret in Secrets Manager, for the rotate function.
// The current version has the stage AWSCURRENT, the pending one AWSPENDING.
type RingVersions struct{ client RingVersionsAPI }

var _ token.RingVersions = RingVersions{}

// NewRingVersions calls nothing yet.
func NewRingVersions(client RingVersionsAPI) RingVersions { return RingVersions{client} }

// Find implements token.RingVersions.
func (v RingVersions) Find(
	ctx context.Context, secretID, version string,
) (current string, isPending bool, err error) {
	out, err := v.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &secretID})
	if err != nil {
		return "", false, fmt.Errorf("describe secret: %w", err)
	}
	for id, stages := range out.VersionIdsToStages {
		if slices.Contains(stages, currentStage) {
			current = id
		}
	}
	return current, slices.Contains(out.VersionIdsToStages[version], pendingStage), nil
}

// Get implements token.RingVersions.
func (v RingVersions) Get(ctx context.Context, secretID, version string) (token.Ring, error) {
	in := &secretsmanager.GetSecretValueInput{SecretId: &secretID, VersionId: &version}
	ring, _, err := fetchRing(ctx, v.client, in)
	var notFound *types.ResourceNotFoundException
	if errors.As(err, &notFound) {
		return token.Ring{}, token.ErrNoRing
	}
	return ring, err
}

// PutPending implements token.RingVersions. The version is the ClientRequestToken, so a repetition by the SDK does
// nothing.
func (v RingVersions) PutPending(ctx context.Context, secretID, version string, r token.Ring) error {
	text, err := r.Marshal()
	if err != nil {
		return err
	}
	_, err = v.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &secretID, ClientRequestToken: &version,
		SecretString: aws.String(string(text)), VersionStages: []string{pendingStage},
	})
	if err != nil {
		return fmt.Errorf("put secret value: %w", err)
	}
	return nil
}

// DropPending implements token.RingVersions.
func (v RingVersions) DropPending(ctx context.Context, secretID, version string) error {
	return moveStage(ctx, v.client, secretID, pendingStage, version, "")
}

// MakeCurrent implements token.RingVersions. Secrets Manager gives the stage AWSPREVIOUS to the version that was
// current.
func (v RingVersions) MakeCurrent(ctx context.Context, secretID, from, to string) error {
	return moveStage(ctx, v.client, secretID, currentStage, from, to)
}

// moveStage takes a stage from one version, and gives it to another unless that is "". Where the one does not have the
// stage any more, Secrets Manager refuses.
func moveStage(ctx context.Context, client stageMover, secretID, stage, from, to string) error {
	in := &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &secretID, VersionStage: &stage, RemoveFromVersionId: &from,
	}
	if to != "" {
		in.MoveToVersionId = &to
	}
	if _, err := client.UpdateSecretVersionStage(ctx, in); err != nil {
		return fmt.Errorf("update secret version stage: %w", err)
	}
	return nil
}
