package awskeys

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// service handles a request of AWS JSON 1.1: its operation, as GetSecretValue, and its body.
type service func(operation string, body map[string]any) (status int, response string)

// failing is a service whose responses are all an error.
func failing(status int, code string) service {
	return func(string, map[string]any) (int, string) {
		return status, fmt.Sprintf(`{"__type":%q,"message":"said by the server"}`, code)
	}
}

// serve serves a service until the test ends, and returns its endpoint. Requests come one at a time.
func serve(t *testing.T, s service) (endpoint string) {
	t.Helper()
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		var body map[string]any
		text, err := io.ReadAll(in.Body)
		if err != nil || json.Unmarshal(text, &body) != nil {
			http.Error(out, "not JSON", http.StatusNotImplemented)
			return
		}
		_, operation, _ := strings.Cut(in.Header.Get("X-Amz-Target"), ".")
		status, response := s(operation, body)
		out.Header().Set("Content-Type", "application/x-amz-json-1.1")
		out.WriteHeader(status)
		_, _ = io.WriteString(out, response)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func newSecretsClient(endpoint string) *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{
		BaseEndpoint: &endpoint, Region: "us-east-1", Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
}

func newKMSClient(endpoint string) *kms.Client {
	return kms.New(kms.Options{
		BaseEndpoint: &endpoint, Region: "us-east-1", Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
}
