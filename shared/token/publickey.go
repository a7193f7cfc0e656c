package token

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
)

// KeySet is a JWK set (RFC 7517 section 5).
type KeySet struct {
	Keys []JSONWebKey `json:"keys"`
}

// JSONWebKey is the public half of an RSA key that signs (RFC 7517, RFC 7518 section 6.3.1).
type JSONWebKey struct {
	KeyType   string `json:"kty"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Modulus   string `json:"n"`
	Exponent  string `json:"e"`
}

// NewJSONWebKey returns the JWK of a public key. Its kid is the thumbprint of RFC 7638: the SHA-256 of the required
// members, in alphabetical order.
func NewJSONWebKey(key *rsa.PublicKey) JSONWebKey {
	modulus := base64.RawURLEncoding.EncodeToString(key.N.Bytes())
	exponent := base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())
	thumbprint := sha256.Sum256([]byte(`{"e":"` + exponent + `","kty":"RSA","n":"` + modulus + `"}`))
	return JSONWebKey{
		KeyType:   "RSA",
		Use:       "sig",
		Algorithm: "RS256",
		KeyID:     base64.RawURLEncoding.EncodeToString(thumbprint[:]),
		Modulus:   modulus,
		Exponent:  exponent,
	}
}

// KeyID returns the kid of the key's JSONWebKey, and of the tokens that the key signs.
func KeyID(key *rsa.PublicKey) string { return NewJSONWebKey(key).KeyID }

// PublicKeyPEM returns the key as clients embed it: PEM of SubjectPublicKeyInfo (RFC 7468 section 13).
func PublicKeyPEM(key *rsa.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}
