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

// KeySlotsAPI is what KeySlots uses of a *kms.Client.
type KeySlotsAPI interface {
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error)
	ListAliases(context.Context, *kms.ListAliasesInput, ...func(*kms.Options)) (*kms.ListAliasesOutput, error)
	CreateAlias(context.Context, *kms.CreateAliasInput, ...func(*kms.Options)) (*kms.CreateAliasOutput, error)
	UpdateAlias(context.Context, *kms.UpdateAliasInput, ...func(*kms.Options)) (*kms.UpdateAliasOutput, error)
	DeleteAlias(context.Context, *kms.DeleteAliasInput, ...func(*kms.Options)) (*kms.DeleteAliasOutput, error)
	ListKeys(context.Context, *kms.ListKeysInput, ...func(*kms.Options)) (*kms.ListKeysOutput, error)
	DescribeKey(context.Context, *kms.DescribeKeyInput, ...func(*kms.Options)) (*kms.DescribeKeyOutput, error)
	GetKeyPolicy(context.Context, *kms.GetKeyPolicyInput, ...func(*kms.Options)) (*kms.GetKeyPolicyOutput, error)
	ListResourceTags(context.Context, *kms.ListResourceTagsInput, ...func(*kms.Options)) (*kms.ListResourceTagsOutput, error)
	CreateKey(context.Context, *kms.CreateKeyInput, ...func(*kms.Options)) (*kms.CreateKeyOutput, error)
}

// KeySlots is the token.KeySlots in KMS: three aliases. Since when a key stands in a slot is what KMS says of the alias, so that
// nobody has to write it down, and it cannot be forgotten.
type KeySlots struct {
	client KeySlotsAPI
	alias  string
	now    func() time.Time
}

var _ token.KeySlots = KeySlots{}

// NewKeySlots takes the alias of the current key, as alias/licenser. The others are called alias/licenser-next and
// alias/licenser-previous.
func NewKeySlots(client KeySlotsAPI, alias string) (KeySlots, error) {
	if !strings.HasPrefix(alias, "alias/") {
		return KeySlots{}, fmt.Errorf("%q is not an alias, as alias/licenser; the token key must stand behind one to be replaced", alias)
	}
	return KeySlots{client: client, alias: alias, now: time.Now}, nil
}

// WithClock sets the clock, time.Now unless set.
func (s KeySlots) WithClock(now func() time.Time) KeySlots { s.now = now; return s }

func (s KeySlots) aliasOf(slot token.Slot) string {
	if slot == token.Current {
		return s.alias
	}
	return s.alias + "-" + string(slot)
}

// Slots implements token.KeySlots.
func (s KeySlots) Slots(ctx context.Context) (token.Slots, error) {
	aliases, err := s.aliases(ctx)
	if err != nil {
		return nil, err
	}
	slots := token.Slots{}
	for _, slot := range []token.Slot{token.Current, token.Next, token.Previous} {
		alias, exists := aliases[s.aliasOf(slot)]
		if !exists {
			continue
		}
		name := aws.ToString(alias.TargetKeyId)
		public, err := fetchPublicKey(ctx, s.client, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.aliasOf(slot), err)
		}
		since := aws.ToTime(alias.CreationDate)
		if updated := aws.ToTime(alias.LastUpdatedDate); updated.After(since) {
			since = updated
		}
		slots[slot] = token.SlotKey{Name: name, KeyID: token.KeyID(public.key), Since: since}
	}
	if _, exists := slots[token.Current]; !exists {
		return nil, fmt.Errorf("there is no %s", s.alias)
	}
	return slots, nil
}

// aliases answers all aliases of the account and region, by name.
func (s KeySlots) aliases(ctx context.Context) (map[string]types.AliasListEntry, error) {
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

// Create implements token.KeySlots. The new key may be used and administrated as the current one, whose policy and tags it gets.
func (s KeySlots) Create(ctx context.Context) error {
	name, err := s.orphan(ctx)
	if err == nil && name == "" {
		name, err = s.createKey(ctx)
	}
	if err != nil {
		return err
	}
	// A crash here leaves a key that costs something and serves nothing. The next try finds it.
	return s.Put(ctx, token.Next, token.SlotKey{Name: name})
}

// description tells people, and orphan, what the key is for.
func (s KeySlots) description() string {
	return "Signs authorization tokens, in its turn as " + s.alias + ". Products in the field trust it: without it none of them can be verified."
}

// orphanAge is how old a key without an alias may be to be taken for one that was just made. A key that was retired is much
// older, and must never come back.
const orphanAge = time.Hour

// orphan answers the key that a call before this one has made and not given an alias, or nothing.
func (s KeySlots) orphan(ctx context.Context) (name string, err error) {
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
			if d := out.KeyMetadata; aws.ToString(d.Description) == s.description() && d.KeyState == types.KeyStateEnabled &&
				s.now().Sub(aws.ToTime(d.CreationDate)) < orphanAge {
				return aws.ToString(key.KeyId), nil
			}
		}
	}
	return "", nil
}

func (s KeySlots) createKey(ctx context.Context) (name string, err error) {
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
		Policy:      policy.Policy,
		Tags:        tags,
	})
	if err != nil {
		return "", fmt.Errorf("create key: %w", err)
	}
	return aws.ToString(out.KeyMetadata.KeyId), nil
}

// tags answers the tags of a key that are not AWS's own, such as those of CloudFormation: nobody else may set these.
func (s KeySlots) tags(ctx context.Context, key *string) (tags []types.Tag, err error) {
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

// Put implements token.KeySlots.
func (s KeySlots) Put(ctx context.Context, slot token.Slot, key token.SlotKey) error {
	aliases, err := s.aliases(ctx)
	if err != nil {
		return err
	}
	alias := aws.String(s.aliasOf(slot))
	if _, exists := aliases[*alias]; exists {
		if _, err := s.client.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: alias, TargetKeyId: &key.Name}); err != nil {
			return fmt.Errorf("update %s: %w", *alias, err)
		}
		return nil
	}
	if _, err := s.client.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: alias, TargetKeyId: &key.Name}); err != nil {
		return fmt.Errorf("create %s for key %s: %w", *alias, key.Name, err)
	}
	return nil
}

// Clear implements token.KeySlots.
func (s KeySlots) Clear(ctx context.Context, slot token.Slot) error {
	alias := s.aliasOf(slot)
	_, err := s.client.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: &alias})
	var notFound *types.NotFoundException
	if err != nil && !errors.As(err, &notFound) {
		return fmt.Errorf("delete %s: %w", alias, err)
	}
	return nil
}
