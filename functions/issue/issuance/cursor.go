package issuance

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"

	"openlicenser/shared/token"
)

// cursors makes and reads the cursors of one list. A cursor carries a MAC over the list and the position, so it leads
// nowhere but to the next page of the list that it came with.
type cursors struct {
	ring    token.Ring
	signing token.Secret // which all instances know
	list    string       // what is listed, with its filters
}

// macSize is enough against forgery, as an attacker has to ask us about each guess.
const macSize = 16

func (i Issuer) cursors(ctx context.Context, list string) (cursors, error) {
	ring, err := i.Secrets.Ring(ctx)
	if err != nil {
		return cursors{}, fmt.Errorf("license-key secret: %w", err)
	}
	return cursors{ring, ring.Signing(i.Now()), list}, nil
}

// encode answers nothing for no position.
func (c cursors) encode(position string) string {
	if position == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(c.mac(c.signing, position), position...))
}

// decode takes one spelling of a cursor only. Go's decoder skips line breaks and, unless it is strict, lets unused bits pass.
func (c cursors) decode(cursor string) (position string, ok bool) {
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(decoded) <= macSize || base64.RawURLEncoding.EncodeToString(decoded) != cursor {
		return "", false
	}
	position = string(decoded[macSize:])
	isOurs := slices.ContainsFunc(c.ring.All(), func(s token.Secret) bool { return hmac.Equal(decoded[:macSize], c.mac(s, position)) })
	return position, isOurs
}

// mac begins with a text that no license key begins with, so that neither passes for the other.
func (c cursors) mac(secret token.Secret, position string) []byte {
	hash := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(hash, "cursor %q %q", c.list, position)
	return hash.Sum(nil)[:macSize]
}
