package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/google/go-cmp/cmp"

	"openlicenser/functions/audit/auditing"
	"openlicenser/shared/audit"
	"openlicenser/shared/bootstrap"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/license"
	"openlicenser/shared/stream"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/testing/telemetrytest"
)

type item = map[string]types.AttributeValue

// licenseTable is a license table on DynamoDB Local with two kinds of writers, its stream, and both readers of it.
type licenseTable struct {
	t        *testing.T
	config   aws.Config
	client   *dynamodb.Client
	name     *string
	licenses *dynamo.Licenses
	trail    *dynamo.AuditTrail
	stream   awstest.Stream
	index    bootstrap.Handler[events.DynamoDBEvent, events.DynamoDBEventResponse]
	audit    auditing.Auditor
}

func newLicenseTable(t *testing.T) licenseTable {
	t.Helper()
	cfg := awstest.Config(awstest.Need(t, awstest.DynamoDBVariable))
	client := dynamodb.NewFromConfig(cfg)
	made := awstest.NewTable(t, client, "LicenseTable")
	references := aws.ToString(awstest.NewTable(t, client, "ReferenceTable").TableName)
	trail := dynamo.NewAuditTrail(client, aws.ToString(awstest.NewTable(t, client, "AuditTable").TableName),
		aws.ToString(awstest.NewTable(t, client, "DisclosureTable").TableName))
	index, err := wire(environment{LicenseTable: aws.ToString(made.TableName)}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return licenseTable{
		t: t, config: cfg, client: client, name: made.TableName, trail: trail, index: index,
		licenses: dynamo.NewLicenses(client, aws.ToString(made.TableName), references),
		stream:   awstest.Stream{Client: dynamodbstreams.NewFromConfig(cfg), ARN: aws.ToString(made.LatestStreamArn)},
		audit:    auditing.Auditor{Recorder: audit.Recorder{Store: trail}, Log: telemetrytest.Log},
	}
}

// theirs are the attributes that the other tool knows.
var theirs = []string{
	"licenseid", "appurls", "services", "changedtimestamp", "customerid", "customername", "expirationdate", "isrevoked",
	"notes",
}

// copyAll returns the other tool's copy of all licenses.
func (b licenseTable) copyAll() (copies []item) {
	b.t.Helper()
	pages := dynamodb.NewScanPaginator(b.client, &dynamodb.ScanInput{TableName: b.name, ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		for _, values := range page.Items {
			maps.DeleteFunc(values, func(name string, _ types.AttributeValue) bool {
				return !slices.Contains(theirs, name)
			})
			copies = append(copies, values)
		}
	}
	return copies
}

// synchronize puts all licenses, whole, as the other tool knows them.
func (b licenseTable) synchronize(copies []item) {
	b.t.Helper()
	for _, values := range copies {
		in := &dynamodb.PutItemInput{TableName: b.name, Item: values}
		if _, err := b.client.PutItem(b.t.Context(), in); err != nil {
			b.t.Fatal(err)
		}
	}
}

// change makes a change of ours.
func (b licenseTable) change(id string, do func(license.License) (license.License, error)) {
	b.t.Helper()
	before, err := b.licenses.Get(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	after, err := do(before)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.licenses.Update(b.t.Context(), before, after); err != nil {
		b.t.Fatal(err)
	}
}

// read returns all that the stream has, once it has settled.
func (b licenseTable) read() (records []events.DynamoDBEventRecord) {
	b.t.Helper()
	for {
		more, err := b.stream.FromTheStart(b.t.Context(), len(records))
		if err != nil {
			b.t.Fatal(err)
		}
		if len(more) == len(records) && len(records) > 0 {
			return records
		}
		records = more
		time.Sleep(300 * time.Millisecond) // the stream is a moment behind the table
	}
}

// deliver hands records to the index function, and all that comes of it, until nothing comes any more. It returns how
// many there are.
func (b licenseTable) deliver(from int) int {
	b.t.Helper()
	for {
		records := b.read()
		if from >= len(records) {
			return len(records)
		}
		for batch := range slices.Chunk(records[from:], 3) {
			b.handle(b.index, batch)
		}
		from = len(records)
	}
}

func (b licenseTable) handle(
	handle func(context.Context, events.DynamoDBEvent) (events.DynamoDBEventResponse, error),
	batch []events.DynamoDBEventRecord,
) {
	b.t.Helper()
	response, err := handle(b.t.Context(), events.DynamoDBEvent{Records: batch})
	if err != nil || len(response.BatchItemFailures) > 0 {
		b.t.Fatalf("got %+v, %v", response, err)
	}
}

// ours is what only we know of a license.
type ours struct {
	Suspended        bool
	GraceDays        int
	Reference, Email string
	Created          time.Time
}

func oursOf(l license.License) ours {
	return ours{l.Suspended, l.GraceDays, l.Reference, l.Email, l.Created}
}

// wantOurs: all licenses have what only we know, in the other tool's form of what it knows, and are in the lists.
func (b licenseTable) wantOurs(when string, want map[string]ours, copies []item) {
	b.t.Helper()
	got := map[string]ours{}
	for id := range want {
		l, err := b.licenses.Get(b.t.Context(), id)
		if err != nil {
			b.t.Fatal(err)
		}
		got[id] = oursOf(l)
		email := license.Query{Email: l.Email, Limit: 10}
		if page, err := b.licenses.List(b.t.Context(), email); err != nil || len(page.Licenses) != 1 {
			b.t.Errorf("%s: the list of %s has %d licenses, %v", when, l.Email, len(page.Licenses), err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("%s (-want +got):\n%s", when, diff)
	}
	if diff := cmp.Diff(b.plain(copies), b.plain(b.copyAll())); diff != "" {
		b.t.Errorf("%s: what is theirs (-put +stored):\n%s", when, diff)
	}
	page, err := b.licenses.List(b.t.Context(), license.Query{Limit: 100})
	if err != nil || len(page.Licenses) != len(copies) {
		b.t.Errorf("%s: the list has %d licenses, %v", when, len(page.Licenses), err)
	}
}

// plain returns items by license id.
func (b licenseTable) plain(items []item) map[any]map[string]any {
	b.t.Helper()
	plain := map[any]map[string]any{}
	for _, values := range items {
		var attributes map[string]any
		if err := attributevalue.UnmarshalMap(values, &attributes); err != nil {
			b.t.Fatal(err)
		}
		plain[attributes["licenseid"]] = attributes
	}
	return plain
}

// TestForeignWrites: another tool puts all licenses whole, as the original's application does at every synchronization.
// It does so twice in a row, and in between our own changes, while the stream comes late and again. Nothing of ours is
// lost, nothing of theirs is undone, and the trail tells it all.
func TestForeignWrites(t *testing.T) {
	b, want := newLicenseTable(t), map[string]ours{}
	var ids []string
	for n := range 8 {
		id, err := license.NewID()
		if err != nil {
			t.Fatal(err)
		}
		l, err := license.Draft{
			CustomerName: fmt.Sprint("Customer ", n), ExpirationDate: "2099-01-31", GraceDays: n,
			Reference: "order " + id, Email: fmt.Sprintf("Customer-%d@Example.com", n),
		}.Issue(id, licensetest.Change(""))
		if err != nil {
			t.Fatal(err)
		}
		if n%2 == 0 {
			if l, err = l.Suspend(licensetest.Change("unpaid")); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.licenses.Create(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		ids, want[id] = append(ids, id), oursOf(l)
	}
	copies := b.copyAll()
	for n, values := range copies {
		values["notes"] = &types.AttributeValueMemberS{Value: fmt.Sprint("theirs ", n)}
	}

	b.synchronize(copies)
	for _, values := range copies {
		values["changedtimestamp"] = &types.AttributeValueMemberN{Value: "1793534400001"}
	}
	b.synchronize(copies)
	handled := b.deliver(0)
	b.wantOurs("after two in a row", want, copies)

	suspend := func(l license.License) (license.License, error) { return l.Suspend(licensetest.Change("late")) }
	reinstate := func(l license.License) (license.License, error) { return l.Reinstate(licensetest.Change("paid")) }
	for n, id := range ids {
		do := reinstate
		if n%2 == 1 {
			do = suspend
		}
		b.change(id, do)
		changed := want[id]
		changed.Suspended = !changed.Suspended
		want[id] = changed
	}
	copies = b.copyAll()
	for _, values := range copies {
		values["customername"] = &types.AttributeValueMemberS{Value: "renamed"}
	}
	b.synchronize(copies)
	// The first synchronization is told of again, before anybody was told of this one.
	for batch := range slices.Chunk(b.read()[:handled], 5) {
		b.handle(b.index, batch)
	}
	b.deliver(handled)
	b.wantOurs("after late and repeated events", want, copies)
	b.deliver(0)
	b.wantOurs("after all of it again", want, copies)

	entries := 0
	for batch := range slices.Chunk(b.read(), 50) {
		b.handle(b.audit.Handle, batch)
		for _, record := range batch {
			if changed(record) {
				entries++
			}
		}
	}
	b.wantTrail(ids, entries)
}

// changed reports whether more than index attributes differ.
func changed(record events.DynamoDBEventRecord) bool {
	old, errOld := stream.RecordOf(record.Change.OldImage)
	new, errNew := stream.RecordOf(record.Change.NewImage)
	return errOld != nil || errNew != nil ||
		!cmp.Equal(license.WithoutIndex(old), license.WithoutIndex(new))
}

// wantTrail: the chains hold, have as many entries as there were changes, and name who has put back what.
func (b licenseTable) wantTrail(ids []string, entries int) {
	b.t.Helper()
	putBack := map[string]bool{}
	for _, id := range ids {
		chain, err := b.trail.Entries(b.t.Context(), id, 0, 100)
		if err != nil {
			b.t.Fatal(err)
		}
		if _, err := audit.Verify(id, audit.Head{}, chain); err != nil {
			b.t.Error(err)
		}
		entries -= len(chain)
		for n, e := range chain {
			if e.Gap || e.Late {
				b.t.Errorf("entry %d of %s has a gap before it, or is late", e.Sequence, id)
			}
			if e.Actor == license.PutBackActor {
				putBack[id] = true
				// Or it was put back after an event that came again, and now as it was last.
				if n == 0 || chain[n-1].Changes["version"].New != nil && chain[n-1].Actor != license.PutBackActor {
					b.t.Errorf("entry %d of %s puts back what nobody had left out", e.Sequence, id)
				}
			}
		}
	}
	if entries != 0 || len(putBack) != len(ids) {
		b.t.Errorf("%d changes are on no trail; of %d of %d licenses something was put back",
			entries, len(putBack), len(ids))
	}
}

// TestRevocationTakenBack: it is theirs, so it stays, and it is counted for an alarm.
func TestRevocationTakenBack(t *testing.T) {
	b := newLicenseTable(t)
	l := licensetest.Issue(t)
	if err := b.licenses.Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	copies := b.copyAll()
	b.change(l.ID, func(l license.License) (license.License, error) { return l.Revoke(licensetest.Change("fraud")) })
	b.synchronize(copies)
	var log bytes.Buffer
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(telemetry.NewLogger(&log))
	index, err := wire(environment{LicenseTable: *b.name}, b.config)
	if err != nil {
		t.Fatal(err)
	}
	b.index = index
	b.deliver(0)
	if after, err := b.licenses.Get(t.Context(), l.ID); err != nil || after.Revoked {
		t.Errorf("got %+v, %v", after, err)
	}
	if !strings.Contains(log.String(), `"RevocationsTakenBack":1`) {
		t.Errorf("logged %s", &log)
	}
}
