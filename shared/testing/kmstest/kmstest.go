// Package kmstest is a KMS in memory, behind the interfaces that awskeys uses of the SDK's client, for tests of what happens to
// keys and aliases over time.
package kmstest

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// ErrCut is how a call ends that is cut off.
var ErrCut = errors.New("cut off")

// KMS holds keys and aliases. It serves one caller at a time.
type KMS struct {
	Now func() time.Time
	// CutAt is the number of the call, from 1, that is cut off; Persists tells whether it takes effect before that.
	CutAt    int
	Persists bool

	Calls int
	keys  []*key
	// aliases by name. Dates are kept as KMS does.
	aliases map[string]types.AliasListEntry
}

type key struct {
	id      string
	private *rsa.PrivateKey
	created time.Time
	input   kms.CreateKeyInput
}

// bits are fewer than in KMS: what is tested is not the strength of keys, and there are many of them.
const bits = 1024

// New has no keys yet.
func New(now func() time.Time) *KMS {
	return &KMS{Now: now, aliases: map[string]types.AliasListEntry{}}
}

// Policy is that of the key of AddKey.
const Policy = `{"Statement":[]}`

// AddKey makes a key with an alias.
func (k *KMS) AddKey(alias string) error {
	made, err := k.newKey(&kms.CreateKeyInput{Policy: aws.String(Policy)})
	if err != nil {
		return err
	}
	k.point(alias, made.id)
	return nil
}

// Keys counts the keys.
func (k *KMS) Keys() int { return len(k.keys) }

// Target answers the id of the key that an alias stands for, empty for none.
func (k *KMS) Target(alias string) string { return aws.ToString(k.aliases[alias].TargetKeyId) }

// Created answers what the newest key was made from.
func (k *KMS) Created() kms.CreateKeyInput { return k.keys[len(k.keys)-1].input }

func (k *KMS) newKey(in *kms.CreateKeyInput) (*key, error) {
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, err
	}
	made := &key{id: fmt.Sprintf("key-%d", len(k.keys)+1), private: private, created: k.Now(), input: *in}
	k.keys = append(k.keys, made)
	return made, nil
}

func (k *KMS) point(alias, id string) {
	now := k.Now()
	entry, exists := k.aliases[alias]
	if !exists {
		entry = types.AliasListEntry{AliasName: &alias, CreationDate: &now}
	}
	entry.TargetKeyId, entry.LastUpdatedDate = &id, &now
	k.aliases[alias] = entry
}

func arn(id string) *string { return aws.String("arn:aws:kms:eu-central-1:123456789012:key/" + id) }

func notFound(name string) error {
	return &types.NotFoundException{Message: aws.String(name + " is not found")}
}

func (k *KMS) find(name string) (*key, error) {
	if strings.HasPrefix(name, "alias/") {
		name = k.Target(name)
	}
	for _, key := range k.keys {
		if key.id == name {
			return key, nil
		}
	}
	return nil, notFound(name)
}

// call does what is asked for, unless it is the call that is cut off.
func call[T any](k *KMS, do func() (*T, error)) (*T, error) {
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

// GetPublicKey implements awskeys.KeyAPI.
func (k *KMS) GetPublicKey(_ context.Context, in *kms.GetPublicKeyInput, _ ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	return call(k, func() (*kms.GetPublicKeyOutput, error) {
		key, err := k.find(*in.KeyId)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKIXPublicKey(&key.private.PublicKey)
		return &kms.GetPublicKeyOutput{KeyId: arn(key.id), PublicKey: der, KeyUsage: types.KeyUsageTypeSignVerify}, err
	})
}

// Sign implements awskeys.KeyAPI.
func (k *KMS) Sign(_ context.Context, in *kms.SignInput, _ ...func(*kms.Options)) (*kms.SignOutput, error) {
	return call(k, func() (*kms.SignOutput, error) {
		key, err := k.find(*in.KeyId)
		if err != nil {
			return nil, err
		}
		signature, err := rsa.SignPKCS1v15(nil, key.private, crypto.SHA256, in.Message)
		return &kms.SignOutput{KeyId: arn(key.id), Signature: signature}, err
	})
}

// ListAliases implements awskeys.KeySlotsAPI, one on a page.
func (k *KMS) ListAliases(_ context.Context, in *kms.ListAliasesInput, _ ...func(*kms.Options)) (*kms.ListAliasesOutput, error) {
	return call(k, func() (*kms.ListAliasesOutput, error) {
		var first string
		for name := range k.aliases {
			if name > aws.ToString(in.Marker) && (first == "" || name < first) {
				first = name
			}
		}
		if first == "" {
			return &kms.ListAliasesOutput{}, nil
		}
		return &kms.ListAliasesOutput{Aliases: []types.AliasListEntry{k.aliases[first]}, NextMarker: &first, Truncated: true}, nil
	})
}

// CreateAlias implements awskeys.KeySlotsAPI.
func (k *KMS) CreateAlias(_ context.Context, in *kms.CreateAliasInput, _ ...func(*kms.Options)) (*kms.CreateAliasOutput, error) {
	return call(k, func() (*kms.CreateAliasOutput, error) {
		if _, exists := k.aliases[*in.AliasName]; exists {
			return nil, &types.AlreadyExistsException{Message: in.AliasName}
		}
		k.point(*in.AliasName, *in.TargetKeyId)
		return &kms.CreateAliasOutput{}, nil
	})
}

// UpdateAlias implements awskeys.KeySlotsAPI.
func (k *KMS) UpdateAlias(_ context.Context, in *kms.UpdateAliasInput, _ ...func(*kms.Options)) (*kms.UpdateAliasOutput, error) {
	return call(k, func() (*kms.UpdateAliasOutput, error) {
		if _, exists := k.aliases[*in.AliasName]; !exists {
			return nil, notFound(*in.AliasName)
		}
		k.point(*in.AliasName, *in.TargetKeyId)
		return &kms.UpdateAliasOutput{}, nil
	})
}

// DeleteAlias implements awskeys.KeySlotsAPI.
func (k *KMS) DeleteAlias(_ context.Context, in *kms.DeleteAliasInput, _ ...func(*kms.Options)) (*kms.DeleteAliasOutput, error) {
	return call(k, func() (*kms.DeleteAliasOutput, error) {
		if _, exists := k.aliases[*in.AliasName]; !exists {
			return nil, notFound(*in.AliasName)
		}
		delete(k.aliases, *in.AliasName)
		return &kms.DeleteAliasOutput{}, nil
	})
}

// ListKeys implements awskeys.KeySlotsAPI.
func (k *KMS) ListKeys(context.Context, *kms.ListKeysInput, ...func(*kms.Options)) (*kms.ListKeysOutput, error) {
	return call(k, func() (*kms.ListKeysOutput, error) {
		out := &kms.ListKeysOutput{}
		for _, key := range k.keys {
			out.Keys = append(out.Keys, types.KeyListEntry{KeyId: &key.id, KeyArn: arn(key.id)})
		}
		return out, nil
	})
}

// DescribeKey implements awskeys.KeySlotsAPI.
func (k *KMS) DescribeKey(_ context.Context, in *kms.DescribeKeyInput, _ ...func(*kms.Options)) (*kms.DescribeKeyOutput, error) {
	return call(k, func() (*kms.DescribeKeyOutput, error) {
		key, err := k.find(*in.KeyId)
		if err != nil {
			return nil, err
		}
		return &kms.DescribeKeyOutput{KeyMetadata: &types.KeyMetadata{
			KeyId: &key.id, Description: key.input.Description, KeyState: types.KeyStateEnabled, CreationDate: &key.created,
		}}, nil
	})
}

// GetKeyPolicy implements awskeys.KeySlotsAPI.
func (k *KMS) GetKeyPolicy(_ context.Context, in *kms.GetKeyPolicyInput, _ ...func(*kms.Options)) (*kms.GetKeyPolicyOutput, error) {
	return call(k, func() (*kms.GetKeyPolicyOutput, error) {
		key, err := k.find(*in.KeyId)
		if err != nil {
			return nil, err
		}
		return &kms.GetKeyPolicyOutput{Policy: key.input.Policy}, nil
	})
}

// ListResourceTags implements awskeys.KeySlotsAPI: a key of CloudFormation, which a vendor has tagged too.
func (k *KMS) ListResourceTags(context.Context, *kms.ListResourceTagsInput, ...func(*kms.Options)) (*kms.ListResourceTagsOutput, error) {
	return call(k, func() (*kms.ListResourceTagsOutput, error) {
		return &kms.ListResourceTagsOutput{Tags: []types.Tag{
			{TagKey: aws.String("aws:cloudformation:stack-name"), TagValue: aws.String("licenser")},
			{TagKey: aws.String("owner"), TagValue: aws.String("us")},
		}}, nil
	})
}

// CreateKey implements awskeys.KeySlotsAPI.
func (k *KMS) CreateKey(_ context.Context, in *kms.CreateKeyInput, _ ...func(*kms.Options)) (*kms.CreateKeyOutput, error) {
	return call(k, func() (*kms.CreateKeyOutput, error) {
		made, err := k.newKey(in)
		if err != nil {
			return nil, err
		}
		return &kms.CreateKeyOutput{KeyMetadata: &types.KeyMetadata{KeyId: &made.id}}, nil
	})
}
