// The audit function records each change of the license table in the audit trail.
package main

import (
	"context"
	"log"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/caarlos0/env/v11"

	"openlicenser/functions/audit/auditing"
	"openlicenser/shared/audit"
	"openlicenser/shared/awsconfig"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/tracing"
)

// environment is the function's configuration.
type environment struct {
	// AuditTable is the name of the table that holds the audit trail.
	AuditTable string `env:"AUDIT_TABLE,required,notEmpty"`
}

func main() {
	slog.SetDefault(telemetry.NewLogger(os.Stdout))
	var e environment
	if err := env.Parse(&e); err != nil {
		log.Fatal(err)
	}
	cfg, err := awsconfig.Load(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	if err := tracing.Instrument(&cfg); err != nil {
		log.Fatal(err)
	}
	lambda.Start(tracing.Handler("audit", newAuditor(e, cfg).Handle))
}

func newAuditor(e environment, cfg aws.Config) auditing.Auditor {
	return auditing.Auditor{
		Recorder: audit.Recorder{Store: dynamo.NewAuditTrail(dynamodb.NewFromConfig(cfg), e.AuditTable)},
		Log:      slog.Default(),
	}
}
