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
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/idempotency"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/idempotencytest"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/token"
)

func TestLicensesContract(t *testing.T) {
	endpoint := awstest.Need(t, awstest.DynamoDBVariable)
	licensetest.TestStore(t, func(t *testing.T) licensetest.Harness {
		client := newClient(endpoint)
		table, references := createTable(t, client, "LicenseTable"), createTable(t, client, "ReferenceTable")
		other := otherTool{endpoint: endpoint, table: table}
		return licensetest.Harness{
			Store: dynamo.NewLicenses(client, table, references), PutRecord: other.put, Record: other.get,
		}
	})
}

func TestAuditTrailContract(t *testing.T) {
	endpoint := awstest.Need(t, awstest.DynamoDBVariable)
	audittest.TestStore(t, func(t *testing.T) audit.Store {
		client := newClient(endpoint)
		disclosures := createTable(t, client, "DisclosureTable")
		return dynamo.NewAuditTrail(client, createTable(t, client, "AuditTable"), disclosures)
	})
}

func TestIdempotencyContract(t *testing.T) {
	endpoint := awstest.Need(t, awstest.DynamoDBVariable)
	idempotencytest.TestStore(t, func(t *testing.T) idempotency.Store {
		client := newClient(endpoint)
		return dynamo.NewIdempotency(client, createTable(t, client, "IdempotencyTable"))
	})
}

// createTable makes a table as the template declares it, without its time to live: the contracts' clocks stand in the
// past.
func createTable(t *testing.T, client *dynamodb.Client, id string) string {
	t.Helper()
	return aws.ToString(awstest.NewTable(t, client, id).TableName)
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
	err = v4.NewSigner().SignHTTP(
		ctx, credentials, request, hex.EncodeToString(hash[:]), "dynamodb", "us-east-1", time.Now(),
	)
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

// TestAbsenceOfATable: DynamoDB itself says that there is no license, whether the table is named by its name or its
// ARN.
func TestAbsenceOfATable(t *testing.T) {
	client := newClient(awstest.Need(t, awstest.DynamoDBVariable))
	table, signatures := awstest.NewTable(t, client, "LicenseTable"), createTable(t, client, "SignatureTable")
	for _, name := range []*string{table.TableName, table.TableArn} {
		licenses := dynamo.NewLicenses(client, aws.ToString(name), "references")
		_, err := licenses.Get(t.Context(), "an-id")
		wantErr(t, err, license.ErrNotFound)
		_, _, err = get(t.Context(), dynamo.NewSignatures(client, signatures, licenses, nil), "an-id")
		wantErr(t, err, license.ErrNotFound)
	}
}

// TestSignatures keeps and reads on DynamoDB itself.
func TestSignatures(t *testing.T) {
	client := newClient(awstest.Need(t, awstest.DynamoDBVariable))
	licenses := dynamo.NewLicenses(client, createTable(t, client, "LicenseTable"), "references")
	s := dynamo.NewSignatures(client, createTable(t, client, "SignatureTable"), licenses, nil)
	l := licensetest.Issue(t)
	_, _, err := get(t.Context(), s, l.ID)
	wantErr(t, err, license.ErrNotFound)
	if err := licenses.Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"", "signed", "signed anew"} {
		if want != "" {
			signature := token.Signature{SignedAt: issued, Bytes: []byte(want)}
			if err := s.Keep(t.Context(), l.ID, "", signature, issued.AddDate(0, 0, 9)); err != nil {
				t.Fatal(err)
			}
		}
		got, signature, err := get(t.Context(), s, l.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := licensetest.Diff(l, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		wantSignature(t, signature, want)
	}
	t.Run("WithoutTheTable", func(t *testing.T) {
		got, signature, err := get(t.Context(), dynamo.NewSignatures(client, "no-such-table", licenses, nil), l.ID)
		if err != nil || got.ID != l.ID {
			t.Errorf("got %v, %v", got, err)
		}
		wantSignature(t, signature, "")
	})
}
