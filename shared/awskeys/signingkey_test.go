package awskeys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"openlicenser/shared/license/licensetest"
	"openlicenser/shared/token"
)

const alias = "alias/licenser"

// standIn is a KMS with one alias. Unlike some emulators it signs a digest as what it is.
type standIn struct {
	t        *testing.T
	arn      string
	private  *rsa.PrivateKey
	usage    string // SIGN_VERIFY unless set
	public   any    // what GetPublicKey answers, the key's own half unless set
	failing  service
	requests []string
}

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	kms := &standIn{t: t}
	kms.moveTo("arn:aws:kms:us-east-1:123456789012:key/1")
	return kms
}

// moveTo makes the alias stand for a new key.
func (s *standIn) moveTo(arn string) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		s.t.Fatal(err)
	}
	s.arn, s.private = arn, private
}

func (s *standIn) key(options ...Option) *SigningKey {
	return NewSigningKey(newKMSClient(serve(s.t, s.answer)), alias, options...)
}

func (s *standIn) answer(operation string, body map[string]any) (int, string) {
	s.requests = append(s.requests, operation)
	if s.failing != nil {
		return s.failing(operation, body)
	}
	if body["KeyId"] != alias {
		s.t.Errorf("%s of key %v", operation, body["KeyId"])
	}
	switch operation {
	case "GetPublicKey":
		return s.getPublicKey()
	case "Sign":
		return s.sign(body)
	default:
		s.t.Errorf("asked for %s", operation)
		return http.StatusNotImplemented, `{}`
	}
}

func (s *standIn) getPublicKey() (int, string) {
	usage, public := "SIGN_VERIFY", any(&s.private.PublicKey)
	if s.usage != "" {
		usage = s.usage
	}
	if s.public != nil {
		public = s.public
	}
	der, isDER := public.([]byte)
	if !isDER {
		var err error
		if der, err = x509.MarshalPKIXPublicKey(public); err != nil {
			s.t.Error(err)
		}
	}
	return http.StatusOK, fmt.Sprintf(`{"KeyId":%q,"KeyUsage":%q,"PublicKey":%q}`,
		s.arn, usage, base64.StdEncoding.EncodeToString(der))
}

func (s *standIn) sign(body map[string]any) (int, string) {
	if body["MessageType"] != "DIGEST" || body["SigningAlgorithm"] != "RSASSA_PKCS1_V1_5_SHA_256" {
		s.t.Errorf("signs as %v with %v", body["MessageType"], body["SigningAlgorithm"])
	}
	text, _ := body["Message"].(string)
	digest, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		s.t.Error(err)
	}
	signature, err := rsa.SignPKCS1v15(nil, s.private, crypto.SHA256, digest) // fails unless 32 bytes long
	if err != nil {
		s.t.Error(err)
	}
	return http.StatusOK, fmt.Sprintf(`{"KeyId":%q,"Signature":%q,"SigningAlgorithm":"RSASSA_PKCS1_V1_5_SHA_256"}`,
		s.arn, base64.StdEncoding.EncodeToString(signature))
}

// wantRequests compares what was asked since the last call.
func (s *standIn) wantRequests(t *testing.T, want string) {
	t.Helper()
	if got := strings.Join(s.requests, " "); got != want {
		t.Errorf("asked for %q, want %q", got, want)
	}
	s.requests = nil
}

func authorize(t *testing.T, key token.SigningKey) (string, error) {
	t.Helper()
	a := token.Authorizer{Key: key, Issuer: "test", Lifetime: 24 * time.Hour}
	return a.Authorize(t.Context(), licensetest.Issue(t), licensetest.Now)
}

// wantValid wants a token that a product accepts which holds this public key.
func wantValid(t *testing.T, text string, public *rsa.PublicKey) {
	t.Helper()
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}),
		jwt.WithTimeFunc(func() time.Time { return licensetest.Now }))
	if _, err := parser.Parse(text, func(*jwt.Token) (any, error) { return public, nil }); err != nil {
		t.Errorf("the token is not valid: %v", err)
	}
}

func TestAuthorizeWithKMS(t *testing.T) {
	kms := newStandIn(t)
	key := kms.key()
	for _, requests := range []string{"GetPublicKey Sign", "Sign"} {
		text, err := authorize(t, key)
		if err != nil {
			t.Fatal(err)
		}
		wantValid(t, text, &kms.private.PublicKey)
		kms.wantRequests(t, requests)
	}
}

func TestAliasMoves(t *testing.T) {
	kms := newStandIn(t)
	key := kms.key()
	if _, err := authorize(t, key); err != nil {
		t.Fatal(err)
	}
	kms.moveTo("arn:aws:kms:us-east-1:123456789012:key/2")
	kms.wantRequests(t, "GetPublicKey Sign")

	if text, err := authorize(t, key); !errors.Is(err, errKeyMoved) {
		t.Errorf("at the move: got %q, %v", text, err)
	}
	kms.wantRequests(t, "Sign")
	text, err := authorize(t, key)
	if err != nil {
		t.Fatalf("after the move: %v", err)
	}
	wantValid(t, text, &kms.private.PublicKey)
	kms.wantRequests(t, "GetPublicKey Sign")
}

func TestPublicKeyAge(t *testing.T) {
	clock, kms := newTick(), newStandIn(t)
	key := kms.key(WithClock(clock.clock))
	want := func(when string, public *rsa.PublicKey, requests string) {
		t.Helper()
		if got, err := key.PublicKey(t.Context()); err != nil || !public.Equal(got) {
			t.Errorf("%s: got another key, or %v", when, err)
		}
		kms.wantRequests(t, requests)
	}

	first := &kms.private.PublicKey
	want("first", first, "GetPublicKey")
	kms.moveTo("arn:aws:kms:us-east-1:123456789012:key/2")
	second := &kms.private.PublicKey
	clock.advance(5*time.Minute - 1)
	want("while fresh", first, "")
	clock.advance(1)
	want("when old", second, "GetPublicKey")

	log := captureLog(t)
	kms.failing = failing(400, "ThrottlingException")
	clock.advance(5 * time.Minute)
	want("when KMS fails", second, "GetPublicKey")
	if !strings.Contains(log.String(), "the public half of the token key could not be read anew") {
		t.Errorf("logged %s", log)
	}
}

// TestSignWithoutPublicKey: there is nothing to compare with yet.
func TestSignWithoutPublicKey(t *testing.T) {
	kms := newStandIn(t)
	digest := [32]byte{1, 2, 3}
	signature, err := kms.key().SignDigest(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPKCS1v15(&kms.private.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
		t.Error(err)
	}
	kms.wantRequests(t, "Sign")
}

func TestPublicKeyRefused(t *testing.T) {
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*standIn){
		"for encryption": func(s *standIn) { s.usage = "ENCRYPT_DECRYPT" },
		"elliptic curve": func(s *standIn) { s.public = &elliptical.PublicKey },
		"not SPKI":       func(s *standIn) { s.public = []byte("not DER") },
	} {
		t.Run(name, func(t *testing.T) {
			kms := newStandIn(t)
			spoil(kms)
			if key, err := kms.key().PublicKey(t.Context()); err == nil || key != nil {
				t.Errorf("got %v, %v", key, err)
			}
		})
	}
}

func TestKeyFaults(t *testing.T) {
	for name, fault := range map[string]service{
		"NoSuchKey":       failing(400, "NotFoundException"),
		"Disabled":        failing(400, "DisabledException"),
		"PendingDeletion": failing(400, "KMSInvalidStateException"),
		"Throttled":       failing(400, "ThrottlingException"),
		"AccessDenied":    failing(400, "AccessDeniedException"),
		"InternalError":   failing(500, "KMSInternalException"),
	} {
		t.Run(name, func(t *testing.T) {
			kms := newStandIn(t)
			kms.failing = fault
			key := kms.key()
			if public, err := key.PublicKey(t.Context()); err == nil || public != nil ||
				!strings.HasPrefix(err.Error(), "get public key: ") {
				t.Errorf("public key: got %v, %v", public, err)
			}
			if signature, err := key.SignDigest(t.Context(), [32]byte{}); err == nil || signature != nil ||
				!strings.HasPrefix(err.Error(), "sign: ") {
				t.Errorf("signature: got %v, %v", signature, err)
			}
		})
	}
}
