package kmstest

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// ListAliases implements awskeys.KeyStoreAPI. A page has one alias.
func (k *KMS) ListAliases(_ context.Context, in *kms.ListAliasesInput, _ ...option) (*kms.ListAliasesOutput, error) {
	return call(k, "ListAliases", nil, func() (*kms.ListAliasesOutput, error) {
		var first string
		for name := range k.aliases {
			if name > aws.ToString(in.Marker) && (first == "" || name < first) {
				first = name
			}
		}
		if first == "" {
			return &kms.ListAliasesOutput{}, nil
		}
		page := []types.AliasListEntry{k.aliases[first]}
		return &kms.ListAliasesOutput{Aliases: page, NextMarker: &first, Truncated: true}, nil
	})
}

// CreateAlias implements awskeys.KeyStoreAPI.
func (k *KMS) CreateAlias(_ context.Context, in *kms.CreateAliasInput, _ ...option) (*kms.CreateAliasOutput, error) {
	return call(k, "CreateAlias", in.TargetKeyId, func() (*kms.CreateAliasOutput, error) {
		if _, exists := k.aliases[*in.AliasName]; exists {
			return nil, &types.AlreadyExistsException{Message: in.AliasName}
		}
		k.point(*in.AliasName, *in.TargetKeyId)
		return &kms.CreateAliasOutput{}, nil
	})
}

// UpdateAlias implements awskeys.KeyStoreAPI.
func (k *KMS) UpdateAlias(_ context.Context, in *kms.UpdateAliasInput, _ ...option) (*kms.UpdateAliasOutput, error) {
	return call(k, "UpdateAlias", in.TargetKeyId, func() (*kms.UpdateAliasOutput, error) {
		if _, exists := k.aliases[*in.AliasName]; !exists {
			return nil, notFound(*in.AliasName)
		}
		k.point(*in.AliasName, *in.TargetKeyId)
		return &kms.UpdateAliasOutput{}, nil
	})
}

// DeleteAlias implements awskeys.KeyStoreAPI.
func (k *KMS) DeleteAlias(_ context.Context, in *kms.DeleteAliasInput, _ ...option) (*kms.DeleteAliasOutput, error) {
	return call(k, "DeleteAlias", nil, func() (*kms.DeleteAliasOutput, error) {
		if _, exists := k.aliases[*in.AliasName]; !exists {
			return nil, notFound(*in.AliasName)
		}
		delete(k.aliases, *in.AliasName)
		return &kms.DeleteAliasOutput{}, nil
	})
}

// ListKeys implements awskeys.KeyStoreAPI.
func (k *KMS) ListKeys(context.Context, *kms.ListKeysInput, ...option) (*kms.ListKeysOutput, error) {
	return call(k, "ListKeys", nil, func() (*kms.ListKeysOutput, error) {
		out := &kms.ListKeysOutput{}
		for _, key := range k.keys {
			out.Keys = append(out.Keys, types.KeyListEntry{KeyId: &key.id, KeyArn: aws.String(ARN(key.id))})
		}
		return out, nil
	})
}

// DescribeKey implements awskeys.KeyStoreAPI.
func (k *KMS) DescribeKey(_ context.Context, in *kms.DescribeKeyInput, _ ...option) (*kms.DescribeKeyOutput, error) {
	return onKey(k, "DescribeKey", in.KeyId, func(key *key) (*kms.DescribeKeyOutput, error) {
		return &kms.DescribeKeyOutput{KeyMetadata: &types.KeyMetadata{
			KeyId: &key.id, Description: key.input.Description,
			KeyState: types.KeyStateEnabled, CreationDate: &key.created,
		}}, nil
	})
}

// GetKeyPolicy implements awskeys.KeyStoreAPI.
func (k *KMS) GetKeyPolicy(_ context.Context, in *kms.GetKeyPolicyInput, _ ...option) (*kms.GetKeyPolicyOutput, error) {
	return onKey(k, "GetKeyPolicy", in.KeyId, func(key *key) (*kms.GetKeyPolicyOutput, error) {
		return &kms.GetKeyPolicyOutput{Policy: key.input.Policy}, nil
	})
}

// ListResourceTags implements awskeys.KeyStoreAPI. The tags are those of a key of CloudFormation that a vendor has
// tagged too.
func (k *KMS) ListResourceTags(
	_ context.Context, in *kms.ListResourceTagsInput, _ ...option,
) (*kms.ListResourceTagsOutput, error) {
	return call(k, "ListResourceTags", in.KeyId, func() (*kms.ListResourceTagsOutput, error) {
		return &kms.ListResourceTagsOutput{Tags: []types.Tag{
			{TagKey: aws.String("aws:cloudformation:stack-name"), TagValue: aws.String("licenser")},
			{TagKey: aws.String("owner"), TagValue: aws.String("us")},
		}}, nil
	})
}

// CreateKey implements awskeys.KeyStoreAPI.
func (k *KMS) CreateKey(_ context.Context, in *kms.CreateKeyInput, _ ...option) (*kms.CreateKeyOutput, error) {
	return call(k, "CreateKey", nil, func() (*kms.CreateKeyOutput, error) {
		made, err := k.newKey(in)
		if err != nil {
			return nil, err
		}
		return &kms.CreateKeyOutput{KeyMetadata: &types.KeyMetadata{KeyId: &made.id}}, nil
	})
}
