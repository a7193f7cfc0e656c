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

// Signature is that of an authorization token, without the token: what the token says follows from the license, the Authorizer and
// the time. So it makes the same token again, and once anything of it is different, the signature is one of another token.
type Signature struct {
	SignedAt time.Time // a whole second, from which iat and exp follow
	Bytes    []byte    // RSASSA-PKCS1-v1_5; none in the zero Signature

	digest [sha256.Size]byte // what it is known to be the signature of; zero until that is known
}

// of tells whether s is the signature of a text by the key, and answers one that knows.
func (s Signature) of(text string, public *rsa.PublicKey) (Signature, bool) {
	digest := sha256.Sum256([]byte(text))
	if s.digest == digest { // the text names the key
		return s, true
	}
	if s.digest != ([sha256.Size]byte{}) || rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], s.Bytes) != nil {
		return Signature{}, false
	}
	s.digest = digest
	return s, true
}

// complete answers the compact serialization of RFC 7515 section 7.1.
func (s Signature) complete(unsigned string) string {
	text := make([]byte, 0, len(unsigned)+1+base64.RawURLEncoding.EncodedLen(len(s.Bytes)))
	text = append(append(text, unsigned...), '.')
	return string(base64.RawURLEncoding.AppendEncode(text, s.Bytes))
}

// Signatures is the port to the signatures that all instances share, one for each license. They are worth what tokens are: whoever
// knows the license can make its token of one. Losing them costs signatures, and never an answer.
type Signatures interface {
	// Get answers a license as license.Reader does, strongly consistent, and in the same round trip the signature that was kept
	// for it. Where there is none, or none can be had, it is zero; what came of the license decides about the error.
	Get(ctx context.Context, licenseID string) (license.License, Signature, error)
	// Keep keeps a signature in place of the one before. From expires on nobody wants it.
	Keep(ctx context.Context, licenseID string, s Signature, expires time.Time) error
}
