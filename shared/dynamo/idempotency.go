package dynamo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/idempotency"
)

// IdempotencyAPI is what Idempotency uses of a *dynamodb.Client.
type IdempotencyAPI interface {
	PutItem(context.Context, *dynamodb.PutItemInput, ...option) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...option) (*dynamodb.UpdateItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...option) (*dynamodb.DeleteItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...option) (*dynamodb.QueryOutput, error)
}

// Idempotency keeps records of requests in a table with the partition key key (S) and the TTL attribute expires. Its
// index license (licenseid, S) has the keys of those that are about a license.
// DynamoDB deletes an expired item within days, so one that is still there counts as absent
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html).
// Responses hold license keys, so the table is encrypted and nobody else reads it.
type Idempotency struct {
	client IdempotencyAPI
	table  string
}

var _ idempotency.Store = (*Idempotency)(nil)

// NewIdempotency returns a store in the table with the name or ARN.
func NewIdempotency(client IdempotencyAPI, table string) *Idempotency {
	return &Idempotency{client: client, table: table}
}

// idempotencyItem is a record. Its instants are Unix milliseconds, except Expires.
type idempotencyItem struct {
	Key         string `dynamodbav:"key"`
	Fingerprint string `dynamodbav:"fingerprint"`
	RequestID   string `dynamodbav:"requestid"`
	At          int64  `dynamodbav:"at"`
	NewID       string `dynamodbav:"newid"`
	LicenseID   string `dynamodbav:"licenseid,omitempty"` // the key of an index, which must not be empty
	LeaseEnds   int64  `dynamodbav:"leaseends"`
	Expires     int64  `dynamodbav:"expires"`          // Unix seconds
	Answer      string `dynamodbav:"answer,omitempty"` // JSON
}

// Put implements idempotency.Store. Where the SDK repeats a put whose response was lost, the repetition meets its own
// record. Put recognizes it by NewID and the request's id. The request's id alone would not do: clients can choose it,
// and SAM's local gateway gives the same to all requests.
func (s *Idempotency) Put(ctx context.Context, r idempotency.Record, now time.Time) (*idempotency.Record, error) {
	stored, err := attributevalue.MarshalMap(idempotencyItem{
		Key: r.Key, Fingerprint: r.Fingerprint, RequestID: r.ID, At: r.At.UnixMilli(), NewID: r.NewID,
		LicenseID: r.LicenseID, LeaseEnds: r.LeaseEnds.UnixMilli(), Expires: r.Expires.Unix(),
	})
	if err != nil {
		return nil, fmt.Errorf("put idempotency record: %w", err)
	}
	values, err := attributevalue.MarshalMap(map[string]int64{":now": now.Unix()})
	if err != nil {
		return nil, fmt.Errorf("put idempotency record: %w", err)
	}
	_, err = s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:                           &s.table,
		Item:                                stored,
		ConditionExpression:                 aws.String("attribute_not_exists(#key) OR #expires < :now"),
		ExpressionAttributeNames:            map[string]string{"#key": "key", "#expires": "expires"},
		ExpressionAttributeValues:           values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var failed *types.ConditionalCheckFailedException
	switch {
	case err == nil:
		return nil, nil
	case !errors.As(err, &failed):
		return nil, fmt.Errorf("put idempotency record: %w", err)
	}
	if err := checkKey(failed.Item, item{"key": text(r.Key)}); err != nil {
		return nil, fmt.Errorf("put idempotency record: %w", err)
	}
	existing, err := toIdempotencyRecord(failed.Item)
	if err != nil {
		return nil, fmt.Errorf("put idempotency record: %w", err)
	}
	if existing.ID == r.ID && existing.NewID == r.NewID {
		return nil, nil
	}
	return existing, nil
}

func toIdempotencyRecord(values item) (*idempotency.Record, error) {
	var stored idempotencyItem
	if err := attributevalue.UnmarshalMap(values, &stored); err != nil {
		return nil, err
	}
	r := &idempotency.Record{
		Request: idempotency.Request{
			Key: stored.Key, Fingerprint: stored.Fingerprint, ID: stored.RequestID,
			At: time.UnixMilli(stored.At).UTC(), NewID: stored.NewID, LicenseID: stored.LicenseID,
		},
		LeaseEnds: time.UnixMilli(stored.LeaseEnds).UTC(),
		Expires:   time.Unix(stored.Expires, 0).UTC(),
	}
	if stored.Answer == "" {
		return r, nil
	}
	return r, json.Unmarshal([]byte(stored.Answer), &r.Response)
}

// TakeOver implements idempotency.Store.
func (s *Idempotency) TakeOver(ctx context.Context, key string, from, to time.Time) error {
	err := s.update(ctx, key, "SET #leaseends = :to", "#leaseends = :from AND attribute_not_exists(#answer)",
		map[string]string{"#leaseends": "leaseends", "#answer": "answer"},
		map[string]any{":from": from.UnixMilli(), ":to": to.UnixMilli()})
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return idempotency.ErrInFlight
	}
	return err
}

// Complete implements idempotency.Store.
func (s *Idempotency) Complete(ctx context.Context, key string, r idempotency.Response) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("update idempotency record: %w", err)
	}
	err = s.update(ctx, key, "SET #answer = :answer", "attribute_exists(#fingerprint)",
		map[string]string{"#answer": "answer", "#fingerprint": "fingerprint"}, map[string]any{":answer": string(text)})
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return idempotency.ErrGone
	}
	return err
}

func (s *Idempotency) update(
	ctx context.Context, key, update, condition string, names map[string]string, values map[string]any,
) error {
	marshalled, err := attributevalue.MarshalMap(values)
	if err != nil {
		return fmt.Errorf("update idempotency record: %w", err)
	}
	_, err = s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.table,
		Key:                       item{"key": text(key)},
		UpdateExpression:          &update,
		ConditionExpression:       &condition,
		ExpressionAttributeNames:  names,
		ExpressionAttributeValues: marshalled,
	})
	if err != nil {
		return fmt.Errorf("update idempotency record: %w", err)
	}
	return nil
}

// Release implements idempotency.Store.
func (s *Idempotency) Release(ctx context.Context, key string) error {
	_, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.table, Key: item{"key": text(key)}})
	if err != nil {
		return fmt.Errorf("release idempotency record: %w", err)
	}
	return nil
}
