package awskeys

import (
	"context"
	"crypto/ed25519"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"openlicenser/shared/checkpoint"
)

// CheckpointKey implements checkpoint.Signer on a key in KMS of the key spec ECC_NIST_EDWARDS25519. Its private half
// never leaves KMS.
type CheckpointKey struct {
	client KeyAPI
	keyID  string
	cache  *cached[ed25519Key]
}

var _ checkpoint.Signer = (*CheckpointKey)(nil)

// ed25519Key holds the bytes of a public half.
type ed25519Key string

// NewCheckpointKey returns the key of an id, ARN, or alias, as alias/licenser-checkpoint. It calls nothing yet.
func NewCheckpointKey(client KeyAPI, keyID string, options ...Option) *CheckpointKey {
	k := &CheckpointKey{client: client, keyID: keyID}
	k.cache = newCached("the public half of the checkpoint key", k.fetchPublicKey, options)
	return k
}

// PublicKey returns the public half, at most five minutes old unless KMS fails, and never a day old.
func (k *CheckpointKey) PublicKey(ctx context.Context) (ed25519.PublicKey, error) {
	key, err := k.cache.get(ctx)
	if err != nil {
		return nil, err
	}
	return ed25519.PublicKey(key), nil
}

func (k *CheckpointKey) fetchPublicKey(ctx context.Context) (ed25519Key, error) {
	key, _, err := fetchPublicHalf[ed25519.PublicKey](ctx, k.client, k.keyID, "checkpoint", "Ed25519")
	return ed25519Key(key), err
}

// Sign returns the signature of a message by KMS. The caller has to verify it: the alias may have moved to another key.
func (k *CheckpointKey) Sign(ctx context.Context, message []byte) ([]byte, error) {
	out, err := k.client.Sign(ctx, &kms.SignInput{
		KeyId:            &k.keyID,
		Message:          message,
		MessageType:      types.MessageTypeRaw,
		SigningAlgorithm: types.SigningAlgorithmSpecEd25519Sha512,
	})
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return out.Signature, nil
}
