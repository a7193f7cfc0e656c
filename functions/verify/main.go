// The verify function serves products: POST /verify-license, and the public keys.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"openlicenser/functions/verify/verification"
	"openlicenser/shared/api"
	"openlicenser/shared/awskeys"
	"openlicenser/shared/bootstrap"
	"openlicenser/shared/device"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/token"
)

// environment is the function's configuration.
type environment struct {
	// LicenseTable is the name of the license table.
	LicenseTable string `env:"LICENSER_DB,required,notEmpty"`
	// LicenseKeySecret is the name or ARN of the secret that signs license keys.
	LicenseKeySecret string `env:"JWT_SECRETS_NAME,required,notEmpty"`
	// TokenKey is the id, ARN or alias of the KMS key that signs authorization tokens.
	TokenKey string `env:"KMS_KEY_ID,required,notEmpty"`
	// NextTokenKey is the alias of the token key's successor. It is published before it signs, because products that
	// cache the published keys would refuse its first tokens. The alias need not exist.
	NextTokenKey string `env:"KMS_NEXT_KEY_ID"`
	// PreviousTokenKey is the alias of the token key's predecessor. It is published until its last token has expired,
	// and signs for the licenses that are pinned to it. The alias need not exist.
	PreviousTokenKey string `env:"KMS_PREVIOUS_KEY_ID"`
	// Issuer is the claim iss of authorization tokens.
	Issuer string `env:"LICENSER_ISSUER" envDefault:"Open Licenser"`
	// TokenLifetimeDays is how long an authorization token is valid. A product that cannot reach the
	// server goes on for as long.
	TokenLifetimeDays int `env:"TOKEN_LIFETIME_DAYS" envDefault:"90"`
	// TokenReuseDays is for how many days after its signing a token is given again while it would say the same. The
	// default is a tenth of the lifetime, and 0 turns it off. A reused token has as much less of its lifetime left.
	TokenReuseDays string `env:"TOKEN_REUSE_DAYS"`
	// SignatureTable is the name of the table in which all instances share the signatures of tokens. Without it an
	// instance only knows its own signatures, and nearly every token costs a new one.
	SignatureTable string `env:"SIGNATURE_TABLE"`
	// DeviceTable is the name of the table that holds the seats of devices. Without it no license with devices can be
	// verified.
	DeviceTable string `env:"DEVICE_TABLE"`
}

func main() { bootstrap.Start("verify", wire) }

func wire(e environment, cfg aws.Config) (bootstrap.Handler[api.Event, events.APIGatewayProxyResponse], error) {
	verifier, err := newVerifier(e, cfg)
	if err != nil {
		return nil, err
	}
	router, prefetched := verifier.Prefetch(context.Background())
	if startsBeforeEvents() {
		<-prefetched
	}
	return router.Invoke, nil
}

// startsBeforeEvents reports whether the process starts before there is an event for it. Lambda then freezes it between
// start and event, so the prefetch has to be over
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime).
func startsBeforeEvents() bool {
	return os.Getenv("AWS_LAMBDA_INITIALIZATION_TYPE") == "provisioned-concurrency"
}

func newVerifier(e environment, cfg aws.Config) (verification.Verifier, error) {
	lifetime, err := token.Lifetime(e.TokenLifetimeDays)
	if err != nil {
		return verification.Verifier{}, fmt.Errorf("TOKEN_LIFETIME_DAYS: %w", err)
	}
	reuse, err := token.ReusePeriod(e.TokenReuseDays, lifetime)
	if err != nil {
		return verification.Verifier{}, fmt.Errorf("TOKEN_REUSE_DAYS: %w", err)
	}
	client := dynamodb.NewFromConfig(cfg)
	licenses := dynamo.NewLicenses(client, e.LicenseTable, "")
	var devices *dynamo.Devices
	var seats device.Store
	if e.DeviceTable != "" {
		devices = dynamo.NewDevices(client, e.DeviceTable)
		seats = devices
	}
	var shared token.Signatures
	if e.SignatureTable != "" {
		shared = dynamo.NewSignatures(client, e.SignatureTable, licenses, devices)
	}
	return verification.Verifier{
		Licenses: licenses,
		Devices:  seats,
		Secrets:  awskeys.NewSecrets(secretsmanager.NewFromConfig(cfg), e.LicenseKeySecret),
		Authorizer: token.Authorizer{
			Key: awskeys.NewSigningKey(kms.NewFromConfig(cfg), awskeys.KeyNames{
				Current: e.TokenKey, Next: e.NextTokenKey, Previous: e.PreviousTokenKey,
			}),
			Issuer:   e.Issuer,
			Lifetime: lifetime,
		},
		Reuse: verification.NewReuse(reuse, shared),
		Now:   time.Now,
		Log:   slog.Default(),
	}, nil
}
