package dynamo_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/testing/audittest"
)

// sampleEntry holds every character that JSON for HTML would escape.
func sampleEntry() audit.Entry {
	return audit.Entry{
		Format: 2, LicenseID: "an-id", Sequence: 5, Action: audit.Changed, Actor: "vendor",
		Changes: map[string]audit.FieldChange{
			"notes": {New: json.RawMessage(`{"S":"<&>"}`)}, "plan": {New: json.RawMessage(`{"S":"<&é>"}`)},
		},
		Nonces: map[string]audit.FieldNonces{"notes": {New: "N1"}},
		Reason: "<why> & é", ReasonNonce: "N2", Stream: "2026-11-01T11:00:00.000",
		SequenceNumber: "1234567890123456789012345678901234567890", Previous: "4444", Hash: "5555",
		RecordHash: "rrrr",
	}
}

// sampleState is the state after that entry.
func sampleState() audit.State {
	return audit.State{
		Head:   audit.Head{ErasedSequence: 2, ErasedNumber: "22"}.After(sampleEntry()),
		Nonces: audit.Nonces{"notes": "N1"}, StoredHash: "ssss",
	}
}

// The commitments are the SHA-256 of ["N1","notes",{"S":"<&>"}] and of ["N2","reason",{"S":"<why> & é"}].
const (
	sampleEntryJSON = `{"action":"CHANGED","actor":"vendor","changes":{"notes":{"new":{"commitment":` +
		`"9a6b30fdf2535b9737908800d6c626e3c386bc6dc6f6d47b71a1530f1064c780"}},"plan":{"new":{"S":"<&é>"}}},` +
		`"eventid":"","format":2,"hash":"5555","licenseid":"an-id","previous":"4444","reasoncommitment":` +
		`"f32366fc3736eca542a13b25d5386bf255a4342fe24b48aa227844ec0d83dda4","recordhash":"rrrr","sequence":5,` +
		`"sequencenumber":"1234567890123456789012345678901234567890","stream":"2026-11-01T11:00:00.000","time":""}`
	sampleDisclosureJSON = `{"changes":{"notes":{"new":{"S":"<&>"}}},"nonces":{"notes":{"new":"N1"}},` +
		`"reason":"<why> & é","reasonnonce":"N2"}`
)

func sampleDisclosureItem(t *testing.T) string {
	return dynamoJSON(t, attribute.Map{
		"licenseid": "an-id", "sequence": attribute.Number("5"), "disclosure": sampleDisclosureJSON,
	})
}

func sampleEntryItem(t *testing.T) string {
	return dynamoJSON(t, attribute.Map{
		"licenseid": "an-id", "sequence": attribute.Number("5"), "entry": sampleEntryJSON, "hash": "5555",
	})
}

func sampleHeadItem(t *testing.T) string {
	return dynamoJSON(t, attribute.Map{
		"bucket":    attribute.Number("78"),
		"licenseid": "an-id", "sequence": attribute.Number("0"), "headsequence": attribute.Number("5"), "hash": "5555",
		"stream": "2026-11-01T11:00:00.000", "sequencenumber": "1234567890123456789012345678901234567890",
		"recordhash": "rrrr", "erasedsequence": attribute.Number("2"), "erasedstream": "", "erasednumber": "22",
		"gapsequence": attribute.Number("0"),
		"storedhash":  "ssss", "nonces": `{"notes":"N1"}`,
	})
}

func TestState(t *testing.T) {
	t.Run("OK", func(t *testing.T) {
		w, client := serve(t, ok(`{"Item":`+sampleHeadItem(t)+`}`))
		got, err := dynamo.NewAuditTrail(client, "audit-table", "d").State(t.Context(), "an-id")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sampleState(), got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		w.wantRequest(t, 0, "GetItem",
			`{"TableName":"audit-table","ConsistentRead":true,"ReturnConsumedCapacity":"TOTAL",
			"Key":{"licenseid":{"S":"an-id"},"sequence":{"N":"0"}}}`)
	})
	t.Run("NoChain", func(t *testing.T) {
		_, client := serve(t, noItem("t"))
		got, err := dynamo.NewAuditTrail(client, "t", "d").State(t.Context(), "an-id")
		if err != nil || got.Head != (audit.Head{}) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("Unreadable", func(t *testing.T) {
		_, client := serve(
			t, ok(`{"Item":{"licenseid":{"S":"an-id"},"sequence":{"N":"0"},"headsequence":{"S":"many"}}}`),
			ok(`{"Item":{"licenseid":{"S":"an-id"},"sequence":{"N":"0"},"nonces":{"S":"no JSON"}}}`),
		)
		for range 2 {
			_, err := dynamo.NewAuditTrail(client, "t", "d").State(t.Context(), "an-id")
			if wantFault(t, err, "audit head", "many"); !errors.Is(err, audit.ErrUnreadable) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestAppend(t *testing.T) {
	putEntry := `{"Put":{"TableName":"audit-table","Item":` + sampleEntryItem(t) + `,
		"ConditionExpression":"attribute_not_exists(#licenseid)",
		"ExpressionAttributeNames":{"#licenseid":"licenseid"}}}`
	putDisclosure := `{"Put":{"TableName":"disclosure-table","Item":` + sampleDisclosureItem(t) + `}}`
	tests := map[string]struct {
		from    audit.Head
		putHead string
	}{
		"FirstEntry": {
			from: audit.Head{},
			putHead: `{"Put":{"TableName":"audit-table","Item":` + sampleHeadItem(t) + `,
				"ConditionExpression":"attribute_not_exists(#licenseid)",
				"ExpressionAttributeNames":{"#licenseid":"licenseid"}}}`,
		},
		"NextEntry": {
			from: audit.Head{Sequence: 4, Hash: "4444", SequenceNumber: "44", RecordHash: "qqqq"},
			putHead: `{"Put":{"TableName":"audit-table","Item":` + sampleHeadItem(t) + `,
				"ConditionExpression":"#headsequence = :headsequence AND #hash = :hash` +
				` AND #sequencenumber = :sequencenumber AND #recordhash = :recordhash",
				"ExpressionAttributeNames":{"#headsequence":"headsequence","#hash":"hash",
				"#sequencenumber":"sequencenumber","#recordhash":"recordhash"},
				"ExpressionAttributeValues":{":headsequence":{"N":"4"},":hash":{"S":"4444"},
				":sequencenumber":{"S":"44"},":recordhash":{"S":"qqqq"}}}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w, client := serve(t, ok(`{}`))
			err := dynamo.NewAuditTrail(client, "audit-table", "disclosure-table").
				Append(t.Context(), test.from, sampleEntry(), sampleState())
			if err != nil {
				t.Fatal(err)
			}
			if token, _ := w.calls[0].body["ClientRequestToken"].(string); token == "" {
				t.Error("no ClientRequestToken")
			}
			delete(w.calls[0].body, "ClientRequestToken")
			w.wantRequest(t, 0, "TransactWriteItems",
				`{"TransactItems":[`+putEntry+`,`+test.putHead+`,`+putDisclosure+`]}`)
		})
	}
}

// TestAppendRepeatsItsToken: by the token DynamoDB recognizes the repetition of an append whose reply was lost.
func TestAppendRepeatsItsToken(t *testing.T) {
	w, client := serve(t, answer{status: 500}, ok(`{}`))
	err := dynamo.NewAuditTrail(client, "t", "d").Append(t.Context(), audit.Head{}, sampleEntry(), sampleState())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w.calls[0].body, w.calls[1].body); diff != "" {
		t.Errorf("the repetition differs (-first +second):\n%s", diff)
	}
}

func TestAppendCanceled(t *testing.T) {
	tests := map[string]struct {
		codes    []string
		conflict bool
	}{
		"EntryExists":        {[]string{"ConditionalCheckFailed", "None"}, true},
		"HeadMoved":          {[]string{"None", "ConditionalCheckFailed"}, true},
		"HeadIsMoving":       {[]string{"None", "TransactionConflict"}, true},
		"HeadMovedThrottled": {[]string{"ThrottlingError", "ConditionalCheckFailed"}, true},
		"Throttled":          {[]string{"ThrottlingError", "None"}, false},
		"NoThroughput":       {[]string{"None", "ProvisionedThroughputExceeded"}, false},
		"TooLarge":           {[]string{"ValidationError", "None"}, false},
		"NoReasons":          {nil, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var reasons []string
			for _, code := range test.codes {
				reasons = append(reasons, fmt.Sprintf(`{"Code":%q}`, code))
			}
			_, client := serve(t, fault(400, "TransactionCanceledException",
				`,"CancellationReasons":[`+strings.Join(reasons, ",")+`]`))
			trail := dynamo.NewAuditTrail(client, "t", "d")
			err := trail.Append(t.Context(), audit.Head{}, sampleEntry(), sampleState())
			if errors.Is(err, audit.ErrConflict) != test.conflict {
				t.Errorf("got %v, want a conflict: %v", err, test.conflict)
			}
			if !test.conflict {
				wantFault(t, err, "append audit entry", "<why>")
			}
		})
	}
}

func TestEntries(t *testing.T) {
	page := func(items ...string) answer { return ok(`{"Items":[` + strings.Join(items, ",") + `]}`) }
	partly := func(sequence string, items ...string) answer {
		return ok(`{"Items":[` + strings.Join(items, ",") + `],
			"LastEvaluatedKey":{"licenseid":{"S":"an-id"},"sequence":{"N":"` + sequence + `"}}}`)
	}
	item := sampleEntryItem(t)

	t.Run("OK", func(t *testing.T) {
		w, client := serve(t, page(item))
		got, err := dynamo.NewAuditTrail(client, "audit-table", "d").Entries(t.Context(), "an-id", 4, 10)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]audit.Entry{sampleEntry().Closed()}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		w.wantRequest(t, 0, "Query", `{"TableName":"audit-table","ConsistentRead":true,"Limit":10,
			"KeyConditionExpression":"#licenseid = :licenseid AND #sequence > :after",
			"ExpressionAttributeNames":{"#licenseid":"licenseid","#sequence":"sequence"},
			"ExpressionAttributeValues":{":licenseid":{"S":"an-id"},":after":{"N":"4"}}}`)
	})
	t.Run("NeverTheHead", func(t *testing.T) {
		w, client := serve(t, page())
		if _, err := dynamo.NewAuditTrail(client, "t", "d").Entries(t.Context(), "an-id", -1, 1); err != nil {
			t.Fatal(err)
		}
		values := w.calls[0].body["ExpressionAttributeValues"].(map[string]any)
		if diff := cmp.Diff(map[string]any{"N": "0"}, values[":after"]); diff != "" {
			t.Errorf(":after (-want +got):\n%s", diff)
		}
	})
	t.Run("GoesOnUntilTheEnd", func(t *testing.T) {
		w, client := serve(t, partly("6", item, item), partly("7"), page(item))
		got, err := dynamo.NewAuditTrail(client, "t", "d").Entries(t.Context(), "an-id", 4, 10)
		if err != nil || len(got) != 3 {
			t.Fatalf("got %v, %v", got, err)
		}
		if w.calls[2].body["Limit"] != 8.0 {
			t.Errorf("the third page's limit is %v", w.calls[2].body["Limit"])
		}
		want := map[string]any{"licenseid": map[string]any{"S": "an-id"}, "sequence": map[string]any{"N": "7"}}
		if diff := cmp.Diff(want, w.calls[2].body["ExclusiveStartKey"]); diff != "" {
			t.Errorf("start key of the third page (-want +got):\n%s", diff)
		}
	})
	t.Run("EndsAtTheLimit", func(t *testing.T) {
		_, client := serve(t, partly("6", item, item))
		got, err := dynamo.NewAuditTrail(client, "t", "d").Entries(t.Context(), "an-id", 4, 2)
		if err != nil || len(got) != 2 {
			t.Fatalf("got %v, %v", got, err)
		}
	})
	t.Run("Unreadable", func(t *testing.T) {
		_, client := serve(t, page(item, `{"licenseid":{"S":"an-id"},"sequence":{"N":"6"},"entry":{"S":"not JSON"}}`))
		_, err := dynamo.NewAuditTrail(client, "t", "d").Entries(t.Context(), "an-id", 4, 2)
		wantFault(t, err, "audit entries", "not JSON")
	})
}

func TestDisclosures(t *testing.T) {
	w, client := serve(t, ok(`{"Items":[`+sampleDisclosureItem(t)+`]}`))
	got, err := dynamo.NewAuditTrail(client, "t", "disclosure-table").Disclosures(t.Context(), "an-id", 4, 9)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := sampleEntry().Disclosure()
	if diff := cmp.Diff([]audit.Disclosure{want}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.wantRequest(t, 0, "Query", `{"TableName":"disclosure-table","ConsistentRead":true,
		"KeyConditionExpression":"#licenseid = :licenseid AND #sequence BETWEEN :first AND :last",
		"ExpressionAttributeNames":{"#licenseid":"licenseid","#sequence":"sequence"},
		"ExpressionAttributeValues":{":licenseid":{"S":"an-id"},":first":{"N":"4"},":last":{"N":"9"}}}`)
	for _, item := range []string{
		`{"licenseid":{"S":"an-id"},"sequence":{"N":"5"},"disclosure":{"S":"no JSON"}}`,
		`{"licenseid":{"S":"an-id"},"sequence":{"S":"5"},"disclosure":{"S":"{}"}}`,
	} {
		_, client := serve(t, ok(`{"Items":[`+item+`]}`))
		_, err := dynamo.NewAuditTrail(client, "t", "d").Disclosures(t.Context(), "an-id", 4, 9)
		if !errors.Is(err, audit.ErrUnreadable) {
			t.Errorf("%s: got %v", item, err)
		}
	}
}

// TestForget reads keys alone: its permission is for no others.
func TestForget(t *testing.T) {
	key := `"licenseid":{"S":"an-id"},"sequence":{"N":"5"}`
	w, client := serve(t, ok(`{"Items":[{`+key+`}]}`), ok(`{}`))
	if err := dynamo.NewAuditTrail(client, "t", "disclosure-table").Forget(t.Context(), "an-id", 9); err != nil {
		t.Fatal(err)
	}
	w.wantRequest(t, 0, "Query", `{"TableName":"disclosure-table","ConsistentRead":true,
		"KeyConditionExpression":"#licenseid = :licenseid AND #sequence < :before",
		"ProjectionExpression":"#licenseid, #sequence","Select":"SPECIFIC_ATTRIBUTES",
		"ExpressionAttributeNames":{"#licenseid":"licenseid","#sequence":"sequence"},
		"ExpressionAttributeValues":{":licenseid":{"S":"an-id"},":before":{"N":"9"}}}`)
	w.wantRequest(t, 1, "DeleteItem", `{"TableName":"disclosure-table","Key":{`+key+`}}`)
}

// TestAuditFaults: a fault of DynamoDB is never a conflict, which would be tried again at once.
func TestAuditFaults(t *testing.T) {
	event := audittest.History(t, 1)[0]
	operations := map[string]func(context.Context, *dynamo.AuditTrail) error{
		"audit head": func(ctx context.Context, s *dynamo.AuditTrail) error {
			_, err := s.State(ctx, event.LicenseID)
			return err
		},
		"audit disclosures": func(ctx context.Context, s *dynamo.AuditTrail) error {
			_, err := s.Disclosures(ctx, event.LicenseID, 1, 9)
			return err
		},
		"append audit entry": func(ctx context.Context, s *dynamo.AuditTrail) error {
			return s.Append(ctx, audit.Head{}, sampleEntry(), sampleState())
		},
		"audit entries": func(ctx context.Context, s *dynamo.AuditTrail) error {
			_, err := s.Entries(ctx, event.LicenseID, 0, 1)
			return err
		},
	}
	for operation, run := range operations {
		for name, answers := range faults {
			t.Run(operation+"/"+name, func(t *testing.T) {
				_, client := serve(t, answers...)
				err := run(t.Context(), dynamo.NewAuditTrail(client, "t", "t"))
				wantFault(t, err, operation, "<why>")
				if errors.Is(err, audit.ErrConflict) {
					t.Errorf("the fault became %v", err)
				}
			})
		}
	}
}
