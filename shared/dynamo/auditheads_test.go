package dynamo_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/audit"
	"openlicenser/shared/dynamo"
)

func TestHeads(t *testing.T) {
	t.Run("Pages", func(t *testing.T) {
		w, client := serve(t,
			ok(`{"Items":[`+sampleHeadItem(t)+`],"LastEvaluatedKey":{"licenseid":{"S":"an-id"}}}`),
			ok(`{"Items":[]}`))
		var got []audit.ChainHead
		for head, err := range dynamo.NewAuditTrail(client, "audit-table", "d").Heads(t.Context(), 7) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, head)
		}
		want := []audit.ChainHead{sampleState().ChainHead("an-id")}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		query := `"TableName":"audit-table","IndexName":"heads","KeyConditionExpression":"#bucket = :bucket",
			"ExpressionAttributeNames":{"#bucket":"bucket"},
			"ExpressionAttributeValues":{":bucket":{"N":"7"}}`
		w.wantRequest(t, 0, "Query", `{`+query+`}`)
		w.wantRequest(t, 1, "Query", `{`+query+`,"ExclusiveStartKey":{"licenseid":{"S":"an-id"}}}`)
	})
	t.Run("UnreadableIsNotLeftOut", func(t *testing.T) {
		_, client := serve(
			t, ok(`{"Items":[{"licenseid":{"S":"an-id"},"headsequence":{"S":"many"}},`+sampleHeadItem(t)+`]}`),
		)
		var got []audit.ChainHead
		for head, err := range dynamo.NewAuditTrail(client, "t", "d").Heads(t.Context(), 7) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, head)
		}
		if len(got) != 2 || got[0] != (audit.ChainHead{LicenseID: "an-id"}) {
			t.Errorf("got %+v", got)
		}
	})
	for name, answers := range faults {
		t.Run(name, func(t *testing.T) {
			_, client := serve(t, answers...)
			failed := 0
			for _, err := range dynamo.NewAuditTrail(client, "t", "d").Heads(t.Context(), 7) {
				wantFault(t, err, "audit heads", "said by the server of nothing")
				failed++
			}
			if failed != 1 {
				t.Errorf("%d errors", failed)
			}
		})
	}
}
