package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"openlicenser/functions/rotate/rotation"
	"openlicenser/shared/testing/lambdatest"
	"openlicenser/shared/token"
)

// TestBinary drives the built function through the Lambda Runtime API, over a Secrets Manager with two versions.
func TestBinary(t *testing.T) {
	const version = "5a1c3f6e-7f0b-4f5e-9d9e-3a52f2a6c0de"
	values := map[string]string{"first": `{"key":"9 bytes !"}`} // as the original may have had it
	current := "first"
	aws := lambdatest.NewAWS(t, map[string]lambdatest.Operation{
		"DescribeSecret": func(map[string]any) (int, any) {
			stages := map[string][]string{version: {"AWSPENDING"}}
			stages[current] = append(stages[current], "AWSCURRENT")
			return http.StatusOK, map[string]any{"VersionIdsToStages": stages}
		},
		"GetSecretValue": func(input map[string]any) (int, any) {
			value, present := values[input["VersionId"].(string)]
			if !present {
				return lambdatest.Fault(http.StatusBadRequest, "ResourceNotFoundException")(input)
			}
			return http.StatusOK, map[string]any{"SecretString": value}
		},
		"PutSecretValue": func(input map[string]any) (int, any) {
			values[input["ClientRequestToken"].(string)] = input["SecretString"].(string)
			return http.StatusOK, map[string]any{}
		},
		"UpdateSecretVersionStage": func(input map[string]any) (int, any) {
			if input["RemoveFromVersionId"] != "first" || input["VersionStage"] != "AWSCURRENT" {
				t.Errorf("moves %v", input)
			}
			current = input["MoveToVersionId"].(string)
			return http.StatusOK, map[string]any{}
		},
	})
	f := lambdatest.Start(t, ".", "AWS_ENDPOINT_URL="+aws.URL)
	for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
		var answer json.RawMessage
		f.Invoke(rotation.Event{Step: step, SecretID: "licenser", Version: version}, "", &answer)
		if string(answer) != "{}" {
			t.Errorf("%s: answered %s", step, answer)
		}
	}
	ring, err := token.ParseRing([]byte(values[version]))
	if err != nil || current != version || ring.Current.IsShort() ||
		len(ring.Earlier) != 1 || ring.Earlier[0].Secret != "9 bytes !" {
		t.Errorf("current is %s, with %d earlier secrets, %v", current, len(ring.Earlier), err)
	}
	if strings.Contains(f.Output(), string(ring.Current)) || strings.Contains(f.Output(), "9 bytes !") {
		t.Error("the log holds the secret")
	}
}
