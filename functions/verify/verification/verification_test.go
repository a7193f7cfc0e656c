package verification_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"openlicenser/functions/verify/verification"
	"openlicenser/shared/api"
	"openlicenser/shared/attribute"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/apitest"
	"openlicenser/shared/testing/lambdatest"
	"openlicenser/shared/testing/telemetrytest"
	"openlicenser/shared/token"
)

func TestMain(m *testing.M) {
	telemetrytest.Main(m, secretFingerprint, "conformance-secret", "that was in force before", "9 bytes !")
}

// conformance is the file that holds the contract's cases.
type conformance struct {
	Secret string
	Items  []attribute.Map
	Cases  []struct {
		Name            string
		Body            string
		IsBase64Encoded bool
		Want            struct {
			Status int
			Error  string
			Claims map[string]any
			// IssuedBack says that the claim iat lies two to sixty minutes before the response.
			IssuedBack bool `json:"iat_back"`
		}
	}
}

func readConformance(t testing.TB) conformance { return readCases(t, "conformance.json") }

func readCases(t testing.TB, file string) conformance {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var c conformance
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Cases) == 0 {
		t.Fatal("no cases")
	}
	return c
}

type fixedSecret token.Secret

func (s fixedSecret) Ring(context.Context) (token.Ring, error) {
	return token.Ring{Current: token.Secret(s)}, nil
}
func (s fixedSecret) Refresh(ctx context.Context) (token.Ring, error) { return s.Ring(ctx) }

// newVerifier returns a verifier over a store that holds the conformance file's items.
func newVerifier(t testing.TB, c conformance) verification.Verifier {
	t.Helper()
	folder, err := embedded.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { folder.Close() })
	for _, item := range c.Items {
		if err := folder.Licenses.PutRecord(t.Context(), item); err != nil {
			t.Fatal(err)
		}
	}
	return verification.Verifier{
		Licenses:   folder.Licenses,
		Devices:    folder.Devices,
		Secrets:    fixedSecret(c.Secret),
		Authorizer: token.Authorizer{Key: folder.SigningKey, Issuer: "Test Issuer", Lifetime: 90 * 24 * time.Hour},
		Now:        time.Now,
		Log:        telemetrytest.Log,
	}
}

// answer returns the response to an event, which it holds to openapi.yaml. What is no documented route is a
// verification.
func answer(t testing.TB, v verification.Verifier, event events.APIGatewayProxyRequest) events.APIGatewayProxyResponse {
	t.Helper()
	router := v.Router()
	response, err := router.Invoke(t.Context(), apitest.Event(event))
	if err != nil {
		t.Fatal(err)
	}
	if _, documented := router.Routes[event.HTTPMethod+" "+event.Resource]; !documented {
		event.HTTPMethod, event.Resource = http.MethodPost, "/verify-license"
	}
	apitest.CheckEvent(t, event, response)
	return response
}

func handle(
	t testing.TB, v verification.Verifier, event events.APIGatewayProxyRequest,
) (events.APIGatewayProxyResponse, map[string]string) {
	t.Helper()
	response := answer(t, v, event)
	var body map[string]string
	if strings.HasPrefix(event.Resource, "/verify-license") {
		if err := json.Unmarshal([]byte(response.Body), &body); err != nil {
			t.Fatalf("%v: %s", err, response.Body)
		}
	}
	return response, body
}

func verifyEvent(body string, isBase64Encoded bool) events.APIGatewayProxyRequest {
	return events.APIGatewayProxyRequest{
		HTTPMethod: http.MethodPost, Resource: "/verify-license", Body: body, IsBase64Encoded: isBase64Encoded,
	}
}

// readToken checks a token with an independent library against the key set as the product gets it.
func readToken(t testing.TB, v verification.Verifier, text string) map[string]any {
	t.Helper()
	response, _ := handle(
		t, v, events.APIGatewayProxyRequest{HTTPMethod: http.MethodGet, Resource: "/.well-known/jwks.json"},
	)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(response.Body), &set); err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	keys := set.Key(parsed.Headers[0].KeyID)
	if len(keys) != 1 {
		t.Fatalf("the key set has %d keys with the token's kid %q", len(keys), parsed.Headers[0].KeyID)
	}
	var claims map[string]any
	if err := parsed.Claims(keys[0].Key, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestConformance runs the contract's cases, and those that the field has reported.
func TestConformance(t *testing.T) {
	for _, file := range []string{"conformance.json", "field-cases.json"} {
		c := readCases(t, file)
		v := newVerifier(t, c)
		for _, test := range c.Cases {
			t.Run(test.Name, func(t *testing.T) {
				response, body := handle(t, v, verifyEvent(test.Body, test.IsBase64Encoded))
				if response.StatusCode != test.Want.Status || body["error"] != test.Want.Error {
					t.Fatalf(
						"got %d %s, want %d %s", response.StatusCode, response.Body, test.Want.Status, test.Want.Error,
					)
				}
				if test.Want.Status != http.StatusOK {
					return
				}
				claims := readToken(t, v, body["message"])
				for name, want := range test.Want.Claims {
					if claims[name] != want {
						t.Errorf("claim %s is %v, want %v", name, claims[name], want)
					}
				}
				age := time.Since(time.Unix(int64(claims["iat"].(float64)), 0))
				if test.Want.IssuedBack && (age < 2*time.Minute || age > time.Hour) {
					t.Errorf("iat lies %v back", age)
				}
			})
		}
	}
}

// TestPastedKeys: what mail programs and people add is dropped, and what remains has one spelling.
func TestPastedKeys(t *testing.T) {
	c := readConformance(t)
	v := newVerifier(t, c)
	var valid struct{ LicenseKey string }
	if err := json.Unmarshal([]byte(c.Cases[0].Body), &valid); err != nil {
		t.Fatal(err)
	}
	key := valid.LicenseKey
	segments := strings.Split(key, ".")
	for name, test := range map[string]struct{ key, want string }{
		"as it is":                         {key, ""},
		"tabs and line breaks around":      {"\t\r\n" + key + " \n\v\f\x85", ""},
		"Unicode spaces within":            {key[:20] + "\u2003\u3000\u202f\u1680" + key[20:], ""},
		"invisible characters":             {"\ufeff" + key[:30] + "\u200b\u00ad\u2060\u200e" + key[30:], ""},
		"typographic quotes":               {"\u201c" + key + "\u201d", ""},
		"a mail's quotation":               {"> " + key[:60] + "\n> " + key[60:], ""},
		"padding on each segment":          {strings.Join(segments, "==.") + "=", ""},
		"a full stop behind it":            {key + ".", "INVALID_LICENSE"},
		"a word before it":                 {"Key: " + key, "INVALID_LICENSE"},
		"a hyphen where a line was broken": {key[:20] + "-\n" + key[20:], "INVALID_LICENSE"},
		"twice, with a space":              {key + " " + key, "INVALID_LICENSE"},
		"nothing but white space":          {" \n", "MISSING_LICENSE_KEY"},
		"nothing but what is dropped":      {"\u200b\"\"", "MISSING_LICENSE_KEY"},
		"unused bits":                      {key[:len(key)-1] + nextInAlphabet(key[len(key)-1]), "INVALID_LICENSE"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(map[string]string{"licensekey": test.key})
			if err != nil {
				t.Fatal(err)
			}
			response, body := handle(t, v, verifyEvent(string(text), false))
			if isOK := response.StatusCode == http.StatusOK; body["error"] != test.want || isOK != (test.want == "") {
				t.Errorf("got %d %s", response.StatusCode, response.Body)
			}
		})
	}
}

// nextInAlphabet returns the character of base64url that follows one, and so differs from it in the last bit.
func nextInAlphabet(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)^1])
}

// TestEvents runs every sample event of this function.
func TestEvents(t *testing.T) {
	want := map[string]struct {
		status int
		body   string // a part of it
	}{
		"valid":           {http.StatusOK, `"message":"eyJ`},
		"base64-body":     {http.StatusOK, `"message":"eyJ`},
		"short-key":       {http.StatusOK, `"message":"eyJ`},
		"revoked":         {http.StatusBadRequest, `{"error":"LICENSE_REVOKED"}`},
		"expired":         {http.StatusBadRequest, `{"error":"LICENSE_EXPIRED"}`},
		"missing-key":     {http.StatusBadRequest, `{"error":"MISSING_LICENSE_KEY"}`},
		"malformed":       {http.StatusBadRequest, `{"error":"BAD_LICENSE_SERVER_REQUEST"}`},
		"no-body":         {http.StatusBadRequest, `{"error":"BAD_LICENSE_SERVER_REQUEST"}`},
		"unknown-license": {http.StatusBadRequest, `{"error":"INVALID_LICENSE"}`},
		"jwks":            {http.StatusOK, `{"keys":[{"kty":"RSA"`},
		"public-key":      {http.StatusOK, "-----BEGIN PUBLIC KEY-----\n"},
		"activate":        {http.StatusOK, "<!DOCTYPE html>\n"},

		"catch-all":              {http.StatusOK, `"message":"eyJ`},
		"catch-all-jwks":         {http.StatusOK, `{"keys":[{"kty":"RSA"`},
		"function-url":           {http.StatusOK, `"message":"eyJ`},
		"function-url-jwks":      {http.StatusOK, `{"keys":[{"kty":"RSA"`},
		"function-url-preflight": {http.StatusNoContent, ``},
		"http-api-jwks":          {http.StatusOK, `{"keys":[{"kty":"RSA"`},
		"http-api-public-key":    {http.StatusNotFound, `{"error":"UNKNOWN_KEY_ID"}`},

		"device":               {http.StatusOK, `"message":"eyJ`},
		"fingerprint-required": {http.StatusBadRequest, `{"error":"FINGERPRINT_REQUIRED"}`},
		"device-limit":         {http.StatusBadRequest, `{"error":"DEVICE_LIMIT_REACHED","limit":1,"devices":[{"id":"`},
		"list-devices":         {http.StatusOK, `{"limit":1,"devices":[{"id":"`},
		"release-device":       {http.StatusNoContent, ``},
	}
	c := readConformance(t)
	c.Items = append(c.Items, attribute.Map{
		"licenseid": "00000000-0000-4000-8000-000000000006", "expirationdate": "2099-01-03",
		"maxdevices": attribute.Number("1"),
	})
	sampled := lambdatest.SampleEvents[json.RawMessage](t, "../../../events/verify")
	if len(sampled) != len(want) {
		t.Fatalf("%d events for %d expectations", len(sampled), len(want))
	}
	for name, event := range sampled {
		t.Run(name, func(t *testing.T) {
			expected, known := want[name]
			if !known {
				t.Fatal("no expectation for this file")
			}
			v := newVerifier(t, c)
			if name != "device" {
				invoke(t, v, sampled["device"]) // which takes the seat
			}
			response := invoke(t, v, event)
			if response.StatusCode != expected.status || !strings.Contains(response.Body, expected.body) {
				t.Errorf("got %d %s, want %d %s", response.StatusCode, response.Body, expected.status, expected.body)
			}
		})
	}
}

// invoke runs the event of any front.
func invoke(t *testing.T, v verification.Verifier, text []byte) events.APIGatewayProxyResponse {
	t.Helper()
	var event api.Event
	if err := json.Unmarshal(text, &event); err != nil {
		t.Fatal(err)
	}
	response, err := v.Router().Invoke(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	if event.RawPath != "/" { // which is no documented route, but a verification
		apitest.CheckInvocation(t, text, response)
	}
	if response.Headers["Access-Control-Allow-Origin"] != "*" {
		t.Error("no page of another origin may read the answer")
	}
	return response
}

func twoDaysOfGrace(expires time.Time) attribute.Map {
	return attribute.Map{"expirationdate": expires.Format(time.RFC3339), "gracedays": attribute.Number("2")}
}

// TestStatuses: every status of a license, and what the product is told.
func TestStatuses(t *testing.T) {
	c := readConformance(t)
	now := time.Now().UTC()
	for name, test := range map[string]struct {
		record attribute.Map
		want   string // the error, empty for a token
	}{
		"active":    {attribute.Map{}, ""},
		"suspended": {attribute.Map{"issuspended": true}, "LICENSE_SUSPENDED"},
		"suspended and expired": {
			attribute.Map{"issuspended": true, "expirationdate": "2020-01-01"}, "LICENSE_SUSPENDED",
		},
		"revoked and suspended":   {attribute.Map{"issuspended": true, "isrevoked": true}, "LICENSE_REVOKED"},
		"in its days of grace":    {twoDaysOfGrace(now.AddDate(0, 0, -1)), ""},
		"after its days of grace": {twoDaysOfGrace(now.AddDate(0, 0, -3)), "LICENSE_EXPIRED"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := c
			changed.Items = []attribute.Map{maps.Clone(c.Items[0])}
			maps.Copy(changed.Items[0], test.record)
			response, body := handle(t, newVerifier(t, changed), verifyEvent(c.Cases[0].Body, false))
			if body["error"] != test.want || (test.want == "") != (response.StatusCode == http.StatusOK) {
				t.Errorf("got %d %s, want %q", response.StatusCode, response.Body, test.want)
			}
			if response.Headers["Cache-Control"] != "no-store" {
				t.Errorf("Cache-Control %q", response.Headers["Cache-Control"])
			}
		})
	}
}

// TestOtherPath: deployments of the original chose their own path.
func TestOtherPath(t *testing.T) {
	c := readConformance(t)
	v := newVerifier(t, c)
	for name, event := range map[string]events.APIGatewayProxyRequest{
		"another resource": {
			HTTPMethod: http.MethodPost, Resource: "/licenser", Path: "/licenser", Body: c.Cases[0].Body,
		},
		"catch-all": {
			HTTPMethod: http.MethodPost, Resource: "/{proxy+}", Path: "/licenser", Body: c.Cases[0].Body,
		},
		"only a body": {Body: c.Cases[0].Body},
	} {
		t.Run(name, func(t *testing.T) {
			if response := answer(t, v, event); response.StatusCode != http.StatusOK {
				t.Errorf("got %d %s", response.StatusCode, response.Body)
			}
		})
	}
	t.Run("GET", func(t *testing.T) {
		response := answer(
			t, v, events.APIGatewayProxyRequest{HTTPMethod: http.MethodGet, Resource: "/{proxy+}", Path: "/licenser"},
		)
		if response.StatusCode != http.StatusBadRequest || response.Body != `{"error":"BAD_LICENSE_SERVER_REQUEST"}` {
			t.Errorf("got %d %s", response.StatusCode, response.Body)
		}
	})
}

// faultyReader stands for a table that cannot be read.
type faultyReader struct{ err error }

func (r faultyReader) Get(context.Context, string) (license.License, error) {
	if r.err == nil {
		panic("a panic with a secret in it")
	}
	return license.License{}, r.err
}

// changingSecrets returns one secret from memory, and another one or an error when it is asked anew.
type changingSecrets struct {
	cached, current token.Secret
	err             error
}

func (s changingSecrets) Ring(context.Context) (token.Ring, error) {
	if s.cached == "" {
		return token.Ring{}, s.err
	}
	return token.Ring{Current: s.cached}, nil
}

func (s changingSecrets) Refresh(context.Context) (token.Ring, error) {
	return token.Ring{Current: s.current}, s.err
}

var errDenied = errors.New("AccessDenied: a secret in it")

// TestSecretChanged: a key that was made after the secret was changed is good, and one that cannot be judged is no
// definite no.
func TestSecretChanged(t *testing.T) {
	c := readConformance(t)
	v := newVerifier(t, c)
	const old = token.Secret("the secret that was in force before")
	for name, test := range map[string]struct {
		secrets changingSecrets
		status  int
		body    string
	}{
		"changed": {
			changingSecrets{cached: old, current: token.Secret(c.Secret)}, http.StatusOK, `{"message":`,
		},
		"not changed": {
			changingSecrets{cached: old, current: old}, http.StatusBadRequest, `{"error":"INVALID_LICENSE"}`,
		},
		"changed to another": {
			changingSecrets{cached: old, current: old + "2"}, http.StatusBadRequest, `{"error":"INVALID_LICENSE"}`,
		},
		"cannot be asked": {
			changingSecrets{cached: old, err: errDenied}, http.StatusInternalServerError, `{"error":"INTERNAL`,
		},
		"not needed": {
			changingSecrets{cached: token.Secret(c.Secret), err: errDenied}, http.StatusOK, `{"message":`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := v
			v.Secrets = test.secrets
			response, _ := handle(t, v, verifyEvent(c.Cases[0].Body, false))
			if response.StatusCode != test.status || !strings.HasPrefix(response.Body, test.body) {
				t.Errorf("got %d %s", response.StatusCode, response.Body)
			}
		})
	}
}

// TestShortSecret: the customers of a deployment whose secret is short hold keys that it signed, as the original did.
func TestShortSecret(t *testing.T) {
	c := readConformance(t)
	const secret = "9 bytes !"
	c.Secret = secret
	v := newVerifier(t, c)
	for signedBy, want := range map[string]int{secret: 200, "9 bytes ?": 400, "": 400} {
		response, _ := handle(t, v, verifyEvent(`{"licensekey":"`+signedAsByOriginal(signedBy)+`"}`, false))
		if response.StatusCode != want {
			t.Errorf("a key that %q signed: got %d %s", signedBy, response.StatusCode, response.Body)
		}
	}
}

// signedAsByOriginal is a license key of the conformance file's first license, without a kid.
func signedAsByOriginal(secret string) string {
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"typ":"JWT","alg":"HS256"}`)) + "." +
		encode([]byte(`{"sub":"License Key","licenseid":"00000000-0000-4000-8000-000000000001"}`))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}

// TestFaults: what is our fault is a 500 with a fixed body, never a 400, and the cause is in the log only.
func TestFaults(t *testing.T) {
	c := readConformance(t)
	healthy := newVerifier(t, c)
	other := newVerifier(t, c)
	for name, breakIt := range map[string]func(v *verification.Verifier){
		"table unavailable": func(v *verification.Verifier) {
			v.Licenses = faultyReader{errors.New("throttled, a secret in it")}
		},
		"record unreadable":  func(v *verification.Verifier) { v.Licenses = faultyReader{license.ErrUnreadable} },
		"panic":              func(v *verification.Verifier) { v.Licenses = faultyReader{} },
		"secret unavailable": func(v *verification.Verifier) { v.Secrets = changingSecrets{err: errDenied} },
		"secret empty":       func(v *verification.Verifier) { v.Secrets = fixedSecret("") },
		"token key moved": func(v *verification.Verifier) {
			v.Authorizer.Key = movedKey{public: healthy.Authorizer.Key, private: other.Authorizer.Key}
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := healthy
			var log bytes.Buffer
			v.Log = telemetry.NewLogger(&log)
			breakIt(&v)
			response, _ := handle(t, v, verifyEvent(c.Cases[0].Body, false))
			if response.StatusCode != http.StatusInternalServerError ||
				response.Body != `{"error":"INTERNAL_LICENSE_SERVER_ERROR"}` {
				t.Errorf("got %d %s", response.StatusCode, response.Body)
			}
			if response.Headers["Retry-After"] == "" {
				t.Error("no Retry-After")
			}
			var record struct{ Level, Error string }
			if err := json.Unmarshal(log.Bytes(), &record); err != nil {
				t.Fatalf("%v: %s", err, log.Bytes())
			}
			if record.Level != slog.LevelError.String() || record.Error == "" {
				t.Errorf("logged %s", log.Bytes())
			}
		})
	}
}

// movedKey publishes one key and signs with another.
type movedKey struct{ public, private token.SigningKey }

func (k movedKey) PublicKey(ctx context.Context) (*rsa.PublicKey, error) {
	return k.public.PublicKey(ctx)
}

func (k movedKey) Published(ctx context.Context) ([]token.PublishedKey, error) {
	return k.public.Published(ctx)
}

func (k movedKey) SignDigest(ctx context.Context, _ *rsa.PublicKey, digest [sha256.Size]byte) ([]byte, error) {
	other, err := k.private.PublicKey(ctx)
	if err != nil {
		return nil, err
	}
	return k.private.SignDigest(ctx, other, digest)
}

// neighbors publishes the key of another folder beside its own.
type neighbors struct{ token.SigningKey }

var other = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func (n neighbors) Published(ctx context.Context) ([]token.PublishedKey, error) {
	published, err := n.SigningKey.Published(ctx)
	key, errOther := other()
	return append(published, token.PublishedKey{Public: &key.PublicKey}), errors.Join(err, errOther)
}

// TestPublishedKeys: the key set has them all, the one that signs first, and each can be had as PEM by its kid.
func TestPublishedKeys(t *testing.T) {
	v := newVerifier(t, readConformance(t))
	v.Authorizer.Key = neighbors{v.Authorizer.Key}
	get := func(resource string, query map[string]string) events.APIGatewayProxyResponse {
		t.Helper()
		return answer(
			t, v,
			events.APIGatewayProxyRequest{HTTPMethod: http.MethodGet, Resource: resource, QueryStringParameters: query},
		)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(get("/.well-known/jwks.json", nil).Body), &set); err != nil {
		t.Fatal(err)
	}
	current, err := v.Authorizer.Key.PublicKey(t.Context())
	if err != nil || len(set.Keys) != 2 || !current.Equal(set.Keys[0].Key) {
		t.Fatalf("%d keys, %v", len(set.Keys), err)
	}
	for _, key := range set.Keys {
		pem, err := token.PublicKeyPEM(key.Key.(*rsa.PublicKey))
		if err != nil {
			t.Fatal(err)
		}
		if got := get("/public-key.pem", map[string]string{"kid": key.KeyID}); got.StatusCode != http.StatusOK ||
			got.Body != string(pem) {
			t.Errorf("%s: got %d %s", key.KeyID, got.StatusCode, got.Body)
		}
		isCurrent := current.Equal(key.Key)
		if got := get("/public-key.pem", nil); (got.Body == string(pem)) != isCurrent {
			t.Errorf("without kid: got %s", got.Body)
		}
	}
	for _, kid := range []string{"", "x"} {
		got := get("/public-key.pem", map[string]string{"kid": kid})
		if got.StatusCode != http.StatusNotFound || got.Body != `{"error":"UNKNOWN_KEY_ID"}` {
			t.Errorf("kid %q: got %d %s", kid, got.StatusCode, got.Body)
		}
	}
}

// TestPublicKeyQuery: a query that does not tell which key is wanted gets none, whatever the front.
func TestPublicKeyQuery(t *testing.T) {
	v := newVerifier(t, readConformance(t))
	current, err := v.Authorizer.Key.PublicKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kid := token.KeyID(current)
	for name, test := range map[string]struct {
		query string
		want  int
	}{
		"none":                   {"", http.StatusOK},
		"the key's":              {"kid=" + kid, http.StatusOK},
		"the key's, twice":       {"kid=" + kid + "&kid=" + kid, http.StatusOK},
		"another parameter":      {"v=1&v=2", http.StatusOK},
		"unknown":                {"kid=x", http.StatusNotFound},
		"empty":                  {"kid=", http.StatusNotFound},
		"two":                    {"kid=x&kid=" + kid, http.StatusBadRequest},
		"two in the other order": {"kid=" + kid + "&kid=x", http.StatusBadRequest},
		"one of two empty":       {"kid&kid=" + kid, http.StatusBadRequest},
		"broken escape":          {"kid=%zz", http.StatusBadRequest},
		"broken escape beside":   {"kid=" + kid + "&x=%", http.StatusBadRequest},
		"semicolon":              {"kid=" + kid + ";x=1", http.StatusBadRequest},
	} {
		function := fmt.Sprintf(`{"version":"2.0","routeKey":"$default","rawPath":"/public-key.pem",`+
			`"rawQueryString":%q,"requestContext":{"stage":"$default",`+
			`"http":{"method":"GET","path":"/public-key.pem"}}}`,
			test.query)
		sent := map[string]string{"payload 2.0": function}
		if values, err := url.ParseQuery(test.query); err == nil { // else API Gateway refuses it
			text, err := json.Marshal(values)
			if err != nil {
				t.Fatal(err)
			}
			sent["payload 1.0"] = fmt.Sprintf(`{"httpMethod":"GET","resource":"/public-key.pem",`+
				`"path":"/public-key.pem","multiValueQueryStringParameters":%s}`, text)
		}
		for front, event := range sent {
			t.Run(name+", "+front, func(t *testing.T) {
				got := invoke(t, v, []byte(event))
				isBad := got.Body == `{"error":"BAD_LICENSE_SERVER_REQUEST"}`
				if got.StatusCode != test.want || isBad != (test.want == http.StatusBadRequest) {
					t.Errorf("got %d %s", got.StatusCode, got.Body)
				}
			})
		}
	}
}

// TestPublicKeyMediaType: what a header Accept makes of the type of /public-key.pem.
func TestPublicKeyMediaType(t *testing.T) {
	v := newVerifier(t, readConformance(t))
	for _, test := range []struct{ name, accept, want string }{
		{"none", "", "application/x-pem-file"},
		{"curl", "*/*", "application/x-pem-file"},
		{"browser", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/x-pem-file"},
		{"PEM file", "application/x-pem-file", "application/x-pem-file"},
		{"any application", "application/*", "application/x-pem-file"},
		{"PEM file before text", "text/plain;q=0.5, application/x-pem-file", "application/x-pem-file"},
		{"no media range", ";;", "application/x-pem-file"},
		{"text", "text/plain", "text/plain"},
		{"text in capitals, with a parameter", "Text/Plain;charset=utf-8", "text/plain"},
		{"any text", "text/*", "text/plain"},
		{"text before PEM file", "application/x-pem-file;q=0.5,text/plain;q=0.9", "text/plain"},
		{"both alike, in whatever order", "application/x-pem-file, text/plain", "text/plain"},
		{"text and whatever else", "application/json, text/plain, */*", "text/plain"},
		{"text refused", "text/plain;q=0, */*", "application/x-pem-file"},
		{"PEM file refused", "application/x-pem-file;q=0, */*", "text/plain"},
		{"neither, as generated clients ask", "application/json", "text/plain"},
	} {
		t.Run(test.name, func(t *testing.T) {
			event := events.APIGatewayProxyRequest{
				HTTPMethod: http.MethodGet, Resource: "/public-key.pem",
				Headers: map[string]string{"accept": test.accept},
			}
			got := answer(t, v, event)
			if got.StatusCode != http.StatusOK || got.Headers["Content-Type"] != test.want ||
				got.Headers["Vary"] != "Accept" ||
				!strings.HasPrefix(got.Body, "-----BEGIN PUBLIC KEY-----\n") {
				t.Errorf("got %d %v %s, want %s", got.StatusCode, got.Headers, got.Body, test.want)
			}
		})
	}
}

// TestOneLogRecord: an invocation is one record, without the license key and the token.
func TestOneLogRecord(t *testing.T) {
	c := readConformance(t)
	v := newVerifier(t, c)
	var log bytes.Buffer
	v.Log = telemetry.NewLogger(&log)
	event := verifyEvent(c.Cases[0].Body, false)
	event.RequestContext.RequestID = "request-1"
	response, body := handle(t, v, event)
	if response.Headers["X-Request-Id"] != "request-1" {
		t.Errorf("the answer's request id is %q", response.Headers["X-Request-Id"])
	}
	var record map[string]any
	if err := json.Unmarshal(log.Bytes(), &record); err != nil {
		t.Fatalf("not one record: %v: %s", err, log.Bytes())
	}
	for name, want := range map[string]any{
		"level": "INFO", "msg": "request", "signatures": 1.0,
		"requestid": "request-1", "route": "POST /verify-license", "status": 200.0, "code": "OK",
		"licenseid": "00000000-0000-4000-8000-000000000001", "customerid": "10000000-0000-4000-8000-000000000001",
	} {
		if record[name] != want {
			t.Errorf("%s is %v, want %v", name, record[name], want)
		}
	}
	var sent struct{ LicenseKey string }
	if err := json.Unmarshal([]byte(c.Cases[0].Body), &sent); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{sent.LicenseKey, body["message"], c.Secret} {
		if secret == "" || strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

// TestMembersTwice: of two members licensekey the last counts, whatever the first is, as in the original.
func TestMembersTwice(t *testing.T) {
	c := readConformance(t)
	v := newVerifier(t, c)
	var valid struct{ LicenseKey json.RawMessage }
	if err := json.Unmarshal([]byte(c.Cases[0].Body), &valid); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ first, last, want string }{
		{`5`, `%s`, ""},
		{`[{"licensekey":"a"}]`, `%s`, ""},
		{`{"licensekey":"a","licensekey":"b"}`, `%s`, ""},
		{`true`, `%s`, ""},
		{`null`, `%s`, ""},
		{`"a.b.c"`, `%s`, ""},
		{`%s`, `5`, "BAD_LICENSE_SERVER_REQUEST"},
		{`%s`, `[%s]`, "BAD_LICENSE_SERVER_REQUEST"},
		{`%s`, `{}`, "BAD_LICENSE_SERVER_REQUEST"},
		{`%s`, `null`, "MISSING_LICENSE_KEY"},
		{`5`, `null`, "MISSING_LICENSE_KEY"},
		{`%s`, `""`, "MISSING_LICENSE_KEY"},
		{`[`, `%s`, "BAD_LICENSE_SERVER_REQUEST"},
	} {
		body := strings.ReplaceAll(`{"licensekey":`+test.first+`,"x":1,"licensekey":`+test.last+`}`,
			"%s", string(valid.LicenseKey))
		if response, got := handle(t, v, verifyEvent(body, false)); got["error"] != test.want {
			t.Errorf("%s, %s: got %d %s", test.first, test.last, response.StatusCode, response.Body)
		}
	}
}

// TestNotQuiteJSON: the original's reader, which is Python's, takes numbers that JSON has no form for (RFC 8259 section
// 6). This one does not.
func TestNotQuiteJSON(t *testing.T) {
	c := readConformance(t)
	v := newVerifier(t, c)
	for _, number := range []string{"NaN", "Infinity", "-Infinity"} {
		body := strings.TrimSuffix(strings.TrimSpace(c.Cases[0].Body), "}") + `,"x":` + number + `}`
		if _, got := handle(t, v, verifyEvent(body, false)); got["error"] != "BAD_LICENSE_SERVER_REQUEST" {
			t.Errorf("%s: got %v", number, got)
		}
	}
}

func TestBounds(t *testing.T) {
	c := readConformance(t)
	v := newVerifier(t, c)
	v.Licenses = faultyReader{errors.New("the store was asked")}
	for name, test := range map[string]struct{ body, want string }{
		"body over 64 KiB": {
			`{"licensekey":"` + strings.Repeat("a", 64<<10) + `"}`, "BAD_LICENSE_SERVER_REQUEST",
		},
		"license key over 8 KiB": {`{"licensekey":"` + strings.Repeat("a", 8<<10+1) + `"}`, "INVALID_LICENSE"},
		"deep nesting":           {strings.Repeat(`{"a":`, 12000), "BAD_LICENSE_SERVER_REQUEST"},
		"name in another case":   {`{"LicenseKey":"a.b.c"}`, "MISSING_LICENSE_KEY"},
		"list":                   {`{"licensekey":["a"]}`, "BAD_LICENSE_SERVER_REQUEST"},
		"false":                  {`{"licensekey":false}`, "BAD_LICENSE_SERVER_REQUEST"},
		"null":                   {`null`, "BAD_LICENSE_SERVER_REQUEST"},
		"two objects":            {`{}{}`, "BAD_LICENSE_SERVER_REQUEST"},
	} {
		t.Run(name, func(t *testing.T) {
			response, body := handle(t, v, verifyEvent(test.body, false))
			if response.StatusCode != http.StatusBadRequest || body["error"] != test.want {
				t.Errorf("got %d %s, want %s", response.StatusCode, response.Body, test.want)
			}
		})
	}
	t.Run("not base64", func(t *testing.T) {
		if _, body := handle(t, v, verifyEvent("%%%", true)); body["error"] != "BAD_LICENSE_SERVER_REQUEST" {
			t.Errorf("got %v", body)
		}
	})
}

// TestHugeKey: 4 MiB are refused before they cost anything.
func TestHugeKey(t *testing.T) {
	v := newVerifier(t, readConformance(t))
	for name, event := range map[string]events.APIGatewayProxyRequest{
		"text":   verifyEvent(`{"licensekey":"`+strings.Repeat("a", 4<<20)+`"}`, false),
		"base64": verifyEvent(strings.Repeat("YWFh", 1<<20), true),
	} {
		answer(t, v, event) // held to openapi.yaml, which costs too much to be measured below
		result := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				response, _ := v.Router().Invoke(t.Context(), apitest.Event(event))
				if response.StatusCode != http.StatusBadRequest {
					b.Fatal(response.Body)
				}
			}
		})
		if result.N == 0 || result.AllocedBytesPerOp() > 64<<10 {
			t.Errorf("%s: %d bytes", name, result.AllocedBytesPerOp())
		}
	}
}

// FuzzBody: whatever the body, the response is one of those for callers, and the store is not asked in vain.
func FuzzBody(f *testing.F) {
	c := readConformance(f)
	v := newVerifier(f, c)
	for _, test := range c.Cases {
		f.Add(test.Body, test.IsBase64Encoded)
	}
	f.Add(`{"licensekey":"\ud800","licensekey":"a.b.c"}`, false)
	definite := regexp.MustCompile(`^{"error":"(BAD_LICENSE_SERVER_REQUEST|MISSING_LICENSE_KEY|INVALID_LICENSE|` +
		`LICENSE_REVOKED|LICENSE_SUSPENDED|LICENSE_EXPIRED)"}$`)
	f.Fuzz(func(t *testing.T, body string, isBase64Encoded bool) {
		response := answer(t, v, verifyEvent(body, isBase64Encoded))
		isToken := response.StatusCode == http.StatusOK && strings.HasPrefix(response.Body, `{"message":"eyJ`)
		isRefusal := response.StatusCode == http.StatusBadRequest && definite.MatchString(response.Body)
		if !isToken && !isRefusal {
			t.Fatalf("%q is answered with %d %s", body, response.StatusCode, response.Body)
		}
	})
}
