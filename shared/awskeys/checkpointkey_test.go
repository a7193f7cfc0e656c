package awskeys

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"openlicenser/shared/testing/kmstest"
)

// publicHalf is a response to GetPublicKey.
func publicHalf(t *testing.T, key any, usage string) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"PublicKey":%q,"KeyUsage":%q}`, base64.StdEncoding.EncodeToString(der), usage)
}

func TestCheckpointKey(t *testing.T) {
	kms := kmstest.New(time.Now)
	if _, err := kms.AddEd25519("alias/checkpoint"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(kms)
	defer server.Close()
	key := NewCheckpointKey(newKMSClient(server.URL), "alias/checkpoint")
	public, err := key.PublicKey(t.Context())
	if err != nil || !public.Equal(kms.Public("alias/checkpoint")) {
		t.Fatalf("got %x, %v", public, err)
	}
	signature, err := key.Sign(t.Context(), []byte("message"))
	if err != nil || !ed25519.Verify(public, []byte("message"), signature) {
		t.Errorf("signature %x, %v", signature, err)
	}
}

func TestCheckpointKeyRefused(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]string{
		"NotEd25519":    publicHalf(t, &p256.PublicKey, "SIGN_VERIFY"),
		"NotForSigning": publicHalf(t, ed, "KEY_AGREEMENT"),
		"NotAKey":       `{"PublicKey":"AAAA","KeyUsage":"SIGN_VERIFY"}`,
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := serve(t, func(string, map[string]any) (int, string) { return http.StatusOK, answer })
			if key, err := NewCheckpointKey(newKMSClient(endpoint), "k").PublicKey(t.Context()); err == nil {
				t.Errorf("answered %x", key)
			}
		})
	}
	t.Run("Throttled", func(t *testing.T) {
		key := NewCheckpointKey(newKMSClient(serve(t, failing(http.StatusBadRequest, "ThrottlingException"))), "k")
		if _, err := key.Sign(t.Context(), nil); err == nil {
			t.Error("no error")
		}
	})
}
