// The audit function records each change of the license table in the audit trail.
package main

import (
	"log/slog"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"openlicenser/functions/audit/auditing"
	"openlicenser/shared/audit"
	"openlicenser/shared/bootstrap"
	"openlicenser/shared/dynamo"
)

// environment is the function's configuration.
type environment struct {
	// AuditTable is the name of the table that holds the audit trail.
	AuditTable string `env:"AUDIT_TABLE,required,notEmpty"`
	// DisclosureTable is the name of the table that holds the personal values that the trail is committed to.
	DisclosureTable string `env:"DISCLOSURE_TABLE,required,notEmpty"`
}

func main() { bootstrap.Start("audit", wire) }

func wire(
	e environment, cfg aws.Config,
) (bootstrap.Handler[events.DynamoDBEvent, events.DynamoDBEventResponse], error) {
	return newAuditor(e, cfg).Handle, nil
}

func newAuditor(e environment, cfg aws.Config) auditing.Auditor {
	return auditing.Auditor{
		Recorder: audit.Recorder{
			Store: dynamo.NewAuditTrail(dynamodb.NewFromConfig(cfg), e.AuditTable, e.DisclosureTable),
		},
		Log: slog.Default(),
	}
}
