// Package awskeys reaches what signs license keys and authorization tokens on AWS: the secret in Secrets Manager, and
// the RSA key in KMS. It implements token.Secrets and token.SigningKey. Both are kept in memory for five minutes, so
// that a verification needs neither, and for a day while they cannot be read anew, so that an outage of their service
// ends no verification that a warm process can answer. Neither a secret nor a digest is ever in an error or a log.
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

// SecretsAPI is what Secrets uses of a *secretsmanager.Client.
type SecretsAPI interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// Secrets is the license-key secret in Secrets Manager, the version AWSCURRENT.
type Secrets struct {
	client   SecretsAPI
	secretID string
	cache    *cached[token.Ring]
	reported token.Ring // the last one with a short secret; only fetch uses it, and one fetch runs at a time
}

var _ token.Secrets = (*Secrets)(nil)

// NewSecrets reaches the secret of a name or ARN. It calls nothing yet.
func NewSecrets(client SecretsAPI, secretID string, options ...Option) *Secrets {
	s := &Secrets{client: client, secretID: secretID}
	s.cache = newCached("the license-key secret", s.fetch, options)
	return s
}

// Ring returns the ring, at most five minutes old unless Secrets Manager fails, and never a day old. A stored secret
// that is none is an error like any other: where a good one is cached, that one serves on.
func (s *Secrets) Ring(ctx context.Context) (token.Ring, error) { return s.cache.get(ctx) }

// Refresh returns a ring that is at most a minute old. Within half a minute of a failure to read it, it returns
// that failure without a call.
func (s *Secrets) Refresh(ctx context.Context) (token.Ring, error) { return s.cache.refresh(ctx) }

func (s *Secrets) fetch(ctx context.Context) (token.Ring, error) {
	ring, err := fetchRing(ctx, s.client, s.secretID)
	if err == nil {
		s.reportShort(ctx, ring)
	}
	return ring, err
}

// reportShort logs and counts the short secrets of a ring, once in a process. Every function that uses the secret does,
// because any of them may be the only one in use; the alarm is on the verify function alone, so that it does not sound
// twice.
func (s *Secrets) reportShort(ctx context.Context, ring token.Ring) {
	now := s.cache.clock()
	short := ring.Short(now)
	if short == 0 || ring.Equal(s.reported) {
		return
	}
	s.reported = ring
	slog.LogAttrs(ctx, slog.LevelWarn,
		"license-key secrets of less than 32 bytes are accepted: rotate the secret, and retire them",
		telemetry.CountMetric(now, packageName, telemetry.ShortSecretsKey, short)...)
}

func fetchRing(ctx context.Context, client SecretsAPI, secretID string) (token.Ring, error) {
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &secretID})
	if err != nil {
		return token.Ring{}, fmt.Errorf("get secret value: %w", err)
	}
	return token.ParseRing([]byte(aws.ToString(out.SecretString)))
}
