// The verify function answers products: POST /verify-license, and the public keys.
package main

import (
	"log"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"openlicenser/functions/verify/verification"
	"openlicenser/shared/api"
	"openlicenser/shared/awskeys"
	"openlicenser/shared/bootstrap"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/token"
	"openlicenser/shared/tracing"
)

// environment is the function's configuration.
type environment struct {
	// LicenseTable is the name of the license table.
	LicenseTable string `env:"LICENSER_DB,required,notEmpty"`
	// LicenseKeySecret is the name or ARN of the secret that signs license keys.
	LicenseKeySecret string `env:"JWT_SECRETS_NAME,required,notEmpty"`
	// TokenKey is the id, ARN or alias of the KMS key that signs authorization tokens.
	TokenKey string `env:"KMS_KEY_ID,required,notEmpty"`
	// Issuer is the claim iss of authorization tokens.
	Issuer string `env:"LICENSER_ISSUER" envDefault:"Open Licenser"`
	// TokenLifetimeDays is how long an authorization token is valid. A product that cannot reach the
	// server goes on for as long.
	TokenLifetimeDays int `env:"TOKEN_LIFETIME_DAYS" envDefault:"90"`
}

func main() {
	e, cfg := bootstrap.Load[environment]()
	lifetime, err := token.Lifetime(e.TokenLifetimeDays)
	if err != nil {
		log.Fatalf("TOKEN_LIFETIME_DAYS: %v", err)
	}
	lambda.Start(tracing.Handler("verify", newRouter(e, lifetime, cfg).Handle))
}

func newRouter(e environment, lifetime time.Duration, cfg aws.Config) api.Router {
	return verification.Verifier{
		Licenses: dynamo.NewLicenses(dynamodb.NewFromConfig(cfg), e.LicenseTable),
		Secrets:  awskeys.NewSecrets(secretsmanager.NewFromConfig(cfg), e.LicenseKeySecret),
		Authorizer: token.Authorizer{
			Key:      awskeys.NewSigningKey(kms.NewFromConfig(cfg), e.TokenKey),
			Issuer:   e.Issuer,
			Lifetime: lifetime,
		},
		Now: time.Now,
		Log: slog.Default(),
	}.Router()
}
