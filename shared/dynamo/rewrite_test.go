package dynamo_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"openlicenser/shared/attribute"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/licensetest"
)

func TestRewriterContract(t *testing.T) {
	endpoint := awstest.Need(t, awstest.DynamoDBVariable)
	licensetest.TestRewriter(t, func(t *testing.T) licensetest.Harness {
		client := newClient(endpoint)
		table, references := createTable(t, client, "LicenseTable"), createTable(t, client, "ReferenceTable")
		other := otherTool{endpoint: endpoint, table: table}
		return licensetest.Harness{
			Store: dynamo.NewLicenses(client, table, references), PutRecord: other.put, Record: other.get,
		}
	})
}

// TestRewrite: the record and its references are written in one transaction, whatever the attributes are called.
func TestRewrite(t *testing.T) {
	w, client := serve(t, ok(`{}`), ok(`{}`))
	store := dynamo.NewLicenses(client, "licenses", "references")
	err := store.Rewrite(t.Context(), "an-id", license.Rewrite{
		Set: attribute.Map{"isrevoked": true, "Phone No": "1"}, Remove: []string{"fax no"},
		Expected: attribute.Map{"version": attribute.Number("1"), "Phone No": nil, "fax no": "2"},
		Takes:    "order 1", Frees: "order 2",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Rewrite(t.Context(), "an-id", license.Rewrite{
		Removes: true, Expected: attribute.Map{"version": attribute.Number("2")},
	}); err != nil {
		t.Fatal(err)
	}
	for _, c := range w.calls {
		if token, _ := c.body["ClientRequestToken"].(string); token == "" {
			t.Error("no ClientRequestToken")
		}
		delete(c.body, "ClientRequestToken")
	}
	w.wantRequest(t, 0, "TransactWriteItems", `{"TransactItems":[
		{"Update":{"TableName":"licenses","Key":{"licenseid":{"S":"an-id"}},
		"UpdateExpression":"SET #N0 = :V0, #isrevoked = :isrevoked REMOVE #N2",
		"ConditionExpression":"attribute_exists(#licenseid) AND `+
		`(attribute_not_exists(#N3) OR attribute_type(#N3, :NULL)) AND #N4 = :V3 AND #version = :was_version",
		"ExpressionAttributeNames":{"#N0":"Phone No","#isrevoked":"isrevoked","#N2":"fax no","#N3":"Phone No",
		"#N4":"fax no","#version":"version","#licenseid":"licenseid"},
		"ExpressionAttributeValues":{":V0":{"S":"1"},":isrevoked":{"BOOL":true},":NULL":{"S":"NULL"},
		":V3":{"S":"2"},":was_version":{"N":"1"}}}},
		{"Put":{"TableName":"references","Item":{"reference":{"S":"order 1"},"licenseid":{"S":"an-id"}},
		"ConditionExpression":"attribute_not_exists(#reference) OR #licenseid = :licenseid",
		"ExpressionAttributeNames":{"#reference":"reference","#licenseid":"licenseid"},
		"ExpressionAttributeValues":{":licenseid":{"S":"an-id"}},
		"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}},
		{"Delete":{"TableName":"references","Key":{"reference":{"S":"order 2"}},
		"ConditionExpression":"attribute_not_exists(#reference) OR #licenseid = :licenseid",
		"ExpressionAttributeNames":{"#reference":"reference","#licenseid":"licenseid"},
		"ExpressionAttributeValues":{":licenseid":{"S":"an-id"}}}}]}`)
	w.wantRequest(t, 1, "TransactWriteItems", `{"TransactItems":[
		{"Delete":{"TableName":"licenses","Key":{"licenseid":{"S":"an-id"}},
		"ConditionExpression":"attribute_exists(#licenseid) AND #version = :was_version",
		"ExpressionAttributeNames":{"#licenseid":"licenseid","#version":"version"},
		"ExpressionAttributeValues":{":was_version":{"N":"2"}}}}]}`)
}

func TestRewriteFaults(t *testing.T) {
	l := licensetest.Issue(t)
	for name, answers := range faults {
		t.Run(name, func(t *testing.T) {
			_, client := serve(t, answers...)
			w, err := license.NewRewrite(nil, l.Record(), 1, licensetest.Change("restored"), time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			wantFault(t, dynamo.NewLicenses(client, "t", "r").Rewrite(t.Context(), l.ID, w),
				"rewrite license", l.CustomerName)
		})
	}
	t.Run("a reference that is another's is not freed", func(t *testing.T) {
		w, client := serve(t, fault(400, "TransactionCanceledException",
			`,"CancellationReasons":[{"Code":"None"},{"Code":"ConditionalCheckFailed"}]`), ok(`{}`))
		err := dynamo.NewLicenses(client, "t", "r").Rewrite(t.Context(), "an-id", license.Rewrite{
			Set: attribute.Map{"erased": "mark"}, Expected: attribute.Map{}, Frees: "order 1",
		})
		if items, _ := w.calls[1].body["TransactItems"].([]any); err != nil || len(items) != 1 {
			t.Errorf("%v, then %v", err, w.calls[1].body)
		}
	})
	t.Run("ErrConflict", func(t *testing.T) {
		_, client := serve(t, fault(400, "TransactionCanceledException",
			`,"CancellationReasons":[{"Code":"ConditionalCheckFailed"}]`))
		err := dynamo.NewLicenses(client, "t", "r").Rewrite(context.Background(), "an-id", license.Rewrite{
			Set: attribute.Map{"licenseid": "an-id"},
		})
		if !errors.Is(err, license.ErrConflict) {
			t.Errorf("got %v", err)
		}
	})
}
