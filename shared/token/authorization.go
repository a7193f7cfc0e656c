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

// SigningKey is the port to the RSA key that signs authorization tokens, and to its successor and predecessor.
type SigningKey interface {
	// PublicKey returns the public half of the key that signs now. It may be cached.
	PublicKey(ctx context.Context) (*rsa.PublicKey, error)

	// Published returns the keys that tokens may be checked with. The one that signs now comes first, and none is there
	// twice. It may be cached.
	Published(ctx context.Context) ([]PublishedKey, error)

	// SignDigest returns the RSASSA-PKCS1-v1_5 signature of a SHA-256 digest, or ErrKeyMoved. The key is one that the
	// other two methods have returned.
	SignDigest(ctx context.Context, by *rsa.PublicKey, digest [sha256.Size]byte) ([]byte, error)
}

// PublishedKey is a key that tokens may be checked with.
type PublishedKey struct {
	Public *rsa.PublicKey
	Signs  bool // true for the key that signs now and its predecessor, and false for the successor
}

// ErrKeyMoved reports that the keys have changed since they were read. Reading them again returns the new ones.
var ErrKeyMoved = errors.New("the token key is another one than before")

// Authorizer makes authorization tokens.
type Authorizer struct {
	Key      SigningKey
	Issuer   string        // the claim iss
	Lifetime time.Duration // from the moment of signing to exp
}

// clockSkew is how far the claim iat lies before the moment of signing. Many JWT libraries refuse a token whose iat is
// in the future. Without the skew, a product whose clock is a second slow would refuse each fresh token.
const clockSkew = 5 * time.Minute

// maxLifetimeDays bounds what a configuration may ask for, because a token cannot be taken back.
const maxLifetimeDays = 3650

// Lifetime returns the lifetime of so many days, or an error that says what is allowed.
func Lifetime(days int) (time.Duration, error) {
	if days < 1 || days > maxLifetimeDays {
		return 0, fmt.Errorf("%d is not a number of days from 1 to %d", days, maxLifetimeDays)
	}
	return time.Duration(days) * 24 * time.Hour, nil
}

// ReusePeriod returns for how long after its signing a token is given again, or an error that says what is allowed. It
// is a number of days, with 0 for never. If days is empty, it is a tenth of the lifetime.
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

// maxMoves is how often the keys may change while one token is made. KMS takes some seconds to tell all of its machines
// of a moved alias.
const maxMoves = 3

// Authorize returns the token of a usable license, and the token's signature. The token expires after its lifetime, or
// when the license ends, grace included, if that is earlier. If kept is not zero and still fits, the token that it
// signed is returned again. An error is a fault of ours.
func (a Authorizer) Authorize(
	ctx context.Context, l license.License, now time.Time, kept Signature,
) (string, Signature, error) {
	return a.AuthorizeDevice(ctx, l, Lease{}, now, kept)
}

// Lease is what the token of a device says of it. The zero Lease is that of a token that names no device.
type Lease struct {
	Device  string
	Expires time.Time // exp; a whole second
}

// AuthorizeDevice returns the token of a device, as Authorize does. It expires with the lease.
func (a Authorizer) AuthorizeDevice(
	ctx context.Context, l license.License, lease Lease, now time.Time, kept Signature,
) (string, Signature, error) {
	for moves := 0; ; moves++ {
		text, signature, err := a.authorize(ctx, l, lease, now, kept)
		if !errors.Is(err, ErrKeyMoved) || moves == maxMoves {
			return text, signature, err
		}
	}
}

// signer returns the key that the license is pinned to, or the one that signs now if it is pinned to none. The latter
// also signs if the pin names a key that does not sign, because it is no longer published or only the successor. A
// valid license must never be refused, and a product that knows no other key is no worse off than with an error.
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
	slog.ErrorContext(ctx,
		"the license is pinned to a token key that does not sign; the current one has signed instead",
		"licenseid", l.ID, "tokenkeyid", l.TokenKeyID)
	return current, nil
}

func (a Authorizer) authorize(
	ctx context.Context, l license.License, lease Lease, now time.Time, kept Signature,
) (string, Signature, error) {
	public, err := a.signer(ctx, l)
	if err != nil {
		return "", Signature{}, fmt.Errorf("public key: %w", err)
	}
	if len(kept.Bytes) > 0 {
		text, err := a.unsigned(l, Lease{lease.Device, kept.Expires}, public, kept.SignedAt)
		if err != nil {
			return "", Signature{}, err
		}
		if again, isOf := kept.of(text, public); isOf {
			return again.complete(text), again, nil
		}
	}
	text, err := a.unsigned(l, lease, public, now)
	if err != nil {
		return "", Signature{}, err
	}
	signature, err := a.sign(ctx, text, public)
	if err != nil {
		return "", Signature{}, err
	}
	signature.SignedAt, signature.Expires = now.Truncate(time.Second), lease.Expires
	return signature.complete(text), signature, nil
}

// unsigned returns the signing input (RFC 7515 section 5.1): the token without its third part.
func (a Authorizer) unsigned(
	l license.License, lease Lease, public *rsa.PublicKey, signedAt time.Time,
) (string, error) {
	expires := signedAt.Add(a.Lifetime)
	if lease.Device != "" {
		expires = lease.Expires
	}
	if end := l.EndsAt(); end.Before(expires) {
		expires = end
	}
	header, errHeader := json.Marshal(authorizationHeader{
		Algorithm: jwt.SigningMethodRS256.Alg(),
		KeyID:     KeyID(public),
		Type:      "JWT",
	})
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
		Device:         lease.Device,
		UpdatesUntil:   formatUpdates(l.UpdatesUntil),
	})
	unsigned := base64.RawURLEncoding.AppendEncode(nil, header)
	unsigned = base64.RawURLEncoding.AppendEncode(append(unsigned, '.'), escape(claims))
	return string(unsigned), errors.Join(errHeader, errClaims)
}

// sign has the digest signed, because KMS signs messages of at most 4,096 bytes. It checks the signature before the
// token leaves. So a wrong or moved key ends in an error, and not in a token that fails in the field.
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

// authorizationClaims are the claims of an authorization token. The expiration date is there twice: the original Java
// client and the original browser client read different forms.
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
	Device         string `json:"device,omitempty"`
	UpdatesUntil   string `json:"updatesuntil,omitempty"`
}

// formatUpdates returns the claim updatesuntil, and none where updates have no end.
func formatUpdates(until time.Time) string {
	if until.IsZero() {
		return ""
	}
	return license.FormatDate(until)
}

// escape returns JSON text in ASCII without the characters >, ?, ~ and DEL. Then its base64url form holds neither - nor
// _. The original Java client needs that, because it decodes the payload with the standard alphabet. A sextet of the
// base64 form is 62 or 63 only if a byte ends in 111110 or 111111, as only these four do in ASCII, or lies beyond
// ASCII. All of these characters can only be in strings, so \u escapes can replace them.
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
