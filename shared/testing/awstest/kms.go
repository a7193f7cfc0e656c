package awstest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
)

// KMS stands in for AWS KMS, as far as a key that signs goes: GetPublicKey and Sign over AWS JSON 1.1
// (https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html). It takes a digest for what it is, and no more
// than KMS takes. It is an http.Handler.
type KMS struct {
	mu        sync.Mutex
	keys      map[string]*kmsKey // by ARN, id and alias
	throttled int
}

type kmsKey struct {
	arn, spec, algorithm string
	signer               crypto.Signer
	disabled             bool
}

const (
	rsaAlgorithm     = "RSASSA_PKCS1_V1_5_SHA_256"
	ed25519Algorithm = "ED25519_SHA_512"
	maxMessage       = 4096
)

// NewKMS has no keys yet.
func NewKMS() *KMS { return &KMS{keys: map[string]*kmsKey{}} }

// AddRSA makes a key of RSA_2048. The aliases, as alias/token, stand for it from now on.
func (k *KMS) AddRSA(aliases ...string) (arn string, err error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	return k.add(aliases, &kmsKey{spec: "RSA_2048", algorithm: rsaAlgorithm, signer: private}), nil
}

// AddEd25519 makes a key of ECC_NIST_EDWARDS25519. The aliases stand for it from now on.
func (k *KMS) AddEd25519(aliases ...string) (arn string, err error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	return k.add(aliases, &kmsKey{spec: "ECC_NIST_EDWARDS25519", algorithm: ed25519Algorithm, signer: private}), nil
}

func (k *KMS) add(aliases []string, key *kmsKey) (arn string) {
	id := uuid.NewString()
	key.arn = "arn:aws:kms:" + Region + ":" + Account + ":key/" + id
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range append(slices.Clone(aliases), key.arn, id) {
		k.keys[name] = key
	}
	return key.arn
}

// Disable disables a key, or enables it again.
func (k *KMS) Disable(name string, disabled bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[name].disabled = disabled
}

// Throttle refuses the next requests.
func (k *KMS) Throttle(requests int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.throttled = requests
}

// kmsError is an error type of KMS. All that are the caller's come with HTTP 400, throttling too.
type kmsError struct {
	Type    string `json:"__type"`
	Message string `json:"message"`
}

func (e *kmsError) Error() string { return e.Type + ": " + e.Message }

type kmsRequest struct {
	KeyID            string `json:"KeyId"`
	Message          []byte
	MessageType      string
	SigningAlgorithm string
}

// ServeHTTP implements http.Handler.
func (k *KMS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status := http.StatusOK
	answer, err := k.answer(r)
	if err != nil {
		status, answer = http.StatusBadRequest, err
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(answer) // a client that has gone gets no answer
}

func (k *KMS) answer(r *http.Request) (any, *kmsError) {
	var in kmsRequest
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, &kmsError{"SerializationException", err.Error()}
	}
	key, err := k.find(in.KeyID)
	if err != nil {
		return nil, err
	}
	switch r.Header.Get("X-Amz-Target") {
	case "TrentService.GetPublicKey":
		return key.public()
	case "TrentService.Sign":
		return key.sign(in)
	default:
		return nil, &kmsError{"UnknownOperationException", r.Header.Get("X-Amz-Target")}
	}
}

func (k *KMS) find(name string) (*kmsKey, *kmsError) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.throttled > 0 {
		k.throttled--
		return nil, &kmsError{"ThrottlingException", "Rate exceeded"}
	}
	if prefix, alias, isAlias := strings.Cut(name, ":alias/"); isAlias && strings.HasPrefix(prefix, "arn:") {
		name = "alias/" + alias
	}
	key := k.keys[name]
	switch {
	case key == nil:
		return nil, &kmsError{"NotFoundException", fmt.Sprintf("%s is not found.", name)}
	case key.disabled:
		return nil, &kmsError{"DisabledException", key.arn + " is disabled."}
	}
	return key, nil
}

func (key *kmsKey) public() (any, *kmsError) {
	der, err := x509.MarshalPKIXPublicKey(key.signer.Public())
	if err != nil {
		return nil, &kmsError{"KMSInternalException", err.Error()}
	}
	return map[string]any{
		"KeyId": key.arn, "PublicKey": der, "KeySpec": key.spec, "KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": []string{key.algorithm},
	}, nil
}

func (key *kmsKey) sign(in kmsRequest) (any, *kmsError) {
	switch {
	case in.SigningAlgorithm != key.algorithm:
		return nil, &kmsError{"InvalidKeyUsageException", fmt.Sprintf("Algorithm %s is incompatible with key spec %s.", in.SigningAlgorithm, key.spec)}
	case len(in.Message) == 0 || len(in.Message) > maxMessage:
		return nil, &kmsError{"ValidationException", fmt.Sprintf("Value at 'message' failed to satisfy constraint: Member must have length from 1 to %d", maxMessage)}
	case !slices.Contains([]string{"", "RAW", "DIGEST"}, in.MessageType), in.MessageType == "DIGEST" && key.algorithm == ed25519Algorithm:
		return nil, &kmsError{"ValidationException", fmt.Sprintf("MessageType %s is not valid for %s.", in.MessageType, key.algorithm)}
	case in.MessageType == "DIGEST" && len(in.Message) != sha256.Size:
		return nil, &kmsError{"ValidationException", "Digest is invalid length for algorithm " + key.algorithm + "."}
	}
	message, hash := in.Message, crypto.Hash(0)
	if key.algorithm == rsaAlgorithm {
		hash = crypto.SHA256
		if in.MessageType != "DIGEST" {
			digest := sha256.Sum256(message)
			message = digest[:]
		}
	}
	signature, err := key.signer.Sign(rand.Reader, message, hash)
	if err != nil {
		return nil, &kmsError{"KMSInternalException", err.Error()}
	}
	return map[string]any{"KeyId": key.arn, "Signature": signature, "SigningAlgorithm": key.algorithm}, nil
}
