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

// KeyAPI is what SigningKey uses of a *kms.Client.
type KeyAPI interface {
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error)
	Sign(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error)
}

// KeyNames are ids, ARNs, or aliases (as alias/licenser) of the token keys. Next and Previous may be empty, and may be aliases that
// do not exist.
type KeyNames struct {
	Current  string // signs
	Next     string // is published before it signs
	Previous string // is published until its last token has expired, and signs for licenses that are pinned to it
}

// SigningKey is an RSA key in KMS, with its successor and its predecessor. Their private halves never leave KMS.
type SigningKey struct {
	client    KeyAPI
	names     KeyNames
	current   *cached[publicKey]
	published *cached[[]publicKey] // not asked for on the way of a token, unless its license is pinned
}

var _ token.SigningKey = (*SigningKey)(nil)

// publicKey is a public half, the name that it was asked for by, and the ARN of the key that it is of: an alias may come to stand
// for another.
type publicKey struct {
	name string
	arn  string
	key  *rsa.PublicKey
}

// NewSigningKey reaches the keys. It calls nothing yet.
func NewSigningKey(client KeyAPI, names KeyNames, options ...Option) *SigningKey {
	k := &SigningKey{client: client, names: names}
	k.current = newCached("the public half of the token key", func(ctx context.Context) (publicKey, error) {
		return fetchPublicKey(ctx, client, names.Current)
	}, options)
	k.published = newCached("the published token keys", k.fetchPublished, options)
	return k
}

// PublicKey answers the public half, at most five minutes old unless KMS fails or its alias is moved, and never a day
// old. A key that is not RSA, or not for signing, is an error.
func (k *SigningKey) PublicKey(ctx context.Context) (*rsa.PublicKey, error) {
	public, err := k.current.get(ctx)
	return public.key, err
}

// Published answers what is at most five minutes old unless KMS fails, and never a day old. An alias that does not
// exist publishes nothing, any other failure is an error: a set that lacks a key would be kept by products.
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

// signs tells whether the function may sign with the key. For the successor its role has no permission.
func (k *SigningKey) signs(public publicKey) bool { return public.name != k.names.Next }

// fetchPublished asks in this order, because a promotion goes the other way: it makes the current key the previous one, then
// the next one the current one, and then takes the next one away. So whatever happens between two requests, no key is missed.
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

// fetchOptional answers no key for an alias that does not exist.
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

// publicKeyAPI is what fetchPublicKey uses of a *kms.Client.
type publicKeyAPI interface {
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error)
}

func fetchPublicKey(ctx context.Context, client publicKeyAPI, name string) (publicKey, error) {
	out, err := client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &name})
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
	return publicKey{name: name, arn: aws.ToString(out.KeyId), key: key}, nil
}

// SignDigest has KMS sign a digest (RS256 of RFC 7518 section 3.3). KMS answers which key it has used: where an alias was moved, the
// error is token.ErrKeyMoved, and what was known of the keys is forgotten.
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
	k.published.dropIf(func(keys []publicKey) bool { return slices.Contains(keys, public) || public.name == k.names.Current })
	return nil, token.ErrKeyMoved
}

// find answers a key that was asked for before, by a name that the function may sign with.
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
