package token

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"openlicenser/shared/device"
	"openlicenser/shared/license"
)

// Signature is the signature of an authorization token. The rest of the token follows from the license, the Authorizer
// and the time, so the signature is all that has to be kept to give the same token again. Once any of these differ, it
// is the signature of another token.
type Signature struct {
	SignedAt time.Time // a whole second, from which iat follows, and exp of a token that names no device
	Expires  time.Time // exp of a token that names a device; a whole second
	Bytes    []byte    // RSASSA-PKCS1-v1_5; none in the zero Signature

	digest [sha256.Size]byte // of the signed text, once that is known
}

// of reports whether s is the signature of a text by the key. It returns s with the digest of the text.
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

// complete returns the token in the compact serialization (RFC 7515 section 7.1).
func (s Signature) complete(unsigned string) string {
	text := make([]byte, 0, len(unsigned)+1+base64.RawURLEncoding.EncodedLen(len(s.Bytes)))
	text = append(append(text, unsigned...), '.')
	return string(base64.RawURLEncoding.AppendEncode(text, s.Bytes))
}

// Kept is what is read for a verification.
type Kept struct {
	License   license.License
	Signature Signature // of a token that names no device; zero if there is none, or if it cannot be read

	// Where a device was named, its seats are read too, and the signature of its token.
	Seats    *device.Seats // nil where none was ever taken
	SeatsErr error         // the seats could not be read, which matters for a license with devices alone
	OfDevice Signature
}

// Signatures is the port to the signatures that all instances share, one for each license, and for each of its devices.
// A signature is as secret as the token: whoever knows the license can make its token with it. Losing them only costs
// new signatures.
type Signatures interface {
	// Get returns a license as license.Reader does, the signature that was kept for it, and where a device is named its
	// seats, strongly consistent, and its signature: all in one round trip. The error is only about the license.
	Get(ctx context.Context, licenseID, deviceID string) (Kept, error)

	// Keep stores a signature in place of the one before, of the license's token or, where it is named, a device's. It
	// is of no use from expires on.
	Keep(ctx context.Context, licenseID, deviceID string, s Signature, expires time.Time) error
}

// SignatureRemover is the port to the same signatures for whoever reads none.
type SignatureRemover interface {
	// Forget removes the signatures of a license's token and of those of its devices. What is not there is removed
	// already. A token says the customer's name, and with its signature a guess of it can be confirmed.
	Forget(ctx context.Context, licenseID string, deviceIDs []string) error
}
