package awskeys

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"openlicenser/shared/token"
)

type kmsOption = func(*kms.Options)

// KeyAPI is what SigningKey and CheckpointKey use of a *kms.Client.
type KeyAPI interface {
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...kmsOption) (*kms.GetPublicKeyOutput, error)
	Sign(context.Context, *kms.SignInput, ...kmsOption) (*kms.SignOutput, error)
}

// KeyNames are ids, ARNs, or aliases (as alias/licenser) of the token keys. Next and Previous may be empty, or aliases
// that do not exist.
type KeyNames struct {
	Current  string // signs
	Next     string // is published before it signs
	Previous string // is published until its last token has expired, and signs for licenses that are pinned to it
}

// SigningKey implements token.SigningKey on RSA keys in KMS: the current one, its successor and its predecessor. Their
// private halves never leave KMS.
type SigningKey struct {
	client    KeyAPI
	names     KeyNames
	current   *cached[publicKey]
	published *cached[[]publicKey] // no token needs it, unless its license is pinned
}

var _ token.SigningKey = (*SigningKey)(nil)

// publicKey is the public half of a key. An alias may move to another key, so it goes with the ARN that had the name.
type publicKey struct {
	name string
	arn  string
	key  *rsa.PublicKey
}

// NewSigningKey returns the key of these names. It calls nothing yet.
func NewSigningKey(client KeyAPI, names KeyNames, options ...Option) *SigningKey {
	k := &SigningKey{client: client, names: names}
	k.current = newCached("the public half of the token key", func(ctx context.Context) (publicKey, error) {
		return fetchPublicKey(ctx, client, names.Current)
	}, options)
	k.published = newCached("the published token keys", k.fetchPublished, options)
	return k
}

// PublicKey implements token.SigningKey. The public half is at most five minutes old unless KMS fails or the alias
// moves, and never a day old. A key that is not RSA, or not for signing, is an error.
func (k *SigningKey) PublicKey(ctx context.Context) (*rsa.PublicKey, error) {
	public, err := k.current.get(ctx)
	return public.key, err
}

// Published implements token.SigningKey. The keys are at most five minutes old unless KMS fails, and never a day old.
// An alias that does not exist publishes nothing. Any other failure is an error, because products would keep a set that
// lacks a key.
func (k *SigningKey) Published(ctx context.Context) ([]token.PublishedKey, error) {
	keys, err := k.published.get(ctx)
	if err != nil {
		return nil, err
	}
	published := make([]token.PublishedKey, len(keys))
	for i, public := range keys {
		published[i] = token.PublishedKey{Public: public.key, Signs: k.signs(public)}
	}
	return published, nil
}

// signs reports whether the function may sign with the key. Its role has no permission for the successor.
func (k *SigningKey) signs(public publicKey) bool { return public.name != k.names.Next }

// fetchPublished returns the keys, current first. It asks for next, current and previous in this order, because
// token.Succession promotes in the opposite one. So whatever happens between two requests, no key is missed.
func (k *SigningKey) fetchPublished(ctx context.Context) ([]publicKey, error) {
	var next, previous []publicKey
	var current publicKey
	next, err := k.fetchOptional(ctx, k.names.Next)
	if err == nil {
		current, err = fetchPublicKey(ctx, k.client, k.names.Current)
	}
	if err == nil {
		previous, err = k.fetchOptional(ctx, k.names.Previous)
	}
	var keys []publicKey
	for _, public := range slices.Concat([]publicKey{current}, next, previous) {
		if !slices.ContainsFunc(keys, func(k publicKey) bool { return k.arn == public.arn }) {
			keys = append(keys, public)
		}
	}
	return keys, err
}

// fetchOptional returns the key of a name, or none for an alias that does not exist.
func (k *SigningKey) fetchOptional(ctx context.Context, name string) ([]publicKey, error) {
	if name == "" {
		return nil, nil
	}
	public, err := fetchPublicKey(ctx, k.client, name)
	var notFound *types.NotFoundException
	switch {
	case errors.As(err, &notFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return []publicKey{public}, nil
}

// publicKeyAPI is what fetchPublicHalf uses of a *kms.Client.
type publicKeyAPI interface {
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...kmsOption) (*kms.GetPublicKeyOutput, error)
}

func fetchPublicKey(ctx context.Context, client publicKeyAPI, name string) (publicKey, error) {
	key, arn, err := fetchPublicHalf[*rsa.PublicKey](ctx, client, name, "token", "RSA")
	if err != nil {
		return publicKey{}, err
	}
	return publicKey{name: name, arn: arn, key: key}, nil
}

// fetchPublicHalf returns the public half of a key that signs, and the ARN of the key that has the name. What the key
// is used for, and its algorithm, are for errors.
func fetchPublicHalf[K any](
	ctx context.Context, client publicKeyAPI, name, use, algorithm string,
) (key K, arn string, err error) {
	out, err := client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &name})
	if err != nil {
		return key, "", fmt.Errorf("get public key: %w", err)
	}
	if out.KeyUsage != types.KeyUsageTypeSignVerify {
		return key, "", fmt.Errorf("the %s key is for %q, not for %s", use, out.KeyUsage, types.KeyUsageTypeSignVerify)
	}
	parsed, err := x509.ParsePKIXPublicKey(out.PublicKey)
	if err != nil {
		return key, "", fmt.Errorf("get public key: %w", err)
	}
	key, fits := parsed.(K)
	if !fits {
		return key, "", fmt.Errorf("the %s key is a %T, not %s", use, parsed, algorithm)
	}
	return key, aws.ToString(out.KeyId), nil
}

// SignDigest implements token.SigningKey: KMS signs the digest (RS256 of RFC 7518 section 3.3). Its response names the
// key that has signed. Where the alias has moved to another key, the error is token.ErrKeyMoved, and the cached keys
// are dropped.
func (k *SigningKey) SignDigest(ctx context.Context, by *rsa.PublicKey, digest [sha256.Size]byte) ([]byte, error) {
	public, known := k.find(by)
	if !known {
		return nil, token.ErrKeyMoved // another request has found that out since
	}
	out, err := k.client.Sign(ctx, &kms.SignInput{
		KeyId:            &public.name,
		Message:          digest[:],
		MessageType:      types.MessageTypeDigest,
		SigningAlgorithm: types.SigningAlgorithmSpecRsassaPkcs1V15Sha256,
	})
	var notFound *types.NotFoundException
	switch {
	case errors.As(err, &notFound) && public.name == k.names.Previous: // it was removed since
	case err != nil:
		return nil, fmt.Errorf("sign: %w", err)
	case aws.ToString(out.KeyId) == public.arn:
		return out.Signature, nil
	}
	k.current.dropIf(func(current publicKey) bool { return current == public })
	k.published.dropIf(func(keys []publicKey) bool {
		return slices.Contains(keys, public) || public.name == k.names.Current
	})
	return nil, token.ErrKeyMoved
}

// find returns a cached key, under a name that the function may sign with.
func (k *SigningKey) find(by *rsa.PublicKey) (publicKey, bool) {
	if current, cached := k.current.peek(); cached && current.key.Equal(by) {
		return current, true
	}
	keys, _ := k.published.peek()
	for _, public := range keys {
		if k.signs(public) && public.key.Equal(by) {
			return public, true
		}
	}
	return publicKey{}, false
}
