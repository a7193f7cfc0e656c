package token_test

import (
	"testing"

	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/token"
)

// BenchmarkKeyID is done for each token.
func BenchmarkKeyID(b *testing.B) {
	key := newRSAKey(b)
	b.ReportAllocs()
	for b.Loop() {
		token.KeyID(&key.PublicKey)
	}
}

// BenchmarkAuthorize makes the token of a license without asking for a signature: with one from memory, and with one
// that was stored, which is checked.
func BenchmarkAuthorize(b *testing.B) {
	authorizer, _ := newAuthorizer(b)
	l := licensetest.Issue(b)
	_, signature, err := authorizer.Authorize(b.Context(), l, now, token.Signature{})
	if err != nil {
		b.Fatal(err)
	}
	for name, earlier := range map[string]token.Signature{
		"from memory": signature,
		"stored":      {SignedAt: signature.SignedAt, Bytes: signature.Bytes},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := authorizer.Authorize(b.Context(), l, now, earlier); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
