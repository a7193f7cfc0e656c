// Package awskeys implements the ports to secrets and keys on AWS.
//
// On Secrets Manager: Secrets (token.Secrets), RingStore (token.RingStore) and RingVersions (token.RingVersions). On
// KMS: SigningKey (token.SigningKey), KeyStore (token.KeyStore) and CheckpointKey (checkpoint.Signer).
//
// Secrets, SigningKey and CheckpointKey keep what they have read in memory for five minutes, so that most verifications
// call neither service. While it cannot be read anew they keep it for a day, so that an outage stops no warm process.
// No secret and no digest is ever in an error or a log. The package knows nothing of licenses, requests and commands.
package awskeys

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"openlicenser/shared/telemetry"
	"openlicenser/shared/token"
)

// SecretsAPI is what Secrets, RingStore and RingVersions read the secret with, of a *secretsmanager.Client.
type SecretsAPI interface {
	GetSecretValue(
		context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options),
	) (*secretsmanager.GetSecretValueOutput, error)
}

// Secrets implements token.Secrets on a secret in Secrets Manager, its version AWSCURRENT.
type Secrets struct {
	client   SecretsAPI
	secretID string
	cache    *cached[token.Ring]
	reported token.Ring // the last with a short secret; only fetch uses it, and one fetch runs at a time
}

var _ token.Secrets = (*Secrets)(nil)

// NewSecrets returns the secret of a name or ARN. It calls nothing yet.
func NewSecrets(client SecretsAPI, secretID string, options ...Option) *Secrets {
	s := &Secrets{client: client, secretID: secretID}
	s.cache = newCached("the license-key secret", s.fetch, options)
	return s
}

// Ring returns the ring, at most five minutes old unless Secrets Manager fails, and never a day old. What is stored and
// cannot be parsed is a failure like any other: where a good ring is cached, that one serves on.
func (s *Secrets) Ring(ctx context.Context) (token.Ring, error) { return s.cache.get(ctx) }

// Refresh returns a ring that is at most a minute old. For half a minute after a failure to read it, it returns that
// failure without a call.
func (s *Secrets) Refresh(ctx context.Context) (token.Ring, error) { return s.cache.refresh(ctx) }

func (s *Secrets) fetch(ctx context.Context) (token.Ring, error) {
	ring, _, err := fetchRing(ctx, s.client, &secretsmanager.GetSecretValueInput{SecretId: &s.secretID})
	if err == nil {
		s.reportShort(ctx, ring)
	}
	return ring, err
}

// reportShort logs and counts the short secrets of a ring, once in a process. Every function that uses the secret does
// so, because any of them may be the only one in use. The alarm is on the verify function alone, so it sounds once.
func (s *Secrets) reportShort(ctx context.Context, ring token.Ring) {
	now := s.cache.clock()
	short := ring.Short(now)
	if short == 0 || ring.Equal(s.reported) {
		return
	}
	s.reported = ring
	slog.LogAttrs(ctx, slog.LevelWarn, token.ShortWarning,
		telemetry.Counts(now, packageName, map[string]int{telemetry.ShortSecretsKey: short})...)
}

// fetchRing returns the ring of a version, and what Secrets Manager says of that version.
func fetchRing(
	ctx context.Context, client SecretsAPI, in *secretsmanager.GetSecretValueInput,
) (token.Ring, *secretsmanager.GetSecretValueOutput, error) {
	out, err := client.GetSecretValue(ctx, in)
	if err != nil {
		return token.Ring{}, nil, fmt.Errorf("get secret value: %w", err)
	}
	ring, err := token.ParseRing([]byte(aws.ToString(out.SecretString)))
	return ring, out, err
}
