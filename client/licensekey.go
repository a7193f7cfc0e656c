package licensing

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// cleanKey drops what mail programs and people add to a license key, as the service does. What is left is sent. Of a
// short key it makes one spelling, so that the stored state is found again however it was typed.
func cleanKey(pasted string) string {
	key := strings.Map(func(c rune) rune {
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
			return c
		}
		return -1
	}, pasted)
	if strings.Contains(key, ".") {
		return key
	}
	if short := foldShortKey(key); len(short) == shortKeyLength {
		return short
	}
	return key
}

const shortKeyLength = 42

var shortKeySpelling = strings.NewReplacer("-", "", "O", "0", "I", "1", "L", "1")

func foldShortKey(key string) string { return shortKeySpelling.Replace(strings.ToUpper(key)) }

var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// licenseIDOf returns the id of the license that a clean key is for, or nothing. Only the service can tell whether the
// key is genuine.
func licenseIDOf(key string) string {
	if parts := strings.Split(key, "."); len(parts) == 3 {
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		claims := map[string]json.RawMessage{} // a struct would take licenseId for licenseid
		if err != nil || json.Unmarshal(payload, &claims) != nil {
			return ""
		}
		return text(claims["licenseid"])
	}
	decoded, err := crockford.DecodeString(key)
	if err != nil || len(key) != shortKeyLength {
		return ""
	}
	digits := hex.EncodeToString(decoded[:16])
	return strings.Join([]string{digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]}, "-")
}

// text returns a JSON string, or nothing where the value is another one.
func text(value json.RawMessage) (s string) {
	if json.Unmarshal(value, &s) != nil {
		return ""
	}
	return s
}

// keyHash is what stored states have in place of a license key.
func keyHash(key string) string {
	sum := sha256.Sum256([]byte("Open Licenser stored state " + key))
	return hex.EncodeToString(sum[:])
}

// deviceID returns the id that the service gives a device on a license.
func deviceID(licenseID, fingerprint string) string {
	sum := sha256.Sum256([]byte(licenseID + "\x00" + fingerprint))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
