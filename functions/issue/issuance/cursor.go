package issuance

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"openlicenser/shared/token"
)

// cursors makes and reads the cursors of one list. A cursor holds a position, and a MAC over the list and the position.
// So it leads nowhere but to the next page of the list that it came with.
type cursors struct {
	ring    token.Ring
	signing token.Secret // which all instances know
	list    string       // what is listed, with its filters
}

// macSize in bytes is enough against forgery: each guess takes a request.
const macSize = 16

func newCursors(ctx context.Context, secrets token.Secrets, now time.Time, list string) (cursors, error) {
	ring, err := secrets.Ring(ctx)
	if err != nil {
		return cursors{}, fmt.Errorf("license-key secret: %w", err)
	}
	return cursors{ring, ring.Signing(now), list}, nil
}

// encode returns the cursor of a position. That of no position is empty.
func (c cursors) encode(position string) string {
	if position == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(c.mac(c.signing, position), position...))
}

// decode returns the position of a cursor of this list. It refuses line breaks, which Go's decoder
// would skip.
func (c cursors) decode(cursor string) (position string, ok bool) {
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(decoded) <= macSize || base64.RawURLEncoding.EncodeToString(decoded) != cursor {
		return "", false
	}
	position = string(decoded[macSize:])
	isOurs := slices.ContainsFunc(c.ring.All(), func(s token.Secret) bool {
		return hmac.Equal(decoded[:macSize], c.mac(s, position))
	})
	return position, isOurs
}

// mac begins with a text that no license key begins with, so that neither passes for the other.
func (c cursors) mac(secret token.Secret, position string) []byte {
	hash := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(hash, "cursor %q %q", c.list, position)
	return hash.Sum(nil)[:macSize]
}
