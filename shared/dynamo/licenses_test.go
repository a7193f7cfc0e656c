package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/testing/telemetrytest"
)

func TestGet(t *testing.T) {
	t.Run("OK", func(t *testing.T) {
		want := licensetest.Issue(t)
		w, client := serve(t, ok(`{"Item":`+dynamoJSON(t, want.Record())+`}`))
		got, err := dynamo.NewLicenses(client, "licenses-table", "r").Get(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := licensetest.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		w.wantRequest(t, 0, "GetItem", fmt.Sprintf(
			`{"TableName":"licenses-table","Key":{"licenseid":{"S":%q}},"ConsistentRead":true,
			"ReturnConsumedCapacity":"TOTAL"}`,
			want.ID,
		))
	})
	t.Run("ErrNotFound", func(t *testing.T) {
		_, client := serve(t, noItem("t"))
		_, err := dynamo.NewLicenses(client, "t", "r").Get(t.Context(), "some-id")
		wantErr(t, err, license.ErrNotFound)
	})
	t.Run("ErrNotFound/NoKeyOfDynamoDB", func(t *testing.T) {
		_, client := serve(t) // no call
		for _, id := range []string{"", strings.Repeat("x", 2049)} {
			_, err := dynamo.NewLicenses(client, "t", "r").Get(t.Context(), id)
			wantErr(t, err, license.ErrNotFound)
		}
	})
	t.Run("LongestKeyIsAsked", func(t *testing.T) {
		_, client := serve(t, noItem("t"))
		_, err := dynamo.NewLicenses(client, "t", "r").Get(t.Context(), strings.Repeat("x", 2048))
		wantErr(t, err, license.ErrNotFound)
	})
}

// TestGetUnreadable: what attributevalue would let through.
func TestGetUnreadable(t *testing.T) {
	record := licensetest.Issue(t).Record()
	for name, other := range map[string]attribute.Map{
		"flag as text":   with(record, "isrevoked", "true"),
		"flag as NULL":   with(record, "isrevoked", nil),
		"flag as number": with(record, "issuspended", attribute.Number("1")),
		"name as number": with(record, "customername", attribute.Number("1")),
		"days as text":   with(record, "gracedays", "3"),
		"date as number": with(record, "expirationdate", attribute.Number("1735862400")),
	} {
		t.Run(name, func(t *testing.T) {
			_, client := serve(t, ok(`{"Item":`+dynamoJSON(t, other)+`}`))
			l, err := dynamo.NewLicenses(client, "t", "r").Get(t.Context(), record["licenseid"].(string))
			if err != nil || l.Status(licensetest.Now) != license.Unreadable {
				t.Errorf("got %+v, %v", l, err)
			}
		})
	}
	t.Run("type that DynamoDB has not yet", func(t *testing.T) {
		text := strings.Replace(
			dynamoJSON(t, with(record, "isrevoked", "?")), `"isrevoked":{"S"`, `"isrevoked":{"X"`, 1,
		)
		_, client := serve(t, ok(`{"Item":`+text+`}`))
		// The SDK leaves in such an attribute what it has read before it.
		l, err := dynamo.NewLicenses(client, "t", "r").Get(t.Context(), record["licenseid"].(string))
		if err == nil && l.Status(licensetest.Now) != license.Unreadable {
			t.Errorf("got %+v", l)
		}
	})
}

// TestGetTakesNamesExactly: an attribute whose name differs in case is another attribute.
func TestGetTakesNamesExactly(t *testing.T) {
	record := with(licensetest.Issue(t).Record(), "isRevoked", true)
	_, client := serve(t, ok(`{"Item":`+dynamoJSON(t, record)+`}`))
	got, err := dynamo.NewLicenses(client, "t", "r").Get(t.Context(), record["licenseid"].(string))
	if err != nil || got.Revoked {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestCreate(t *testing.T) {
	l := licensetest.Issue(t)
	stored := l.Record()
	taken := func(item attribute.Map) answer {
		return fault(400, "ConditionalCheckFailedException", `,"Item":`+dynamoJSON(t, item))
	}

	t.Run("OK", func(t *testing.T) {
		w, client := serve(t, ok(`{}`))
		if err := dynamo.NewLicenses(client, "licenses-table", "r").Create(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		w.wantRequest(t, 0, "PutItem", `{"TableName":"licenses-table","Item":`+dynamoJSON(t, stored)+`,
			"ConditionExpression":"attribute_not_exists(#licenseid)",
			"ExpressionAttributeNames":{"#licenseid":"licenseid"},
			"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`)
	})
	t.Run("LostReply", func(t *testing.T) {
		_, client := serve(t, answer{status: 500}, taken(stored))
		if err := dynamo.NewLicenses(client, "t", "r").Create(t.Context(), l); err != nil {
			t.Errorf("the record that the first attempt wrote was taken for another's: %v", err)
		}
	})
	for name, other := range map[string]attribute.Map{
		"OtherContent": with(stored, "customername", "Another"),
		"OtherRequest": with(stored, "requestid", "another"),
		"NotTold":      {},
	} {
		t.Run("ErrExists/"+name, func(t *testing.T) {
			_, client := serve(t, taken(other))
			wantErr(t, dynamo.NewLicenses(client, "t", "r").Create(t.Context(), l), license.ErrExists)
		})
	}
	t.Run("ErrExists/WithoutRequestID", func(t *testing.T) {
		anonymous := l
		anonymous.RequestID = ""
		same := anonymous.Record()
		_, client := serve(t, taken(same))
		wantErr(t, dynamo.NewLicenses(client, "t", "r").Create(t.Context(), anonymous), license.ErrExists)
	})
}

func TestUpdate(t *testing.T) {
	before := licensetest.Issue(t)
	change := licensetest.Change("")
	after, err := before.Revoke(change)
	if err != nil {
		t.Fatal(err)
	}

	t.Run("OK", func(t *testing.T) {
		w, client := serve(t, ok(`{}`))
		if err := dynamo.NewLicenses(client, "licenses-table", "r").Update(t.Context(), before, after); err != nil {
			t.Fatal(err)
		}
		w.wantRequest(t, 0, "UpdateItem", fmt.Sprintf(`{"TableName":"licenses-table",
			"Key":{"licenseid":{"S":%q}},
			"UpdateExpression":"SET #isrevoked = :isrevoked, #ixstanding = :ixstanding, #requestid = :requestid,`+
			` #version = :version REMOVE #changereason",
			"ConditionExpression":"attribute_exists(#licenseid) `+
			`AND #changedtimestamp = :was_changedtimestamp AND #version = :was_version",
			"ExpressionAttributeNames":{"#changedtimestamp":"changedtimestamp","#changereason":"changereason",
				"#isrevoked":"isrevoked","#ixstanding":"ixstanding","#licenseid":"licenseid",
				"#requestid":"requestid","#version":"version"},
			"ExpressionAttributeValues":{":isrevoked":{"BOOL":true},":ixstanding":{"S":"revoked"},
				":requestid":{"S":%q},":version":{"N":"2"},
				":was_changedtimestamp":{"N":"1793534400000"},":was_version":{"N":"1"}},
			"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`, before.ID, change.RequestID))
	})
	t.Run("OK/ForeignRecord", func(t *testing.T) {
		foreign, err := license.FromRecord(attribute.Map{
			"licenseid": "an-id", "expirationdate": "2030-01-03", "changedtimestamp": "yesterday",
		})
		if err != nil {
			t.Fatal(err)
		}
		w, client := serve(t, ok(`{}`))
		revoked := licensetest.Revoke(t, foreign, "why")
		if err := dynamo.NewLicenses(client, "t", "r").Update(t.Context(), foreign, revoked); err != nil {
			t.Fatal(err)
		}
		const want = "attribute_exists(#licenseid) AND #changedtimestamp = :was_changedtimestamp AND " +
			"(attribute_not_exists(#version) OR attribute_type(#version, :NULL))"
		if got := w.calls[0].body["ConditionExpression"]; got != want {
			t.Errorf("the condition is\n%s, want\n%s", got, want)
		}
		values := w.calls[0].body["ExpressionAttributeValues"].(map[string]any)
		if diff := cmp.Diff(map[string]any{"S": "NULL"}, values[":NULL"]); diff != "" {
			t.Errorf(":NULL (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]any{"S": "yesterday"}, values[":was_changedtimestamp"]); diff != "" {
			t.Errorf("the expected value (-want +got):\n%s", diff)
		}
	})

	stored := after.Record()
	refusal := func(item attribute.Map) answer {
		return fault(400, "ConditionalCheckFailedException", `,"Item":`+dynamoJSON(t, item))
	}
	t.Run("LostReply", func(t *testing.T) {
		// Meanwhile the index function may have set what it knows better.
		kept := with(with(stored, "foreign", "kept"), "ixissued", "2020-01-01T00:00:00.000Z "+before.ID)
		_, client := serve(t, answer{status: 500}, refusal(kept))
		if err := dynamo.NewLicenses(client, "t", "r").Update(t.Context(), before, after); err != nil {
			t.Errorf("the change that the first attempt made was taken for another's: %v", err)
		}
	})
	for name, other := range map[string]attribute.Map{
		"OtherRequest":  with(stored, "requestid", "another"),
		"LaterVersion":  with(stored, "version", attribute.Number("3")),
		"RemovedIsBack": with(stored, "changereason", "again"),
		"Gone":          {},
	} {
		t.Run("ErrConflict/"+name, func(t *testing.T) {
			_, client := serve(t, refusal(other))
			wantErr(t, dynamo.NewLicenses(client, "t", "r").Update(t.Context(), before, after), license.ErrConflict)
		})
	}
	t.Run("ErrConflict/WithoutRequestID", func(t *testing.T) {
		anonymous := after
		anonymous.RequestID = ""
		_, client := serve(t, refusal(anonymous.Record()))
		wantErr(t, dynamo.NewLicenses(client, "t", "r").Update(t.Context(), before, anonymous), license.ErrConflict)
	})
}

func TestList(t *testing.T) {
	first, second := licensetest.Issue(t), licensetest.Issue(t)
	second.CustomerID = first.CustomerID
	page := `{"Items":[` + dynamoJSON(t, second.Record()) + `,` + dynamoJSON(t, first.Record()) + `]`

	t.Run("Newest", func(t *testing.T) {
		w, client := serve(t, ok(page+`}`))
		got, err := dynamo.NewLicenses(client, "licenses-table", "r").List(t.Context(), license.Query{Limit: 7})
		if err != nil {
			t.Fatal(err)
		}
		if diff := licensetest.Diff(license.Page{Licenses: []license.License{second, first}}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		w.wantRequest(t, 0, "Query", `{"TableName":"licenses-table","IndexName":"newest",
			"KeyConditionExpression":"#partition = :partition AND #sort BETWEEN :from AND :to",
			"ScanIndexForward":false,"Limit":7,
			"ExpressionAttributeNames":{"#partition":"ixcollection","#sort":"ixissued"},
			"ExpressionAttributeValues":{":partition":{"S":"licenses"},":from":{"S":"0"},":to":{"S":":"}}}`)
	})
	t.Run("Newest/NextPage", func(t *testing.T) {
		_, client := serve(t, ok(page+`,"LastEvaluatedKey":{"ixcollection":{"S":"licenses"},"ixissued":{"S":"2026"},
			"licenseid":{"S":"an-id"}}}`))
		first, err := dynamo.NewLicenses(client, "t", "r").List(t.Context(), license.Query{Limit: 2})
		if err != nil {
			t.Fatal(err)
		}
		w, client := serve(t, ok(`{"Items":[]}`))
		q := license.Query{Limit: 7, Position: first.Next}
		if _, err := dynamo.NewLicenses(client, "t", "r").List(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"ixcollection": map[string]any{"S": "licenses"}, "ixissued": map[string]any{"S": "2026"},
			"licenseid": map[string]any{"S": "an-id"},
		}
		if diff := cmp.Diff(want, w.calls[0].body["ExclusiveStartKey"]); diff != "" {
			t.Errorf("start key (-want +got):\n%s", diff)
		}
	})
	t.Run("Customer", func(t *testing.T) {
		w, client := serve(t, ok(page+`,"LastEvaluatedKey":{"ixowner":{"S":"c"},"ixissued":{"S":"2026"},
			"licenseid":{"S":"a"}}}`))
		got, err := dynamo.NewLicenses(client, "licenses-table", "r").List(t.Context(),
			license.Query{CustomerID: first.CustomerID, Limit: 2, Position: `0:["2027","an-id"]`})
		if err != nil {
			t.Fatal(err)
		}
		if want := `0:["2026","a"]`; got.Next != want {
			t.Errorf("the next page begins after %s, want %s", got.Next, want)
		}
		w.wantRequest(t, 0, "Query", `{"TableName":"licenses-table","IndexName":"customer",
			"KeyConditionExpression":"#partition = :partition AND #sort BETWEEN :from AND :to",
			"ScanIndexForward":false,"Limit":2,
			"ExpressionAttributeNames":{"#partition":"ixowner","#sort":"ixissued"},
			"ExpressionAttributeValues":{":partition":{"S":"`+first.CustomerID+`"},":from":{"S":"0"},":to":{"S":":"}},
			"ExclusiveStartKey":{"ixowner":{"S":"`+first.CustomerID+`"},"ixissued":{"S":"2027"},
			"licenseid":{"S":"an-id"}}}`)
	})
	t.Run("Status", func(t *testing.T) {
		w, client := serve(t, ok(page+`,"LastEvaluatedKey":{"ixstanding":{"S":"active"},
			"ixends":{"S":"2026-10-30"},"licenseid":{"S":"an-id"}}}`), ok(`{"Items":[]}`))
		q := license.Query{
			Status: license.Grace, ExpiringBefore: licensetest.Now.AddDate(0, 0, -1), Now: licensetest.Now, Limit: 3,
		}
		got, err := dynamo.NewLicenses(client, "licenses-table", "r").List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Licenses) != 0 || got.Next != "" {
			t.Errorf("got %+v, of licenses that are active", got)
		}
		request := `{"TableName":"licenses-table","IndexName":"standing",
			"KeyConditionExpression":"#partition = :partition AND #sort BETWEEN :from AND :to",
			"ScanIndexForward":false,"Limit":3,
			"ExpressionAttributeNames":{"#partition":"ixstanding","#sort":"ixends"},
			"ExpressionAttributeValues":{":partition":{"S":"active"},
				":from":{"S":"2025-11-01T12:00:00.000Z"},":to":{"S":"2026-10-31T11:59:59.999Z"}}`
		w.wantRequest(t, 0, "Query", request+`}`)
		w.wantRequest(t, 1, "Query", request+`,
			"ExclusiveStartKey":{"ixstanding":{"S":"active"},"ixends":{"S":"2026-10-30"},
			"licenseid":{"S":"an-id"}}}`)
	})
	t.Run("ExpiringBefore", func(t *testing.T) {
		w, client := serve(t, ok(`{"Items":[]}`))
		q := license.Query{ExpiringBefore: licensetest.Now, Limit: 3, Position: `0:["2026-10-30","an-id"]`}
		if _, err := dynamo.NewLicenses(client, "licenses-table", "r").List(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		w.wantRequest(t, 0, "Query", `{"TableName":"licenses-table","IndexName":"expiry",
			"KeyConditionExpression":"#partition = :partition AND #sort BETWEEN :from AND :to",
			"ScanIndexForward":false,"Limit":3,
			"ExpressionAttributeNames":{"#partition":"ixcollection","#sort":"ixends"},
			"ExpressionAttributeValues":{":partition":{"S":"licenses"},
				":from":{"S":"0001-01-01T00:00:00.000Z"},":to":{"S":"2026-11-01T11:59:59.999Z"}},
			"ExclusiveStartKey":{"ixcollection":{"S":"licenses"},"ixends":{"S":"2026-10-30"},
			"licenseid":{"S":"an-id"}}}`)
	})
	t.Run("Bounded", func(t *testing.T) { // a page that nothing fills costs MaxReads queries, and leads on
		more := ok(
			`{"Items":[],"LastEvaluatedKey":{"ixstanding":{"S":"active"},"ixends":{"S":"2026-10-30"},
			"licenseid":{"S":"an-id"}}}`,
		)
		w, client := serve(t, slices.Repeat([]answer{more}, license.MaxReads)...)
		q := license.Query{Status: license.Grace, Now: licensetest.Now, Limit: 3}
		got, err := dynamo.NewLicenses(client, "t", "r").List(t.Context(), q)
		if err != nil || got.Next != `0:["2026-10-30","an-id"]` || len(w.calls) != license.MaxReads {
			t.Errorf("got %+v, %v after %d queries", got, err, len(w.calls))
		}
	})
}

// TestListOddRecords: a record that can be read in part is in the list, and one that cannot be read at all too.
func TestListOddRecords(t *testing.T) {
	good, odd := licensetest.Issue(t), licensetest.Issue(t)
	_, client := serve(t, ok(`{"Items":[`+dynamoJSON(t, good.Record())+`,{"licenseid":{"S":"damaged"}},
		`+dynamoJSON(t, with(odd.Record(), "isrevoked", "true"))+`]}`))
	log := telemetrytest.Capture(t)

	store := dynamo.NewLicenses(newType{client}, "t", "references")
	page, err := store.List(t.Context(), license.Query{Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range page.Licenses {
		got = append(got, l.ID+" "+string(l.Status(licensetest.Now)))
	}
	if diff := cmp.Diff([]string{good.ID + " active", "damaged unreadable", odd.ID + " unreadable"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text := log.String(); !strings.Contains(text, "WARN") || strings.Contains(text, "a secret remark") {
		t.Errorf("logged %s", text)
	}
}

// newType adds an attribute of a type that the SDK does not know yet to the second item of a query.
type newType struct{ *dynamodb.Client }

func (c newType) Query(
	ctx context.Context, in *dynamodb.QueryInput, options ...func(*dynamodb.Options),
) (*dynamodb.QueryOutput, error) {
	out, err := c.Client.Query(ctx, in, options...)
	if err == nil {
		out.Items[1]["notes"] = &types.UnknownUnionMember{Tag: "X", Value: []byte("a secret remark")}
	}
	return out, err
}

// TestLicenseFaults: a fault of DynamoDB is never an answer about a license, and names its operation.
func TestLicenseFaults(t *testing.T) {
	l := licensetest.Issue(t)
	operations := map[string]func(context.Context, *dynamo.Licenses) error{
		"get license": func(ctx context.Context, s *dynamo.Licenses) error {
			_, err := s.Get(ctx, l.ID)
			return err
		},
		"create license": func(ctx context.Context, s *dynamo.Licenses) error { return s.Create(ctx, l) },
		"update license": func(ctx context.Context, s *dynamo.Licenses) error {
			return s.Update(ctx, l, licensetest.Revoke(t, l, "why"))
		},
		"list licenses": func(ctx context.Context, s *dynamo.Licenses) error {
			_, err := s.List(ctx, license.Query{Limit: 1})
			return err
		},
	}
	for operation, run := range operations {
		for name, answers := range faults {
			t.Run(operation+"/"+name, func(t *testing.T) {
				_, client := serve(t, answers...)
				err := run(t.Context(), dynamo.NewLicenses(client, "t", "r"))
				wantFault(t, err, operation, l.CustomerName)
			})
		}
	}
}

// wantFault wants an error that is none of the domain's and says which operation failed, and nothing of what
// was written.
func wantFault(t *testing.T, err error, operation, content string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, answer := range []error{license.ErrNotFound, license.ErrExists, license.ErrConflict, license.ErrUnreadable} {
		if errors.Is(err, answer) {
			t.Errorf("the fault became %v", err)
		}
	}
	if !strings.HasPrefix(err.Error(), operation+": ") || strings.Contains(err.Error(), content) {
		t.Errorf("the error reads %q", err)
	}
}

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
	}
}
