package dynamo_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"openlicenser/shared/attribute"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

// canceled is what DynamoDB says of a transaction, with a reason for each of its items.
func canceled(reasons ...string) answer {
	return fault(400, "TransactionCanceledException", `,"CancellationReasons":[`+strings.Join(reasons, ",")+`]`)
}

const (
	noReason = `{"Code":"None"}`
	refused  = `{"Code":"ConditionalCheckFailed"}`
)

func refusedItem(t *testing.T, item attribute.Map) string {
	return `{"Code":"ConditionalCheckFailed","Item":` + dynamoJSON(t, item) + `}`
}

// deletions returns the deletions of references in a transaction, as JSON.
func deletions(licenseID string, references ...string) (items string) {
	for _, reference := range references {
		items += fmt.Sprintf(`,{"Delete":{"TableName":"references","Key":{"reference":{"S":%q}},
			"ConditionExpression":"attribute_not_exists(#reference) OR #licenseid = :licenseid",
			"ExpressionAttributeNames":{"#licenseid":"licenseid","#reference":"reference"},
			"ExpressionAttributeValues":{":licenseid":{"S":%q}}}}`, reference, licenseID)
	}
	return items
}

func TestErase(t *testing.T) {
	record := licensetest.Issue(t).Record()
	id := record["licenseid"].(string)
	record["contact person"], record["phone"] = "Jane", "123"
	before, err := license.FromRecord(record)
	if err != nil {
		t.Fatal(err)
	}
	after := licensetest.Erase(t, before, "mark-1")
	update := fmt.Sprintf(`{"Update":{"TableName":"licenses","Key":{"licenseid":{"S":%q}},
		"UpdateExpression":"SET #changereason = :changereason, #customername = :customername, #erased = :erased, `+
		`#ixname = :ixname, #notes = :notes, #requestid = :requestid, #version = :version REMOVE #N7, #phone",
		"ConditionExpression":"attribute_exists(#licenseid) AND #changedtimestamp = :was_changedtimestamp `+
		`AND #version = :was_version",
		"ExpressionAttributeNames":{"#N7":"contact person","#changedtimestamp":"changedtimestamp",
			"#changereason":"changereason","#customername":"customername","#erased":"erased","#ixname":"ixname",
			"#licenseid":"licenseid","#notes":"notes","#phone":"phone","#requestid":"requestid","#version":"version"},
		"ExpressionAttributeValues":{":changereason":{"S":"asked by letter"},":customername":{"S":"erased"},
			":erased":{"S":"mark-1"},":ixname":{"S":"erased"},":notes":{"S":""},":requestid":{"S":%q},
			":version":{"N":"2"},":was_changedtimestamp":{"N":"1793534400000"},":was_version":{"N":"1"}},
		"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}}`, id, after.RequestID)

	wantItems := func(t *testing.T, w *wire, i int, items string) {
		t.Helper()
		token, _ := w.calls[i].body["ClientRequestToken"].(string)
		w.wantRequest(t, i, "TransactWriteItems",
			fmt.Sprintf(`{"ClientRequestToken":%q,"TransactItems":[%s]}`, token, items))
	}
	erase := func(t *testing.T, answers ...answer) (*wire, error) {
		w, client := serve(t, answers...)
		store := dynamo.NewLicenses(client, "licenses", "references")
		return w, store.Erase(t.Context(), before, after, []string{"order 2", "order 1", "order 2"})
	}
	t.Run("OK", func(t *testing.T) {
		w, err := erase(t, ok(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		wantItems(t, w, 0, update+deletions(id, "order 1", "order 2"))
	})
	t.Run("OK/OfAnother", func(t *testing.T) {
		w, err := erase(t, canceled(noReason, refused, noReason), ok(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		wantItems(t, w, 1, update+deletions(id, "order 2"))
	})
	t.Run("OK/AllOfOthers", func(t *testing.T) {
		w, err := erase(t, canceled(noReason, refused, refused), ok(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		wantItems(t, w, 1, update)
	})
	t.Run("OK/InTheWay", func(t *testing.T) {
		const inTheWay = `{"Code":"TransactionConflict"}`
		if _, err := erase(t, canceled(inTheWay, noReason, noReason), ok(`{}`)); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("OK/LostReply", func(t *testing.T) {
		stored := with(after.Record(), "ixissued", "2020-01-01T00:00:00.000Z "+id)
		if _, err := erase(t, canceled(refusedItem(t, stored), noReason, noReason)); err != nil {
			t.Errorf("the erasure that the first attempt made was taken for another's: %v", err)
		}
	})
	for name, stored := range map[string]attribute.Map{
		"Changed": record, "ErasedByOthers": with(after.Record(), "erased", "mark-2"), "Gone": {},
	} {
		t.Run("ErrConflict/"+name, func(t *testing.T) {
			_, err := erase(t, canceled(refusedItem(t, stored), refused, noReason))
			wantErr(t, err, license.ErrConflict)
		})
	}
	t.Run("Removed", func(t *testing.T) {
		removed, err := license.EraseRemoved(id, licensetest.Change("asked by letter"), "mark-1")
		if err != nil {
			t.Fatal(err)
		}
		w, client := serve(t, ok(`{}`), canceled(refusedItem(t, record)))
		store := dynamo.NewLicenses(client, "licenses", "references")
		if err := store.Erase(t.Context(), license.License{}, removed, nil); err != nil {
			t.Fatal(err)
		}
		wantItems(t, w, 0, `{"Put":{"TableName":"licenses","Item":`+dynamoJSON(t, removed.Tombstone())+`,
			"ConditionExpression":"attribute_not_exists(#licenseid)",
			"ExpressionAttributeNames":{"#licenseid":"licenseid"},"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}}`)
		wantErr(t, store.Erase(t.Context(), license.License{}, removed, nil), license.ErrConflict)
	})
	for name, answers := range faults {
		t.Run("Fault/"+name, func(t *testing.T) {
			_, client := serve(t, answers...)
			err := dynamo.NewLicenses(client, "t", "r").Erase(context.Background(), before, after, []string{"order 1"})
			wantFault(t, err, "erase license", before.CustomerName)
		})
	}
}
