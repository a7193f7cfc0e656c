package licensing

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// publicKey is a key that tokens are checked with.
type publicKey struct {
	kid string
	key *rsa.PublicKey
}

const minKeyBits = 2048

// maxKeys bounds what a set may hold, because each key of one kid is tried.
const maxKeys = 100

var errNoKeys = errors.New("there is no RSA key of 2048 bits or more in it that signs by RS256")

// readKeys reads a JWK set, or PEM, in UTF-8 with or without a byte order mark.
func readKeys(data []byte) ([]publicKey, error) {
	if isUTF16(data) {
		return nil, errors.New("it is in UTF-16: save it as UTF-8")
	}
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	if bytes.HasPrefix(data, []byte("{")) {
		return readKeySet(data)
	}
	return readPEM(data)
}

// isUTF16 knows its byte order mark, and the zero byte of an ASCII character.
func isUTF16(data []byte) bool {
	mark := string(data[:min(len(data), 2)])
	return mark == "\xff\xfe" || mark == "\xfe\xff" || strings.Contains(mark, "\x00")
}

// jsonWebKey is an RSA key of a JWK set (RFC 7517, RFC 7518 section 6.3.1).
type jsonWebKey struct {
	KeyType   string `json:"kty"`
	Use       string `json:"use,omitempty"`
	Algorithm string `json:"alg,omitempty"`
	KeyID     string `json:"kid,omitempty"`
	Modulus   string `json:"n"`
	Exponent  string `json:"e"`
}

// readKeySet leaves out keys of other types and uses, which a set may hold (RFC 7517 section 5).
func readKeySet(data []byte) (keys []publicKey, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("no JWK set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("a JWK set of %d keys", len(set.Keys))
	}
	for _, member := range set.Keys {
		var key jsonWebKey
		if json.Unmarshal(member, &key) != nil {
			continue
		}
		if public, usable := key.public(); usable {
			keys = append(keys, public)
		}
	}
	if len(keys) == 0 {
		return nil, errNoKeys
	}
	return keys, nil
}

func (k jsonWebKey) public() (publicKey, bool) {
	modulus, errModulus := base64.RawURLEncoding.DecodeString(k.Modulus)
	exponent, errExponent := base64.RawURLEncoding.DecodeString(k.Exponent)
	switch {
	case k.KeyType != "RSA", k.Use != "" && k.Use != "sig", k.Algorithm != "" && k.Algorithm != "RS256":
		return publicKey{}, false
	case errModulus != nil, errExponent != nil, len(exponent) == 0, len(exponent) > 4:
		return publicKey{}, false
	}
	return newPublicKey(k.KeyID, &rsa.PublicKey{
		N: new(big.Int).SetBytes(modulus), E: int(new(big.Int).SetBytes(exponent).Int64()),
	})
}

// newPublicKey gives a key without a kid that of the service, the thumbprint of RFC 7638.
func newPublicKey(kid string, key *rsa.PublicKey) (publicKey, bool) {
	if key.N.BitLen() < minKeyBits || key.E < 3 || key.E%2 == 0 {
		return publicKey{}, false
	}
	if kid == "" {
		written := writeKey(publicKey{key: key})
		sum := sha256.Sum256([]byte(`{"e":"` + written.Exponent + `","kty":"RSA","n":"` + written.Modulus + `"}`))
		kid = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return publicKey{kid, key}, true
}

// readPEM leaves out blocks that are no RSA public keys.
func readPEM(data []byte) (keys []publicKey, err error) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		parsed, _ := x509.ParsePKIXPublicKey(block.Bytes)
		if key, isRSA := parsed.(*rsa.PublicKey); isRSA {
			if public, usable := newPublicKey("", key); usable {
				keys = append(keys, public)
			}
		}
	}
	if len(keys) == 0 {
		return nil, errNoKeys
	}
	return keys, nil
}

// writeKey returns the form in which a key is stored.
func writeKey(k publicKey) jsonWebKey {
	return jsonWebKey{
		KeyType:  "RSA",
		KeyID:    k.kid,
		Modulus:  base64.RawURLEncoding.EncodeToString(k.key.N.Bytes()),
		Exponent: base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.key.E)).Bytes()),
	}
}

// withKid returns the keys that a token of the kid may be signed with. A token without one may be signed with any.
func withKid(keys []publicKey, kid string) (found []publicKey) {
	for _, k := range keys {
		if kid == "" || k.kid == kid {
			found = append(found, k)
		}
	}
	return found
}
