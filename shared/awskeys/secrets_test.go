package awskeys

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/token"
)

const (
	goodSecret  = "0123456789abcdef0123456789abcdef"
	otherSecret = "another 0123456789abcdef01234567"
)

// secretService answers with the stored secret that it points to.
func secretService(t *testing.T, stored *string) service {
	return func(operation string, body map[string]any) (int, string) {
		if operation != "GetSecretValue" {
			t.Errorf("asked for %s", operation)
		}
		if diff := cmp.Diff(map[string]any{"SecretId": "the-secret"}, body); diff != "" {
			t.Errorf("request (-want +got):\n%s", diff)
		}
		text, err := json.Marshal(map[string]string{"Name": "the-secret", "SecretString": *stored})
		if err != nil {
			t.Error(err)
		}
		return http.StatusOK, string(text)
	}
}

func TestSecret(t *testing.T) {
	log := captureLog(t)
	clock, stored := newTick(), `{"key":"`+goodSecret+`"}`
	secrets := NewSecrets(newSecretsClient(serve(t, secretService(t, &stored))), "the-secret", WithClock(clock.clock))
	want := func(when string, secret token.Secret) {
		t.Helper()
		if got, err := secrets.Ring(t.Context()); err != nil || got.Current != secret {
			t.Errorf("%s: got another secret, or %v", when, err)
		}
	}

	want("first", goodSecret)
	stored = `{"key":"` + otherSecret + `"}`
	want("while fresh", goodSecret)
	clock.advance(5 * time.Minute)
	want("when old", otherSecret)

	stored = `{"key":"","comment":"a secret in it"}`
	clock.advance(5 * time.Minute)
	want("when what is stored is no secret", otherSecret)
	if text := log.String(); !strings.Contains(text, "the license-key secret could not be read anew") ||
		strings.Contains(text, otherSecret) || strings.Contains(text, "a secret in it") {
		t.Errorf("logged %s", text)
	}
}

func TestSecretRefused(t *testing.T) {
	for name, stored := range map[string]string{
		"empty key": `{"key":""}`, "no key": `{}`, "empty earlier one": `{"key":"` + goodSecret + `","earlier":[{"key":""}]}`, "not JSON": goodSecret, "empty": "",
	} {
		t.Run(name, func(t *testing.T) {
			secrets := NewSecrets(newSecretsClient(serve(t, secretService(t, &stored))), "the-secret")
			got, err := secrets.Ring(t.Context())
			if err == nil || got.Current != "" || strings.Contains(err.Error(), "0123456789") {
				t.Errorf("got %d bytes, %v", len(got.Current), err)
			}
		})
	}
	t.Run("binary", func(t *testing.T) {
		binary := func(string, map[string]any) (int, string) { return http.StatusOK, `{"SecretBinary":"e30="}` }
		if _, err := NewSecrets(newSecretsClient(serve(t, binary)), "the-secret").Ring(t.Context()); err == nil {
			t.Error("no error")
		}
	})
}

func TestSecretFaults(t *testing.T) {
	for name, s := range map[string]service{
		"Throttled":     failing(400, "ThrottlingException"),
		"NoSuchSecret":  failing(400, "ResourceNotFoundException"),
		"AccessDenied":  failing(400, "AccessDeniedException"),
		"NoDecryption":  failing(400, "DecryptionFailure"),
		"InternalError": failing(500, "InternalServiceError"),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := NewSecrets(newSecretsClient(serve(t, s)), "the-secret").Ring(t.Context())
			if err == nil || got.Current != "" || !strings.HasPrefix(err.Error(), "get secret value: ") {
				t.Errorf("got %d bytes, %v", len(got.Current), err)
			}
		})
	}
}
