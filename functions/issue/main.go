// The issue function is the vendor's API under /licenses and /plans. It also shows everybody the latest checkpoint and
// its key, under /audit.
package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"openlicenser/functions/issue/issuance"
	"openlicenser/shared/api"
	"openlicenser/shared/awskeys"
	"openlicenser/shared/bootstrap"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/s3archive"
	"openlicenser/shared/token"
)

// environment is the function's configuration.
type environment struct {
	// LicenseTable is the name of the license table.
	LicenseTable string `env:"LICENSER_DB,required,notEmpty"`
	// ReferenceTable is the name of the table that says which license has which reference.
	ReferenceTable string `env:"REFERENCE_TABLE,required,notEmpty"`
	// AuditTable is the name of the table that holds the audit trail; this function only reads it.
	AuditTable string `env:"AUDIT_TABLE,required,notEmpty"`
	// DisclosureTable is the name of the table that holds the personal values that the trail is committed to; this
	// function only reads it.
	DisclosureTable string `env:"DISCLOSURE_TABLE,required,notEmpty"`
	// IdempotencyTable is the name of the table that holds the responses to requests with an Idempotency-Key.
	IdempotencyTable string `env:"IDEMPOTENCY_TABLE,required,notEmpty"`
	// DeviceTable is the name of the table that holds the seats of devices.
	DeviceTable string `env:"DEVICE_TABLE,required,notEmpty"`
	// SignatureTable is the name of the table in which the verify function keeps the signatures of tokens, if it does.
	// This function removes those of a license that is erased, with which a guess of the customer's name could be
	// confirmed, and reads none.
	SignatureTable string `env:"SIGNATURE_TABLE"`
	// PlanTable is the name of the table of plans.
	PlanTable string `env:"PLAN_TABLE,required,notEmpty"`
	// TokenLifetimeDays is how long an authorization token is valid, as the verify function has it. No license may say
	// a longer leaseminutes, because a lease ends with its token.
	TokenLifetimeDays int `env:"TOKEN_LIFETIME_DAYS" envDefault:"90"`
	// LicenseKeySecret is the name or ARN of the secret that signs license keys.
	LicenseKeySecret string `env:"JWT_SECRETS_NAME,required,notEmpty"`
	// Issuer is the claim iss of license keys.
	Issuer string `env:"LICENSER_ISSUER" envDefault:"Open Licenser"`
	// CheckpointBucket is the name of the bucket that keeps checkpoints; this function only reads it.
	CheckpointBucket string `env:"CHECKPOINT_BUCKET,required,notEmpty"`
	// CheckpointKeyID is the id, ARN or alias of the key that signs checkpoints; this function shows its public half.
	CheckpointKeyID string `env:"CHECKPOINT_KEY_ID,required,notEmpty"`
	// Origin is the first line of checkpoints and the name of their key.
	Origin string `env:"CHECKPOINT_ORIGIN,required,notEmpty"`
}

func main() { bootstrap.Start("issue", wire) }

func wire(e environment, cfg aws.Config) (bootstrap.Handler[api.Event, events.APIGatewayProxyResponse], error) {
	lifetime, err := token.Lifetime(e.TokenLifetimeDays)
	if err != nil {
		return nil, fmt.Errorf("TOKEN_LIFETIME_DAYS: %w", err)
	}
	client := dynamodb.NewFromConfig(cfg)
	licenses := dynamo.NewLicenses(client, e.LicenseTable, e.ReferenceTable)
	trail := dynamo.NewAuditTrail(client, e.AuditTable, e.DisclosureTable)
	secrets := awskeys.NewSecrets(secretsmanager.NewFromConfig(cfg), e.LicenseKeySecret)
	plans := dynamo.NewPlans(client, e.PlanTable)
	var signatures token.SignatureRemover
	if e.SignatureTable != "" {
		signatures = dynamo.NewSignatures(client, e.SignatureTable, licenses, nil)
	}
	keys := issuance.Keys{Licenses: licenses, Secrets: secrets, Issuer: e.Issuer, Now: time.Now}
	router, err := issuance.NewRouter(slog.Default(),
		issuance.Licenses{
			Store:         licenses,
			Idempotency:   dynamo.NewIdempotency(client, e.IdempotencyTable),
			Keys:          keys,
			Secrets:       secrets,
			Trail:         trail,
			References:    issuance.DisclosedReferences(trail),
			Devices:       dynamo.NewDevices(client, e.DeviceTable),
			Plans:         plans,
			Now:           time.Now,
			Signatures:    signatures,
			TokenLifetime: lifetime,
		},
		issuance.Plans{Store: plans, Secrets: secrets, Now: time.Now, TokenLifetime: lifetime},
		keys,
		issuance.Trail{
			Store:         trail,
			Licenses:      licenses,
			Records:       checkpoint.StoredRecords{Records: dynamo.NewRecords(client, e.LicenseTable)},
			Checkpoints:   s3archive.New(s3.NewFromConfig(cfg), e.CheckpointBucket),
			CheckpointKey: awskeys.NewCheckpointKey(kms.NewFromConfig(cfg), e.CheckpointKeyID),
			Origin:        e.Origin,
			Secrets:       secrets,
			Now:           time.Now,
		},
	)
	return router.Invoke, err
}
