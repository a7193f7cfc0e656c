package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"openlicenser/functions/audit/auditing"
	"openlicenser/functions/issue/issuance"
	"openlicenser/shared/api"
	"openlicenser/shared/audit"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/testing/apitest"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/telemetrytest"
	"openlicenser/shared/token"
)

// vendor changes licenses through the vendor's API, on tables of DynamoDB Local.
type vendor struct {
	t          *testing.T
	router     api.Router
	stream     awstest.Stream
	dynamoDB   aws.Config
	auditTable trailTables
}

// trailTables are the names of the tables of a trail and of what it discloses.
type trailTables struct{ entries, disclosures string }

type secrets struct{}

func (secrets) Ring(context.Context) (token.Ring, error) {
	return token.Ring{Current: "a secret of more than thirty-two bytes"}, nil
}
func (s secrets) Refresh(ctx context.Context) (token.Ring, error) { return s.Ring(ctx) }

func newVendor(t *testing.T) *vendor {
	t.Helper()
	cfg := awstest.Config(awstest.Need(t, awstest.DynamoDBVariable))
	client := dynamodb.NewFromConfig(cfg)
	licenses := awstest.NewTable(t, client, "LicenseTable")
	idempotency := awstest.NewTable(t, client, "IdempotencyTable")
	devices := dynamo.NewDevices(client, aws.ToString(awstest.NewTable(t, client, "DeviceTable").TableName))
	v := &vendor{
		t: t, dynamoDB: cfg, auditTable: newAuditTable(t, cfg),
		stream: awstest.Stream{Client: dynamodbstreams.NewFromConfig(cfg), ARN: aws.ToString(licenses.LatestStreamArn)},
	}
	store := dynamo.NewLicenses(client, aws.ToString(licenses.TableName), "references")
	var err error
	v.router, err = issuance.NewRouter(telemetrytest.Log, issuance.Licenses{
		Store:       store,
		Devices:     devices,
		Plans:       dynamo.NewPlans(client, "plans"),
		Idempotency: dynamo.NewIdempotency(client, aws.ToString(idempotency.TableName)),
		Keys:        issuance.Keys{Licenses: store, Secrets: secrets{}, Issuer: "Test", Now: time.Now},
		Secrets:     secrets{},
		Trail:       v.trail(v.auditTable),
		Now:         time.Now,

		TokenLifetime: 90 * 24 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newAuditTable(t *testing.T, cfg aws.Config) trailTables {
	t.Helper()
	client := dynamodb.NewFromConfig(cfg)
	return trailTables{
		aws.ToString(awstest.NewTable(t, client, "AuditTable").TableName),
		aws.ToString(awstest.NewTable(t, client, "DisclosureTable").TableName),
	}
}

func (v *vendor) trail(tables trailTables) *dynamo.AuditTrail {
	return dynamo.NewAuditTrail(dynamodb.NewFromConfig(v.dynamoDB), tables.entries, tables.disclosures)
}

// call wants the status and answers the license's id and entity tag.
func (v *vendor) call(status int, route, id, ifMatch, body string) (licenseID, entityTag string) {
	v.t.Helper()
	method, resource, _ := strings.Cut(route, " ")
	event := events.APIGatewayProxyRequest{
		HTTPMethod: method, Resource: resource, Path: strings.ReplaceAll(resource, "{licenseid}", id), Body: body,
		PathParameters: map[string]string{"licenseid": id},
	}
	if ifMatch != "" {
		event.Headers = map[string]string{"If-Match": ifMatch}
	}
	event.RequestContext.RequestID = uuid.NewString()
	event.RequestContext.Identity.UserArn = "arn:aws:iam::123456789012:user/shop"
	response, err := v.router.Invoke(v.t.Context(), apitest.Event(event))
	if err != nil || response.StatusCode != status {
		v.t.Fatalf("%s: %d %s, %v", route, response.StatusCode, response.Body, err)
	}
	var license struct{ LicenseID string }
	if status != http.StatusNoContent {
		if err := json.Unmarshal([]byte(response.Body), &license); err != nil {
			v.t.Fatal(err)
		}
	}
	return license.LicenseID, response.Headers["ETag"]
}

// wholeLife makes seven changes: issue, change, suspend, reinstate, revoke, and a removal, which are two.
func (v *vendor) wholeLife(name string) (licenseID string) {
	v.t.Helper()
	order := fmt.Sprintf(`{"customername":%q,"expirationdate":"2099-01-31",`+
		`"services":[{"serviceName":"Reports","serviceValue":"reports"}]}`, name)
	id, tag := v.call(http.StatusCreated, "POST /licenses", "", "", order)
	v.call(http.StatusOK, "PATCH /licenses/{licenseid}", id, tag, `{"notes":"changed","reason":"asked for it"}`)
	v.call(http.StatusOK, "POST /licenses/{licenseid}/suspend", id, "", `{"reason":"unpaid"}`)
	v.call(http.StatusOK, "POST /licenses/{licenseid}/reinstate", id, "", `{"reason":"paid"}`)
	_, tag = v.call(http.StatusOK, "POST /licenses/{licenseid}/revoke", id, "", `{"reason":"contract ended"}`)
	v.call(http.StatusNoContent, "DELETE /licenses/{licenseid}", id, tag, `{"reason":"issued by mistake"}`)
	return id
}

var (
	lifeActions = []audit.Action{
		audit.Issued, audit.Changed, audit.Suspended, audit.Reinstated, audit.Revoked, audit.Changed, audit.Deleted,
	}
	lifeReasons = []string{
		"", "asked for it", "unpaid", "paid", "contract ended", "issued by mistake", "issued by mistake",
	}
)

func (v *vendor) records(n int) []events.DynamoDBEventRecord {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), time.Minute)
	defer cancel()
	records, err := v.stream.FromTheStart(ctx, n)
	if err != nil {
		v.t.Fatal(err)
	}
	if len(records) != n {
		v.t.Fatalf("%d records in the stream, want %d", len(records), n)
	}
	return records
}

func (v *vendor) auditor(tables trailTables) auditing.Auditor {
	auditor := newAuditor(environment{AuditTable: tables.entries, DisclosureTable: tables.disclosures}, v.dynamoDB)
	auditor.Log = telemetrytest.Log
	auditor.Recorder.Nonce = func(e audit.Event, value string) string { return e.ID + " " + value }
	return auditor
}

// deliver hands records over as an event source mapping does: in batches, and again from the lowest that failed.
func deliver(ctx context.Context, auditor auditing.Auditor, records []events.DynamoDBEventRecord, batchSize int) error {
	for failures := 0; len(records) > 0; {
		batch := records[:min(batchSize, len(records))]
		response, err := auditor.Handle(ctx, events.DynamoDBEvent{Records: batch})
		if err != nil {
			return err
		}
		done := len(batch)
		for _, failure := range response.BatchItemFailures {
			done = min(done, slices.IndexFunc(batch, func(r events.DynamoDBEventRecord) bool {
				return r.Change.SequenceNumber == failure.ItemIdentifier
			}))
		}
		if done < len(batch) {
			failures++
		}
		if done < 0 || failures > 100 {
			return fmt.Errorf("%d deliveries failed, and then %+v", failures, response)
		}
		records = records[done:]
	}
	return nil
}

// wantLife wants the chain of a whole life, up to the stored head.
func (v *vendor) wantLife(tables trailTables, licenseID string) {
	v.t.Helper()
	trail := v.trail(tables)
	entries := audittest.Chain(v.t, trail, licenseID)
	reached, err := audit.Verify(licenseID, audit.Head{}, entries)
	if err != nil {
		v.t.Error(err)
	}
	state, err := trail.State(v.t.Context(), licenseID)
	if err != nil || state.Head != reached {
		v.t.Errorf("the head is %+v, the entries lead to %+v, %v", state.Head, reached, err)
	}
	var actions []audit.Action
	var reasons []string
	for _, e := range entries {
		actions, reasons = append(actions, e.Action), append(reasons, e.Reason)
		if e.Actor != "arn:aws:iam::123456789012:user/shop" || e.RequestID == "" {
			v.t.Errorf("entry %d is of %s by request %q", e.Sequence, e.Actor, e.RequestID)
		}
	}
	if diff := cmp.Diff(lifeActions, actions); diff != "" {
		v.t.Errorf("actions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(lifeReasons, reasons); diff != "" {
		v.t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

// items answers all that the tables of a trail hold, as JSON.
func (v *vendor) items(tables trailTables) string {
	v.t.Helper()
	var all []map[string]types.AttributeValue
	for _, table := range []string{tables.entries, tables.disclosures} {
		input := &dynamodb.ScanInput{TableName: &table, ConsistentRead: aws.Bool(true)}
		pages := dynamodb.NewScanPaginator(dynamodb.NewFromConfig(v.dynamoDB), input)
		for pages.HasMorePages() {
			page, err := pages.NextPage(v.t.Context())
			if err != nil {
				v.t.Fatal(err)
			}
			all = append(all, page.Items...)
		}
	}
	text, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		v.t.Fatal(err)
	}
	return string(text)
}

// TestStream reads the real stream of changes that were made through the vendor's API. A shard that comes again from
// its start changes no byte of the audit table, and neither the size of batches nor overlapping deliveries change a
// chain.
func TestStream(t *testing.T) {
	v := newVendor(t)
	licenses := []string{v.wholeLife("First Ltd"), v.wholeLife("Second Ltd")}
	records := v.records(2 * len(lifeActions))

	if err := deliver(t.Context(), v.auditor(v.auditTable), records, 4); err != nil {
		t.Fatal(err)
	}
	for _, id := range licenses {
		v.wantLife(v.auditTable, id)
	}
	first := v.items(v.auditTable)

	t.Run("replayed from the start", func(t *testing.T) {
		if err := deliver(t.Context(), v.auditor(v.auditTable), v.records(len(records)), 3); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, v.items(v.auditTable)); diff != "" {
			t.Errorf("(-first +again):\n%s", diff)
		}
	})
	t.Run("overlapping deliveries", func(t *testing.T) {
		other := newAuditTable(t, v.dynamoDB)
		var deliveries sync.WaitGroup
		for _, batchSize := range []int{1, 5, 100} {
			deliveries.Go(func() {
				if err := deliver(t.Context(), v.auditor(other), records, batchSize); err != nil {
					t.Error(err)
				}
			})
		}
		deliveries.Wait()
		if diff := cmp.Diff(first, v.items(other)); diff != "" {
			t.Errorf("(-one after the other +at once):\n%s", diff)
		}
	})
}
