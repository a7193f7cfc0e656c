package dynamo_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/uuid"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/idempotency"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/idempotencytest"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/testing/samtemplate"
	"openlicenser/shared/token"
)

func TestLicensesContract(t *testing.T) {
	endpoint := awstest.Need(t, awstest.DynamoDBVariable)
	licensetest.TestStore(t, func(t *testing.T) licensetest.Harness {
		client := newClient(endpoint)
		table := createTable(t, client, "LicenseTable")
		other := otherTool{endpoint: endpoint, table: table}
		return licensetest.Harness{
			Store: dynamo.NewLicenses(client, table), PutRecord: other.put, Record: other.get,
		}
	})
}

// TestUpdateBeforeTheIndexes: a record from the time before a table had its indexes can have what is no key of theirs.
func TestUpdateBeforeTheIndexes(t *testing.T) {
	endpoint := awstest.Need(t, awstest.DynamoDBVariable)
	client := newClient(endpoint)
	for name, test := range map[string]struct {
		index string
		odd   attribute.Map
	}{
		"customer id NULL":  {"customer", attribute.Map{"customerid": nil}},
		"customer id empty": {"customer", attribute.Map{"customerid": ""}},
		"date empty":        {"expiry", attribute.Map{"expirationdate": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			in, index := tableBefore(t, test.index)
			if _, err := client.CreateTable(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			record := licensetest.Issue(t).Record()
			maps.Copy(record, test.odd)
			other := otherTool{endpoint: endpoint, table: aws.ToString(in.TableName)}
			if err := other.put(t.Context(), record); err != nil {
				t.Fatal(err)
			}
			if _, err := client.UpdateTable(t.Context(), index); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second) // DynamoDB Local fills the index, but never says so where there is a NULL
			store := dynamo.NewLicenses(client, aws.ToString(in.TableName))
			before, err := store.Get(t.Context(), record["licenseid"].(string))
			if err != nil {
				t.Fatal(err)
			}
			if err := store.Update(t.Context(), before, licensetest.Revoke(t, before, "why")); err != nil {
				t.Fatal(err)
			}
			after, err := store.Get(t.Context(), before.ID)
			if err != nil || after.Status(licensetest.Now) != license.Revoked {
				t.Errorf("got %+v, %v", after, err)
			}
		})
	}
}

// tableBefore returns the license table without its indexes, and the request that adds one of them.
func tableBefore(t *testing.T, index string) (*dynamodb.CreateTableInput, *dynamodb.UpdateTableInput) {
	t.Helper()
	template, err := samtemplate.Read()
	if err != nil {
		t.Fatal(err)
	}
	in, err := awstest.Table(template, "LicenseTable")
	if err != nil {
		t.Fatal(err)
	}
	in.TableName = aws.String("before-" + uuid.NewString())
	i := slices.IndexFunc(in.GlobalSecondaryIndexes, func(g types.GlobalSecondaryIndex) bool {
		return aws.ToString(g.IndexName) == index
	})
	later := in.GlobalSecondaryIndexes[i]
	create := &types.CreateGlobalSecondaryIndexAction{
		IndexName: later.IndexName, KeySchema: later.KeySchema, Projection: later.Projection,
	}
	update := &dynamodb.UpdateTableInput{
		TableName: in.TableName, AttributeDefinitions: in.AttributeDefinitions,
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: create}},
	}
	in.GlobalSecondaryIndexes = nil
	defined := slices.Clone(in.AttributeDefinitions)
	in.AttributeDefinitions = slices.DeleteFunc(defined, func(d types.AttributeDefinition) bool {
		return aws.ToString(d.AttributeName) != "licenseid"
	})
	return in, update
}

func TestAuditTrailContract(t *testing.T) {
	endpoint := awstest.Need(t, awstest.DynamoDBVariable)
	audittest.TestStore(t, func(t *testing.T) audit.Store {
		client := newClient(endpoint)
		return dynamo.NewAuditTrail(client, createTable(t, client, "AuditTable"))
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
		licenses := dynamo.NewLicenses(client, aws.ToString(name))
		_, err := licenses.Get(t.Context(), "an-id")
		wantErr(t, err, license.ErrNotFound)
		_, _, err = dynamo.NewSignatures(client, signatures, licenses).Get(t.Context(), "an-id")
		wantErr(t, err, license.ErrNotFound)
	}
}

// TestSignatures keeps and reads on DynamoDB itself.
func TestSignatures(t *testing.T) {
	client := newClient(awstest.Need(t, awstest.DynamoDBVariable))
	licenses := dynamo.NewLicenses(client, createTable(t, client, "LicenseTable"))
	s := dynamo.NewSignatures(client, createTable(t, client, "SignatureTable"), licenses)
	l := licensetest.Issue(t)
	_, _, err := s.Get(t.Context(), l.ID)
	wantErr(t, err, license.ErrNotFound)
	if err := licenses.Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"", "signed", "signed anew"} {
		if want != "" {
			signature := token.Signature{SignedAt: issued, Bytes: []byte(want)}
			if err := s.Keep(t.Context(), l.ID, signature, issued.AddDate(0, 0, 9)); err != nil {
				t.Fatal(err)
			}
		}
		got, signature, err := s.Get(t.Context(), l.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := licensetest.Diff(l, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		wantSignature(t, signature, want)
	}
	t.Run("WithoutTheTable", func(t *testing.T) {
		got, signature, err := dynamo.NewSignatures(client, "no-such-table", licenses).Get(t.Context(), l.ID)
		if err != nil || got.ID != l.ID {
			t.Errorf("got %v, %v", got, err)
		}
		wantSignature(t, signature, "")
	})
}
