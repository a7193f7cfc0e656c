package dynamo_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/uuid"

	"openlicenser/functions/audit/auditing/auditingtest"
	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/audit/audittest"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/idempotency"
	"openlicenser/shared/idempotency/idempotencytest"
	"openlicenser/shared/license/licensetest"
)

// endpointVariable names the URL of a DynamoDB for tests, as DynamoDB Local at http://localhost:8000.
const endpointVariable = "LICENSER_TEST_DYNAMODB_ENDPOINT"

func TestLicensesContract(t *testing.T) {
	endpoint := endpointOrSkip(t)
	licensetest.TestStore(t, func(t *testing.T) licensetest.Harness {
		client := newClient(endpoint)
		table := createTable(t, client, licenseTable())
		other := otherTool{endpoint: endpoint, table: table}
		return licensetest.Harness{
			Store: dynamo.NewLicenses(client, table), PutRecord: other.put, Record: other.get,
		}
	})
}

func TestAuditTrailContract(t *testing.T) {
	endpoint := endpointOrSkip(t)
	audittest.TestStore(t, func(t *testing.T) audit.Store {
		client := newClient(endpoint)
		return dynamo.NewAuditTrail(client, createTable(t, client, auditTable()))
	})
}

// TestAuditTrailExactlyOnce runs the audit function's model.
func TestAuditTrailExactlyOnce(t *testing.T) {
	client := newClient(endpointOrSkip(t))
	store := dynamo.NewAuditTrail(client, createTable(t, client, auditTable()))
	auditingtest.Examples(t, store, 20)
	auditingtest.CrashAtEveryWrite(t, store)
}

func TestIdempotencyContract(t *testing.T) {
	endpoint := endpointOrSkip(t)
	idempotencytest.TestStore(t, func(t *testing.T) idempotency.Store {
		client := newClient(endpoint)
		table := createTable(t, client, &dynamodb.CreateTableInput{
			AttributeDefinitions: attributes(types.ScalarAttributeTypeS, "key"), KeySchema: keySchema("key"),
		})
		return dynamo.NewIdempotency(client, table)
	})
}

func endpointOrSkip(t *testing.T) string {
	t.Helper()
	endpoint := os.Getenv(endpointVariable)
	if endpoint == "" {
		t.Skipf("set %s to the URL of a DynamoDB Local to run the contract against it", endpointVariable)
	}
	return endpoint
}

func licenseTable() *dynamodb.CreateTableInput {
	return &dynamodb.CreateTableInput{
		AttributeDefinitions: attributes(types.ScalarAttributeTypeS, "licenseid", "collection", "customerid", "expirationdate", "standing"),
		KeySchema:            keySchema("licenseid"),
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{
			index("newest", "collection", "licenseid"), index("customer", "customerid", "licenseid"),
			index("expiry", "collection", "expirationdate"), index("standing", "standing", "expirationdate"),
		},
	}
}

func auditTable() *dynamodb.CreateTableInput {
	return &dynamodb.CreateTableInput{
		AttributeDefinitions: append(attributes(types.ScalarAttributeTypeS, "licenseid", "collection"),
			attributes(types.ScalarAttributeTypeN, "sequence")...),
		KeySchema:              keySchema("licenseid", "sequence"),
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{index("heads", "collection", "licenseid")},
	}
}

func attributes(scalar types.ScalarAttributeType, names ...string) (definitions []types.AttributeDefinition) {
	for _, name := range names {
		definitions = append(definitions, types.AttributeDefinition{AttributeName: &name, AttributeType: scalar})
	}
	return definitions
}

func keySchema(names ...string) (schema []types.KeySchemaElement) {
	roles := []types.KeyType{types.KeyTypeHash, types.KeyTypeRange}
	for i, name := range names {
		schema = append(schema, types.KeySchemaElement{AttributeName: &name, KeyType: roles[i]})
	}
	return schema
}

func index(name, partitionKey, sortKey string) types.GlobalSecondaryIndex {
	return types.GlobalSecondaryIndex{
		IndexName:  &name,
		KeySchema:  keySchema(partitionKey, sortKey),
		Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
	}
}

// createTable makes a table of a random name, which goes when the test ends.
func createTable(t *testing.T, client *dynamodb.Client, in *dynamodb.CreateTableInput) string {
	t.Helper()
	in.TableName = aws.String("licenser-test-" + uuid.NewString())
	in.BillingMode = types.BillingModePayPerRequest
	if _, err := client.CreateTable(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = client.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: in.TableName})
	})
	waiter := dynamodb.NewTableExistsWaiter(client)
	if err := waiter.Wait(t.Context(), &dynamodb.DescribeTableInput{TableName: in.TableName}, time.Minute); err != nil {
		t.Fatal(err)
	}
	return *in.TableName
}

// otherTool reads and writes records without this package and without the SDK's types, so that a mistake in
// the one does not hide behind the same mistake in the other.
type otherTool struct{ endpoint, table string }

func (o otherTool) put(ctx context.Context, record attribute.Map) error {
	_, err := o.call(ctx, "PutItem", map[string]any{"TableName": o.table, "Item": record})
	return err
}

func (o otherTool) get(ctx context.Context, id string) (attribute.Map, error) {
	text, err := o.call(ctx, "GetItem", map[string]any{
		"TableName": o.table, "Key": attribute.Map{"licenseid": id}, "ConsistentRead": true,
	})
	if err != nil {
		return nil, err
	}
	var out struct{ Item attribute.Map }
	err = json.Unmarshal(text, &out)
	return out.Item, err
}

func (o otherTool) call(ctx context.Context, operation string, input any) ([]byte, error) {
	body, err := json.Marshal(input)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, o.endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	request.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	hash := sha256.Sum256(body)
	credentials := aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"} // those of newClient
	err = v4.NewSigner().SignHTTP(ctx, credentials, request, hex.EncodeToString(hash[:]), "dynamodb", "us-east-1", time.Now())
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", operation, response.Status, text)
	}
	return text, err
}
