// Package kmstest is AWS KMS in memory, for tests. A *KMS has the methods of the SDK's client that awskeys uses, and is
// an http.Handler for what signs. It refuses what KMS refuses, with the same errors. It knows nothing of tokens.
package kmstest

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
)

// KMS holds keys and aliases, in one account and region. Goroutines may share it, but for its fields.
type KMS struct {
	// Before is called before each call, if set, with its operation and the key that is asked for. An error fails the
	// call.
	Before func(operation, keyID string) error
	// CutAt is the number of the call, from 1, that fails with ErrCut; 0 for none. Persists says that it takes effect
	// before it fails.
	CutAt    int
	Persists bool
	Calls    int // so far

	now     func() time.Time
	mu      sync.Mutex
	keys    []*key
	aliases map[string]types.AliasListEntry // by name, with the dates that KMS keeps
}

type option = func(*kms.Options) // none is used here

// ErrCut is the error of a call that is cut off.
var ErrCut = errors.New("cut off")

type key struct {
	id       string
	spec     types.KeySpec
	signer   crypto.Signer
	created  time.Time
	input    kms.CreateKeyInput
	disabled bool
}

// New returns a KMS without keys. Dates are of the clock.
func New(now func() time.Time) *KMS {
	return &KMS{now: now, aliases: map[string]types.AliasListEntry{}}
}

// Policy is the policy of the keys that AddRSA and AddEd25519 make.
const Policy = `{"Statement":[]}`

// AddRSA makes a key of the spec RSA_2048, and gives it the aliases, as alias/token. It returns the key's id.
func (k *KMS) AddRSA(aliases ...string) (id string, err error) {
	return k.add(types.KeySpecRsa2048, aliases)
}

// AddEd25519 makes a key of the spec ECC_NIST_EDWARDS25519, and gives it the aliases. It returns the key's id.
func (k *KMS) AddEd25519(aliases ...string) (id string, err error) {
	return k.add(types.KeySpecEccNistEdwards25519, aliases)
}

func (k *KMS) add(spec types.KeySpec, aliases []string) (id string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	made, err := k.newKey(&kms.CreateKeyInput{KeySpec: spec, Policy: aws.String(Policy)})
	if err != nil {
		return "", err
	}
	for _, alias := range aliases {
		k.point(alias, made.id)
	}
	return made.id, nil
}

// Point gives an alias to the key of an id, and takes it from the key that had it. For the id "" nothing has the alias.
func (k *KMS) Point(alias, id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if id == "" {
		delete(k.aliases, alias)
		return
	}
	k.point(alias, id)
}

// Target returns the id of the key that has an alias, or "".
func (k *KMS) Target(alias string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return aws.ToString(k.aliases[alias].TargetKeyId)
}

// Public returns the public half of a key, by id or alias, or nil.
func (k *KMS) Public(name string) crypto.PublicKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, err := k.find(name)
	if err != nil {
		return nil
	}
	return key.signer.Public()
}

// Keys returns the number of keys.
func (k *KMS) Keys() int { return len(k.keys) }

// Created returns what the newest key was made from.
func (k *KMS) Created() kms.CreateKeyInput { return k.keys[len(k.keys)-1].input }

// Disable disables a key, by id or alias, or enables it again.
func (k *KMS) Disable(name string, disabled bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, _ := k.find(name); key != nil { // which is an error where it is disabled
		key.disabled = disabled
	}
}

// rsaKeys are shared by all KMS of a process, because it takes long to make one. The first key of each KMS is the first
// of these, and so on.
var (
	rsaKeys   []*rsa.PrivateKey
	rsaKeysMu sync.Mutex
)

func rsaKey(i int) (*rsa.PrivateKey, error) {
	rsaKeysMu.Lock()
	defer rsaKeysMu.Unlock()
	for len(rsaKeys) <= i {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		rsaKeys = append(rsaKeys, private)
	}
	return rsaKeys[i], nil
}

// newKey makes a key. k.mu is held.
func (k *KMS) newKey(in *kms.CreateKeyInput) (made *key, err error) {
	made = &key{id: fmt.Sprintf("key-%d", len(k.keys)+1), spec: in.KeySpec, created: k.now(), input: *in}
	if in.KeySpec == types.KeySpecEccNistEdwards25519 {
		_, made.signer, err = ed25519.GenerateKey(rand.Reader)
	} else {
		made.signer, err = rsaKey(len(k.keys))
	}
	if err != nil {
		return nil, err
	}
	k.keys = append(k.keys, made)
	return made, nil
}

// point gives an alias to a key. k.mu is held.
func (k *KMS) point(alias, id string) {
	now := k.now()
	entry, exists := k.aliases[alias]
	if !exists {
		entry = types.AliasListEntry{AliasName: &alias, CreationDate: &now}
	}
	entry.TargetKeyId, entry.LastUpdatedDate = &id, &now
	k.aliases[alias] = entry
}

const arnPrefix = "arn:aws:kms:eu-central-1:123456789012:"

// ARN returns the ARN of the key of an id.
func ARN(id string) string { return arnPrefix + "key/" + id }

func notFound(name string) error {
	return &types.NotFoundException{Message: aws.String(name + " is not found")}
}

// find returns the key of an id, an ARN or an alias. The error of a disabled key comes with the key. k.mu is held.
func (k *KMS) find(name string) (*key, error) {
	id := strings.TrimPrefix(strings.TrimPrefix(name, arnPrefix), "key/")
	if alias, isAlias := k.aliases[id]; isAlias {
		id = *alias.TargetKeyId
	}
	for _, key := range k.keys {
		switch {
		case key.id == id && key.disabled:
			return key, &types.DisabledException{Message: aws.String(ARN(id) + " is disabled.")}
		case key.id == id:
			return key, nil
		}
	}
	return nil, notFound(name)
}

// call does what is asked for, unless Before or CutAt says otherwise.
func call[T any](k *KMS, operation string, keyID *string, do func() (*T, error)) (*T, error) {
	if k.Before != nil {
		if err := k.Before(operation, aws.ToString(keyID)); err != nil {
			return nil, err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.Calls++
	if k.Calls != k.CutAt {
		return do()
	}
	if k.Persists {
		if _, err := do(); err != nil {
			return nil, err
		}
	}
	return nil, ErrCut
}

// onKey is a call that is about a key.
func onKey[T any](k *KMS, operation string, keyID *string, do func(*key) (*T, error)) (*T, error) {
	return call(k, operation, keyID, func() (*T, error) {
		key, err := k.find(aws.ToString(keyID))
		if err != nil {
			return nil, err
		}
		return do(key)
	})
}

// The algorithms by which keys sign here.
const (
	rs256            = types.SigningAlgorithmSpecRsassaPkcs1V15Sha256
	ed25519Algorithm = types.SigningAlgorithmSpecEd25519Sha512
)

func (key *key) algorithm() types.SigningAlgorithmSpec {
	if key.spec == types.KeySpecEccNistEdwards25519 {
		return ed25519Algorithm
	}
	return rs256
}

// GetPublicKey implements awskeys.KeyAPI.
func (k *KMS) GetPublicKey(_ context.Context, in *kms.GetPublicKeyInput, _ ...option) (*kms.GetPublicKeyOutput, error) {
	return onKey(k, "GetPublicKey", in.KeyId, func(key *key) (*kms.GetPublicKeyOutput, error) {
		der, err := x509.MarshalPKIXPublicKey(key.signer.Public())
		return &kms.GetPublicKeyOutput{
			KeyId: aws.String(ARN(key.id)), PublicKey: der, KeySpec: key.spec, KeyUsage: types.KeyUsageTypeSignVerify,
			SigningAlgorithms: []types.SigningAlgorithmSpec{key.algorithm()},
		}, err
	})
}

// Sign implements awskeys.KeyAPI. A digest is signed as what it is, which some emulators do not do.
func (k *KMS) Sign(_ context.Context, in *kms.SignInput, _ ...option) (*kms.SignOutput, error) {
	return onKey(k, "Sign", in.KeyId, func(key *key) (*kms.SignOutput, error) {
		if err := key.check(in); err != nil {
			return nil, err
		}
		message, hash := in.Message, crypto.Hash(0)
		if key.algorithm() == rs256 {
			hash = crypto.SHA256
			if in.MessageType != types.MessageTypeDigest {
				digest := sha256.Sum256(message)
				message = digest[:]
			}
		}
		signature, err := key.signer.Sign(rand.Reader, message, hash)
		return &kms.SignOutput{
			KeyId:            aws.String(ARN(key.id)),
			Signature:        signature,
			SigningAlgorithm: key.algorithm(),
		}, err
	})
}

// maxMessage is the longest message that KMS signs.
const maxMessage = 4096

// check refuses what KMS refuses to sign (https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html).
func (key *key) check(in *kms.SignInput) error {
	algorithm, isDigest := key.algorithm(), in.MessageType == types.MessageTypeDigest
	isKnown := slices.Contains([]types.MessageType{"", types.MessageTypeRaw, types.MessageTypeDigest}, in.MessageType)
	switch {
	case in.SigningAlgorithm != algorithm:
		const text = "Algorithm %s is incompatible with key spec %s."
		return &types.InvalidKeyUsageException{
			Message: aws.String(fmt.Sprintf(text, in.SigningAlgorithm, key.spec)),
		}
	case len(in.Message) == 0 || len(in.Message) > maxMessage:
		const text = "Value at 'message' failed to satisfy constraint: Member must have length from 1 to %d"
		return invalid(text, maxMessage)
	case !isKnown, isDigest && algorithm == ed25519Algorithm:
		return invalid("MessageType %s is not valid for %s.", in.MessageType, algorithm)
	case isDigest && len(in.Message) != sha256.Size:
		return invalid("Digest is invalid length for algorithm %s.", algorithm)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return &smithy.GenericAPIError{Code: "ValidationException", Message: fmt.Sprintf(format, args...)}
}
