package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/license"
	"openlicenser/shared/testing/lambdatest"
)

// table is the license table with one item.
type table struct {
	t       *testing.T
	item    map[string]any
	calls   []string // of the table, in their order
	touched []string // the attributes of all updates and their conditions
}

func (s *table) get(input map[string]any) (int, any) {
	s.calls = append(s.calls, "GetItem")
	if input["TableName"] != "licenses" || input["ConsistentRead"] != true {
		s.t.Errorf("reads %v", input)
	}
	return lambdatest.Item(input, s.item)
}

// update does what the SET part of the expression says, and heeds no condition.
func (s *table) update(input map[string]any) (int, any) {
	s.calls = append(s.calls, "UpdateItem")
	if input["TableName"] != "licenses" || input["ConditionExpression"] == nil {
		s.t.Errorf("updates %v", input)
	}
	if returns := input["ReturnValues"]; returns != nil && returns != "NONE" ||
		input["ReturnValuesOnConditionCheckFailure"] != nil {
		s.t.Errorf("an update returns %v", input)
	}
	set, _, _ := strings.Cut(strings.TrimPrefix(input["UpdateExpression"].(string), "SET "), " REMOVE ")
	names := input["ExpressionAttributeNames"].(map[string]any)
	for assignment := range strings.SplitSeq(set, ", ") {
		name, value, _ := strings.Cut(assignment, " = ")
		s.item[names[name].(string)] = input["ExpressionAttributeValues"].(map[string]any)[value]
	}
	for _, name := range names {
		s.touched = append(s.touched, name.(string))
	}
	return http.StatusOK, map[string]any{}
}

func sampleEvent(t *testing.T, name string) (event json.RawMessage, newImage map[string]any) {
	t.Helper()
	text, err := os.ReadFile("../../events/stream/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var batch struct {
		Records []struct {
			DynamoDB struct{ NewImage map[string]any }
		}
	}
	if err := json.Unmarshal(text, &batch); err != nil {
		t.Fatal(err)
	}
	return text, batch.Records[0].DynamoDB.NewImage
}

// TestBinary drives the built function through the Lambda Runtime API. It reads what an event is about, updates it
// within the permissions of its role, and looks again. Our own change needs no call. What fails is reported by its
// sequence number.
func TestBinary(t *testing.T) {
	licenses := &table{t: t}
	aws := lambdatest.NewAWS(t, map[string]lambdatest.Operation{
		"GetItem": licenses.get, "UpdateItem": licenses.update,
	})
	f := lambdatest.Start(t, ".", "LICENSER_DB=licenses", "AWS_ENDPOINT_URL="+aws.URL)
	invoke := func(t *testing.T, name string) []events.DynamoDBBatchItemFailure {
		t.Helper()
		event, image := sampleEvent(t, name)
		licenses.t, licenses.item, licenses.calls, licenses.touched = t, maps.Clone(image), nil, nil
		var response events.DynamoDBEventResponse
		f.Invoke(event, "", &response)
		return response.BatchItemFailures
	}
	index := func(standing string) map[string]string {
		return map[string]string{
			"ixcollection": "licenses", "ixowner": "10000000-0000-4000-8000-000000000001",
			"ixends": "2099-01-03T00:00:00.000Z", "ixstanding": standing, "ixname": "test customer",
		}
	}
	replaced := index("suspended")
	maps.Copy(replaced, map[string]string{
		"ixissued": "2026-11-01T12:00:00.000Z 00000000-0000-4000-8000-000000000001",
		"ixemail":  "orders@example.com", "email": "Orders@example.com", "reference": "order-4711", "gracedays": "14",
		"createdtimestamp": "1793534400000", "issuspended": "true", "notes": "paid by cheque",
		"version": "3", "changedby": license.PutBackActor,
		"putback": "4421584500000000017450439007 createdtimestamp issuspended gracedays reference email",
	})
	inserted := index("active")
	inserted["ixissued"] = "2026-11-01T16:00:00.000Z 00000000-0000-4000-8000-000000000002"
	for name, want := range map[string]map[string]string{"foreign-insert": inserted, "foreign-replace": replaced} {
		t.Run(name, func(t *testing.T) {
			if failures := invoke(t, name); len(failures) != 0 {
				t.Errorf("failures: %v", failures)
			}
			if diff := cmp.Diff([]string{"GetItem", "UpdateItem", "GetItem"}, licenses.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			permitted := append([]string{license.AttrID}, license.Amended()...)
			for _, name := range licenses.touched {
				if !slices.Contains(permitted, name) {
					t.Errorf("an update names %s", name)
				}
			}
			for attribute, text := range want {
				if got := plain(licenses.item[attribute]); got != text {
					t.Errorf("%s is %q, want %q", attribute, got, text)
				}
			}
		})
	}
	t.Run("own-change", func(t *testing.T) {
		if failures := invoke(t, "own-change"); len(failures) != 0 || len(licenses.calls) != 0 {
			t.Errorf("failures %v, calls %v", failures, licenses.calls)
		}
	})
	t.Run("throttled", func(t *testing.T) {
		aws.Set("UpdateItem", lambdatest.Fault(http.StatusBadRequest, "ThrottlingException"))
		failures := invoke(t, "foreign-insert")
		if len(failures) != 1 || failures[0].ItemIdentifier != "4421584500000000017450439004" {
			t.Errorf("failures: %v", failures)
		}
	})
}

// plain returns the value of an attribute without its type.
func plain(value any) string {
	typed, _ := value.(map[string]any)
	for _, v := range typed {
		text, err := json.Marshal(v)
		if err != nil {
			return err.Error()
		}
		return strings.Trim(string(text), `"`)
	}
	return ""
}
