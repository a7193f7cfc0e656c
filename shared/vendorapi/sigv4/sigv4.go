// Package sigv4 signs requests of the vendor's API as API Gateway wants them
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html).
package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// New returns a vendorapi.Config.Sign that signs with the credentials and for the region of a configuration.
func New(cfg aws.Config) func(r *http.Request, body []byte) error {
	signer := v4.NewSigner()
	return func(r *http.Request, body []byte) error {
		credentials, err := cfg.Credentials.Retrieve(r.Context())
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		hash := hex.EncodeToString(sum[:])
		return signer.SignHTTP(r.Context(), credentials, r, hash, "execute-api", cfg.Region, time.Now())
	}
}
