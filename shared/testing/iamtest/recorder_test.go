package iamtest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/iamtest"
)

// witness keeps the errors of a test.
type witness struct {
	testing.TB
	errors []any
}

func (w *witness) Errorf(_ string, args ...any) { w.errors = append(w.errors, args...) }

// record returns a recorder before an AWS in which everything is empty, and what calls it.
func record(t testing.TB) (*iamtest.Recorder, aws.Config) {
	empty := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		io.WriteString(w, "{}")
	})
	recorder := iamtest.NewRecorder(t, iamtest.Backends{
		"dynamodb": empty, "kms": empty, "s3": empty, "secretsmanager": empty,
	}, func(alias string) string { return key + "-of-" + strings.TrimPrefix(alias, "alias/") })
	cfg := awstest.Config(recorder.URL)
	cfg.RetryMaxAttempts = 1
	return recorder, cfg
}

type item = map[string]types.AttributeValue

func text(value string) types.AttributeValue { return &types.AttributeValueMemberS{Value: value} }

// TestCalls: what the SDK sends is what IAM sees.
func TestCalls(t *testing.T) {
	const inTransaction = " dynamodb:EnclosingOperation=TransactWriteItems"
	id := item{"licenseid": text("1")}
	names := map[string]string{"#s": "seats", "#d": "device", "#v": "version", "#n": "notes"}
	values := item{":1": text("1")}
	for name, test := range map[string]struct {
		call func(context.Context, aws.Config) error
		want []string
	}{
		"get": {func(ctx context.Context, c aws.Config) error {
			in := &dynamodb.GetItemInput{TableName: aws.String("t"), Key: id}
			_, err := dynamodb.NewFromConfig(c).GetItem(ctx, in)
			return err
		}, []string{"dynamodb:GetItem T/t dynamodb:Attributes=licenseid"}},
		"get by ARN": {func(ctx context.Context, c aws.Config) error {
			_, err := dynamodb.NewFromConfig(c).GetItem(ctx, &dynamodb.GetItemInput{
				TableName: aws.String(table), Key: id, ProjectionExpression: aws.String("#n, email"),
				ExpressionAttributeNames: names,
			})
			return err
		}, []string{"dynamodb:GetItem T/licenses dynamodb:Attributes=email,licenseid,notes"}},
		"update": {func(ctx context.Context, c aws.Config) error {
			_, err := dynamodb.NewFromConfig(c).UpdateItem(ctx, &dynamodb.UpdateItemInput{
				TableName: aws.String("t"), Key: id, ReturnValues: types.ReturnValueAllOld,
				UpdateExpression:         aws.String("SET #s.#d = :1 REMOVE #v"),
				ConditionExpression:      aws.String("attribute_exists(#n) AND size(#s) < :1 OR NOT #s.#d.until = :1"),
				ExpressionAttributeNames: names, ExpressionAttributeValues: values,
			})
			return err
		}, []string{
			"dynamodb:UpdateItem T/t dynamodb:Attributes=licenseid,notes,seats,version dynamodb:ReturnValues=ALL_OLD",
		}},
		"query": {func(ctx context.Context, c aws.Config) error {
			_, err := dynamodb.NewFromConfig(c).Query(ctx, &dynamodb.QueryInput{
				TableName: aws.String("t"), IndexName: aws.String("i"), Select: types.SelectCount,
				KeyConditionExpression:   aws.String("#n = :1 AND #v BETWEEN :1 AND :1"),
				FilterExpression:         aws.String("#s[0] IN (:1)"),
				ExpressionAttributeNames: names, ExpressionAttributeValues: values,
			})
			return err
		}, []string{"dynamodb:Query T/t/index/i dynamodb:Attributes=notes,seats,version dynamodb:Select=COUNT"}},
		"batch": {func(ctx context.Context, c aws.Config) error {
			_, err := dynamodb.NewFromConfig(c).BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
				RequestItems: map[string]types.KeysAndAttributes{
					"t": {Keys: []item{id}}, "u": {Keys: []item{{"k": text("")}}},
				},
			})
			return err
		}, []string{
			"dynamodb:BatchGetItem T/t dynamodb:Attributes=licenseid",
			"dynamodb:BatchGetItem T/u dynamodb:Attributes=k",
		}},
		"transaction": {func(ctx context.Context, c aws.Config) error {
			_, err := dynamodb.NewFromConfig(c).TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{
				TransactItems: []types.TransactWriteItem{
					{Put: &types.Put{TableName: aws.String("t"), Item: id}},
					{Delete: &types.Delete{TableName: aws.String("u"), Key: id}},
					{ConditionCheck: &types.ConditionCheck{
						TableName: aws.String("v"), Key: id, ConditionExpression: aws.String("attribute_exists(notes)"),
					}},
				},
			})
			return err
		}, []string{
			"dynamodb:ConditionCheckItem T/v dynamodb:Attributes=licenseid,notes" + inTransaction,
			"dynamodb:DeleteItem T/u dynamodb:Attributes=licenseid" + inTransaction,
			"dynamodb:PutItem T/t dynamodb:Attributes=licenseid" + inTransaction,
		}},
		"key by alias": {func(ctx context.Context, c aws.Config) error {
			_, err := kms.NewFromConfig(c).GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: aws.String("alias/token")})
			return err
		}, []string{"kms:GetPublicKey " + key + "-of-token kms:RequestAlias=alias/token"}},
		"key by the ARN of an alias": {func(ctx context.Context, c aws.Config) error {
			alias := strings.Replace(key, "key/1", "alias/token", 1)
			_, err := kms.NewFromConfig(c).GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &alias})
			return err
		}, []string{"kms:GetPublicKey " + key + "-of-token kms:RequestAlias=alias/token"}},
		"key by id": {func(ctx context.Context, c aws.Config) error {
			_, err := kms.NewFromConfig(c).Sign(ctx, &kms.SignInput{
				KeyId: aws.String("1"), Message: []byte("m"), MessageType: "RAW", SigningAlgorithm: "ED25519_SHA_512",
			})
			return err
		}, []string{"kms:Sign " + key + " kms:MessageType=RAW kms:SigningAlgorithm=ED25519_SHA_512"}},
		"secret": {func(ctx context.Context, c aws.Config) error {
			_, err := secretsmanager.NewFromConfig(c).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
				SecretId: aws.String("arn:aws:secretsmanager:eu-central-1:123456789012:secret:s-a1B2c3"),
			})
			return err
		}, []string{"secretsmanager:GetSecretValue arn:aws:secretsmanager:eu-central-1:123456789012:secret:s-a1B2c3"}},
		"object that is missing": {func(ctx context.Context, c aws.Config) error {
			in := &s3.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("k/1")}
			_, err := s3.NewFromConfig(c).GetObject(ctx, in)
			if err == nil {
				return errors.New("it is there")
			}
			return nil
		}, []string{"s3:GetObject arn:aws:s3:::b/k/1", "s3:ListBucket arn:aws:s3:::b"}},
		"object": {func(ctx context.Context, c aws.Config) error {
			_, err := s3.NewFromConfig(c).PutObject(ctx, &s3.PutObjectInput{
				Bucket: aws.String("b"), Key: aws.String("k"), Body: strings.NewReader("x"),
				IfNoneMatch:               aws.String("*"),
				ObjectLockLegalHoldStatus: s3types.ObjectLockLegalHoldStatusOn,
			})
			return err
		}, []string{"s3:PutObject arn:aws:s3:::b/k s3:if-none-match=*", "s3:PutObjectLegalHold arn:aws:s3:::b/k"}},
	} {
		t.Run(name, func(t *testing.T) {
			recorder, cfg := record(t)
			if err := test.call(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, call := range recorder.Calls() {
				got = append(got, strings.Replace(call.String(), strings.TrimSuffix(table, "/licenses"), "T", 1))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestUnknownCalls: a call that cannot be judged is no call that is allowed.
func TestUnknownCalls(t *testing.T) {
	for name, call := range map[string]func(context.Context, aws.Config) error{
		"a service": func(ctx context.Context, c aws.Config) error {
			_, err := sts.NewFromConfig(c).GetCallerIdentity(ctx, nil)
			return err
		},
		"an operation on no table": func(ctx context.Context, c aws.Config) error {
			_, err := dynamodb.NewFromConfig(c).ListTables(ctx, nil)
			return err
		},
		"conditions of old": func(ctx context.Context, c aws.Config) error {
			_, err := dynamodb.NewFromConfig(c).DeleteItem(ctx, &dynamodb.DeleteItemInput{
				TableName: aws.String("t"), Key: item{"licenseid": text("1")},
				Expected: map[string]types.ExpectedAttributeValue{"notes": {Exists: aws.Bool(false)}},
			})
			return err
		},
		"a secret by its name": func(ctx context.Context, c aws.Config) error {
			in := &secretsmanager.GetSecretValueInput{SecretId: aws.String("licenser")}
			_, err := secretsmanager.NewFromConfig(c).GetSecretValue(ctx, in)
			return err
		},
		"keys of the account": func(ctx context.Context, c aws.Config) error {
			_, err := kms.NewFromConfig(c).ListKeys(ctx, nil)
			return err
		},
		"objects of a bucket": func(ctx context.Context, c aws.Config) error {
			_, err := s3.NewFromConfig(c).ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("b")})
			return err
		},
		"a version of an object": func(ctx context.Context, c aws.Config) error {
			in := &s3.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), VersionId: aws.String("v")}
			_, err := s3.NewFromConfig(c).GetObject(ctx, in)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := &witness{TB: t}
			recorder, cfg := record(w)
			if err := call(t.Context(), cfg); err == nil || len(w.errors) == 0 || len(recorder.Calls()) > 0 {
				t.Errorf("%v, %v, recorded %v", err, w.errors, recorder.Calls())
			}
		})
	}
}

// TestFail: as many requests of the operation fail as there are codes, and they are calls all the same.
func TestFail(t *testing.T) {
	recorder, cfg := record(t)
	recorder.Fail("Sign", "ThrottlingException")
	client := kms.NewFromConfig(cfg)
	sign := func() error {
		_, err := client.Sign(t.Context(), &kms.SignInput{
			KeyId: aws.String("1"), Message: []byte("m"), SigningAlgorithm: "ED25519_SHA_512",
		})
		return err
	}
	if _, err := client.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: aws.String("1")}); err != nil {
		t.Error(err)
	}
	if err := sign(); err == nil || !strings.Contains(err.Error(), "ThrottlingException") {
		t.Errorf("the first: %v", err)
	}
	if len(recorder.Calls()) != 2 {
		t.Errorf("recorded %v", recorder.Calls())
	}
	if err := sign(); err != nil {
		t.Errorf("the second: %v", err)
	}
}
