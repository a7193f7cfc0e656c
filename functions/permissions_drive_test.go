package functions_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/uuid"

	"openlicenser/functions/checkpoint/checkpointing"
	"openlicenser/functions/rotate/rotation"
	"openlicenser/shared/testing/lifetest"
	"openlicenser/shared/token"
	"openlicenser/shared/vendorapi"
)

// drive has the functions do all that they do, so that they make each of their calls of AWS.
func (s stack) drive() {
	s.Helper()
	api := s.api()
	if _, err := api.Checkpoint(s.Context()); err == nil { // it asks S3 for an object that is not there
		s.Error("there is a checkpoint before the first")
	}
	lifetest.Run(s.T, lifetest.Service{
		URL:    s.url,
		Settle: func(changes int) { settle(s.T, s.stream, changes, s.invoke) },
	})
	s.driveDevices(api)
	s.driveRefusals(api)
	s.driveErasure(api)
	s.driveForeignWrites(api)
	s.driveCheckpoints(api)
	s.driveRotation()
	s.driveTokenKeys(api)
}

// driveOver has the functions of a stack over an earlier one do what differs there: its token key has no alias.
func (s stack) driveOver() {
	s.Helper()
	api := s.api()
	l := s.issue(api)
	_, err := api.Verify(s.Context(), vendorapi.Verification{LicenseKey: l.LicenseKey, Fingerprint: "device-one"})
	s.must(err)
	_, err = api.TokenKeys(s.Context())
	s.must(err)
}

// must ends the test for an error.
func (s stack) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// catchUp hands all changes of licenses to the readers of the stream, until they make no more.
func (s stack) catchUp() {
	s.Helper()
	for seen := -1; ; {
		records, err := s.stream.FromTheStart(s.Context(), 0)
		s.must(err)
		if len(records) == seen {
			return
		}
		seen = len(records)
		for _, function := range streamReaders {
			var response events.DynamoDBEventResponse
			s.invoke(function, events.DynamoDBEvent{Records: records}, &response)
			if len(response.BatchItemFailures) != 0 {
				s.Errorf("%s failed at %+v", function, response)
			}
		}
	}
}

// issue issues a license with all that a vendor can say of one.
func (s stack) issue(api *vendorapi.Client) vendorapi.License {
	s.Helper()
	l, err := api.Issue(s.Context(), vendorapi.LicenseDraft{
		CustomerName: "Example & Söhne", ExpirationDate: "2099-01-31", UpdatesUntil: "2098-01-31",
		Reference: "order-" + uuid.NewString(), Email: "a@example.com", GraceDays: new(7),
		MaxDevices: new(2), LeaseMinutes: new(60), MaxLeaseMinutes: new(600),
	}, vendorapi.Options{})
	s.must(err)
	return l
}

// post posts to a public route, and wants the status.
func (s stack) post(path string, body any, status int) {
	s.Helper()
	text, err := json.Marshal(body)
	s.must(err)
	response, err := http.Post(s.url+path, "application/json", strings.NewReader(string(text)))
	s.must(err)
	response.Body.Close()
	if response.StatusCode != status {
		s.Errorf("POST %s: %s", path, response.Status)
	}
}

// driveDevices has devices take seats, hold them, give them back and lose them, also while DynamoDB reads no batches.
func (s stack) driveDevices(api *vendorapi.Client) {
	s.Helper()
	l := s.issue(api)
	verify := func(fingerprint string) {
		s.Helper()
		_, err := api.Verify(s.Context(), vendorapi.Verification{LicenseKey: l.LicenseKey, Fingerprint: fingerprint})
		s.must(err)
	}
	verify("device-one")
	verify("device-two")
	verify("device-one")
	s.recorded["VerifyFunction"].Fail("BatchGetItem", "ValidationException")
	verify("device-one")
	s.post("/list-devices", map[string]string{"licensekey": l.LicenseKey}, http.StatusOK)
	release := map[string]string{"licensekey": l.LicenseKey, "fingerprint": "device-one"}
	s.post("/release-device", release, http.StatusNoContent)
	devices, err := api.Devices(s.Context(), l.LicenseID)
	s.must(err)
	if len(devices.Devices) != 1 {
		s.Fatalf("%d devices hold seats", len(devices.Devices))
	}
	s.must(api.ReleaseDevice(s.Context(), l.LicenseID, devices.Devices[0].ID, "lost", vendorapi.Options{}))
	_, err = api.ResetDevices(s.Context(), l.LicenseID, "moved", vendorapi.Options{})
	s.must(err)
	verify("device-one")
}

// driveRefusals has changes fail that have an Idempotency-Key: one that is refused, which gives the key back, and one
// that DynamoDB does not make.
func (s stack) driveRefusals(api *vendorapi.Client) {
	s.Helper()
	l := s.issue(api)
	suspend := func(ifMatch string) {
		s.Helper()
		_, err := api.Suspend(s.Context(), l.LicenseID, "unpaid", vendorapi.Options{
			IfMatch: ifMatch, IdempotencyKey: uuid.NewString(),
		})
		if err == nil {
			s.Error("suspended")
		}
	}
	suspend(`"0-0"`)
	s.recorded["IssueFunction"].Fail("UpdateItem", "ValidationException")
	suspend(l.ETag)
}

// driveErasure erases a license that has left a reference, a response, a device and a signature.
func (s stack) driveErasure(api *vendorapi.Client) {
	s.Helper()
	l := s.issue(api)
	v := vendorapi.Verification{LicenseKey: l.LicenseKey, Fingerprint: "device-one", DeviceName: "Anna's laptop"}
	_, err := api.Verify(s.Context(), v)
	s.must(err)
	_, err = api.Suspend(s.Context(), l.LicenseID, "unpaid", vendorapi.Options{IdempotencyKey: uuid.NewString()})
	s.must(err)
	_, err = api.Erase(s.Context(), l.LicenseID, "asked for", vendorapi.Options{})
	s.must(err)
}

// driveForeignWrites has another tool put whole records over ours, one with all that only we know.
func (s stack) driveForeignWrites(api *vendorapi.Client) {
	s.Helper()
	keys, err := api.TokenKeys(s.Context())
	s.must(err)
	plan := vendorapi.Plan{Plan: "pinned", DurationDays: 14}
	_, err = api.PutPlan(s.Context(), plan, vendorapi.Options{})
	s.must(err)
	l := s.issue(api)
	_, err = api.Change(s.Context(), l.LicenseID, vendorapi.LicensePatch{
		TokenKeyID: &keys.Keys[0].KeyID, Plan: &plan.Plan,
	}, vendorapi.Options{IfMatch: l.ETag})
	s.must(err)
	_, err = api.Suspend(s.Context(), l.LicenseID, "unpaid", vendorapi.Options{})
	s.must(err)
	s.putForeign(l.LicenseID)
	s.putForeign(uuid.NewString())
	s.catchUp()
	if kept, err := api.License(s.Context(), l.LicenseID); err != nil || kept.Plan != plan.Plan ||
		kept.TokenKeyID != keys.Keys[0].KeyID || kept.Status != "suspended" {
		s.Errorf("the license is %+v, %v", kept, err)
	}
}

// checkpoint has a checkpoint made, which tells of so many chains that were rewritten, and so many changes that may be
// recorded yet.
func (s stack) checkpoint(rewritten, backlog int) {
	s.Helper()
	text, err := os.ReadFile("../events/checkpoint/scheduled.json")
	s.must(err)
	var summary checkpointing.Summary
	s.invoke("CheckpointFunction", json.RawMessage(text), &summary)
	if summary.Number == 0 || summary.Rewritten != rewritten || summary.Backlog != backlog {
		s.Errorf("%+v", summary)
	}
}

// driveCheckpoints has two checkpoints made, and has them read. Between them one chain goes on, one is rewritten, and
// one misses a change.
func (s stack) driveCheckpoints(api *vendorapi.Client) {
	s.Helper()
	changed, rewritten, missed := s.issue(api), s.issue(api), s.issue(api)
	revoke := func(l vendorapi.License) {
		s.Helper()
		_, err := api.Revoke(s.Context(), l.LicenseID, "refunded", vendorapi.Options{})
		s.must(err)
	}
	s.catchUp()
	s.checkpoint(0, 0)
	revoke(changed)
	s.catchUp()
	revoke(missed)
	_, err := s.cloud.DynamoDB.UpdateItem(s.Context(), &dynamodb.UpdateItemInput{
		TableName: aws.String(s.template.Value("AuditTable")),
		Key: map[string]types.AttributeValue{
			"licenseid": &types.AttributeValueMemberS{Value: rewritten.LicenseID},
			"sequence":  &types.AttributeValueMemberN{Value: "0"},
		},
		UpdateExpression:          aws.String("SET #hash = :hash"),
		ExpressionAttributeNames:  map[string]string{"#hash": "hash"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":hash": &types.AttributeValueMemberS{Value: "00"}},
	})
	s.must(err)
	s.checkpoint(1, 1)

	_, err = api.Proof(s.Context(), changed.LicenseID)
	s.must(err)
	_, err = api.NumberedCheckpoint(s.Context(), 1)
	s.must(err)
	_, err = api.CheckpointKey(s.Context())
	s.must(err)
}

// driveRotation rotates the secret as Secrets Manager does.
func (s stack) driveRotation() {
	s.Helper()
	id, version := s.template.Value("LicenseKeySecret"), uuid.NewString()
	// moto makes the pending version. It finds no function to call, which this test does in its place.
	_, err := s.cloud.SecretsManager.RotateSecret(s.Context(), &secretsmanager.RotateSecretInput{
		SecretId: &id, ClientRequestToken: &version,
		RotationLambdaARN: aws.String("arn:aws:lambda:eu-central-1:123456789012:function:RotateFunction"),
	})
	if err == nil {
		s.Error("moto has rotated the secret by itself")
	}
	for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
		var answer json.RawMessage
		s.invoke("RotateFunction", rotation.Event{Step: step, SecretID: id, Version: version}, &answer)
		if string(answer) != "{}" {
			s.Errorf("%s: %s", step, answer)
		}
	}
}

// driveTokenKeys gives the token key a successor and has that sign, as licenser token-key does, twice. The earlier key
// signs for a license that is pinned to it.
func (s stack) driveTokenKeys(api *vendorapi.Client) {
	s.Helper()
	published := func(want int) token.JSONWebKey {
		s.Helper()
		delete(s.running, "VerifyFunction") // the one that starts anew remembers no keys
		set, err := api.TokenKeys(s.Context())
		s.must(err)
		if len(set.Keys) != want {
			s.Fatalf("%d keys are published", len(set.Keys))
		}
		return set.Keys[0]
	}
	alias := s.template.Value("TokenKeyAlias")
	for range 2 {
		s.cloud.KMS.Point(alias+"-previous", "")
		current, pinned := published(1), s.issue(api)
		_, err := api.Change(s.Context(), pinned.LicenseID, vendorapi.LicensePatch{
			TokenKeyID: &current.KeyID,
		}, vendorapi.Options{IfMatch: pinned.ETag})
		s.must(err)

		successor, err := s.cloud.KMS.AddRSA(alias + "-next")
		s.must(err)
		published(2)
		s.cloud.KMS.Point(alias+"-previous", s.cloud.KMS.Target(alias))
		s.cloud.KMS.Point(alias, successor)
		s.cloud.KMS.Point(alias+"-next", "")
		published(2)
		for _, l := range []vendorapi.License{pinned, s.issue(api)} {
			v := vendorapi.Verification{LicenseKey: l.LicenseKey, Fingerprint: "device-one"}
			_, err := api.Verify(s.Context(), v)
			s.must(err)
		}
	}
}
