package token

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"openlicenser/shared/license"
)

// Signature is the signature of an authorization token, without the token's text. The text follows from the license,
// the Authorizer and SignedAt, so the three make the same token again. Once the text has changed, the signature does
// not fit it any more.
type Signature struct {
	SignedAt time.Time // a whole second, from which iat and exp follow
	Bytes    []byte    // RSASSA-PKCS1-v1_5; none in the zero Signature

	digest [sha256.Size]byte // of the text that it was checked against; zero until then
}

// of reports whether s is the key's signature of a text, which names the key. The returned Signature remembers the
// text, so that the next check compares digests and does no RSA.
func (s Signature) of(text string, public *rsa.PublicKey) (Signature, bool) {
	digest := sha256.Sum256([]byte(text))
	if s.digest == digest {
		return s, true
	}
	if s.digest != ([sha256.Size]byte{}) || rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], s.Bytes) != nil {
		return Signature{}, false
	}
	s.digest = digest
	return s, true
}

// complete returns the compact serialization of the token (RFC 7515 section 7.1): the text that was signed, a dot, and
// the signature.
func (s Signature) complete(unsigned string) string {
	text := make([]byte, 0, len(unsigned)+1+base64.RawURLEncoding.EncodedLen(len(s.Bytes)))
	text = append(append(text, unsigned...), '.')
	return string(base64.RawURLEncoding.AppendEncode(text, s.Bytes))
}

// Signatures is the port to the signatures that all instances share, one for each license. They are as secret as
// tokens: who knows the license makes its token of one. When they are lost, tokens are signed anew and nothing else is
// lost.
type Signatures interface {
	// Get returns a license as license.Reader does, strongly consistent, and the signature that was kept for it, in one
	// round trip. The signature is zero where there is none or none can be read. The error is about the license alone.
	Get(ctx context.Context, licenseID string) (license.License, Signature, error)
	// Keep stores a signature in place of the one before. It may be forgotten once it expires.
	Keep(ctx context.Context, licenseID string, s Signature, expires time.Time) error
}
