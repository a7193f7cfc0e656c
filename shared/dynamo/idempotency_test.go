package dynamo_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"openlicenser/shared/dynamo"
	"openlicenser/shared/idempotency"
)

var idempotencyRecord = idempotency.Record{
	Request: idempotency.Request{
		Key: "key-1", Fingerprint: "print-1", ID: "request-1", NewID: "license-1",
		LicenseID: "license-2", At: time.UnixMilli(1793534400123).UTC(),
	},
	LeaseEnds: time.UnixMilli(1793534415123).UTC(),
	Expires:   time.Unix(1793620800, 0).UTC(),
}

const storedIdempotency = `{"key":{"S":"key-1"},"fingerprint":{"S":"print-1"},"requestid":{"S":"request-1"},` +
	`"at":{"N":"1793534400123"},"newid":{"S":"license-1"},"licenseid":{"S":"license-2"},` +
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
	w, client := serve(t, ok(`{}`), ok(`{}`), fault(400, "ConditionalCheckFailedException", ""))
	store := dynamo.NewIdempotency(client, "t")
	if err := store.Complete(t.Context(), "key-1", idempotency.Response{Status: 201, Body: "b"}); err != nil {
		t.Error(err)
	}
	if err := store.Release(t.Context(), "key-1"); err != nil {
		t.Error(err)
	}
	w.wantRequest(t, 0, "UpdateItem",
		`{"TableName":"t","Key":{"key":{"S":"key-1"}},"UpdateExpression":"SET #answer = :answer",
		"ConditionExpression":"attribute_exists(#fingerprint)",
		"ExpressionAttributeNames":{"#answer":"answer","#fingerprint":"fingerprint"},
		"ExpressionAttributeValues":{":answer":{"S":"{\"status\":201,\"header\":null,\"body\":\"b\"}"}}}`)
	w.wantRequest(t, 1, "DeleteItem", `{"TableName":"t","Key":{"key":{"S":"key-1"}}}`)
	if err := store.Complete(t.Context(), "key-1", idempotency.Response{}); !errors.Is(err, idempotency.ErrGone) {
		t.Errorf("forgotten: %v", err)
	}
}

// TestIdempotencyOfNoLicense: an index takes no empty key.
func TestIdempotencyOfNoLicense(t *testing.T) {
	w, client := serve(t, ok(`{}`))
	r := idempotencyRecord
	r.LicenseID = ""
	if _, err := dynamo.NewIdempotency(client, "t").Put(t.Context(), r, time.Now()); err != nil {
		t.Fatal(err)
	}
	if stored, _ := w.calls[0].body["Item"].(map[string]any); stored["licenseid"] != nil {
		t.Errorf("put %v", stored)
	}
}

// TestIdempotencyForget: the index is asked once more when it has caught up, and no record is written twice.
func TestIdempotencyForget(t *testing.T) {
	dynamo.SetIndexLag(t, time.Millisecond)
	listed := func(keys, more string) answer {
		var items []string
		for _, key := range strings.Fields(keys) {
			items = append(items, fmt.Sprintf(`{"key":{"S":%q},"licenseid":{"S":"license-1"}}`, key))
		}
		return ok(`{"Items":[` + strings.Join(items, ",") + `]` + more + `}`)
	}
	const next = `"key":{"S":"b"},"licenseid":{"S":"license-1"}`
	w, client := serve(t,
		listed("a own b", `,"LastEvaluatedKey":{`+next+`}`), ok(`{}`),
		fault(400, "ConditionalCheckFailedException", ""),
		listed("c", ""), ok(`{}`),
		listed("a own late b c", ""), ok(`{}`),
	)
	if err := dynamo.NewIdempotency(client, "t").Forget(t.Context(), "license-1", "own"); err != nil {
		t.Fatal(err)
	}
	const query = `{"TableName":"t","IndexName":"license","KeyConditionExpression":"#licenseid = :licenseid",
		"ExpressionAttributeNames":{"#licenseid":"licenseid"},
		"ExpressionAttributeValues":{":licenseid":{"S":"license-1"}}`
	w.wantRequest(t, 0, "Query", query+`}`)
	w.wantRequest(t, 3, "Query", query+`,"ExclusiveStartKey":{`+next+`}}`)
	w.wantRequest(t, 5, "Query", query+`}`)
	for i, key := range map[int]string{1: "a", 2: "b", 4: "c", 6: "late"} {
		w.wantRequest(t, i, "UpdateItem", `{"TableName":"t","Key":{"key":{"S":"`+key+`"}},
			"UpdateExpression":"REMOVE #answer, #fingerprint","ConditionExpression":"#licenseid = :licenseid",
			"ExpressionAttributeNames":{"#answer":"answer","#fingerprint":"fingerprint","#licenseid":"licenseid"},
			"ExpressionAttributeValues":{":licenseid":{"S":"license-1"}}}`)
	}
	for name, answers := range map[string][]answer{
		"the index": {ok(`{}`)}, "the index, later": {listed("", ""), ok(`{}`)},
		"a record": {listed("a", ""), fault(400, "AccessDeniedException", "")},
	} {
		_, client := serve(t, answers...)
		if err := dynamo.NewIdempotency(client, "t").Forget(t.Context(), "license-1", ""); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
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
			"Forget":  func(s *dynamo.Idempotency) error { return s.Forget(t.Context(), "license-1", "") },
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
