package main

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"openlicenser/shared/api"
	"openlicenser/shared/bootstrap"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/apitest"
	"openlicenser/shared/testing/lambdatest"
	"openlicenser/shared/testing/telemetrytest"
)

func TestMain(m *testing.M) { telemetrytest.Main(m, "conformance-secret") }

const keyARN = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"

// account is an AWS account that holds the conformance file's items, its secret, and a token key.
type account struct {
	*lambdatest.AWS
	operations map[string]lambdatest.Operation // healthy ones
	key        *rsa.PrivateKey
	cases      []conformanceCase
}

type conformanceCase struct {
	Name            string
	Body            string
	IsBase64Encoded bool
	Want            struct {
		Status int
		Error  string
		Claims map[string]any
	}
}

func newAccount(t *testing.T) account {
	t.Helper()
	text, err := os.ReadFile("verification/testdata/conformance.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Secret string
		Items  []map[string]map[string]any
		Cases  []conformanceCase
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	operations := map[string]lambdatest.Operation{
		"GetItem": func(input map[string]any) (int, any) {
			id := input["Key"].(map[string]any)["licenseid"].(map[string]any)["S"]
			i := slices.IndexFunc(
				file.Items, func(item map[string]map[string]any) bool { return item["licenseid"]["S"] == id },
			)
			if i < 0 {
				return lambdatest.Item(input, nil)
			}
			return lambdatest.Item(input, file.Items[i])
		},
		"GetSecretValue": func(map[string]any) (int, any) {
			return http.StatusOK, map[string]string{"SecretString": fmt.Sprintf(`{"key":%q}`, file.Secret)}
		},
		"GetPublicKey": func(map[string]any) (int, any) {
			return http.StatusOK, map[string]any{"KeyId": keyARN, "KeyUsage": "SIGN_VERIFY", "PublicKey": public}
		},
		"Sign": func(input map[string]any) (int, any) {
			if input["MessageType"] != "DIGEST" || input["SigningAlgorithm"] != "RSASSA_PKCS1_V1_5_SHA_256" {
				return http.StatusBadRequest, map[string]string{"__type": "ValidationException"}
			}
			digest, err := base64.StdEncoding.DecodeString(input["Message"].(string))
			if err != nil {
				return http.StatusBadRequest, map[string]string{"__type": "ValidationException"}
			}
			signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest)
			if err != nil {
				return http.StatusBadRequest, map[string]string{"__type": "ValidationException"}
			}
			return http.StatusOK, map[string]any{"KeyId": keyARN, "Signature": signature}
		},
	}
	return account{
		AWS: lambdatest.NewAWS(t, maps.Clone(operations)), operations: operations, key: key, cases: file.Cases,
	}
}

func (a account) environment(more ...string) []string {
	return append([]string{
		"LICENSER_DB=licenses", "JWT_SECRETS_NAME=secret", "KMS_KEY_ID=alias/token", "AWS_ENDPOINT_URL=" + a.URL,
	}, more...)
}

func verifyEvent(c conformanceCase) events.APIGatewayProxyRequest {
	event := events.APIGatewayProxyRequest{
		HTTPMethod: http.MethodPost, Resource: "/verify-license", Body: c.Body, IsBase64Encoded: c.IsBase64Encoded,
	}
	event.RequestContext.RequestID = "request-1"
	return event
}

// TestConformanceOfTheBinary drives the built function through the Lambda Runtime API, with the real SDK clients.
func TestConformanceOfTheBinary(t *testing.T) {
	a := newAccount(t)
	f := lambdatest.Start(t, ".", a.environment()...)
	for _, c := range a.cases {
		t.Run(c.Name, func(t *testing.T) {
			var response events.APIGatewayProxyResponse
			f.Invoke(verifyEvent(c), "", &response)
			var body struct{ Message, Error string }
			if err := json.Unmarshal([]byte(response.Body), &body); err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != c.Want.Status || body.Error != c.Want.Error {
				t.Fatalf("got %d %s, want %d %s", response.StatusCode, response.Body, c.Want.Status, c.Want.Error)
			}
			if c.Want.Status != http.StatusOK {
				return
			}
			parsed, err := jwt.ParseSigned(body.Message, []jose.SignatureAlgorithm{jose.RS256})
			if err != nil {
				t.Fatal(err)
			}
			var claims map[string]any
			if err := parsed.Claims(&a.key.PublicKey, &claims); err != nil {
				t.Fatal(err)
			}
			for name, want := range c.Want.Claims {
				if claims[name] != want {
					t.Errorf("claim %s is %v, want %v", name, claims[name], want)
				}
			}
		})
	}
	// The secret and the public key are read once; an unknown license costs one read, a bad key none.
	if a.Calls("GetSecretValue") != 1 || a.Calls("GetPublicKey") != 1 {
		t.Errorf("%d calls for the secret, %d for the public key", a.Calls("GetSecretValue"), a.Calls("GetPublicKey"))
	}
	if reads := a.Calls("GetItem"); reads != 1+8 {
		t.Errorf("%d reads for the start and the 8 cases with a good signature and an id", reads)
	}
	for line := range strings.Lines(f.Output()) {
		var record struct {
			Msg, Level string
			Timestamp  time.Time
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil || record.Msg != "request" ||
			record.Level == "" || time.Since(record.Timestamp) > time.Hour || strings.Contains(line, "_aws") {
			t.Errorf("logged %s", line)
		}
		for _, c := range a.cases {
			if key := licenseKey(c); len(key) > 100 && strings.Contains(line, key) {
				t.Errorf("a license key was logged: %s", line)
			}
		}
		if strings.Contains(line, "conformance-secret") || strings.Contains(line, "authorization_token") {
			t.Errorf("a secret was logged: %s", line)
		}
	}
}

func licenseKey(c conformanceCase) string {
	var body struct{ LicenseKey any }
	if json.Unmarshal([]byte(c.Body), &body) != nil {
		return ""
	}
	key, _ := body.LicenseKey.(string)
	return key
}

// TestShortSecretOfTheBinary: its keys are good, and the function says once that it has one, where CloudWatch counts
// it.
func TestShortSecretOfTheBinary(t *testing.T) {
	const secret = "9 bytes !"
	a := newAccount(t)
	a.Set("GetSecretValue", func(map[string]any) (int, any) {
		return http.StatusOK, map[string]string{"SecretString": `{"key":"` + secret + `"}`}
	})
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"typ":"JWT","alg":"HS256"}`)) + "." +
		encode([]byte(`{"sub":"License Key","licenseid":"00000000-0000-4000-8000-000000000001"}`))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	f := lambdatest.Start(t, ".", a.environment()...)
	for range 3 {
		var response events.APIGatewayProxyResponse
		f.Invoke(
			verifyEvent(conformanceCase{Body: `{"licensekey":"` + signed + "." + encode(mac.Sum(nil)) + `"}`}), "",
			&response,
		)
		if response.StatusCode != http.StatusOK {
			t.Fatalf("got %d %s", response.StatusCode, response.Body)
		}
	}
	wantJSON(t, f)
	if strings.Count(f.Output(), `"function":"`+lambdatest.FunctionName+`","ShortSecrets":1`) != 1 ||
		strings.Contains(f.Output(), secret) {
		t.Errorf("logged %s", f.Output())
	}
}

// TestTraces receives real segments.
func TestTraces(t *testing.T) {
	a := newAccount(t)
	daemon := lambdatest.NewDaemon(t)
	f := lambdatest.Start(t, ".", a.environment(
		"AWS_XRAY_DAEMON_ADDRESS="+daemon.Address, "_X_AMZN_TRACE_ID=", "LAMBDA_TASK_ROOT="+t.TempDir(),
	)...)
	const trace = "1-67340000-0123456789abcdef01234567"
	var response events.APIGatewayProxyResponse
	f.Invoke(verifyEvent(a.cases[0]), "Root="+trace+";Parent=0123456789abcdef;Sampled=1", &response)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("got %d %s", response.StatusCode, response.Body)
	}
	var operations []string
	segment, text := daemon.Receive()
	for ; segment.Namespace == "aws"; segment, text = daemon.Receive() {
		operations = append(operations, segment.AWS.Operation)
	}
	if segment.Name != "verify" || segment.TraceID != trace || segment.ParentID != "0123456789abcdef" {
		t.Errorf("segment %s", text)
	}
	if segment.Annotations["code"] != "OK" ||
		segment.Annotations["licenseid"] != "00000000-0000-4000-8000-000000000001" {
		t.Errorf("annotations %v", segment.Annotations)
	}
	slices.Sort(operations)
	if want := []string{"GetItem", "Sign"}; !slices.Equal(operations, want) {
		t.Errorf("subsegments of %v, want %v", operations, want)
	}
	if strings.Contains(text, licenseKey(a.cases[0])) || strings.Contains(text, "conformance-secret") {
		t.Errorf("a secret is in the trace: %s", text)
	}

	f.Invoke(verifyEvent(a.cases[0]), "", &response) // without a trace header
	if response.StatusCode != http.StatusOK {
		t.Errorf("without a trace: %d %s", response.StatusCode, response.Body)
	}
	wantJSON(t, f)
	if strings.Count(f.Output(), `"traceid":"`+trace+`"`) != 1 || strings.Count(f.Output(), "traceid") != 1 {
		t.Errorf("not the one record of a traced invocation names its trace: %s", f.Output())
	}
}

// TestTracesWithoutDaemon: nobody listens for segments, and nobody notices.
func TestTracesWithoutDaemon(t *testing.T) {
	a := newAccount(t)
	f := lambdatest.Start(t, ".", a.environment(
		"AWS_XRAY_DAEMON_ADDRESS=127.0.0.1:1", "LAMBDA_TASK_ROOT="+t.TempDir(),
	)...)
	for range 3 {
		var response events.APIGatewayProxyResponse
		f.Invoke(
			verifyEvent(a.cases[0]), "Root=1-67340000-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1",
			&response,
		)
		if response.StatusCode != http.StatusOK {
			t.Errorf("got %d %s", response.StatusCode, response.Body)
		}
	}
	wantJSON(t, f)
}

// TestTracesToNowhere: an address that is none turns tracing off, in one record, and ends nothing.
func TestTracesToNowhere(t *testing.T) {
	binary := lambdatest.Build(t, ".")
	const trace = "Root=1-67340000-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1"
	for _, address := range []string{
		"nonsense", "127.0.0.1:2000:2000", "udp: tcp:", "127.0.0.1:65536", "no-such-host.invalid:2000",
	} {
		t.Run(address, func(t *testing.T) {
			a := newAccount(t)
			f := lambdatest.Run(t, binary, a.environment("AWS_XRAY_DAEMON_ADDRESS="+address)...)
			for range 2 {
				var response events.APIGatewayProxyResponse
				f.Invoke(verifyEvent(a.cases[0]), trace, &response)
				if response.StatusCode != http.StatusOK {
					t.Errorf("got %d %s", response.StatusCode, response.Body)
				}
			}
			wantJSON(t, f)
			if strings.Count(f.Output(), "tracing is off") != 1 {
				t.Errorf("logged %s", f.Output())
			}
		})
	}
}

// wantJSON wants every line that the function has written to be a record.
func wantJSON(t *testing.T, f *lambdatest.Function) {
	t.Helper()
	for line := range strings.Lines(f.Output()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

func secretAnswer(member, value string) func(map[string]any) (int, any) {
	return func(map[string]any) (int, any) { return http.StatusOK, map[string]any{member: value} }
}

// TestFaults drives every fault of AWS through the adapters. Each ends in the documented 500, in bounded time.
func TestFaults(t *testing.T) {
	hang := func(map[string]any) (int, any) {
		time.Sleep(3 * time.Second)
		return http.StatusOK, map[string]any{}
	}
	cut := func(map[string]any) (int, any) { panic(http.ErrAbortHandler) }
	garbage := func(map[string]any) (int, any) { return http.StatusOK, "<html>" }
	for name, test := range map[string]struct {
		operation string
		fault     lambdatest.Operation
		attempts  int
	}{
		"table throttled":        {"GetItem", lambdatest.Fault(400, "ProvisionedThroughputExceededException"), 3},
		"table missing":          {"GetItem", lambdatest.Fault(400, "ResourceNotFoundException"), 1},
		"table denied":           {"GetItem", lambdatest.Fault(400, "AccessDeniedException"), 1},
		"table fails":            {"GetItem", lambdatest.Fault(500, "InternalServerError"), 3},
		"table cuts connections": {"GetItem", cut, 3},
		"table hangs":            {"GetItem", hang, 0},
		"table answers garbage":  {"GetItem", garbage, 0},
		"table says nothing": {
			"GetItem", func(map[string]any) (int, any) { return http.StatusOK, map[string]any{} }, 1,
		},
		"table gives another's": {"GetItem", func(input map[string]any) (int, any) {
			return lambdatest.Item(input, map[string]any{
				"licenseid":      map[string]string{"S": "another"},
				"expirationdate": map[string]string{"S": "2099-01-01"},
			})
		}, 1},
		"record cannot be read": {"GetItem", func(map[string]any) (int, any) {
			return 200, json.RawMessage(`{"Item":{
				"licenseid":{"S":"00000000-0000-4000-8000-000000000001"},"isrevoked":{"S":"true"}}}`)
		}, 1},
		"secret throttled":           {"GetSecretValue", lambdatest.Fault(400, "ThrottlingException"), 3},
		"secret missing":             {"GetSecretValue", lambdatest.Fault(400, "ResourceNotFoundException"), 1},
		"secret denied":              {"GetSecretValue", lambdatest.Fault(400, "AccessDeniedException"), 1},
		"secret cannot be decrypted": {"GetSecretValue", lambdatest.Fault(400, "DecryptionFailure"), 1},
		"secret is binary":           {"GetSecretValue", secretAnswer("SecretBinary", "AAAA"), 1},
		"secret is empty":            {"GetSecretValue", secretAnswer("SecretString", `{"key":""}`), 1},
		"secret has no key":          {"GetSecretValue", secretAnswer("SecretString", `{}`), 1},
		"secret hangs":               {"GetSecretValue", hang, 0},
		"key throttled":              {"Sign", lambdatest.Fault(400, "ThrottlingException"), 3},
		"key disabled":               {"Sign", lambdatest.Fault(400, "DisabledException"), 1},
		"key pending deletion":       {"Sign", lambdatest.Fault(400, "KMSInvalidStateException"), 1},
		"key missing":                {"Sign", lambdatest.Fault(400, "NotFoundException"), 1},
		"key denied":                 {"Sign", lambdatest.Fault(400, "AccessDeniedException"), 1},
		"key of another signature": {"Sign", func(map[string]any) (int, any) {
			return 200, map[string]any{"KeyId": keyARN, "Signature": make([]byte, 256)}
		}, 1},
		"key moved": {"Sign", func(map[string]any) (int, any) {
			return 200, map[string]any{"KeyId": keyARN + "2", "Signature": make([]byte, 256)}
		}, 4},
		"key hangs":         {"Sign", hang, 0},
		"public key denied": {"GetPublicKey", lambdatest.Fault(400, "AccessDeniedException"), 1},
		"public key is none": {"GetPublicKey", func(map[string]any) (int, any) {
			return 200, map[string]any{"KeyId": keyARN, "KeyUsage": "SIGN_VERIFY", "PublicKey": "AAAA"}
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			a.Set(test.operation, test.fault)
			router := a.router(t, "")
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			response, err := router.Invoke(ctx, apitest.Event(verifyEvent(a.cases[0])))
			if err != nil || ctx.Err() != nil {
				t.Fatalf("not answered in the function's time: %v, %v", err, ctx.Err())
			}
			apitest.CheckEvent(t, verifyEvent(a.cases[0]), response)
			if response.StatusCode != http.StatusInternalServerError ||
				response.Body != `{"error":"INTERNAL_LICENSE_SERVER_ERROR"}` ||
				response.Headers["Retry-After"] == "" {
				t.Errorf("got %d %s %v", response.StatusCode, response.Body, response.Headers)
			}
			if got := a.Calls(test.operation); test.attempts > 0 && got != test.attempts {
				t.Errorf("%d attempts, want %d", got, test.attempts)
			}
		})
	}
}

// TestSharedTablesSayNothing: with a signature table too, what names no table is no definite no, and costs no further
// call.
func TestSharedTablesSayNothing(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing":         `{}`,
		"no tables":       `{"Responses":{}}`,
		"the other table": `{"Responses":{"signatures":[]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t)
			a.Set("BatchGetItem", func(map[string]any) (int, any) { return http.StatusOK, json.RawMessage(answer) })
			response, err := a.router(t, "signatures").Invoke(t.Context(), apitest.Event(verifyEvent(a.cases[0])))
			if err != nil || response.StatusCode != http.StatusInternalServerError || a.Calls("BatchGetItem") != 1 ||
				a.Calls("GetItem") != 0 {
				t.Errorf(
					"got %d %s, %v after %d and %d reads", response.StatusCode, response.Body, err,
					a.Calls("BatchGetItem"), a.Calls("GetItem"),
				)
			}
		})
	}
}

// router is the function's own, with the account as its AWS.
func (a account) router(t *testing.T, signatureTable string) api.Router {
	t.Helper()
	cfg, err := bootstrap.AWSConfig(t.Context(), config.WithBaseEndpoint(a.URL), config.WithRegion("eu-central-1"),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("test", "test", "")))
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := newVerifier(environment{
		LicenseTable: "licenses", LicenseKeySecret: "secret", TokenKey: "alias/token", Issuer: "Test",
		TokenLifetimeDays: 90, SignatureTable: signatureTable,
	}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	router := verifier.Router()
	router.Log = telemetrytest.Log
	return router
}

// sharing gives the account a signature table.
func (a account) sharing() {
	var mu sync.Mutex
	signatures := map[any]any{}
	a.Set("BatchGetItem", func(input map[string]any) (int, any) {
		requests := input["RequestItems"].(map[string]any)
		key := requests["licenses"].(map[string]any)["Keys"].([]any)[0]
		_, found := a.operations["GetItem"](map[string]any{"Key": key})
		responses := map[string][]any{"licenses": {}, "signatures": {}}
		if item, has := found.(map[string]any)["Item"]; has {
			responses["licenses"] = []any{item}
		}
		mu.Lock()
		defer mu.Unlock()
		if item, has := signatures[key.(map[string]any)["licenseid"].(map[string]any)["S"]]; has {
			responses["signatures"] = []any{item}
		}
		return http.StatusOK, map[string]any{"Responses": responses, "UnprocessedKeys": map[string]any{}}
	})
	a.Set("PutItem", func(input map[string]any) (int, any) {
		mu.Lock()
		defer mu.Unlock()
		item := input["Item"].(map[string]any)
		signatures[item["licenseid"].(map[string]any)["S"]] = item
		return http.StatusOK, map[string]any{}
	})
}

// TestReuse: a token that one instance has had signed serves again, from its memory and in another instance, at the
// price of one call to AWS.
func TestReuse(t *testing.T) {
	a := newAccount(t)
	a.sharing()
	binary := lambdatest.Build(t, ".")
	// Each instance has the secret and the token key before its first event. Otherwise chance decides whether its first
	// request or its start calls for them.
	const ready = "AWS_LAMBDA_INITIALIZATION_TYPE=provisioned-concurrency"
	environment := a.environment(ready, "SIGNATURE_TABLE=signatures", "TOKEN_REUSE_DAYS=")
	verify := func(f *lambdatest.Function) string {
		var response events.APIGatewayProxyResponse
		f.Invoke(verifyEvent(a.cases[0]), "", &response)
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%d %s: %s", response.StatusCode, response.Body, f.Output())
		}
		return response.Body
	}
	// wantRecord wants the n-th request's record, which arrives by a pipe of its own, to have the count.
	wantRecord := func(f *lambdatest.Function, n int, count string, calls int) {
		t.Helper()
		var lines []string
		for range 500 {
			if lines = strings.SplitAfter(f.Output(), "\n"); len(lines) > n {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		var record map[string]any
		if err := json.Unmarshal([]byte(lines[n-1]), &record); err != nil {
			t.Fatal(err)
		}
		if record[count] != 1.0 || record["awscalls"] != float64(calls) {
			t.Errorf("logged %v, want %s and %d calls", record, count, calls)
		}
	}

	first := lambdatest.Run(t, binary, environment...)
	issued := verify(first)
	wantRecord(first, 1, telemetry.SignaturesKey, 3)
	if verify(first) != issued {
		t.Error("the second token is another one")
	}
	wantRecord(first, 2, telemetry.ReusedFromMemoryKey, 1)
	second := lambdatest.Run(t, binary, environment...)
	if verify(second) != issued {
		t.Error("the token of another instance is another one")
	}
	wantRecord(second, 1, telemetry.ReusedFromTableKey, 1)
	if a.Calls("Sign") != 1 || a.Calls("PutItem") != 1 {
		t.Errorf("%d signatures, %d kept", a.Calls("Sign"), a.Calls("PutItem"))
	}

	never := lambdatest.Run(t, binary, a.environment(ready, "SIGNATURE_TABLE=signatures", "TOKEN_REUSE_DAYS=0")...)
	verify(never)
	wantRecord(never, 1, telemetry.SignaturesKey, 2)
	verify(never)
	wantRecord(never, 2, telemetry.SignaturesKey, 2)
}

// TestLostSignatureTable: losing it costs signatures, and never a token.
func TestLostSignatureTable(t *testing.T) {
	hang := func(map[string]any) (int, any) {
		time.Sleep(4 * time.Second)
		return http.StatusOK, map[string]any{}
	}
	for name, test := range map[string]struct {
		operation string
		fault     lambdatest.Operation
	}{
		"missing":             {"BatchGetItem", lambdatest.Fault(400, "ResourceNotFoundException")},
		"denied":              {"BatchGetItem", lambdatest.Fault(400, "AccessDeniedException")},
		"throttled":           {"BatchGetItem", lambdatest.Fault(400, "ProvisionedThroughputExceededException")},
		"failing":             {"BatchGetItem", lambdatest.Fault(500, "InternalServerError")},
		"hanging":             {"BatchGetItem", hang},
		"denied for writing":  {"PutItem", lambdatest.Fault(400, "AccessDeniedException")},
		"hanging for writing": {"PutItem", hang},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			a.sharing()
			a.Set(test.operation, test.fault)
			router := a.router(t, "signatures")
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // the function's Timeout
			defer cancel()
			response, err := router.Invoke(ctx, apitest.Event(verifyEvent(a.cases[0])))
			if err != nil || response.StatusCode != http.StatusOK {
				t.Errorf("got %d %s, %v", response.StatusCode, response.Body, err)
			}
		})
	}
}

// TestStartWithoutAWS: a start that reaches nothing is a start, and what is reached later serves.
func TestStartWithoutAWS(t *testing.T) {
	a := newAccount(t)
	operations := []string{"GetItem", "GetSecretValue", "GetPublicKey"}
	for _, name := range operations {
		a.Set(name, lambdatest.Fault(400, "AccessDeniedException"))
	}
	f := lambdatest.Start(t, ".", a.environment()...)
	var response events.APIGatewayProxyResponse
	f.Invoke(verifyEvent(a.cases[0]), "", &response)
	if response.StatusCode != http.StatusInternalServerError {
		t.Errorf("without AWS: %d %s", response.StatusCode, response.Body)
	}
	failed := func() int { return strings.Count(f.Output(), "prefetch failed") }
	for range 500 {
		if failed() == len(operations) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if failed() != len(operations) {
		t.Errorf("%d failures logged: %s", failed(), f.Output())
	}
	for _, name := range operations {
		a.Set(name, a.operations[name])
	}
	f.Invoke(verifyEvent(a.cases[0]), "", &response)
	if response.StatusCode != http.StatusOK {
		t.Errorf("with AWS: %d %s", response.StatusCode, response.Body)
	}
	wantJSON(t, f)
}

// TestReadAhead: while the secret is on its way at a start, the license of the first verification is read already, and
// what was read for a forged key is not given away. After the start a forged key costs no read.
func TestReadAhead(t *testing.T) {
	binary := lambdatest.Build(t, ".")
	for name, test := range map[string]struct {
		forge bool
		want  int
	}{"valid": {false, http.StatusOK}, "forged": {true, http.StatusBadRequest}} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t)
			event := verifyEvent(a.cases[0])
			forged := event
			forged.Body = strings.Replace(event.Body, `"}`, `x"}`, 1)
			if test.forge {
				event = forged
			}
			wasRead := make(chan struct{})
			var once sync.Once
			a.Set("GetItem", func(input map[string]any) (int, any) {
				status, output := a.operations["GetItem"](input)
				if output.(map[string]any)["Item"] != nil { // other than the read by which the start opens a connection
					once.Do(func() { close(wasRead) })
				}
				return status, output
			})
			a.Set("GetSecretValue", func(input map[string]any) (int, any) {
				select {
				case <-wasRead:
					return a.operations["GetSecretValue"](input)
				case <-time.After(time.Second):
					return lambdatest.Fault(400, "AccessDeniedException")(input)
				}
			})
			f := lambdatest.Run(t, binary, a.environment()...)
			var response events.APIGatewayProxyResponse
			f.Invoke(event, "", &response)
			if response.StatusCode != test.want {
				t.Fatalf("%d %s, want %d", response.StatusCode, response.Body, test.want)
			}
			for attempt := 0; ; attempt++ { // the secret is known a moment before the start knows that
				reads := a.Calls("GetItem")
				f.Invoke(forged, "", &response)
				if response.StatusCode != http.StatusBadRequest {
					t.Fatalf("a forged key: %d %s", response.StatusCode, response.Body)
				}
				if a.Calls("GetItem") == reads {
					break
				}
				if attempt == 100 {
					t.Fatal("each forged key costs a read")
				}
			}
		})
	}
}

// TestProvisionedConcurrency: a process that starts before there are events is ready for them when it asks for the
// first.
func TestProvisionedConcurrency(t *testing.T) {
	a := newAccount(t)
	var secretIsThere, isReadAhead atomic.Bool
	a.Set("GetSecretValue", func(input map[string]any) (int, any) {
		time.Sleep(200 * time.Millisecond)
		secretIsThere.Store(true)
		return a.operations["GetSecretValue"](input)
	})
	a.Set("GetItem", func(input map[string]any) (int, any) {
		status, output := a.operations["GetItem"](input)
		if output.(map[string]any)["Item"] != nil && !secretIsThere.Load() {
			isReadAhead.Store(true)
		}
		return status, output
	})
	f := lambdatest.Start(t, ".", a.environment("AWS_LAMBDA_INITIALIZATION_TYPE=provisioned-concurrency")...)
	var response events.APIGatewayProxyResponse
	f.Invoke(verifyEvent(a.cases[0]), "", &response)
	if response.StatusCode != http.StatusOK || isReadAhead.Load() {
		t.Errorf("%d, before the secret was there: %v", response.StatusCode, isReadAhead.Load())
	}
}

// TestWrongReuse: a configuration that would give expired tokens ends the process.
func TestWrongReuse(t *testing.T) {
	for _, days := range []string{"90", "-1", "nine", "1.5", "99999999999999999999"} {
		if _, err := newVerifier(environment{TokenLifetimeDays: 90, TokenReuseDays: days}, aws.Config{}); err == nil ||
			!strings.Contains(err.Error(), "TOKEN_REUSE_DAYS") {
			t.Errorf("%q: %v", days, err)
		}
	}
}
