//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"openlicenser/functions/audit/auditing"
	"openlicenser/shared/audit"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/testing/awstest"
)

// feed stands in for the event source mapping, which sam local does not have. Until the context ends, it hands the
// changes of the license table to the audit function's handler, which runs in this process and knows what it has
// recorded.
func feed(ctx context.Context, s services, licenseStream string) {
	cfg := awstest.Config(s.dynamoDB)
	stream := awstest.Stream{Client: dynamodbstreams.NewFromConfig(cfg), ARN: licenseStream}
	auditor := auditing.Auditor{
		Recorder: audit.Recorder{Store: dynamo.NewAuditTrail(dynamodb.NewFromConfig(cfg), "AuditTable")},
		Log:      slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for recorded := 0; ; {
		records, err := stream.FromTheStart(ctx, 0)
		if err == nil && len(records) > recorded {
			response, _ := auditor.Handle(ctx, events.DynamoDBEvent{Records: records[recorded:]})
			if len(response.BatchItemFailures) == 0 {
				recorded = len(records)
			}
		}
		if err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "awslocal: the audit trail is behind:", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}
