// Package token makes and reads the two kinds of JSON Web Token (RFC 7519) that products hold: the license
// key, which the vendor gives to a customer, and the authorization token, which a product checks offline.
// It owns the ports to the secret and to the key that sign them, and knows no AWS and no HTTP.
package token

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"openlicenser/shared/license"
	"openlicenser/shared/strictjson"
)

// MaxLicenseKey is the length in bytes from which on a license key is refused unread.
const MaxLicenseKey = 8 << 10

const licenseKeySubject = "License Key"

// CleanLicenseKey returns a license key as it was signed, of one that was pasted: mail programs and people add white space,
// line breaks, invisible characters, quotes and padding, and a license key has none of them. What is dropped is every
// character that is neither of base64url nor a dot. The result is to be read strictly.
func CleanLicenseKey(pasted string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (isBase64URL(byte(r)) || r == '.') {
			return r
		}
		return -1
	}, pasted)
}

// ErrInvalidLicenseKey says that a text is no license key of ours. What was wrong is in the error's text,
// for the log only: the caller must not learn how far a forgery came.
var ErrInvalidLicenseKey = errors.New("invalid license key")

// ErrSignature is the ErrInvalidLicenseKey of a key whose signature matches no secret of the ring that is in force.
var ErrSignature = fmt.Errorf("%w: the signature matches no secret in force", ErrInvalidLicenseKey)

// SignLicenseKey makes the license key of a license. The same license, secret and issuer give the same key. An empty
// secret is an error.
func SignLicenseKey(secret Secret, issuer string, l license.License) (string, error) {
	if secret == "" {
		return "", errors.New("the license-key secret is empty")
	}
	issued := l.Created
	if issued.IsZero() {
		issued = l.Changed
	}
	unsigned := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub":          licenseKeySubject,
		"iss":          issuer,
		"customerid":   l.CustomerID,
		"licenseid":    l.ID,
		"customername": l.CustomerName,
		"iat":          issued.Unix(),
	})
	unsigned.Header["kid"] = secret.KeyID()
	return unsigned.SignedString([]byte(secret))
}

// UnverifiedKeyID answers the kid in the header of a license key, and nothing where there is none. Anyone can have written it.
func UnverifiedKeyID(key string) string {
	segment, _, _ := strings.Cut(key, ".")
	header, err := decodeObject(segment)
	if err != nil {
		return ""
	}
	kid, _ := header["kid"].(string)
	return kid
}

// UnverifiedLicenseID answers the licenseid in the claims of a license key, and nothing where there is none. Anyone can have
// written it.
func UnverifiedLicenseID(key string) string {
	if len(key) > MaxLicenseKey {
		return ""
	}
	_, segment, _, err := split(key)
	if err != nil {
		return ""
	}
	claims, err := decodeObject(segment)
	if err != nil {
		return ""
	}
	return licenseIDOf(claims)
}

// ReadLicenseKey answers the id of the license that the key is for, or ErrInvalidLicenseKey. Cheap checks
// come first, and it decodes nothing of the key before its signature holds. So every secret of the ring is tried: a kid, which
// keys of the original Open Licenser lack, would have to be read from a header that anyone can have written.
func ReadLicenseKey(ring Ring, key string, now time.Time) (licenseID string, err error) {
	if len(key) > MaxLicenseKey {
		return "", invalid("longer than %d bytes", MaxLicenseKey)
	}
	header, claims, signature, err := split(key)
	if err != nil {
		return "", err
	}
	signed := key[:len(key)-len(signature)-1]
	if err := ring.verify(signed, signature, now); err != nil {
		return "", err
	}
	if err := checkHeader(header); err != nil {
		return "", err
	}
	return checkClaims(claims, now)
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalidLicenseKey}, args...)...)
}

// split wants exactly three segments in the base64url alphabet.
func split(key string) (header, claims, signature string, err error) {
	if strings.Count(key, ".") != 2 {
		return "", "", "", invalid("not three segments")
	}
	for i := range len(key) {
		if !isBase64URL(key[i]) && key[i] != '.' {
			return "", "", "", invalid("a character outside of base64url")
		}
	}
	header, rest, _ := strings.Cut(key, ".")
	claims, signature, _ = strings.Cut(rest, ".")
	return header, claims, signature, nil
}

func isBase64URL(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// strictBase64URL refuses unused bits that are not zero (RFC 4648 section 3.5), so that a key has one spelling.
var strictBase64URL = base64.RawURLEncoding.Strict()

// verify wants an HS256 signature of one of the ring's secrets, of any length but zero: an empty secret would let
// anyone sign.
func (r Ring) verify(signed, signature string, now time.Time) error {
	if err := r.checkNotEmpty(); err != nil {
		return err // not an invalid key: ours is the fault
	}
	mac, err := strictBase64URL.DecodeString(signature)
	if err != nil {
		return invalid("the signature is not strict base64url")
	}
	if r.Current.verifies(signed, mac) {
		return nil
	}
	for _, earlier := range r.Earlier {
		if !earlier.Secret.verifies(signed, mac) {
			continue
		}
		if earlier.isRefused(now) {
			return fmt.Errorf("%w; the secret %s was retired", ErrSignature, earlier.Secret.nameInLog())
		}
		return nil
	}
	return ErrSignature
}

func (s Secret) verifies(signed string, mac []byte) bool {
	return jwt.SigningMethodHS256.Verify(signed, mac, []byte(s)) == nil
}

func checkHeader(segment string) error {
	header, err := decodeObject(segment)
	if err != nil {
		return err
	}
	if alg, _ := header["alg"].(string); alg != jwt.SigningMethodHS256.Alg() {
		return invalid("the algorithm is not HS256")
	}
	// RFC 7515 section 4.1.11: an extension that is critical and not understood makes the JWS invalid.
	// b64 and zip would give the payload another meaning.
	for _, name := range []string{"crit", "b64", "zip"} {
		if _, present := header[name]; present {
			return invalid("the header holds %s", name)
		}
	}
	return nil
}

func checkClaims(segment string, now time.Time) (licenseID string, err error) {
	claims, err := decodeObject(segment)
	if err != nil {
		return "", err
	}
	if claims["sub"] == authorizationSubject {
		return "", invalid("an authorization token")
	}
	seconds := float64(now.Unix())
	if exp, present := claims["exp"]; present {
		if at, isNumber := exp.(float64); !isNumber || seconds >= at {
			return "", invalid("exp is not a number or has passed")
		}
	}
	if nbf, present := claims["nbf"]; present {
		if at, isNumber := nbf.(float64); !isNumber || seconds < at {
			return "", invalid("nbf is not a number or has not come")
		}
	}
	id := licenseIDOf(claims)
	if id == "" {
		return "", invalid("no licenseid")
	}
	return id, nil
}

// maxLicenseID is the longest partition key in bytes that DynamoDB takes.
const maxLicenseID = 2048

func licenseIDOf(claims map[string]any) string {
	id, _ := claims["licenseid"].(string)
	if len(id) > maxLicenseID {
		return ""
	}
	return id
}

func decodeObject(segment string) (map[string]any, error) {
	text, err := strictBase64URL.DecodeString(segment)
	if err != nil {
		return nil, invalid("a segment is not strict base64url")
	}
	var object map[string]any
	if strictjson.Unmarshal(text, &object) != nil { // the error's own text would quote what was sent
		return nil, invalid("a segment is not an object of strict JSON")
	}
	return object, nil
}
