package main

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/testing/lambdatest"
)

// TestBinary drives the built function through the Lambda Runtime API: one transaction for an entry, and a record that
// cannot be written is reported by its sequence number.
func TestBinary(t *testing.T) {
	var tables []any
	aws := lambdatest.NewAWS(t, map[string]lambdatest.Operation{
		"GetItem": func(input map[string]any) (int, any) { return lambdatest.Item(input, nil) },
		"TransactWriteItems": func(input map[string]any) (int, any) {
			for _, item := range input["TransactItems"].([]any) {
				tables = append(tables, item.(map[string]any)["Put"].(map[string]any)["TableName"])
			}
			return http.StatusOK, map[string]any{}
		},
	})
	f := lambdatest.Start(t, ".", "AUDIT_TABLE=audit", "DISCLOSURE_TABLE=disclosures", "AWS_ENDPOINT_URL="+aws.URL)
	text, err := os.ReadFile("../../events/stream/insert.json")
	if err != nil {
		t.Fatal(err)
	}

	var response events.DynamoDBEventResponse
	f.Invoke(json.RawMessage(text), "", &response)
	if len(response.BatchItemFailures) != 0 || aws.Calls("TransactWriteItems") != 1 {
		t.Errorf("got %+v after %d transactions", response, aws.Calls("TransactWriteItems"))
	}
	if !slices.Equal(tables, []any{"audit", "audit", "disclosures"}) {
		t.Errorf("put into %v", tables)
	}

	aws.Set("TransactWriteItems", lambdatest.Fault(http.StatusBadRequest, "ThrottlingException"))
	f.Invoke(json.RawMessage(text), "", &response)
	failures := response.BatchItemFailures
	if len(failures) != 1 || failures[0].ItemIdentifier != "4421584500000000017450439001" {
		t.Errorf("got %+v", response)
	}
}
