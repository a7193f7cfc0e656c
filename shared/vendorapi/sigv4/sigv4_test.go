package sigv4_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"openlicenser/shared/vendorapi/sigv4"
)

// TestSign: the signature is for API Gateway in the region, and covers the body.
func TestSign(t *testing.T) {
	credentials := aws.Credentials{AccessKeyID: "id", SecretAccessKey: "secret"}
	sign := sigv4.New(aws.Config{
		Region: "eu-west-1",
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return credentials, nil
		}),
	})
	for body, hash := range map[string]string{ // SHA-256
		"":   "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"{}": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
	} {
		const target = "https://api.example.com/prod/licenses"
		request := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
		want := request.Clone(t.Context())
		if err := sign(request, []byte(body)); err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse("20060102T150405Z", request.Header.Get("X-Amz-Date"))
		if err != nil {
			t.Fatal(err)
		}
		err = v4.NewSigner().SignHTTP(t.Context(), credentials, want, hash, "execute-api", "eu-west-1", at)
		if err != nil {
			t.Fatal(err)
		}
		if got := request.Header.Get("Authorization"); got != want.Header.Get("Authorization") {
			t.Errorf("%q: signed with %s", body, got)
		}
	}
}
