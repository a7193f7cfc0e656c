package token

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"openlicenser/shared/license"
)

// A short key is a license key that can be read over the telephone. It is the 16 bytes of the license id, and a tag:
//
//	tag = the first 10 bytes of HMAC-SHA256(secret, "Open Licenser short license key " + license id)
//
// The 26 bytes are written in Crockford's base32 (https://www.crockford.com/base32.html, without a check symbol), as
// seven groups of six characters:
//
//	06CX38-KW7SXN-N78E7W-N1PK2X-DTHSG0-WPA3H2-4FC37M
//
// testdata/shortkeys.json has test vectors.
const (
	shortKeyTagSize = 10
	shortKeyLength  = 42 // characters, of 5 bits each; the last 2 bits are zero
	shortKeyGroup   = 6
)

// shortKeyText comes before the license id in what the tag is over. Its spaces keep it apart from what a license key's
// signature is over, which is base64url and a dot. Its first letter keeps it apart from what a cursor's MAC is over.
const shortKeyText = "Open Licenser short license key "

var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// SignShortKey returns the short key of a license. The same license and secret give the same key. There is none for an
// id that is no lower-case UUID, and none of an empty secret.
func SignShortKey(secret Secret, licenseID string) (key string, ok bool) {
	if secret == "" || !license.IsUUID(licenseID) || strings.ToLower(licenseID) != licenseID {
		return "", false
	}
	id := uuid.MustParse(licenseID)
	text := crockford.AppendEncode(nil, append(id[:], secret.shortKeyTag(licenseID)...))
	return string(bytes.Join(slices.Collect(slices.Chunk(text, shortKeyGroup)), []byte("-"))), true
}

func (s Secret) shortKeyTag(licenseID string) []byte {
	mac := hmac.New(sha256.New, []byte(s))
	io.WriteString(mac, shortKeyText+licenseID)
	return mac.Sum(nil)[:shortKeyTagSize]
}

// isShortKey tells the two forms of a license key apart: a long one has dots.
func isShortKey(key string) bool { return !strings.Contains(key, ".") }

// readShortKey returns the id of the license that a short key is for, or ErrInvalidLicenseKey.
func readShortKey(ring Ring, key string, now time.Time) (licenseID string, err error) {
	id, tag, err := parseShortKey(key)
	if err != nil {
		return "", err
	}
	err = ring.accept(func(s Secret) bool { return hmac.Equal(tag, s.shortKeyTag(id)) }, now)
	if err != nil {
		return "", err
	}
	return id, nil
}

// parseShortKey does not check the tag. But for what foldShortKey evens out, a short key has one spelling.
func parseShortKey(key string) (licenseID string, tag []byte, err error) {
	text := strings.Map(foldShortKey, key)
	if len(text) != shortKeyLength {
		return "", nil, invalid("neither three segments nor the length of a short key")
	}
	decoded, err := crockford.DecodeString(text)
	if err != nil || crockford.EncodeToString(decoded) != text { // the decoder skips line breaks and unused bits
		return "", nil, invalid("not the base32 of a short key")
	}
	id := uuid.UUID(decoded[:len(uuid.UUID{})])
	return id.String(), decoded[len(id):], nil
}

// foldShortKey drops hyphens and spaces. It reads small letters as capitals, O as 0, and I and L as 1.
func foldShortKey(r rune) rune {
	if 'a' <= r && r <= 'z' {
		r += 'A' - 'a'
	}
	switch r {
	case '-', ' ':
		return -1
	case 'O':
		return '0'
	case 'I', 'L':
		return '1'
	}
	return r
}
