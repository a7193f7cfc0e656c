//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/uuid"

	"openlicenser/shared/dynamo"
	"openlicenser/shared/embedded"
	"openlicenser/shared/s3archive"
	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/samtemplate"
)

// openDynamoDB makes a trail in DynamoDB Local, and archives in moto's S3. The folder keeps the key alone.
func openDynamoDB(ctx context.Context, data string, licenses int) (*trail, error) {
	database, moto := os.Getenv(awstest.DynamoDBVariable), os.Getenv(awstest.MotoVariable)
	if database == "" || moto == "" {
		return nil, errors.New("there is no DynamoDB Local: .tools/awslocal run starts it")
	}
	client := dynamodb.NewFromConfig(awstest.Config(database))
	template, err := samtemplate.Read()
	if err != nil {
		return nil, err
	}
	name := "bench-" + uuid.NewString()
	licenseTable, auditTable, disclosureTable := name+"-licenses", name+"-audit", name+"-disclosures"
	for id, table := range map[string]string{
		"LicenseTable": licenseTable, "AuditTable": auditTable, "DisclosureTable": disclosureTable,
	} {
		if err := createTable(ctx, client, template, id, table); err != nil {
			return nil, err
		}
	}
	err = seed(ctx, licenses, 8, func() writer {
		b := &bulk{Client: client, writes: map[string]map[string]types.WriteRequest{}}
		return writer{
			licenses: dynamo.NewLicenses(b, licenseTable, ""),
			trail:    dynamo.NewAuditTrail(b, auditTable, disclosureTable),
			flush:    b.flush,
		}
	})
	if err != nil {
		return nil, err
	}
	objects := s3.NewFromConfig(awstest.Config(moto), func(o *s3.Options) { o.UsePathStyle = true })
	archives := map[string]*counted{}
	for _, bucket := range []string{name, name + "-spare"} {
		if err := createBucket(ctx, objects, bucket); err != nil {
			return nil, err
		}
		archives[bucket] = newCounted(s3archive.New(objects, bucket))
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	signer, err := embedded.OpenCheckpointKey(data)
	return &trail{
		size: licenses, licenses: dynamo.NewLicenses(client, licenseTable, ""),
		records: dynamo.NewRecords(client, licenseTable),
		store:   dynamo.NewAuditTrail(client, auditTable, disclosureTable),
		signer:  signer, archive: archives[name], spare: archives[name+"-spare"],
		settle: func(context.Context) error { return nil },
		close: func() error {
			var failed error
			for _, table := range []string{licenseTable, auditTable, disclosureTable} {
				_, err := client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &table})
				failed = errors.Join(failed, err)
			}
			return failed
		},
	}, err
}

// createTable makes a table as the template declares it, with its indexes and without its stream, which nobody reads.
func createTable(
	ctx context.Context, client *dynamodb.Client, template *samtemplate.Template, id, name string,
) error {
	in, err := awstest.Table(template, id)
	if err != nil {
		return err
	}
	in.TableName, in.StreamSpecification = &name, nil
	if _, err := client.CreateTable(ctx, in); err != nil {
		return fmt.Errorf("table %s: %w", id, err)
	}
	return dynamodb.NewTableExistsWaiter(client).Wait(ctx, &dynamodb.DescribeTableInput{TableName: &name}, time.Minute)
}

func createBucket(ctx context.Context, objects *s3.Client, name string) error {
	_, err := objects.CreateBucket(ctx, &s3.CreateBucketInput{
		Bucket: &name, ObjectLockEnabledForBucket: aws.Bool(true),
		CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: awstest.Region},
	})
	return err
}

// bulk is a client that gathers what is put into requests of 25, without the puts' conditions. One worker has it.
type bulk struct {
	*dynamodb.Client
	writes map[string]map[string]types.WriteRequest // by table and key: one request must not put an item twice
	puts   int
}

const mostInBatch = 25

// PutItem implements dynamo.LicenseAPI.
func (b *bulk) PutItem(
	ctx context.Context, in *dynamodb.PutItemInput, _ ...func(*dynamodb.Options),
) (*dynamodb.PutItemOutput, error) {
	return &dynamodb.PutItemOutput{}, b.put(ctx, *in.TableName, in.Item)
}

// TransactWriteItems implements dynamo.AuditAPI.
func (b *bulk) TransactWriteItems(
	ctx context.Context, in *dynamodb.TransactWriteItemsInput, _ ...func(*dynamodb.Options),
) (*dynamodb.TransactWriteItemsOutput, error) {
	for _, write := range in.TransactItems {
		if err := b.put(ctx, *write.Put.TableName, write.Put.Item); err != nil {
			return nil, err
		}
	}
	return &dynamodb.TransactWriteItemsOutput{}, nil
}

func (b *bulk) put(ctx context.Context, table string, values map[string]types.AttributeValue) error {
	var key struct {
		LicenseID string `dynamodbav:"licenseid"`
		Sequence  int64  `dynamodbav:"sequence"`
	}
	if err := attributevalue.UnmarshalMap(values, &key); err != nil {
		return err
	}
	if b.writes[table] == nil {
		b.writes[table] = map[string]types.WriteRequest{}
	}
	b.writes[table][fmt.Sprint(key)] = types.WriteRequest{PutRequest: &types.PutRequest{Item: values}}
	if b.puts++; b.puts < mostInBatch {
		return nil
	}
	return b.flush(ctx)
}

func (b *bulk) flush(ctx context.Context) error {
	requests := map[string][]types.WriteRequest{}
	for table, writes := range b.writes {
		for _, write := range writes {
			requests[table] = append(requests[table], write)
		}
	}
	for len(requests) > 0 {
		out, err := b.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: requests})
		if err != nil {
			return err
		}
		requests = out.UnprocessedItems
	}
	b.puts = 0
	clear(b.writes)
	return nil
}
