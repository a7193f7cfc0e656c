package awskeys

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"openlicenser/shared/token"
)

// KeyAPI is what SigningKey uses of a *kms.Client.
type KeyAPI interface {
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error)
	Sign(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error)
}

// SigningKey is an RSA key in KMS. Its private half never leaves KMS.
type SigningKey struct {
	client KeyAPI
	keyID  string
	cache  *cached[publicKey]
}

var _ token.SigningKey = (*SigningKey)(nil)

// publicKey is a public half and the ARN of the key that it is of: an alias may come to stand for another.
type publicKey struct {
	arn string
	key *rsa.PublicKey
}

// NewSigningKey reaches the key of an id, ARN, or alias (as alias/licenser). It calls nothing yet.
func NewSigningKey(client KeyAPI, keyID string, options ...Option) *SigningKey {
	k := &SigningKey{client: client, keyID: keyID}
	k.cache = newCached("the public half of the token key", k.fetchPublicKey, options)
	return k
}

// PublicKey answers the public half, at most five minutes old unless KMS fails or its alias is moved. A key
// that is not RSA, or not for signing, is an error.
func (k *SigningKey) PublicKey(ctx context.Context) (*rsa.PublicKey, error) {
	public, err := k.cache.get(ctx)
	return public.key, err
}

func (k *SigningKey) fetchPublicKey(ctx context.Context) (publicKey, error) {
	out, err := k.client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &k.keyID})
	if err != nil {
		return publicKey{}, fmt.Errorf("get public key: %w", err)
	}
	if out.KeyUsage != types.KeyUsageTypeSignVerify {
		return publicKey{}, fmt.Errorf("the token key is for %q, not for %s", out.KeyUsage, types.KeyUsageTypeSignVerify)
	}
	parsed, err := x509.ParsePKIXPublicKey(out.PublicKey)
	if err != nil {
		return publicKey{}, fmt.Errorf("get public key: %w", err)
	}
	key, isRSA := parsed.(*rsa.PublicKey)
	if !isRSA {
		return publicKey{}, fmt.Errorf("the token key is a %T, not RSA", parsed)
	}
	return publicKey{arn: aws.ToString(out.KeyId), key: key}, nil
}

// errKeyMoved says that the request met the moment at which the alias was moved. The next one finds the new key.
var errKeyMoved = errors.New("the token key's alias stands for another key than before")

// SignDigest has KMS sign a digest (RS256 of RFC 7518 section 3.3). An error that is not of KMS says that the
// signature is of another key than the one that PublicKey answered; the next PublicKey answers the new one.
func (k *SigningKey) SignDigest(ctx context.Context, digest [sha256.Size]byte) ([]byte, error) {
	out, err := k.client.Sign(ctx, &kms.SignInput{
		KeyId:            &k.keyID,
		Message:          digest[:],
		MessageType:      types.MessageTypeDigest,
		SigningAlgorithm: types.SigningAlgorithmSpecRsassaPkcs1V15Sha256,
	})
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if public, cached := k.cache.peek(); cached && public.arn != aws.ToString(out.KeyId) {
		k.cache.dropIf(func(current publicKey) bool { return current == public })
		return nil, errKeyMoved
	}
	return out.Signature, nil
}
