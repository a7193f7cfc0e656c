package awskeys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"github.com/golang-jwt/jwt/v5"

	"openlicenser/shared/testing/kmstest"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/testing/telemetrytest"
	"openlicenser/shared/token"
)

const alias = "alias/licenser"

const nextAlias, previousAlias = alias + "-next", alias + "-previous"

// standIn is a KMS with a current key, key-1. It notes what it is asked for.
type standIn struct {
	*kmstest.KMS
	t        *testing.T
	failing  string                 // the error code of each response, if set
	refused  string                 // an alias that the role may not use
	flap     func(operation string) // called before each response, if set
	requests []string
}

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	s := &standIn{KMS: kmstest.New(time.Now), t: t}
	s.moveTo(s.newKey())
	s.Before = s.before
	return s
}

// moveTo makes a key the current one.
func (s *standIn) moveTo(id string) { s.Point(alias, id) }

func (s *standIn) newKey() (id string) {
	s.t.Helper()
	id, err := s.AddRSA()
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

// public returns the public half of a key, by id or alias.
func (s *standIn) public(name string) *rsa.PublicKey { return s.Public(name).(*rsa.PublicKey) }

// promote lets the successor sign, and keeps the predecessor.
func (s *standIn) promote() {
	s.Point(previousAlias, s.Target(alias))
	s.Point(alias, s.Target(nextAlias))
	s.Point(nextAlias, "")
}

func (s *standIn) key(options ...Option) *SigningKey {
	server := httptest.NewServer(s)
	s.t.Cleanup(server.Close)
	names := KeyNames{Current: alias, Next: nextAlias, Previous: previousAlias}
	return NewSigningKey(newKMSClient(server.URL), names, options...)
}

func (s *standIn) before(operation, name string) error {
	s.requests = append(s.requests, operation+strings.TrimPrefix(name, alias))
	if s.flap != nil {
		s.flap(operation)
	}
	switch {
	case s.refused == name:
		return &smithy.GenericAPIError{Code: "AccessDeniedException"}
	case s.failing != "":
		return &smithy.GenericAPIError{Code: s.failing}
	}
	return nil
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
		wantValid(t, text, kms.public(alias))
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
	kms.moveTo(kms.newKey())
	kms.wantRequests(t, "GetPublicKey Sign")

	text, err := authorize(t, key)
	if err != nil {
		t.Fatal(err)
	}
	wantValid(t, text, kms.public(alias))
	kms.wantRequests(t, "Sign GetPublicKey Sign")
}

// TestAliasFlaps: while the alias moves between two keys, the request ends in an error and not in a token of neither.
func TestAliasFlaps(t *testing.T) {
	kms := newStandIn(t)
	key := kms.key()
	first, second := kms.Target(alias), kms.newKey()
	kms.flap = func(operation string) {
		if kms.moveTo(first); operation == "Sign" {
			kms.moveTo(second)
		}
	}
	if text, err := authorize(t, key); !errors.Is(err, token.ErrKeyMoved) {
		t.Errorf("got %q, %v", text, err)
	}
	kms.wantRequests(t, "GetPublicKey Sign GetPublicKey Sign GetPublicKey Sign GetPublicKey Sign")
}

func (s *standIn) wantPublished(t *testing.T, key *SigningKey, when string, want []string, requests string) {
	t.Helper()
	published, err := key.Published(t.Context())
	if err != nil || len(published) != len(want) {
		t.Fatalf("%s: %d keys, %v", when, len(published), err)
	}
	for i, wanted := range want {
		if !s.public(wanted).Equal(published[i].Public) {
			t.Errorf("%s: another key at %d", when, i)
		}
	}
	s.wantRequests(t, requests)
}

const askForAll = "GetPublicKey-next GetPublicKey GetPublicKey-previous"

// TestStaleKeys: what KMS said last serves on for a day, and then it is a fault; each of the two by itself.
func TestStaleKeys(t *testing.T) {
	telemetrytest.Capture(t)
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
	kms.failing = "AccessDeniedException"
	clock.advance(24*time.Hour - 1)
	if current, published := ask(); current != nil || published != nil {
		t.Errorf("for a day: %v, %v", current, published)
	}
	clock.advance(1)
	if current, published := ask(); current == nil || published == nil {
		t.Errorf("after a day: %v, %v", current, published)
	}
	kms.failing, kms.refused = "", nextAlias
	clock.advance(time.Minute)
	if current, published := ask(); current != nil || published == nil {
		t.Errorf("when the successor alone cannot be asked for: %v, %v", current, published)
	}
}

// TestPublished: the one that signs, its successor and its predecessor; what does not exist is no failure.
func TestPublished(t *testing.T) {
	clock, kms := newTick(), newStandIn(t)
	key := kms.key(WithClock(clock.clock))
	first, second := kms.Target(alias), kms.newKey()
	kms.wantPublished(t, key, "alone", []string{first}, askForAll)

	kms.Point(nextAlias, second)
	clock.advance(5*time.Minute - 1)
	kms.wantPublished(t, key, "while fresh", []string{first}, "")
	clock.advance(1)
	kms.wantPublished(t, key, "prepared", []string{first, second}, askForAll)
	if published, _ := key.Published(t.Context()); !published[0].Signs || published[1].Signs {
		t.Error("the successor signs")
	}

	kms.Point(previousAlias, first)
	clock.advance(5 * time.Minute)
	kms.wantPublished(t, key, "two aliases of one key", []string{first, second}, askForAll)
	kms.promote()
	clock.advance(5 * time.Minute)
	kms.wantPublished(t, key, "promoted", []string{second, first}, askForAll)
	if published, _ := key.Published(t.Context()); !published[1].Signs {
		t.Error("the predecessor does not sign")
	}

	telemetrytest.Capture(t)
	kms.failing = "ThrottlingException"
	clock.advance(5 * time.Minute)
	kms.wantPublished(t, key, "when KMS fails", []string{second, first}, "GetPublicKey-next")
}

// TestPublishedWhileThePromotionGoesOn: whatever happens between two requests, no key is missed.
func TestPublishedWhileThePromotionGoesOn(t *testing.T) {
	for at := 1; at <= 3; at++ {
		kms := newStandIn(t)
		first, second := kms.Target(alias), kms.newKey()
		kms.Point(nextAlias, second)
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
		for _, key := range []string{first, second} {
			isKey := func(p token.PublishedKey) bool { return p.Public.Equal(kms.public(key)) }
			if !slices.ContainsFunc(published, isKey) {
				t.Errorf("before request %d: %s is missing", at, key)
			}
		}
	}
}

// TestNoPartOfTheSet: products would keep a set that lacks a key.
func TestNoPartOfTheSet(t *testing.T) {
	for _, name := range []string{alias, nextAlias, previousAlias} {
		kms := newStandIn(t)
		kms.Point(nextAlias, kms.newKey())
		kms.Point(previousAlias, kms.newKey())
		kms.refused = name
		if published, err := kms.key().Published(t.Context()); err == nil || published != nil {
			t.Errorf("%s fails: got %d keys, %v", name, len(published), err)
		}
	}
}

func (s *standIn) kidOf(id string) string { return token.KeyID(s.public(id)) }

// TestPinned: the license's tokens are of its key while that is published, also where the request finds out about the
// move.
func TestPinned(t *testing.T) {
	kms := newStandIn(t)
	key := kms.key()
	first, second := kms.Target(alias), kms.newKey()
	want := func(when, kid, signer, requests string) {
		t.Helper()
		text, err := authorizePinned(t, key, kid)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		wantValid(t, text, kms.public(signer))
		kms.wantRequests(t, requests)
	}
	kms.Point(nextAlias, second)
	log := telemetrytest.Capture(t)
	want("to the current key", kms.kidOf(first), first, "GetPublicKey Sign")
	kms.wantPublished(t, key, "before the move", []string{first, second}, askForAll)
	if log.Len() != 0 {
		t.Errorf("logged %s", log)
	}
	want("to the successor", kms.kidOf(second), first, "Sign")
	if !strings.Contains(log.String(), "pinned to a token key that does not sign") {
		t.Errorf("logged %s", log)
	}
	log.Reset()
	kms.promote()
	want("to the predecessor, at the move", kms.kidOf(first), first, "Sign GetPublicKey "+askForAll+" Sign-previous")
	want("to the predecessor", kms.kidOf(first), first, "Sign-previous")
	want("to none", "", second, "Sign")
	if log.Len() != 0 {
		t.Errorf("logged %s", log)
	}
	kms.Point(previousAlias, "")
	want("to one that is gone", kms.kidOf(first), second, "Sign-previous "+askForAll+" Sign")
	if !strings.Contains(log.String(), "pinned to a token key that does not sign") {
		t.Errorf("logged %s", log)
	}
}

// TestPinnedWithAnOldSet: the published keys are as they were before the move, and the current one is not.
func TestPinnedWithAnOldSet(t *testing.T) {
	clock, kms := newTick(), newStandIn(t)
	key := kms.key(WithClock(clock.clock))
	first := kms.Target(alias)
	kms.Point(nextAlias, kms.newKey())
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
	text, err := authorizePinned(t, key, kms.kidOf(first))
	if err != nil {
		t.Fatal(err)
	}
	wantValid(t, text, kms.public(first))
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

	first := kms.public(alias)
	want("first", first, "GetPublicKey")
	kms.moveTo(kms.newKey())
	second := kms.public(alias)
	clock.advance(5*time.Minute - 1)
	want("while fresh", first, "")
	clock.advance(1)
	want("when old", second, "GetPublicKey")

	log := telemetrytest.Capture(t)
	kms.failing = "ThrottlingException"
	clock.advance(5 * time.Minute)
	want("when KMS fails", second, "GetPublicKey")
	if !strings.Contains(log.String(), "the public half of the token key could not be read anew") {
		t.Errorf("logged %s", log)
	}
}

// TestSignByAnUnknownKey: nothing is signed for a key that was never answered.
func TestSignByAnUnknownKey(t *testing.T) {
	kms := newStandIn(t)
	signature, err := kms.key().SignDigest(t.Context(), kms.public(alias), [32]byte{1, 2, 3})
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
	notDER := base64.StdEncoding.EncodeToString([]byte("not DER"))
	for name, response := range map[string]string{
		"for encryption": publicHalf(t, newStandIn(t).public(alias), "ENCRYPT_DECRYPT"),
		"elliptic curve": publicHalf(t, &elliptical.PublicKey, "SIGN_VERIFY"),
		"not SPKI":       `{"PublicKey":"` + notDER + `","KeyUsage":"SIGN_VERIFY"}`,
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := serve(t, func(string, map[string]any) (int, string) { return http.StatusOK, response })
			key := NewSigningKey(newKMSClient(endpoint), KeyNames{Current: alias})
			if key, err := key.PublicKey(t.Context()); err == nil || key != nil {
				t.Errorf("got %v, %v", key, err)
			}
		})
	}
}

func TestKeyFaults(t *testing.T) {
	for name, fault := range map[string]string{
		"NoSuchKey":       "NotFoundException",
		"Disabled":        "DisabledException",
		"PendingDeletion": "KMSInvalidStateException",
		"Throttled":       "ThrottlingException",
		"AccessDenied":    "AccessDeniedException",
		"InternalError":   "KMSInternalException",
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
			if signature, err := known.SignDigest(t.Context(), kms.public(alias), [32]byte{}); err == nil ||
				signature != nil ||
				!strings.HasPrefix(err.Error(), "sign: ") {
				t.Errorf("signature: got %v, %v", signature, err)
			}
		})
	}
}
