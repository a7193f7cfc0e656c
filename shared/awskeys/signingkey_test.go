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
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/token"
)

const alias = "alias/licenser"

// standIn is a KMS with some aliases. Unlike some emulators it signs a digest as what it is.
type standIn struct {
	t *testing.T
	standInKey
	others   map[string]standInKey // by alias; what stands above is the current key
	usage    string                // SIGN_VERIFY unless set
	public   any                   // what GetPublicKey answers, the key's own half unless set
	failing  service
	refused  string                 // an alias that the role may not use
	flap     func(operation string) // called before each answer
	requests []string
}

type standInKey struct {
	arn     string
	private *rsa.PrivateKey
}

const nextAlias, previousAlias = alias + "-next", alias + "-previous"

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	kms := &standIn{t: t, others: map[string]standInKey{}}
	kms.moveTo("arn:aws:kms:us-east-1:123456789012:key/1")
	return kms
}

// moveTo makes the alias stand for a new key.
func (s *standIn) moveTo(arn string) { s.standInKey = s.newKey(arn) }

func (s *standIn) newKey(arn string) standInKey {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		s.t.Fatal(err)
	}
	return standInKey{arn, private}
}

// promote lets the successor sign, and keeps the predecessor.
func (s *standIn) promote() {
	s.others[previousAlias], s.standInKey = s.standInKey, s.others[nextAlias]
	delete(s.others, nextAlias)
}

func (s *standIn) key(options ...Option) *SigningKey {
	return NewSigningKey(newKMSClient(serve(s.t, s.answer)), KeyNames{Current: alias, Next: nextAlias, Previous: previousAlias}, options...)
}

func (s *standIn) answer(operation string, body map[string]any) (int, string) {
	name, _ := body["KeyId"].(string)
	s.requests = append(s.requests, operation+strings.TrimPrefix(name, alias))
	if s.flap != nil {
		s.flap(operation)
	}
	if s.refused == name && name != "" {
		return failing(400, "AccessDeniedException")(operation, body)
	}
	if s.failing != nil {
		return s.failing(operation, body)
	}
	key, known := s.standInKey, true
	if name != alias {
		key, known = s.others[name]
	}
	if !known {
		return failing(400, "NotFoundException")(operation, body)
	}
	switch operation {
	case "GetPublicKey":
		return s.getPublicKey(key)
	case "Sign":
		return s.sign(key, body)
	default:
		s.t.Errorf("asked for %s", operation)
		return http.StatusNotImplemented, `{}`
	}
}

func (s *standIn) getPublicKey(key standInKey) (int, string) {
	usage, public := "SIGN_VERIFY", any(&key.private.PublicKey)
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
		key.arn, usage, base64.StdEncoding.EncodeToString(der))
}

func (s *standIn) sign(key standInKey, body map[string]any) (int, string) {
	if body["MessageType"] != "DIGEST" || body["SigningAlgorithm"] != "RSASSA_PKCS1_V1_5_SHA_256" {
		s.t.Errorf("signs as %v with %v", body["MessageType"], body["SigningAlgorithm"])
	}
	text, _ := body["Message"].(string)
	digest, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		s.t.Error(err)
	}
	signature, err := rsa.SignPKCS1v15(nil, key.private, crypto.SHA256, digest) // fails unless 32 bytes long
	if err != nil {
		s.t.Error(err)
	}
	return http.StatusOK, fmt.Sprintf(`{"KeyId":%q,"Signature":%q,"SigningAlgorithm":"RSASSA_PKCS1_V1_5_SHA_256"}`,
		key.arn, base64.StdEncoding.EncodeToString(signature))
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
	return authorizePinned(t, key, "")
}

func authorizePinned(t *testing.T, key token.SigningKey, kid string) (string, error) {
	t.Helper()
	a := token.Authorizer{Key: key, Issuer: "test", Lifetime: 24 * time.Hour}
	l := licensetest.Issue(t)
	l.TokenKeyID = kid
	text, _, err := a.Authorize(t.Context(), l, licensetest.Now, token.Signature{})
	return text, err
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

// TestAliasMoves: the request that meets the move signs again, with the new key and its kid.
func TestAliasMoves(t *testing.T) {
	kms := newStandIn(t)
	key := kms.key()
	if _, err := authorize(t, key); err != nil {
		t.Fatal(err)
	}
	kms.moveTo("arn:aws:kms:us-east-1:123456789012:key/2")
	kms.wantRequests(t, "GetPublicKey Sign")

	text, err := authorize(t, key)
	if err != nil {
		t.Fatal(err)
	}
	wantValid(t, text, &kms.private.PublicKey)
	kms.wantRequests(t, "Sign GetPublicKey Sign")
}

// TestAliasFlaps: while KMS answers now the one key and now the other, the request ends in an error and not in a token of
// neither.
func TestAliasFlaps(t *testing.T) {
	kms := newStandIn(t)
	key := kms.key()
	first, second := kms.standInKey, kms.newKey("arn:aws:kms:us-east-1:123456789012:key/2")
	kms.flap = func(operation string) {
		if kms.standInKey = first; operation == "Sign" {
			kms.standInKey = second
		}
	}
	if text, err := authorize(t, key); !errors.Is(err, token.ErrKeyMoved) {
		t.Errorf("got %q, %v", text, err)
	}
	kms.wantRequests(t, "GetPublicKey Sign GetPublicKey Sign GetPublicKey Sign GetPublicKey Sign")
}

func (s *standIn) wantPublished(t *testing.T, key *SigningKey, when string, want []standInKey, requests string) {
	t.Helper()
	published, err := key.Published(t.Context())
	if err != nil || len(published) != len(want) {
		t.Fatalf("%s: %d keys, %v", when, len(published), err)
	}
	for i, wanted := range want {
		if !wanted.private.PublicKey.Equal(published[i].Public) {
			t.Errorf("%s: another key at %d", when, i)
		}
	}
	s.wantRequests(t, requests)
}

const askForAll = "GetPublicKey-next GetPublicKey GetPublicKey-previous"

// TestStaleKeys: what KMS said last serves on for a day, and then it is a fault; each of the two by itself.
func TestStaleKeys(t *testing.T) {
	captureLog(t)
	clock, kms := newTick(), newStandIn(t)
	key := kms.key(WithClock(clock.clock))
	ask := func() (current, published error) {
		_, current = key.PublicKey(t.Context())
		_, published = key.Published(t.Context())
		return current, published
	}
	if current, published := ask(); current != nil || published != nil {
		t.Fatal(current, published)
	}
	kms.failing = failing(400, "AccessDeniedException")
	clock.advance(24*time.Hour - 1)
	if current, published := ask(); current != nil || published != nil {
		t.Errorf("for a day: %v, %v", current, published)
	}
	clock.advance(1)
	if current, published := ask(); current == nil || published == nil {
		t.Errorf("after a day: %v, %v", current, published)
	}
	kms.failing, kms.refused = nil, nextAlias
	clock.advance(time.Minute)
	if current, published := ask(); current != nil || published == nil {
		t.Errorf("when the successor alone cannot be asked for: %v, %v", current, published)
	}
}

// TestPublished: the one that signs, its successor and its predecessor; what does not exist is no failure.
func TestPublished(t *testing.T) {
	clock, kms := newTick(), newStandIn(t)
	key := kms.key(WithClock(clock.clock))
	first, second := kms.standInKey, kms.newKey("arn:aws:kms:us-east-1:123456789012:key/2")
	kms.wantPublished(t, key, "alone", []standInKey{first}, askForAll)

	kms.others[nextAlias] = second
	clock.advance(5*time.Minute - 1)
	kms.wantPublished(t, key, "while fresh", []standInKey{first}, "")
	clock.advance(1)
	kms.wantPublished(t, key, "prepared", []standInKey{first, second}, askForAll)
	if published, _ := key.Published(t.Context()); !published[0].Signs || published[1].Signs {
		t.Error("the successor signs")
	}

	kms.others[previousAlias] = first
	clock.advance(5 * time.Minute)
	kms.wantPublished(t, key, "two aliases of one key", []standInKey{first, second}, askForAll)
	kms.promote()
	clock.advance(5 * time.Minute)
	kms.wantPublished(t, key, "promoted", []standInKey{second, first}, askForAll)
	if published, _ := key.Published(t.Context()); !published[1].Signs {
		t.Error("the predecessor does not sign")
	}

	captureLog(t)
	kms.failing = failing(400, "ThrottlingException")
	clock.advance(5 * time.Minute)
	kms.wantPublished(t, key, "when KMS fails", []standInKey{second, first}, "GetPublicKey-next")
}

// TestPublishedWhileThePromotionGoesOn: whatever happens between two requests, no key is missed.
func TestPublishedWhileThePromotionGoesOn(t *testing.T) {
	for at := 1; at <= 3; at++ {
		kms := newStandIn(t)
		first, second := kms.standInKey, kms.newKey("arn:aws:kms:us-east-1:123456789012:key/2")
		kms.others[nextAlias] = second
		asked := 0
		kms.flap = func(string) {
			if asked++; asked == at {
				kms.promote()
			}
		}
		published, err := kms.key().Published(t.Context())
		if err != nil || len(published) != 2 {
			t.Fatalf("before request %d: %d keys, %v", at, len(published), err)
		}
		for _, key := range []standInKey{first, second} {
			if !slices.ContainsFunc(published, func(p token.PublishedKey) bool { return p.Public.Equal(key.private.Public()) }) {
				t.Errorf("before request %d: %s is missing", at, key.arn)
			}
		}
	}
}

// TestNoPartOfTheSet: products would keep a set that lacks a key.
func TestNoPartOfTheSet(t *testing.T) {
	for _, name := range []string{alias, nextAlias, previousAlias} {
		kms := newStandIn(t)
		kms.others[nextAlias], kms.others[previousAlias] = kms.newKey("arn:2"), kms.newKey("arn:3")
		kms.refused = name
		if published, err := kms.key().Published(t.Context()); err == nil || published != nil {
			t.Errorf("%s fails: got %d keys, %v", name, len(published), err)
		}
	}
}

func kidOf(key standInKey) string { return token.KeyID(&key.private.PublicKey) }

// TestPinned: the license's tokens are of its key while that is published, also where the request finds out about the move.
func TestPinned(t *testing.T) {
	kms := newStandIn(t)
	key := kms.key()
	first, second := kms.standInKey, kms.newKey("arn:aws:kms:us-east-1:123456789012:key/2")
	want := func(when, kid string, signer standInKey, requests string) {
		t.Helper()
		text, err := authorizePinned(t, key, kid)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		wantValid(t, text, &signer.private.PublicKey)
		kms.wantRequests(t, requests)
	}
	kms.others[nextAlias] = second
	log := captureLog(t)
	want("to the current key", kidOf(first), first, "GetPublicKey Sign")
	kms.wantPublished(t, key, "before the move", []standInKey{first, second}, askForAll)
	if log.Len() != 0 {
		t.Errorf("logged %s", log)
	}
	want("to the successor", kidOf(second), first, "Sign")
	if !strings.Contains(log.String(), "pinned to a token key that does not sign") {
		t.Errorf("logged %s", log)
	}
	log.Reset()
	kms.promote()
	want("to the predecessor, at the move", kidOf(first), first, "Sign GetPublicKey "+askForAll+" Sign-previous")
	want("to the predecessor", kidOf(first), first, "Sign-previous")
	want("to none", "", second, "Sign")
	if log.Len() != 0 {
		t.Errorf("logged %s", log)
	}
	delete(kms.others, previousAlias)
	want("to one that is gone", kidOf(first), second, "Sign-previous "+askForAll+" Sign")
	if !strings.Contains(log.String(), "pinned to a token key that does not sign") {
		t.Errorf("logged %s", log)
	}
}

// TestPinnedWithAnOldSet: the published keys are as they were before the move, and the current one is not.
func TestPinnedWithAnOldSet(t *testing.T) {
	clock, kms := newTick(), newStandIn(t)
	key := kms.key(WithClock(clock.clock))
	first := kms.standInKey
	kms.others[nextAlias] = kms.newKey("arn:aws:kms:us-east-1:123456789012:key/2")
	if _, err := authorize(t, key); err != nil {
		t.Fatal(err)
	}
	clock.advance(4 * time.Minute)
	if _, err := key.Published(t.Context()); err != nil {
		t.Fatal(err)
	}
	kms.promote()
	clock.advance(2 * time.Minute)
	kms.requests = nil
	text, err := authorizePinned(t, key, kidOf(first))
	if err != nil {
		t.Fatal(err)
	}
	wantValid(t, text, &first.private.PublicKey)
	kms.wantRequests(t, "GetPublicKey Sign "+askForAll+" Sign-previous")
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

// TestSignByAnUnknownKey: nothing is signed for a key that was never answered.
func TestSignByAnUnknownKey(t *testing.T) {
	kms := newStandIn(t)
	signature, err := kms.key().SignDigest(t.Context(), &kms.private.PublicKey, [32]byte{1, 2, 3})
	if !errors.Is(err, token.ErrKeyMoved) || signature != nil {
		t.Errorf("got %v, %v", signature, err)
	}
	kms.wantRequests(t, "")
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
			known := kms.key()
			if _, err := known.PublicKey(t.Context()); err != nil {
				t.Fatal(err)
			}
			kms.failing = fault
			key := kms.key()
			if public, err := key.PublicKey(t.Context()); err == nil || public != nil ||
				!strings.HasPrefix(err.Error(), "get public key: ") {
				t.Errorf("public key: got %v, %v", public, err)
			}
			if signature, err := known.SignDigest(t.Context(), &kms.private.PublicKey, [32]byte{}); err == nil || signature != nil ||
				!strings.HasPrefix(err.Error(), "sign: ") {
				t.Errorf("signature: got %v, %v", signature, err)
			}
		})
	}
}
