package awskeys

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/testing/kmstest"
	"openlicenser/shared/token"
)

// TestCheckSecret: what is found says nothing of the secret.
func TestCheckSecret(t *testing.T) {
	const long = "a secret of more than thirty-two bytes"
	for name, test := range map[string]struct {
		stored  string
		problem string
		short   int
	}{
		"OK":         {`{"key":"` + long + `"}`, "", 0},
		"Short":      {`{"key":"hush-hush"}`, "", 1},
		"TwoShort":   {`{"key":"hush-hush","earlier":[{"key":"hush"},{"key":"` + long + `"}]}`, "", 2},
		"Refused":    {`{"key":"` + long + `","earlier":[{"key":"hush","refusedfrom":"2026-01-01T00:00:00Z"}]}`, "", 0},
		"NoKey":      {`{"Key":"hush-hush"}`, `has no "key"`, 0},
		"Empty":      {`{"key":""}`, `has no "key"`, 0},
		"NotAString": {`{"key":["hush-hush"]}`, "not a JSON object", 0},
		"Bare":       {`hush-hush`, "not a JSON object", 0},
		"Binary":     {``, "not a JSON object", 0},
	} {
		t.Run(name, func(t *testing.T) {
			client := newSecretsClient(serve(t, func(operation string, body map[string]any) (int, string) {
				if operation != "GetSecretValue" || body["SecretId"] != "licenser" {
					t.Errorf("calls %s of %v", operation, body)
				}
				if test.stored == "" {
					return http.StatusOK, `{"SecretBinary":"aHVzaC1odXNo"}`
				}
				return http.StatusOK, fmt.Sprintf(`{"SecretString":%q}`, test.stored)
			}))
			now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
			got, err := CheckSecret(t.Context(), client, "licenser", now)
			if err != nil || got.Short != test.short || !strings.Contains(got.Problem, test.problem) ||
				(test.problem == "") != (got.Problem == "") || strings.Contains(got.Problem, "hush") {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	t.Run("ErrNotFound", func(t *testing.T) {
		client := newSecretsClient(serve(t, failing(400, "ResourceNotFoundException")))
		if got, err := CheckSecret(t.Context(), client, "licenser", time.Now()); err == nil || got.Problem != "" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// TestCheckKey: only a key that can be used is asked for its public half.
func TestCheckKey(t *testing.T) {
	keys := kmstest.New(time.Now)
	if _, err := keys.AddRSA("alias/licenser"); err != nil {
		t.Fatal(err)
	}
	public := keys.Public("alias/licenser").(*rsa.PublicKey)
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		spec, usage, state string
		want               []string
	}{
		"OK":     {"RSA_2048", "SIGN_VERIFY", "Enabled", nil},
		"Longer": {"RSA_4096", "SIGN_VERIFY", "Enabled", nil},
		"Curve": {"ECC_NIST_P256", "SIGN_VERIFY", "Enabled",
			[]string{"its key spec is ECC_NIST_P256, and must be one of RSA_2048, RSA_3072, RSA_4096"}},
		"Encrypts": {"RSA_2048", "ENCRYPT_DECRYPT", "Enabled",
			[]string{"its key usage is ENCRYPT_DECRYPT, and must be SIGN_VERIFY"}},
		"Disabled": {"RSA_2048", "SIGN_VERIFY", "Disabled",
			[]string{"its state is Disabled, and must be Enabled"}},
		"AllWrong": {"SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "PendingDeletion", []string{
			"its key spec is SYMMETRIC_DEFAULT, and must be one of RSA_2048, RSA_3072, RSA_4096",
			"its key usage is ENCRYPT_DECRYPT, and must be SIGN_VERIFY",
			"its state is PendingDeletion, and must be Enabled",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			client := newKMSClient(serve(t, func(operation string, body map[string]any) (int, string) {
				switch {
				case body["KeyId"] != "alias/licenser":
				case operation == "DescribeKey":
					return http.StatusOK, fmt.Sprintf(`{"KeyMetadata":{"KeyId":"1","Arn":"arn:key","KeySpec":%q,`+
						`"KeyUsage":%q,"KeyState":%q}}`, test.spec, test.usage, test.state)
				case operation == "GetPublicKey" && test.want == nil:
					return http.StatusOK, fmt.Sprintf(`{"KeyId":"arn:key","KeyUsage":"SIGN_VERIFY","PublicKey":%q}`,
						base64.StdEncoding.EncodeToString(der))
				}
				t.Errorf("calls %s of %v", operation, body)
				return 501, `{}`
			}))
			want := KeyCheck{ARN: "arn:key", Problems: test.want}
			if test.want == nil {
				want.KeyID = token.KeyID(public)
			}
			got, err := CheckKey(t.Context(), client, "alias/licenser")
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	for name, service := range map[string]service{
		"ErrNotFound": failing(400, "NotFoundException"),
		"NothingSaid": func(string, map[string]any) (int, string) { return http.StatusOK, `{}` },
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := CheckKey(t.Context(), newKMSClient(serve(t, service)), "alias/licenser"); err == nil {
				t.Errorf("got %+v", got)
			}
		})
	}
}
