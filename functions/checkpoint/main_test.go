package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"openlicenser/functions/checkpoint/checkpointing"
	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/testing/lambdatest"
)

const origin = "openlicenser/test/audit"

// TestBinary drives the built function through the Lambda Runtime API: it lists the heads of each bucket by
// their index, twice, and signs once.
func TestBinary(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	hash := strings.Repeat("5", 64)
	record := attribute.Map{"licenseid": "an-id", "version": attribute.Number("1")}
	storedHash, err := audit.HashStored(record)
	if err != nil {
		t.Fatal(err)
	}
	var scans atomic.Int64
	aws := lambdatest.NewAWS(t, map[string]lambdatest.Operation{
		"Query": func(input map[string]any) (int, any) {
			if input["TableName"] != "audit" || input["IndexName"] != "heads" {
				return lambdatest.Fault(http.StatusBadRequest, "ResourceNotFoundException")(input)
			}
			values, _ := input["ExpressionAttributeValues"].(map[string]any)
			if !reflect.DeepEqual(values[":bucket"], map[string]any{"N": strconv.Itoa(audit.BucketOf("an-id"))}) {
				return http.StatusOK, map[string]any{"Items": []any{}}
			}
			return http.StatusOK, map[string]any{"Items": []any{map[string]any{
				"licenseid": map[string]string{"S": "an-id"}, "headsequence": map[string]string{"N": "5"},
				"hash": map[string]string{"S": hash}, "storedhash": map[string]string{"S": storedHash},
			}}}
		},
		"Scan": func(input map[string]any) (int, any) {
			if input["TableName"] != "licenses" || input["Limit"] != 100.0 {
				return lambdatest.Fault(http.StatusBadRequest, "ResourceNotFoundException")(input)
			}
			if scans.Add(1) <= 3 { // a table of little capacity; other calls are tried no more often
				return lambdatest.Fault(http.StatusBadRequest, "ProvisionedThroughputExceededException")(input)
			}
			return http.StatusOK, map[string]any{"Items": []any{record}}
		},
		"GetPublicKey": func(map[string]any) (int, any) {
			return http.StatusOK, map[string]any{"PublicKey": der, "KeyUsage": "SIGN_VERIFY"}
		},
		"Sign": func(input map[string]any) (int, any) {
			message, _ := base64.StdEncoding.DecodeString(input["Message"].(string))
			return http.StatusOK, map[string]any{"Signature": ed25519.Sign(private, message)}
		},
	})
	bucket := lambdatest.NewBucket(t)
	f := lambdatest.Start(t, ".", "LICENSER_DB=licenses", "AUDIT_TABLE=audit", "DISCLOSURE_TABLE=disclosures",
		"CHECKPOINT_BUCKET=checkpoints", "CHECKPOINT_KEY_ID=alias/checkpoint", "CHECKPOINT_ORIGIN="+origin,
		"AWS_ENDPOINT_URL="+aws.URL, "AWS_ENDPOINT_URL_S3="+bucket.URL)
	f.Timeout = time.Minute // the pauses between tries of the scan are seconds
	text, err := os.ReadFile("../../events/checkpoint/scheduled.json")
	if err != nil {
		t.Fatal(err)
	}
	var answer checkpointing.Summary
	for number := int64(1); number <= 2; number++ {
		f.Invoke(json.RawMessage(text), "", &answer)
		if answer != (checkpointing.Summary{Number: number, Chains: 1}) {
			t.Fatalf("got %+v\n%s", answer, f.Output())
		}
	}
	vkey, err := note.NewEd25519VerifierKey(origin, public)
	if err != nil {
		t.Fatal(err)
	}
	latest := bucket.Object("checkpoints/latest")
	c, err := checkpoint.Open(vkey, []byte(latest))
	if err != nil || c.Number != 2 || bucket.Object("checkpoints/checkpoints/00000000000000000002") != latest {
		t.Errorf("kept %q, %v", latest, err)
	}
	if aws.Calls("Query") != 2*2*audit.Buckets || aws.Calls("Sign") != 2 || aws.Calls("GetPublicKey") != 1 {
		t.Errorf("%d queries, %d signatures, %d public keys",
			aws.Calls("Query"), aws.Calls("Sign"), aws.Calls("GetPublicKey"))
	}

	// What CloudFormation asks for, it is answered.
	answered := make(chan string, 1)
	cloudFormation := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, in *http.Request) {
		body, _ := io.ReadAll(in.Body)
		answered <- string(body)
	}))
	defer cloudFormation.Close()
	request := `{"RequestType": "Delete", "ResponseURL": "` + cloudFormation.URL + `", ` +
		`"PhysicalResourceId": "FirstCheckpoint"}`
	f.Invoke(json.RawMessage(request), "", &answer)
	close(answered)
	body := <-answered
	if !strings.Contains(body, `"Status":"SUCCESS"`) || bucket.Object("checkpoints/latest") != latest {
		t.Errorf("answered %s", body)
	}

	var failure struct{ ErrorMessage string }
	aws.Set("Sign", lambdatest.Fault(http.StatusBadRequest, "ThrottlingException"))
	f.Invoke(json.RawMessage(text), "", &failure)
	if failure.ErrorMessage == "" || bucket.Object("checkpoints/latest") != latest {
		t.Errorf("got %+v", failure)
	}
}
