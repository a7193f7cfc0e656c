package awskeys

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"openlicenser/shared/token"
)

// KeyStoreAPI is what KeyStore uses of a *kms.Client.
type KeyStoreAPI interface {
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...kmsOption) (*kms.GetPublicKeyOutput, error)
	ListAliases(context.Context, *kms.ListAliasesInput, ...kmsOption) (*kms.ListAliasesOutput, error)
	CreateAlias(context.Context, *kms.CreateAliasInput, ...kmsOption) (*kms.CreateAliasOutput, error)
	UpdateAlias(context.Context, *kms.UpdateAliasInput, ...kmsOption) (*kms.UpdateAliasOutput, error)
	DeleteAlias(context.Context, *kms.DeleteAliasInput, ...kmsOption) (*kms.DeleteAliasOutput, error)
	ListKeys(context.Context, *kms.ListKeysInput, ...kmsOption) (*kms.ListKeysOutput, error)
	DescribeKey(context.Context, *kms.DescribeKeyInput, ...kmsOption) (*kms.DescribeKeyOutput, error)
	GetKeyPolicy(context.Context, *kms.GetKeyPolicyInput, ...kmsOption) (*kms.GetKeyPolicyOutput, error)
	ListResourceTags(context.Context, *kms.ListResourceTagsInput, ...kmsOption) (*kms.ListResourceTagsOutput, error)
	CreateKey(context.Context, *kms.CreateKeyInput, ...kmsOption) (*kms.CreateKeyOutput, error)
}

// KeyStore implements token.KeyStore on KMS. A state is an alias of the key. KMS keeps the date of each alias, so it
// knows since when the key is in its state.
type KeyStore struct {
	client KeyStoreAPI
	alias  string
	now    func() time.Time
}

var _ token.KeyStore = KeyStore{}

// NewKeyStore returns the store whose current key has an alias, as alias/licenser. The others are derived from that:
// alias/licenser-next and alias/licenser-previous. It calls nothing yet.
func NewKeyStore(client KeyStoreAPI, alias string) (KeyStore, error) {
	if !strings.HasPrefix(alias, "alias/") {
		const text = "%q is not an alias, as alias/licenser; the token key must stand behind one to be replaced"
		return KeyStore{}, fmt.Errorf(text, alias)
	}
	return KeyStore{client: client, alias: alias, now: time.Now}, nil
}

// WithClock sets the clock, time.Now unless set.
func (s KeyStore) WithClock(now func() time.Time) KeyStore { s.now = now; return s }

func (s KeyStore) aliasOf(state token.KeyState) string {
	if state == token.Current {
		return s.alias
	}
	return s.alias + "-" + string(state)
}

// Keys implements token.KeyStore.
func (s KeyStore) Keys(ctx context.Context) (token.StoredKeys, error) {
	aliases, err := s.aliases(ctx)
	if err != nil {
		return nil, err
	}
	keys := token.StoredKeys{}
	for _, state := range []token.KeyState{token.Current, token.Next, token.Previous} {
		alias, exists := aliases[s.aliasOf(state)]
		if !exists {
			continue
		}
		name := aws.ToString(alias.TargetKeyId)
		public, err := fetchPublicKey(ctx, s.client, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.aliasOf(state), err)
		}
		since := aws.ToTime(alias.CreationDate)
		if updated := aws.ToTime(alias.LastUpdatedDate); updated.After(since) {
			since = updated
		}
		keys[state] = token.StoredKey{Name: name, KeyID: token.KeyID(public.key), Since: since, Public: public.key}
	}
	if _, exists := keys[token.Current]; !exists {
		return nil, fmt.Errorf("there is no %s", s.alias)
	}
	return keys, nil
}

// aliases returns all aliases of the account and region, by name.
func (s KeyStore) aliases(ctx context.Context) (map[string]types.AliasListEntry, error) {
	aliases := map[string]types.AliasListEntry{}
	pages := kms.NewListAliasesPaginator(s.client, &kms.ListAliasesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list aliases: %w", err)
		}
		for _, alias := range page.Aliases {
			aliases[aws.ToString(alias.AliasName)] = alias
		}
	}
	return aliases, nil
}

// Create implements token.KeyStore. The new key gets the policy and the tags of the current one.
func (s KeyStore) Create(ctx context.Context) error {
	name, err := s.unfinishedKey(ctx)
	if err == nil && name == "" {
		name, err = s.createKey(ctx)
	}
	if err != nil {
		return err
	}
	// A crash here leaves a key that costs something and serves nothing. The next try finds it.
	return s.Put(ctx, token.Next, token.StoredKey{Name: name})
}

// description is what KMS says of a key that createKey makes. It tells people what the key is for, and unfinishedKey
// that it is one of ours.
func (s KeyStore) description() string {
	return "Signs authorization tokens, in its turn as " + s.alias +
		". Products in the field trust it: without it none of them can be verified."
}

// unfinishedAge is the age, exclusive, up to which a key without an alias is one that Create made and was cut off from.
// A key that was retired is much older, and must never come back.
const unfinishedAge = time.Hour

// unfinishedKey returns the key that an earlier Create has made and not given an alias, or "".
func (s KeyStore) unfinishedKey(ctx context.Context) (name string, err error) {
	aliases, err := s.aliases(ctx)
	if err != nil {
		return "", err
	}
	named := map[string]bool{}
	for _, alias := range aliases {
		named[aws.ToString(alias.TargetKeyId)] = true
	}
	pages := kms.NewListKeysPaginator(s.client, &kms.ListKeysInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", fmt.Errorf("list keys: %w", err)
		}
		for _, key := range page.Keys {
			if named[aws.ToString(key.KeyId)] {
				continue
			}
			out, err := s.client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: key.KeyId})
			if err != nil {
				continue // a key that we may not see is none of ours
			}
			d := out.KeyMetadata
			isOurs := aws.ToString(d.Description) == s.description() && d.KeyState == types.KeyStateEnabled
			if isOurs && s.now().Sub(aws.ToTime(d.CreationDate)) < unfinishedAge {
				return aws.ToString(key.KeyId), nil
			}
		}
	}
	return "", nil
}

func (s KeyStore) createKey(ctx context.Context) (name string, err error) {
	aliases, err := s.aliases(ctx)
	if err != nil {
		return "", err
	}
	current := aliases[s.alias].TargetKeyId
	policy, err := s.client.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: current})
	if err != nil {
		return "", fmt.Errorf("policy of the current key: %w", err)
	}
	tags, err := s.tags(ctx, current)
	if err != nil {
		return "", fmt.Errorf("tags of the current key: %w", err)
	}
	out, err := s.client.CreateKey(ctx, &kms.CreateKeyInput{
		Description: aws.String(s.description()),
		KeySpec:     types.KeySpecRsa2048,
		KeyUsage:    types.KeyUsageTypeSignVerify,
		MultiRegion: aws.Bool(true), // as the first one
		Policy:      policy.Policy,
		Tags:        tags,
	})
	if err != nil {
		return "", fmt.Errorf("create key: %w", err)
	}
	return aws.ToString(out.KeyMetadata.KeyId), nil
}

// tags returns the tags of a key but for those of AWS's own, as CloudFormation's, which nobody else may set.
func (s KeyStore) tags(ctx context.Context, key *string) (tags []types.Tag, err error) {
	pages := kms.NewListResourceTagsPaginator(s.client, &kms.ListResourceTagsInput{KeyId: key})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, tag := range page.Tags {
			if !strings.HasPrefix(aws.ToString(tag.TagKey), "aws:") {
				tags = append(tags, tag)
			}
		}
	}
	return tags, nil
}

// Put implements token.KeyStore.
func (s KeyStore) Put(ctx context.Context, state token.KeyState, key token.StoredKey) error {
	aliases, err := s.aliases(ctx)
	if err != nil {
		return err
	}
	alias := s.aliasOf(state)
	if _, exists := aliases[alias]; exists {
		_, err := s.client.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: &alias, TargetKeyId: &key.Name})
		if err != nil {
			return fmt.Errorf("update %s: %w", alias, err)
		}
		return nil
	}
	_, err = s.client.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &key.Name})
	if err != nil {
		return fmt.Errorf("create %s for key %s: %w", alias, key.Name, err)
	}
	return nil
}

// Clear implements token.KeyStore.
func (s KeyStore) Clear(ctx context.Context, state token.KeyState) error {
	alias := s.aliasOf(state)
	_, err := s.client.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: &alias})
	var notFound *types.NotFoundException
	if err != nil && !errors.As(err, &notFound) {
		return fmt.Errorf("delete %s: %w", alias, err)
	}
	return nil
}
