// Package awskeys reaches what signs license keys and authorization tokens on AWS: the secret in Secrets
// Manager, and the RSA key in KMS. It implements token.Secrets and token.SigningKey. Both are kept in memory
// for five minutes, so that a verification needs neither, and an outage of their service ends no
// verification that a warm process can answer. Neither a secret nor a digest is ever in an error or a log.
package awskeys

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"openlicenser/shared/token"
)

// SecretsAPI is what Secrets uses of a *secretsmanager.Client.
type SecretsAPI interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// Secrets is the license-key secret in Secrets Manager, the version AWSCURRENT.
type Secrets struct{ cache *cached[token.Ring] }

var _ token.Secrets = (*Secrets)(nil)

// NewSecrets reaches the secret of a name or ARN. It calls nothing yet.
func NewSecrets(client SecretsAPI, secretID string, options ...Option) *Secrets {
	return &Secrets{newCached("the license-key secret", func(ctx context.Context) (token.Ring, error) {
		return fetchRing(ctx, client, secretID)
	}, options)}
}

// Ring answers the ring, at most five minutes old unless Secrets Manager fails. A stored secret that is
// none is an error like any other: where a good one is cached, that one serves on.
func (s *Secrets) Ring(ctx context.Context) (token.Ring, error) { return s.cache.get(ctx) }

// Refresh answers a ring that is at most a minute old. Within half a minute of a failure to read it, it answers
// that failure without a call.
func (s *Secrets) Refresh(ctx context.Context) (token.Ring, error) { return s.cache.refresh(ctx) }

func fetchRing(ctx context.Context, client SecretsAPI, secretID string) (token.Ring, error) {
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &secretID})
	if err != nil {
		return token.Ring{}, fmt.Errorf("get secret value: %w", err)
	}
	return token.ParseRing([]byte(aws.ToString(out.SecretString)))
}
