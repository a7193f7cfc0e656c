package dynamo_test

import (
	"errors"
	"testing"
	"time"

	"openlicenser/shared/dynamo"
	"openlicenser/shared/idempotency"
)

var idempotencyRecord = idempotency.Record{
	Request: idempotency.Request{
		Key: "key-1", Fingerprint: "print-1", ID: "request-1", NewID: "license-1",
		At: time.UnixMilli(1793534400123).UTC(),
	},
	LeaseEnds: time.UnixMilli(1793534415123).UTC(),
	Expires:   time.Unix(1793620800, 0).UTC(),
}

const storedIdempotency = `{"key":{"S":"key-1"},"fingerprint":{"S":"print-1"},"requestid":{"S":"request-1"},` +
	`"at":{"N":"1793534400123"},"newid":{"S":"license-1"},` +
	`"leaseends":{"N":"1793534415123"},"expires":{"N":"1793620800"}}`

func TestIdempotencyPut(t *testing.T) {
	w, client := serve(t, ok(`{}`))
	existing, err := dynamo.NewIdempotency(client, "t").Put(t.Context(), idempotencyRecord, time.Unix(1793534400, 0))
	if existing != nil || err != nil {
		t.Errorf("got %+v, %v", existing, err)
	}
	w.wantRequest(t, 0, "PutItem", `{"TableName":"t","Item":`+storedIdempotency+`,
		"ConditionExpression":"attribute_not_exists(#key) OR #expires < :now",
		"ExpressionAttributeNames":{"#key":"key","#expires":"expires"},
		"ExpressionAttributeValues":{":now":{"N":"1793534400"}},
		"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`)
}

// TestIdempotencyPutFinds: another request's record is answered, and its own, which a repetition of the SDK meets, is
// not.
func TestIdempotencyPutFinds(t *testing.T) {
	found := fault(400, "ConditionalCheckFailedException", `,"Item":`+storedIdempotency)
	for name, test := range map[string]struct {
		id    string
		finds bool
	}{"another": {"request-2", true}, "its own": {"request-1", false}} {
		t.Run(name, func(t *testing.T) {
			_, client := serve(t, found)
			r := idempotencyRecord
			r.ID = test.id
			existing, err := dynamo.NewIdempotency(client, "t").Put(t.Context(), r, time.Now())
			if err != nil || (existing != nil) != test.finds || test.finds && *existing != idempotencyRecord {
				t.Errorf("got %+v, %v", existing, err)
			}
		})
	}
}

func TestIdempotencyTakeOver(t *testing.T) {
	w, client := serve(t, ok(`{}`), fault(400, "ConditionalCheckFailedException", ""))
	store := dynamo.NewIdempotency(client, "t")
	if err := store.TakeOver(t.Context(), "key-1", time.UnixMilli(1), time.UnixMilli(2)); err != nil {
		t.Error(err)
	}
	err := store.TakeOver(t.Context(), "key-1", time.UnixMilli(1), time.UnixMilli(2))
	if !errors.Is(err, idempotency.ErrInFlight) {
		t.Errorf("got %v, want ErrInFlight", err)
	}
	w.wantRequest(t, 0, "UpdateItem",
		`{"TableName":"t","Key":{"key":{"S":"key-1"}},"UpdateExpression":"SET #leaseends = :to",
		"ConditionExpression":"#leaseends = :from AND attribute_not_exists(#answer)",
		"ExpressionAttributeNames":{"#leaseends":"leaseends","#answer":"answer"},
		"ExpressionAttributeValues":{":from":{"N":"1"},":to":{"N":"2"}}}`)
}

func TestIdempotencyCompleteAndRelease(t *testing.T) {
	w, client := serve(t, ok(`{}`), ok(`{}`))
	store := dynamo.NewIdempotency(client, "t")
	if err := store.Complete(t.Context(), "key-1", idempotency.Response{Status: 201, Body: "b"}); err != nil {
		t.Error(err)
	}
	if err := store.Release(t.Context(), "key-1"); err != nil {
		t.Error(err)
	}
	w.wantRequest(t, 0, "UpdateItem",
		`{"TableName":"t","Key":{"key":{"S":"key-1"}},"UpdateExpression":"SET #answer = :answer",
		"ConditionExpression":"attribute_exists(#key)","ExpressionAttributeNames":{"#answer":"answer","#key":"key"},
		"ExpressionAttributeValues":{":answer":{"S":"{\"status\":201,\"header\":null,\"body\":\"b\"}"}}}`)
	w.wantRequest(t, 1, "DeleteItem", `{"TableName":"t","Key":{"key":{"S":"key-1"}}}`)
}

// TestIdempotencyFaults: none of them looks like an answer.
func TestIdempotencyFaults(t *testing.T) {
	for name, answers := range faults {
		for operation, do := range map[string]func(*dynamo.Idempotency) error{
			"Put": func(s *dynamo.Idempotency) error {
				_, err := s.Put(t.Context(), idempotencyRecord, time.Now())
				return err
			},
			"TakeOver": func(s *dynamo.Idempotency) error {
				return s.TakeOver(t.Context(), "k", time.Now(), time.Now())
			},
			"Complete": func(s *dynamo.Idempotency) error {
				return s.Complete(t.Context(), "k", idempotency.Response{})
			},
			"Release": func(s *dynamo.Idempotency) error { return s.Release(t.Context(), "k") },
		} {
			t.Run(operation+"/"+name, func(t *testing.T) {
				_, client := serve(t, answers...)
				if err := do(dynamo.NewIdempotency(client, "t")); err == nil ||
					errors.Is(err, idempotency.ErrInFlight) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}
