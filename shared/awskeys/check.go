package awskeys

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"openlicenser/shared/token"
)

// SecretCheck is what a look at the license-key secret has found. It holds nothing of the secret.
type SecretCheck struct {
	Problem string // why it cannot be used; empty: it can
	Short   int    // secrets in force that are too short
}

// CheckSecret looks at the secret of a name or ARN. An error says that it could not be read.
func CheckSecret(ctx context.Context, client SecretsAPI, secretID string, now time.Time) (SecretCheck, error) {
	ring, read, err := fetchRing(ctx, client, &secretsmanager.GetSecretValueInput{SecretId: &secretID})
	switch {
	case read == nil:
		return SecretCheck{}, err
	case err != nil:
		return SecretCheck{Problem: err.Error()}, nil
	}
	return SecretCheck{Short: ring.Short(now)}, nil
}

// KeyCheck is what a look at the token key has found.
type KeyCheck struct {
	ARN      string
	KeyID    string   // the kid of its tokens; empty where it has problems
	Problems []string // why it cannot sign tokens
}

// KeyCheckAPI is what CheckKey uses of a *kms.Client.
type KeyCheckAPI interface {
	publicKeyAPI
	DescribeKey(context.Context, *kms.DescribeKeyInput, ...kmsOption) (*kms.DescribeKeyOutput, error)
}

// tokenKeySpecs are the kinds of keys that can sign tokens.
var tokenKeySpecs = []string{string(types.KeySpecRsa2048), string(types.KeySpecRsa3072), string(types.KeySpecRsa4096)}

// CheckKey looks at the key of an id, an ARN or an alias. It signs nothing. An error says that KMS did not tell.
func CheckKey(ctx context.Context, client KeyCheckAPI, name string) (KeyCheck, error) {
	out, err := client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &name})
	if err != nil {
		return KeyCheck{}, fmt.Errorf("describe key: %w", err)
	}
	key := out.KeyMetadata
	if key == nil {
		return KeyCheck{}, fmt.Errorf("describe key: KMS says nothing of %s", name)
	}
	check := KeyCheck{ARN: aws.ToString(key.Arn)}
	if !slices.Contains(tokenKeySpecs, string(key.KeySpec)) {
		check.Problems = append(check.Problems, fmt.Sprintf("its key spec is %s, and must be one of %s",
			key.KeySpec, strings.Join(tokenKeySpecs, ", ")))
	}
	if key.KeyUsage != types.KeyUsageTypeSignVerify {
		check.Problems = append(check.Problems, fmt.Sprintf("its key usage is %s, and must be %s",
			key.KeyUsage, types.KeyUsageTypeSignVerify))
	}
	if key.KeyState != types.KeyStateEnabled {
		check.Problems = append(check.Problems, fmt.Sprintf("its state is %s, and must be %s",
			key.KeyState, types.KeyStateEnabled))
	}
	if len(check.Problems) > 0 {
		return check, nil
	}
	public, err := fetchPublicKey(ctx, client, name)
	if err != nil {
		return KeyCheck{}, err
	}
	check.KeyID = token.KeyID(public.key)
	return check, nil
}
