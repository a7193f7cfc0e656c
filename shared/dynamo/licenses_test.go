package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

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
		got, err := dynamo.NewLicenses(client, "licenses-table").Get(t.Context(), want.ID)
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
		_, err := dynamo.NewLicenses(client, "t").Get(t.Context(), "some-id")
		wantErr(t, err, license.ErrNotFound)
	})
	t.Run("ErrNotFound/NoKeyOfDynamoDB", func(t *testing.T) {
		_, client := serve(t) // no call
		for _, id := range []string{"", strings.Repeat("x", 2049)} {
			_, err := dynamo.NewLicenses(client, "t").Get(t.Context(), id)
			wantErr(t, err, license.ErrNotFound)
		}
	})
	t.Run("LongestKeyIsAsked", func(t *testing.T) {
		_, client := serve(t, noItem("t"))
		_, err := dynamo.NewLicenses(client, "t").Get(t.Context(), strings.Repeat("x", 2048))
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
			l, err := dynamo.NewLicenses(client, "t").Get(t.Context(), record["licenseid"].(string))
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
		l, err := dynamo.NewLicenses(client, "t").Get(t.Context(), record["licenseid"].(string))
		if err == nil && l.Status(licensetest.Now) != license.Unreadable {
			t.Errorf("got %+v", l)
		}
	})
}

// TestGetTakesNamesExactly: an attribute whose name differs in case is another attribute.
func TestGetTakesNamesExactly(t *testing.T) {
	record := with(licensetest.Issue(t).Record(), "isRevoked", true)
	_, client := serve(t, ok(`{"Item":`+dynamoJSON(t, record)+`}`))
	got, err := dynamo.NewLicenses(client, "t").Get(t.Context(), record["licenseid"].(string))
	if err != nil || got.Revoked {
		t.Errorf("got %+v, %v", got, err)
	}
}

// indexed is a license's record with what the indexes need.
func indexed(l license.License) attribute.Map {
	return with(with(l.Record(), "collection", "licenses"), "standing", string(l.Standing()))
}

func TestCreate(t *testing.T) {
	l := licensetest.Issue(t)
	stored := indexed(l)
	taken := func(item attribute.Map) answer {
		return fault(400, "ConditionalCheckFailedException", `,"Item":`+dynamoJSON(t, item))
	}

	t.Run("OK", func(t *testing.T) {
		w, client := serve(t, ok(`{}`))
		if err := dynamo.NewLicenses(client, "licenses-table").Create(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		w.wantRequest(t, 0, "PutItem", `{"TableName":"licenses-table","Item":`+dynamoJSON(t, stored)+`,
			"ConditionExpression":"attribute_not_exists(#licenseid)",
			"ExpressionAttributeNames":{"#licenseid":"licenseid"},
			"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`)
	})
	t.Run("LostReply", func(t *testing.T) {
		_, client := serve(t, answer{status: 500}, taken(stored))
		if err := dynamo.NewLicenses(client, "t").Create(t.Context(), l); err != nil {
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
			wantErr(t, dynamo.NewLicenses(client, "t").Create(t.Context(), l), license.ErrExists)
		})
	}
	t.Run("ErrExists/WithoutRequestID", func(t *testing.T) {
		anonymous := l
		anonymous.RequestID = ""
		same := indexed(anonymous)
		_, client := serve(t, taken(same))
		wantErr(t, dynamo.NewLicenses(client, "t").Create(t.Context(), anonymous), license.ErrExists)
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
		if err := dynamo.NewLicenses(client, "licenses-table").Update(t.Context(), before, after); err != nil {
			t.Fatal(err)
		}
		w.wantRequest(t, 0, "UpdateItem", fmt.Sprintf(`{"TableName":"licenses-table",
			"Key":{"licenseid":{"S":%q}},
			"UpdateExpression":"SET #collection = :collection, #isrevoked = :isrevoked, #requestid = :requestid,`+
			` #standing = :standing, #version = :version REMOVE #changereason",
			"ConditionExpression":"attribute_exists(#licenseid) `+
			`AND #changedtimestamp = :was_changedtimestamp AND #version = :was_version",
			"ExpressionAttributeNames":{"#changedtimestamp":"changedtimestamp","#changereason":"changereason",
				"#collection":"collection","#isrevoked":"isrevoked","#licenseid":"licenseid",
				"#requestid":"requestid","#standing":"standing","#version":"version"},
			"ExpressionAttributeValues":{":collection":{"S":"licenses"},":isrevoked":{"BOOL":true},
				":requestid":{"S":%q},":standing":{"S":"revoked"},":version":{"N":"2"},
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
		if err := dynamo.NewLicenses(client, "t").Update(t.Context(), foreign, revoked); err != nil {
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

	stored := indexed(after)
	refusal := func(item attribute.Map) answer {
		return fault(400, "ConditionalCheckFailedException", `,"Item":`+dynamoJSON(t, item))
	}
	t.Run("LostReply", func(t *testing.T) {
		_, client := serve(t, answer{status: 500}, refusal(with(stored, "foreign", "kept")))
		if err := dynamo.NewLicenses(client, "t").Update(t.Context(), before, after); err != nil {
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
			wantErr(t, dynamo.NewLicenses(client, "t").Update(t.Context(), before, after), license.ErrConflict)
		})
	}
	t.Run("ErrConflict/WithoutRequestID", func(t *testing.T) {
		anonymous := after
		anonymous.RequestID = ""
		_, client := serve(t, refusal(indexed(anonymous)))
		wantErr(t, dynamo.NewLicenses(client, "t").Update(t.Context(), before, anonymous), license.ErrConflict)
	})
}

// TestUpdateOddIndexKeys: what may be no key of an index is removed where DynamoDB takes no update for it, and else
// stays.
func TestUpdateOddIndexKeys(t *testing.T) {
	record := with(with(licensetest.Issue(t).Record(), "customerid", nil), "expirationdate", "soon")
	before, err := license.FromRecord(record)
	if err != nil {
		t.Fatal(err)
	}
	invalid := fault(400, "ValidationException", "")
	for name, test := range map[string]struct {
		answers []answer
		removes []bool
	}{
		"taken":     {[]answer{ok(`{}`)}, []bool{false}},
		"not taken": {[]answer{invalid, ok(`{}`)}, []bool{false, true}},
	} {
		t.Run(name, func(t *testing.T) {
			w, client := serve(t, test.answers...)
			err := dynamo.NewLicenses(client, "t").Update(t.Context(), before, licensetest.Revoke(t, before, "why"))
			if err != nil {
				t.Fatal(err)
			}
			for i, removes := range test.removes {
				expression, _ := w.calls[i].body["UpdateExpression"].(string)
				_, removed, _ := strings.Cut(expression, "REMOVE")
				for _, name := range []string{"#customerid", "#expirationdate"} {
					if strings.Contains(removed, name) != removes {
						t.Errorf("update %d: %s", i, expression)
					}
				}
			}
		})
	}
}

func TestList(t *testing.T) {
	first, second := licensetest.Issue(t), licensetest.Issue(t)
	second.CustomerID = first.CustomerID
	page := `{"Items":[` + dynamoJSON(t, second.Record()) + `,` + dynamoJSON(t, first.Record()) + `]`

	t.Run("Newest", func(t *testing.T) {
		w, client := serve(t, ok(page+`}`))
		got, err := dynamo.NewLicenses(client, "licenses-table").List(t.Context(), license.Query{Limit: 7})
		if err != nil {
			t.Fatal(err)
		}
		if diff := licensetest.Diff(license.Page{Licenses: []license.License{second, first}}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		w.wantRequest(t, 0, "Query", `{"TableName":"licenses-table","IndexName":"newest",
			"KeyConditionExpression":"#partition = :partition","ScanIndexForward":false,"Limit":7,
			"ExpressionAttributeNames":{"#partition":"collection"},
			"ExpressionAttributeValues":{":partition":{"S":"licenses"}}}`)
	})
	t.Run("Newest/NextPage", func(t *testing.T) {
		_, client := serve(t, ok(page+`,"LastEvaluatedKey":{"collection":{"S":"licenses"},"licenseid":{"S":"an-id"}}}`))
		first, err := dynamo.NewLicenses(client, "t").List(t.Context(), license.Query{Limit: 2})
		if err != nil {
			t.Fatal(err)
		}
		w, client := serve(t, ok(`{"Items":[]}`))
		q := license.Query{Limit: 7, Position: first.Next}
		if _, err := dynamo.NewLicenses(client, "t").List(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"collection": map[string]any{"S": "licenses"}, "licenseid": map[string]any{"S": "an-id"}}
		if diff := cmp.Diff(want, w.calls[0].body["ExclusiveStartKey"]); diff != "" {
			t.Errorf("start key (-want +got):\n%s", diff)
		}
	})
	t.Run("Customer", func(t *testing.T) {
		w, client := serve(t, ok(page+`,"LastEvaluatedKey":{"customerid":{"S":"c"},"licenseid":{"S":"`+first.ID+`"}}}`))
		got, err := dynamo.NewLicenses(client, "licenses-table").List(t.Context(),
			license.Query{CustomerID: first.CustomerID, Limit: 2, Position: `["an-id","an-id"]`})
		if err != nil {
			t.Fatal(err)
		}
		if want := `["` + first.ID + `","` + first.ID + `"]`; got.Next != want {
			t.Errorf("the next page begins after %s, want %s", got.Next, want)
		}
		w.wantRequest(t, 0, "Query", `{"TableName":"licenses-table","IndexName":"customer",
			"KeyConditionExpression":"#partition = :partition","ScanIndexForward":false,"Limit":2,
			"ExpressionAttributeNames":{"#partition":"customerid"},
			"ExpressionAttributeValues":{":partition":{"S":"`+first.CustomerID+`"}},
			"ExclusiveStartKey":{"customerid":{"S":"`+first.CustomerID+`"},"licenseid":{"S":"an-id"}}}`)
	})
	t.Run("Status", func(t *testing.T) {
		w, client := serve(t, ok(page+`,"LastEvaluatedKey":{"standing":{"S":"active"},
			"expirationdate":{"S":"2026-10-30"},"licenseid":{"S":"an-id"}}}`), ok(`{"Items":[]}`))
		q := license.Query{
			Status: license.Grace, ExpiringBefore: licensetest.Now.AddDate(0, 0, -1), Now: licensetest.Now, Limit: 3,
		}
		got, err := dynamo.NewLicenses(client, "licenses-table").List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Licenses) != 0 || got.Next != "" {
			t.Errorf("got %+v, of licenses that are active", got)
		}
		request := `{"TableName":"licenses-table","IndexName":"standing",
			"KeyConditionExpression":"#partition = :partition AND #date BETWEEN :from AND :to",
			"ScanIndexForward":false,"Limit":3,
			"ExpressionAttributeNames":{"#partition":"standing","#date":"expirationdate"},
			"ExpressionAttributeValues":{":partition":{"S":"active"},
				":from":{"S":"2025-10-31T12:00:00.000Z"},":to":{"S":"2026-11-01T12:00:00.000Z"}}`
		w.wantRequest(t, 0, "Query", request+`}`)
		w.wantRequest(t, 1, "Query", request+`,
			"ExclusiveStartKey":{"standing":{"S":"active"},"expirationdate":{"S":"2026-10-30"},
			"licenseid":{"S":"an-id"}}}`)
	})
	t.Run("ExpiringBefore", func(t *testing.T) {
		w, client := serve(t, ok(`{"Items":[]}`))
		q := license.Query{ExpiringBefore: licensetest.Now, Limit: 3, Position: `["2026-10-30","an-id"]`}
		if _, err := dynamo.NewLicenses(client, "licenses-table").List(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		w.wantRequest(t, 0, "Query", `{"TableName":"licenses-table","IndexName":"expiry",
			"KeyConditionExpression":"#partition = :partition AND #date BETWEEN :from AND :to",
			"ScanIndexForward":false,"Limit":3,
			"ExpressionAttributeNames":{"#partition":"collection","#date":"expirationdate"},
			"ExpressionAttributeValues":{":partition":{"S":"licenses"},
				":from":{"S":"0"},":to":{"S":"2026-11-02T12:00:00.000Z"}},
			"ExclusiveStartKey":{"collection":{"S":"licenses"},"expirationdate":{"S":"2026-10-30"},
			"licenseid":{"S":"an-id"}}}`)
	})
	t.Run("Bounded", func(t *testing.T) { // a page that nothing fills costs MaxReads queries, and leads on
		more := ok(
			`{"Items":[],"LastEvaluatedKey":{"standing":{"S":"active"},"expirationdate":{"S":"2026-10-30"},
			"licenseid":{"S":"an-id"}}}`,
		)
		w, client := serve(t, slices.Repeat([]answer{more}, license.MaxReads)...)
		q := license.Query{Status: license.Grace, Now: licensetest.Now, Limit: 3}
		got, err := dynamo.NewLicenses(client, "t").List(t.Context(), q)
		if err != nil || got.Next != `["2026-10-30","an-id"]` || len(w.calls) != license.MaxReads {
			t.Errorf("got %+v, %v after %d queries", got, err, len(w.calls))
		}
	})
}

// TestListOddRecords: a record that can be read in part is in the list, one that says nothing at all hides no other.
func TestListOddRecords(t *testing.T) {
	good, odd := licensetest.Issue(t), licensetest.Issue(t)
	none := dynamoJSON(t, attribute.Map{"licenseid": attribute.Number("7"), "notes": "a secret remark"})
	w, client := serve(t, ok(`{"Items":[`+dynamoJSON(t, good.Record())+`,`+none+`],
		"LastEvaluatedKey":{"collection":{"S":"licenses"},"licenseid":{"S":"`+odd.ID+`"}}}`),
		ok(`{"Items":[`+dynamoJSON(t, with(odd.Record(), "isrevoked", "true"))+`]}`))
	log := telemetrytest.Capture(t)

	page, err := dynamo.NewLicenses(client, "t").List(t.Context(), license.Query{Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Licenses) != 2 || page.Licenses[0].ID != good.ID ||
		page.Licenses[1].Status(licensetest.Now) != license.Unreadable {
		t.Errorf("got %+v", page)
	}
	if next := w.calls[1].body; next["Limit"] != 1.0 {
		t.Errorf("to fill the page, asks for %v", next)
	}
	if text := log.String(); !strings.Contains(text, "WARN") || strings.Contains(text, "a secret remark") {
		t.Errorf("logged %s", text)
	}
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
				err := run(t.Context(), dynamo.NewLicenses(client, "t"))
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
