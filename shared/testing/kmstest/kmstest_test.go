package kmstest_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"openlicenser/shared/awskeys"
	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/kmstest"
)

func serveKMS(t *testing.T) (*kmstest.KMS, *kms.Client) {
	t.Helper()
	standIn := kmstest.New(time.Now)
	server := httptest.NewServer(standIn)
	t.Cleanup(server.Close)
	cfg := awstest.Config(server.URL)
	cfg.RetryMaxAttempts = 1
	return standIn, kms.NewFromConfig(cfg)
}

const (
	rs256            = types.SigningAlgorithmSpecRsassaPkcs1V15Sha256
	pss              = types.SigningAlgorithmSpecRsassaPssSha256
	ed25519Algorithm = types.SigningAlgorithmSpecEd25519Sha512
)

func disable(standIn *kmstest.KMS) { standIn.Disable("alias/token", true) }

func throttle(standIn *kmstest.KMS) {
	standIn.Before = func(string, string) error { return &smithy.GenericAPIError{Code: "ThrottlingException"} }
}

func publicKey(t *testing.T, client *kms.Client, name string) any {
	t.Helper()
	out, err := client.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: &name})
	if err != nil {
		t.Fatal(err)
	}
	if out.KeyUsage != types.KeyUsageTypeSignVerify {
		t.Errorf("the key is for %s", out.KeyUsage)
	}
	key, err := x509.ParsePKIXPublicKey(out.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestSigns: a digest is signed as what it is, and so is the message that it is of.
func TestSigns(t *testing.T) {
	standIn, client := serveKMS(t)
	id, err := standIn.AddRSA("alias/token")
	if err != nil {
		t.Fatal(err)
	}
	arn := kmstest.ARN(id)
	public := publicKey(t, client, "alias/token").(*rsa.PublicKey)
	message := bytes.Repeat([]byte("m"), 4096)
	digest := sha256.Sum256(message)
	for messageType, signed := range map[types.MessageType][]byte{
		types.MessageTypeDigest: digest[:], types.MessageTypeRaw: message, "": message,
	} {
		out, err := client.Sign(t.Context(), &kms.SignInput{
			KeyId: &arn, Message: signed, MessageType: messageType, SigningAlgorithm: rs256,
		})
		if err != nil {
			t.Errorf("%q: %v", messageType, err)
			continue
		}
		if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], out.Signature); err != nil ||
			aws.ToString(out.KeyId) != arn {
			t.Errorf("%q: key %s, %v", messageType, aws.ToString(out.KeyId), err)
		}
	}
}

func TestSignsEd25519(t *testing.T) {
	standIn, client := serveKMS(t)
	if _, err := standIn.AddEd25519("alias/checkpoint"); err != nil {
		t.Fatal(err)
	}
	message := []byte("a checkpoint")
	out, err := client.Sign(t.Context(), &kms.SignInput{
		KeyId: aws.String("alias/checkpoint"), Message: message, MessageType: types.MessageTypeRaw,
		SigningAlgorithm: ed25519Algorithm,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !ed25519.Verify(publicKey(t, client, "alias/checkpoint").(ed25519.PublicKey), message, out.Signature) {
		t.Error("the signature is not valid")
	}
}

// TestRefuses: the SDK reads the error types.
func TestRefuses(t *testing.T) {
	sign := func(
		key string, size int, messageType types.MessageType, algorithm types.SigningAlgorithmSpec,
	) kms.SignInput {
		return kms.SignInput{
			KeyId: &key, Message: make([]byte, size), MessageType: messageType, SigningAlgorithm: algorithm,
		}
	}
	for name, test := range map[string]struct {
		arrange func(*kmstest.KMS)
		in      kms.SignInput
		want    string
	}{
		"no such key":           {nil, sign("alias/other", 32, "DIGEST", rs256), "NotFoundException"},
		"disabled":              {disable, sign("alias/token", 32, "DIGEST", rs256), "DisabledException"},
		"throttled":             {throttle, sign("alias/token", 32, "DIGEST", rs256), "ThrottlingException"},
		"one byte too long":     {nil, sign("alias/token", 4097, "RAW", rs256), "ValidationException"},
		"no digest":             {nil, sign("alias/token", 31, "DIGEST", rs256), "ValidationException"},
		"another algorithm":     {nil, sign("alias/token", 32, "DIGEST", pss), "InvalidKeyUsageException"},
		"a digest for Ed25519":  {nil, sign("alias/checkpoint", 32, "DIGEST", ed25519Algorithm), "ValidationException"},
		"RS256 with an Ed25519": {nil, sign("alias/checkpoint", 32, "DIGEST", rs256), "InvalidKeyUsageException"},
	} {
		t.Run(name, func(t *testing.T) {
			standIn, client := serveKMS(t)
			_, errRSA := standIn.AddRSA("alias/token")
			_, errEd25519 := standIn.AddEd25519("alias/checkpoint")
			if err := errors.Join(errRSA, errEd25519); err != nil {
				t.Fatal(err)
			}
			if test.arrange != nil {
				test.arrange(standIn)
			}
			_, err := client.Sign(t.Context(), &test.in)
			var apiError smithy.APIError
			if !errors.As(err, &apiError) || apiError.ErrorCode() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// TestSigningKeyOnKMS: the adapter meets the whole protocol, and types of the SDK arrive in its errors.
func TestSigningKeyOnKMS(t *testing.T) {
	standIn, client := serveKMS(t)
	if _, err := standIn.AddRSA("alias/token"); err != nil {
		t.Fatal(err)
	}
	key := awskeys.NewSigningKey(client, awskeys.KeyNames{Current: "alias/token"})
	public, err := key.PublicKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("a token"))
	signature, err := key.SignDigest(t.Context(), public, digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature); err != nil {
		t.Error(err)
	}
	standIn.Disable("alias/token", true)
	var disabled *types.DisabledException
	if _, err := key.SignDigest(t.Context(), public, digest); !errors.As(err, &disabled) {
		t.Errorf("got %v", err)
	}
	standIn.Disable("alias/token", false)
	throttle(standIn)
	if _, err := key.SignDigest(t.Context(), public, digest); err == nil {
		t.Error("a throttled request was answered")
	}
	standIn.Before = nil
	if _, err := key.SignDigest(t.Context(), public, digest); err != nil {
		t.Errorf("after throttling: %v", err)
	}
}
