// Package token makes and reads the two kinds of JSON Web Token (RFC 7519) that products hold: the license key, which
// the vendor gives to a customer, and the authorization token, which a product checks offline. A license key has a
// short form too. The package owns the ports to the secret and to the key that sign them. It must not know AWS, HTTP or
// the command line.
package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"openlicenser/shared/license"
	"openlicenser/shared/strictjson"
)

// MaxLicenseKey is the most bytes that a license key may have. A longer one is refused unread.
const MaxLicenseKey = 8 << 10

const licenseKeySubject = "License Key"

// CleanLicenseKey returns a pasted license key without what mail programs and people add: white space, line breaks,
// invisible characters, quotes and padding. It drops every character that is neither of base64url nor a dot.
func CleanLicenseKey(pasted string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (isBase64URL(byte(r)) || r == '.') {
			return r
		}
		return -1
	}, pasted)
}

// ErrInvalidLicenseKey reports that a text is no license key of ours. The error's text says what was wrong. It is for
// the log only, because the caller must not learn how far a forgery came.
var ErrInvalidLicenseKey = errors.New("invalid license key")

// ErrSignature is the ErrInvalidLicenseKey of a key whose signature matches no secret in force.
var ErrSignature = fmt.Errorf("%w: the signature matches no secret in force", ErrInvalidLicenseKey)

// SignLicenseKey returns the license key of a license. The same license, secret and issuer give the same key. An empty
// secret is an error. So are ids or an issuer with which the key would be longer than MaxLicenseKey, because it would
// be refused for ever.
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
		"customername": shortened(l.CustomerName),
		"iat":          issued.Unix(),
	})
	unsigned.Header["kid"] = secret.KeyID()
	key, err := unsigned.SignedString([]byte(secret))
	if err == nil && len(key) > MaxLicenseKey {
		return "", fmt.Errorf("the license key would be longer than %d bytes", MaxLicenseKey)
	}
	return key, err
}

// maxNameInKey is the most bytes that the customer's name may take up in a license key, as JSON without its quotes. The
// name is there for people only. Every name that this service takes fits in: 256 characters of six bytes.
const maxNameInKey = 256 * 6

// shortened returns the beginning of a name that fits into a license key, and ends with a whole character.
func shortened(name string) string {
	if len(name)*len(`\u0000`) <= maxNameInKey {
		return name
	}
	length := 0
	for i := 0; i < len(name); {
		_, width := utf8.DecodeRuneInString(name[i:])
		text, err := json.Marshal(name[i : i+width])
		if err != nil {
			panic(err) // a text can be marshaled
		}
		if length += len(text) - len(`""`); length > maxNameInKey {
			return name[:i]
		}
		i += width
	}
	return name
}

// UnverifiedKeyID returns the kid in the header of a license key, or an empty text. Anyone can have written it.
func UnverifiedKeyID(key string) string {
	segment, _, _ := strings.Cut(key, ".")
	header, err := decodeObject(segment)
	if err != nil {
		return ""
	}
	kid, _ := header["kid"].(string)
	return kid
}

// UnverifiedLicenseID returns the license id in a license key of either form, or an empty text. Anyone can have written
// it.
func UnverifiedLicenseID(key string) string {
	if len(key) > MaxLicenseKey {
		return ""
	}
	if isShortKey(key) {
		id, _, _ := parseShortKey(key)
		return id
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

// ReadLicenseKey returns the id of the license that the key is for, or ErrInvalidLicenseKey. It takes the long form
// of SignLicenseKey and the short one of SignShortKey. Cheap checks come first, and it decodes nothing of a long key
// before its signature holds. So it tries every secret of the ring, and not the one that the kid names: anyone can have
// written the header, and keys of the original Open Licenser have no kid.
func ReadLicenseKey(ring Ring, key string, now time.Time) (licenseID string, err error) {
	if len(key) > MaxLicenseKey {
		return "", invalid("longer than %d bytes", MaxLicenseKey)
	}
	if isShortKey(key) {
		return readShortKey(ring, key, now)
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

// split returns the three segments of a key, which must be in the base64url alphabet.
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

// verify checks that one of the ring's secrets has made the signature, by HS256.
func (r Ring) verify(signed, signature string, now time.Time) error {
	mac, err := strictBase64URL.DecodeString(signature)
	if err != nil {
		return invalid("the signature is not strict base64url")
	}
	return r.accept(func(s Secret) bool { return s.verifies(signed, mac) }, now)
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
	// An extension that is critical and not understood makes the JWS invalid (RFC 7515 section 4.1.11). b64 and zip
	// would give the payload another meaning.
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

func licenseIDOf(claims map[string]any) string {
	id, _ := claims["licenseid"].(string)
	if len(id) > license.MaxIDBytes {
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
