package checkpoint

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// Key is the public half of the key that signs checkpoints.
type Key interface {
	PublicKey(ctx context.Context) (ed25519.PublicKey, error)
}

// Signer is an Ed25519 key that signs checkpoints, and nothing else.
type Signer interface {
	Key

	// Sign signs the message itself (RFC 8032 Ed25519, not Ed25519ph). Messages are well below 1 KB.
	Sign(ctx context.Context, message []byte) ([]byte, error)
}

// VerifierKey returns the key as the note verifier key that Open takes, with the origin as its name.
func VerifierKey(ctx context.Context, public Key, origin string) (string, error) {
	key, err := public.PublicKey(ctx)
	if err != nil {
		return "", fmt.Errorf("checkpoint key: %w", err)
	}
	vkey, err := note.NewEd25519VerifierKey(origin, key)
	if err != nil {
		return "", fmt.Errorf("checkpoint key: %w", err)
	}
	if _, err := note.NewVerifier(vkey); err != nil {
		return "", fmt.Errorf("the origin %q cannot be the name of a note's key: %w", origin, err)
	}
	return vkey, nil
}

// sign returns the signed checkpoint, which Open reads.
func sign(ctx context.Context, signer Signer, vkey string, c Checkpoint) ([]byte, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: c.String()}, noteSigner{verifier, signer, ctx})
}

// noteSigner makes a Signer a note.Signer, for one call of note.Sign.
type noteSigner struct {
	note.Verifier
	signer Signer
	ctx    context.Context
}

var errSignature = errors.New("the signature is not of the checkpoint key")

// Sign implements note.Signer. It checks the signature, because what enters the archive is there for ever.
func (s noteSigner) Sign(message []byte) ([]byte, error) {
	signature, err := s.signer.Sign(s.ctx, message)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	if !s.Verify(message, signature) {
		return nil, errSignature
	}
	return signature, nil
}
