package token

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"openlicenser/shared/license"
)

const authorizationSubject = "authorization_token"

// SigningKey is the port to the RSA key that signs authorization tokens, and to its successor and its predecessor.
type SigningKey interface {
	// PublicKey answers the public half of the key that signs now. It may be cached.
	PublicKey(ctx context.Context) (*rsa.PublicKey, error)

	// Published answers the keys that tokens may be checked with, the one that signs now first, and none twice. It may be
	// cached.
	Published(ctx context.Context) ([]PublishedKey, error)

	// SignDigest answers the RSASSA-PKCS1-v1_5 signature of a SHA-256 digest by one of the keys that the other two have
	// answered, or ErrKeyMoved.
	SignDigest(ctx context.Context, by *rsa.PublicKey, digest [sha256.Size]byte) ([]byte, error)
}

// PublishedKey is a key that tokens may be checked with.
type PublishedKey struct {
	Public *rsa.PublicKey
	Signs  bool // the one that signs now, and its predecessor; the successor only waits
}

// ErrKeyMoved says that the keys were changed since they were asked for. Ask again, and the answer is the new one.
var ErrKeyMoved = errors.New("the token key is another one than before")

// Authorizer makes authorization tokens.
type Authorizer struct {
	Key      SigningKey
	Issuer   string        // the claim iss
	Lifetime time.Duration // from the moment of signing to exp
}

// clockSkew is how far the claim iat lies before the moment of signing. The JWT libraries of many products refuse a token
// whose iat is still to come, and a product's clock that was a second slow would refuse each fresh one.
const clockSkew = 5 * time.Minute

// maxLifetimeDays bounds what a configuration may ask for: a token cannot be taken back.
const maxLifetimeDays = 3650

// Lifetime answers the lifetime of so many days, or an error that says what is allowed.
func Lifetime(days int) (time.Duration, error) {
	if days < 1 || days > maxLifetimeDays {
		return 0, fmt.Errorf("%d is not a number of days from 1 to %d", days, maxLifetimeDays)
	}
	return time.Duration(days) * 24 * time.Hour, nil
}

// ReusePeriod answers for how long after its signing a token of the lifetime is given again: so many days, zero for never, or, where
// days is empty, a tenth of the lifetime. The error says what is allowed.
func ReusePeriod(days string, lifetime time.Duration) (time.Duration, error) {
	if days == "" {
		return lifetime / 10, nil
	}
	n, err := strconv.ParseUint(days, 10, 16)
	period := time.Duration(n) * 24 * time.Hour
	if err != nil || period >= lifetime {
		return 0, fmt.Errorf("%q is not a number of days below the lifetime of %d", days, lifetime/(24*time.Hour))
	}
	return period, nil
}

// maxMoves is how often the keys may change while one token is made: KMS takes some seconds to tell all of its machines of a
// moved alias.
const maxMoves = 3

// Authorize answers the token of a license that may be used at now, and its signature. It ends with its lifetime or with the
// license, grace included, whichever comes first. Where an earlier signature is one of the token that would be signed, had it
// been asked for then, that is the answer; zero is none. An error is a fault of ours.
func (a Authorizer) Authorize(ctx context.Context, l license.License, now time.Time, earlier Signature) (string, Signature, error) {
	for moves := 0; ; moves++ {
		text, signature, err := a.authorize(ctx, l, now, earlier)
		if !errors.Is(err, ErrKeyMoved) || moves == maxMoves {
			return text, signature, err
		}
	}
}

// signer answers the key that the license is pinned to, and the one that signs now where it is pinned to none. So it is too where
// the pin names a key that does not sign, because it is no longer published or only waits: a valid license must never be refused,
// and a product that knows no other key than that one is no worse off than with an error.
func (a Authorizer) signer(ctx context.Context, l license.License) (*rsa.PublicKey, error) {
	current, err := a.Key.PublicKey(ctx)
	if err != nil || l.TokenKeyID == "" || l.TokenKeyID == KeyID(current) {
		return current, err
	}
	published, err := a.Key.Published(ctx)
	if err != nil {
		return nil, err
	}
	for _, key := range published {
		if key.Signs && KeyID(key.Public) == l.TokenKeyID {
			return key.Public, nil
		}
	}
	slog.ErrorContext(ctx, "the license is pinned to a token key that does not sign; the current one has signed instead",
		"licenseid", l.ID, "tokenkeyid", l.TokenKeyID)
	return current, nil
}

func (a Authorizer) authorize(ctx context.Context, l license.License, now time.Time, earlier Signature) (string, Signature, error) {
	public, err := a.signer(ctx, l)
	if err != nil {
		return "", Signature{}, fmt.Errorf("public key: %w", err)
	}
	if len(earlier.Bytes) > 0 {
		text, err := a.unsigned(l, public, earlier.SignedAt)
		if err != nil {
			return "", Signature{}, err
		}
		if again, isOf := earlier.of(text, public); isOf {
			return again.complete(text), again, nil
		}
	}
	text, err := a.unsigned(l, public, now)
	if err != nil {
		return "", Signature{}, err
	}
	signature, err := a.sign(ctx, text, public)
	if err != nil {
		return "", Signature{}, err
	}
	signature.SignedAt = now.Truncate(time.Second)
	return signature.complete(text), signature, nil
}

// unsigned answers what is signed (RFC 7515 section 5.1): the token without its third part.
func (a Authorizer) unsigned(l license.License, public *rsa.PublicKey, signedAt time.Time) (string, error) {
	expires := signedAt.Add(a.Lifetime)
	if end := l.EndsAt(); end.Before(expires) {
		expires = end
	}
	header, errHeader := json.Marshal(authorizationHeader{Algorithm: jwt.SigningMethodRS256.Alg(), KeyID: KeyID(public), Type: "JWT"})
	claims, errClaims := json.Marshal(authorizationClaims{
		Issuer:         a.Issuer,
		Subject:        authorizationSubject,
		IssuedAt:       signedAt.Add(-clockSkew).Unix(),
		Expires:        expires.Unix(),
		Services:       string(l.Services),
		AppURLs:        string(l.AppURLs),
		CustomerName:   l.CustomerName,
		Expiration:     l.ExpirationDate.Unix(),
		ExpirationDate: license.FormatDate(l.ExpirationDate),
		LicenseID:      l.ID,
	})
	unsigned := base64.RawURLEncoding.AppendEncode(nil, header)
	unsigned = base64.RawURLEncoding.AppendEncode(append(unsigned, '.'), escape(claims))
	return string(unsigned), errors.Join(errHeader, errClaims)
}

// sign has a digest signed, because the key is out of our reach: KMS takes at most 4,096 bytes of message, and a digest of any
// message. It checks the signature before the token leaves, so that a wrong or moved key ends in an error and not in a token that
// fails in the field.
func (a Authorizer) sign(ctx context.Context, unsigned string, public *rsa.PublicKey) (Signature, error) {
	digest := sha256.Sum256([]byte(unsigned))
	made, err := a.Key.SignDigest(ctx, public, digest)
	if err != nil {
		return Signature{}, fmt.Errorf("sign: %w", err)
	}
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], made); err != nil {
		return Signature{}, fmt.Errorf("the signature does not match the public key: %w", err)
	}
	return Signature{Bytes: made, digest: digest}, nil
}

type authorizationHeader struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

// authorizationClaims are the claims of an authorization token. The dates stand twice, in the two forms
// that the original Java client and the original browser client read.
type authorizationClaims struct {
	Issuer         string `json:"iss"`
	Subject        string `json:"sub"`
	IssuedAt       int64  `json:"iat"`
	Expires        int64  `json:"exp"`
	Services       string `json:"services"`
	AppURLs        string `json:"appurls"`
	CustomerName   string `json:"customername"`
	Expiration     int64  `json:"expirationdate"`
	ExpirationDate string `json:"expirationDate"`
	LicenseID      string `json:"licenseid"`
}

// escape writes JSON text in ASCII without the characters >, ?, ~ and DEL, so that its base64url form holds neither - nor _: the
// original Java client decodes the payload with the standard alphabet. A sextet of the base64 form is 62 or 63 only where a byte
// ends in 111110 or 111111, which in ASCII these four alone do, or where a byte beyond ASCII stands. All of them can only be in
// strings, so \u escapes may take their place.
func escape(text []byte) []byte {
	if !slices.ContainsFunc(text, mustBeEscaped) {
		return text
	}
	escaped := make([]byte, 0, len(text)+len(text)/8)
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == '>' || r == '?' || r == '~' || r == 0x7F || r > 0x7F && r <= 0xFFFF:
			escaped = fmt.Appendf(escaped, `\u%04x`, r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			escaped = fmt.Appendf(escaped, `\u%04x\u%04x`, high, low)
		default:
			escaped = append(escaped, byte(r))
		}
		i += size
	}
	return escaped
}

func mustBeEscaped(b byte) bool { return b == '>' || b == '?' || b >= '~' }
