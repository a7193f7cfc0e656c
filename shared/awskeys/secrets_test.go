package awskeys

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/telemetrytest"
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
	log := telemetrytest.Capture(t)
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

// TestShortSecretIsReported: once for each ring, in a record that counts, and without the secret or its hash.
func TestShortSecretIsReported(t *testing.T) {
	t.Setenv("AWS_LAMBDA_FUNCTION_NAME", "stack-VerifyFunction")
	const short = "9 bytes !"
	var log bytes.Buffer
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(telemetry.NewLogger(&log))
	clock, stored := newTick(), `{"key":"`+goodSecret+`"}`
	secrets := NewSecrets(newSecretsClient(serve(t, secretService(t, &stored))), "the-secret", WithClock(clock.clock))
	const withEarlier = `{"key":"` + goodSecret + `","earlier":[{"key":"` + short + `"`
	day := clock.now.AddDate(0, 0, 1).Format(time.RFC3339)
	for _, step := range []struct {
		name, stored string
		want         int // zero for no record
	}{
		{"long", `{"key":"` + goodSecret + `"}`, 0},
		{"short", `{"key":"` + short + `"}`, 1},
		{"the same again", `{"key":"` + short + `"}`, 0},
		{"with an earlier short one", `{"key":"` + short + `","earlier":[{"key":"another"}]}`, 2},
		{"rotated away", withEarlier + `}]}`, 1},
		{"to be retired", withEarlier + `,"refusedfrom":"` + day + `"}]}`, 1},
		{"retired", withEarlier + `,"refusedfrom":"2020-01-01T00:00:00Z"}]}`, 0},
	} {
		log.Reset()
		stored = step.stored
		clock.advance(5 * time.Minute)
		for range 3 {
			if _, err := secrets.Ring(t.Context()); err != nil {
				t.Errorf("%s: %v", step.name, err)
			}
		}
		if step.want == 0 {
			if log.Len() > 0 {
				t.Errorf("%s: logged %s", step.name, &log)
			}
			continue
		}
		var record struct {
			Level, Function string
			ShortSecrets    int
			AWS             struct {
				CloudWatchMetrics []struct {
					Namespace string
					Metrics   []struct{ Name string }
				}
			} `json:"_aws"`
		}
		if err := json.Unmarshal(log.Bytes(), &record); err != nil { // it is one record
			t.Errorf("%s: %v: %s", step.name, err, &log)
			continue
		}
		if record.Level != "WARN" || record.Function != "stack-VerifyFunction" || record.ShortSecrets != step.want ||
			len(record.AWS.CloudWatchMetrics) != 1 ||
			record.AWS.CloudWatchMetrics[0].Namespace != telemetry.Namespace ||
			record.AWS.CloudWatchMetrics[0].Metrics[0].Name != telemetry.ShortSecretsKey {
			t.Errorf("%s: logged %s", step.name, &log)
		}
		for _, secret := range []string{short, token.Secret(short).KeyID(), "another"} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("%s: the log holds %q: %s", step.name, secret, &log)
			}
		}
	}
}

// TestSecretStale: for a day the secret serves on that was read last, whatever the failure, and then it is a fault.
func TestSecretStale(t *testing.T) {
	telemetrytest.Capture(t)
	for name, s := range map[string]service{
		"denied":  failing(400, "AccessDeniedException"),
		"no ring": func(string, map[string]any) (int, string) { return 200, `{"SecretString":"{}"}` },
	} {
		t.Run(name, func(t *testing.T) {
			clock, stored := newTick(), `{"key":"`+goodSecret+`"}`
			answer := secretService(t, &stored)
			secrets := NewSecrets(newSecretsClient(serve(t, func(operation string, body map[string]any) (int, string) {
				return answer(operation, body)
			})), "the-secret", WithClock(clock.clock))
			for at, serves := range map[time.Duration]bool{0: true, 24*time.Hour - 1: true, 24 * time.Hour: false} {
				answer = secretService(t, &stored)
				clock.advance(25 * time.Hour)
				if _, err := secrets.Ring(t.Context()); err != nil {
					t.Fatal(err)
				}
				answer = s
				clock.advance(at)
				got, err := secrets.Ring(t.Context())
				if (err == nil) != serves || (got.Current == goodSecret) != serves {
					t.Errorf("after %s: %v", at, err)
				}
			}
		})
	}
}

func TestSecretRefused(t *testing.T) {
	for name, stored := range map[string]string{
		"empty key": `{"key":""}`, "no key": `{}`, "not JSON": goodSecret, "empty": "",
		"empty earlier one": `{"key":"` + goodSecret + `","earlier":[{"key":""}]}`,
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
