package awskeys

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"openlicenser/shared/token"
)

// SecretVersionsAPI is what SecretVersions uses of a *secretsmanager.Client.
type SecretVersionsAPI interface {
	SecretsAPI
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
	PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
	UpdateSecretVersionStage(context.Context, *secretsmanager.UpdateSecretVersionStageInput, ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error)
}

// SecretVersions is the versions of a secret in Secrets Manager.
type SecretVersions struct{ client SecretVersionsAPI }

var _ token.SecretVersions = SecretVersions{}

// NewSecretVersions calls nothing yet.
func NewSecretVersions(client SecretVersionsAPI) SecretVersions { return SecretVersions{client} }

// Stages implements token.SecretVersions.
func (s SecretVersions) Stages(ctx context.Context, secretID string) (map[string][]string, error) {
	out, err := s.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &secretID})
	if err != nil {
		return nil, fmt.Errorf("describe secret: %w", err)
	}
	return out.VersionIdsToStages, nil
}

// Get implements token.SecretVersions.
func (s SecretVersions) Get(ctx context.Context, secretID, version string) (token.Ring, error) {
	out, err := s.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &secretID, VersionId: &version})
	var notFound *types.ResourceNotFoundException
	switch {
	case errors.As(err, &notFound):
		return token.Ring{}, token.ErrNoSecretValue
	case err != nil:
		return token.Ring{}, fmt.Errorf("get secret value: %w", err)
	}
	return token.ParseRing([]byte(aws.ToString(out.SecretString)))
}

// PutPending makes a version with the stage AWSPENDING. The version is its ClientRequestToken, so a repetition of the SDK does
// nothing.
func (s SecretVersions) PutPending(ctx context.Context, secretID, version string, r token.Ring) error {
	text, err := r.Marshal()
	if err != nil {
		return err
	}
	_, err = s.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &secretID, ClientRequestToken: &version, SecretString: aws.String(string(text)), VersionStages: []string{"AWSPENDING"},
	})
	if err != nil {
		return fmt.Errorf("put secret value: %w", err)
	}
	return nil
}

// DropPending implements token.SecretVersions.
func (s SecretVersions) DropPending(ctx context.Context, secretID, version string) error {
	_, err := s.client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &secretID, VersionStage: aws.String("AWSPENDING"), RemoveFromVersionId: &version,
	})
	if err != nil {
		return fmt.Errorf("update secret version stage: %w", err)
	}
	return nil
}

// MakeCurrent moves the stage AWSCURRENT, and Secrets Manager moves AWSPREVIOUS to the version that loses it.
func (s SecretVersions) MakeCurrent(ctx context.Context, secretID, from, to string) error {
	_, err := s.client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &secretID, VersionStage: aws.String("AWSCURRENT"), RemoveFromVersionId: &from, MoveToVersionId: &to,
	})
	if err != nil {
		return fmt.Errorf("update secret version stage: %w", err)
	}
	return nil
}
