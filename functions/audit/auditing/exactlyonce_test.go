package auditing_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"openlicenser/shared/audit"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/awstest"
)

// TestExactlyOnce: the trail comes out the same, byte for byte, however a stream is delivered. The model makes
// histories of licenses, delivers them as Lambda may, on a store that fails as stores do, and compares with the
// straightforward run. More with -rapid.checks=10000.
func TestExactlyOnce(t *testing.T) {
	t.Run("Memory", func(t *testing.T) {
		checkScenarios(t, func(t audittest.TB) audit.Store { return audittest.NewMemory(t) })
	})
	t.Run("Embedded", func(t *testing.T) { checkExamples(t, openTrail(t), 10) })
	t.Run("DynamoDB", func(t *testing.T) { checkExamples(t, openTable(t), 20) })
}

func TestCrashAtEveryCall(t *testing.T) {
	t.Run("Memory", func(t *testing.T) { crashAtEveryCall(t, audittest.NewMemory(t)) })
	t.Run("Embedded", func(t *testing.T) { crashAtEveryCall(t, openTrail(t)) })
	t.Run("DynamoDB", func(t *testing.T) { crashAtEveryCall(t, openTable(t)) })
}

func openTable(t *testing.T) audit.Store {
	t.Helper()
	client := dynamodb.NewFromConfig(awstest.Config(awstest.Need(t, awstest.DynamoDBVariable)))
	return dynamo.NewAuditTrail(client, aws.ToString(awstest.NewTable(t, client, "AuditTable").TableName),
		aws.ToString(awstest.NewTable(t, client, "DisclosureTable").TableName))
}
