package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"golang.org/x/mod/sumdb/note"

	"openlicenser/shared/testing/lambdatest"
)

// TestBinary drives the built function through the Lambda Runtime API: one write for a license, and no signature.
func TestBinary(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	var item map[string]any
	var isErasing bool
	var removed, queried []string
	var transaction []byte
	aws := lambdatest.NewAWS(t, map[string]lambdatest.Operation{
		"GetSecretValue": func(map[string]any) (int, any) {
			return http.StatusOK, map[string]string{"SecretString": `{"key":"a secret of more than thirty-two bytes"}`}
		},
		"GetPublicKey": func(map[string]any) (int, any) {
			return http.StatusOK, map[string]any{"PublicKey": der, "KeyUsage": "SIGN_VERIFY"}
		},
		"PutItem": func(input map[string]any) (int, any) {
			if input["TableName"] == "licenses" && input["ConditionExpression"] != nil {
				item, _ = input["Item"].(map[string]any)
			}
			return http.StatusOK, map[string]any{}
		},
		"TransactWriteItems": func(input map[string]any) (int, any) {
			transaction, _ = json.Marshal(input["TransactItems"])
			return http.StatusOK, map[string]any{}
		},
		"GetItem": func(input map[string]any) (int, any) {
			if input["TableName"] == "licenses" && isErasing {
				return lambdatest.Item(input, item)
			}
			return lambdatest.Item(input, nil)
		},
		"DeleteItem": func(input map[string]any) (int, any) {
			removed = append(removed, fmt.Sprint(input["TableName"], input["Key"]))
			return http.StatusOK, map[string]any{}
		},
		"Query": func(input map[string]any) (int, any) {
			queried = append(queried, fmt.Sprint(input["TableName"], input["IndexName"]))
			if input["TableName"] != "audit" && input["TableName"] != "disclosures" && input["IndexName"] != "license" {
				return lambdatest.Fault(http.StatusBadRequest, "ResourceNotFoundException")(input)
			}
			return http.StatusOK, map[string]any{"Items": []any{}}
		},
	})
	bucket := lambdatest.NewBucket(t)
	f := lambdatest.Start(t, ".", "LICENSER_DB=licenses", "REFERENCE_TABLE=references", "AUDIT_TABLE=audit",
		"DISCLOSURE_TABLE=disclosures",
		"IDEMPOTENCY_TABLE=idempotency", "DEVICE_TABLE=devices", "PLAN_TABLE=plans", "SIGNATURE_TABLE=signatures",
		"JWT_SECRETS_NAME=secret", "CHECKPOINT_BUCKET=checkpoints",
		"CHECKPOINT_KEY_ID=alias/checkpoint",
		"CHECKPOINT_ORIGIN=openlicenser/test/audit", "AWS_ENDPOINT_URL="+aws.URL, "AWS_ENDPOINT_URL_S3="+bucket.URL)
	invoke := func(name string) events.APIGatewayProxyResponse {
		text, err := os.ReadFile("../../events/issue/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var response events.APIGatewayProxyResponse
		f.Invoke(json.RawMessage(text), "", &response)
		return response
	}

	response := invoke("create")
	var license struct{ LicenseID, LicenseKey string }
	if err := json.Unmarshal([]byte(response.Body), &license); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusCreated || license.LicenseKey == "" {
		t.Errorf("got %d %s", response.StatusCode, response.Body)
	}
	if id, _ := item["licenseid"].(map[string]any); id["S"] != license.LicenseID {
		t.Errorf("put %v, answered %s", item, license.LicenseID)
	}
	if by, _ := item["changedby"].(map[string]any); by["S"] != "arn:aws:iam::123456789012:user/shop" {
		t.Errorf("changed by %v", by)
	}
	if aws.Calls("PutItem") != 1 || aws.Calls("GetItem") != 0 {
		t.Errorf("%d puts and %d gets for one license", aws.Calls("PutItem"), aws.Calls("GetItem"))
	}
	if created := invoke("function-url-create"); created.StatusCode != http.StatusCreated || aws.Calls("PutItem") != 2 {
		t.Errorf("by a function URL: %d %s after %d puts", created.StatusCode, created.Body, aws.Calls("PutItem"))
	}
	ordered := invoke("reference-taken")
	var items []struct{ Put struct{ TableName string } }
	if err := json.Unmarshal(transaction, &items); err != nil {
		t.Fatal(err)
	}
	if ordered.StatusCode != http.StatusCreated || len(items) != 2 || items[0].Put.TableName != "licenses" ||
		items[1].Put.TableName != "references" || aws.Calls("PutItem") != 2 {
		t.Errorf("with a reference that is free: %d %s, written with %s", ordered.StatusCode, ordered.Body, transaction)
	}
	const id = "00000000-0000-4000-8000-000000000001"
	item["licenseid"], isErasing = map[string]string{"S": id}, true
	erased := invoke("erase")
	if erased.StatusCode != http.StatusOK || !strings.Contains(erased.Body, `"customername":"erased"`) ||
		!strings.Contains(string(transaction), `"Update":{`) || !strings.Contains(string(transaction), id) ||
		!slices.Equal(removed, []string{"signaturesmap[licenseid:map[S:" + id + "]]"}) ||
		!slices.Equal(queried, []string{"idempotencylicense", "idempotencylicense"}) {
		t.Errorf("erased: %d %s by %s, removed %v, asked %v",
			erased.StatusCode, erased.Body, transaction, removed, queried)
	}
	isErasing = false
	trail := invoke("audit")
	if trail.StatusCode != http.StatusOK || trail.Body != `{"entries":[],"head":{"sequence":0,"hash":""}}` {
		t.Errorf("trail: %d %s", trail.StatusCode, trail.Body)
	}
	if none := invoke("checkpoint"); none.StatusCode != http.StatusNotFound {
		t.Errorf("before the first checkpoint: %d %s", none.StatusCode, none.Body)
	}
	signed := signCheckpoint(t, private)
	bucket.Put("checkpoints/latest", signed)
	if latest := invoke("checkpoint"); latest.StatusCode != http.StatusOK || latest.Body != signed {
		t.Errorf("checkpoint: %d %s", latest.StatusCode, latest.Body)
	}
	bucket.Put("checkpoints/latest", "junk")
	if latest := invoke("checkpoint"); latest.StatusCode != http.StatusInternalServerError {
		t.Errorf("a checkpoint that is none: %d %s", latest.StatusCode, latest.Body)
	}
}

// signCheckpoint returns the first checkpoint of a trail without chains.
func signCheckpoint(t *testing.T, key ed25519.PrivateKey) string {
	t.Helper()
	public := key.Public().(ed25519.PublicKey)
	vkey, err := note.NewEd25519VerifierKey("openlicenser/test/audit", public)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: "openlicenser/test/audit\ntree buckets-1024\n" +
		"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nnumber 1\ntime 2026-11-23T22:00:00Z\nprevious -\n",
	}, checkpointSigner{verifier, key})
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

type checkpointSigner struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s checkpointSigner) Sign(message []byte) ([]byte, error) {
	return ed25519.Sign(s.key, message), nil
}
