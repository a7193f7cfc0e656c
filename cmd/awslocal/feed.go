//go:build unix

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"openlicenser/functions/audit/auditing"
	"openlicenser/functions/index/indexing"
	"openlicenser/shared/audit"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/testing/awstest"
)

// feed stands in for the event source mappings, which sam local does not have. Until the context ends, it hands the
// changes of the license table to the handlers of the audit and the index function, which run in this process. What one
// of them fails at comes again to both.
func feed(ctx context.Context, s services, licenseStream string) {
	cfg := awstest.Config(s.dynamoDB)
	client := dynamodb.NewFromConfig(cfg)
	stream := awstest.Stream{Client: dynamodbstreams.NewFromConfig(cfg), ARN: licenseStream}
	log := slog.New(slog.DiscardHandler)
	auditor := auditing.Auditor{
		Recorder: audit.Recorder{Store: dynamo.NewAuditTrail(client, "AuditTable", "DisclosureTable")}, Log: log,
	}
	indexer := indexing.Indexer{Records: dynamo.NewRecords(client, "LicenseTable"), Log: log}
	for done := 0; ; {
		records, err := stream.FromTheStart(ctx, 0)
		if err == nil && len(records) > done {
			batch := events.DynamoDBEvent{Records: records[done:]}
			recorded, _ := auditor.Handle(ctx, batch)
			indexed, _ := indexer.Handle(ctx, batch)
			if len(recorded.BatchItemFailures)+len(indexed.BatchItemFailures) == 0 {
				done = len(records)
			}
		}
		if err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "awslocal: the audit trail and the lists are behind:", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}
