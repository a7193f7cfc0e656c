package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
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
	"openlicenser/functions/index/indexing"
	"openlicenser/functions/issue/issuance"
	"openlicenser/functions/verify/verification"
	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/embedded"
	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/samtemplate"
	"openlicenser/shared/token"
)

// stack is the whole service on tables of DynamoDB Local, with keys in a folder. Its license table can be replaced.
type stack struct {
	*server
	config  aws.Config
	client  *dynamodb.Client
	folder  *embedded.Folder
	signed  checkpoints
	table   string // of the licenses
	stream  awstest.Stream
	read    int               // records of the stream that both of its readers have
	tables  map[string]string // the others, by their names in the template
	running *httptest.Server
}

func newStack(t *testing.T) *stack {
	t.Helper()
	setAWS(t, awstest.Need(t, awstest.DynamoDBVariable))
	cfg, err := awsConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir()
	folder, err := embedded.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { folder.Close() })
	s := &stack{
		server: &server{t: t}, config: cfg, client: dynamodb.NewFromConfig(cfg), folder: folder,
		tables: map[string]string{},
	}
	if s.signed, err = openCheckpoints(folder, path, time.Hour, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"AuditTable", "DisclosureTable", "ReferenceTable", "DeviceTable", "PlanTable", "IdempotencyTable",
	} {
		s.tables[name] = aws.ToString(awstest.NewTable(t, s.client, name).TableName)
	}
	licenses := awstest.NewTable(t, s.client, "LicenseTable")
	s.deploy(aws.ToString(licenses.TableName), aws.ToString(licenses.LatestStreamArn))
	return s
}

func (s *stack) trail() *dynamo.AuditTrail {
	return dynamo.NewAuditTrail(s.client, s.tables["AuditTable"], s.tables["DisclosureTable"])
}

// deploy serves with a license table.
func (s *stack) deploy(table, streamARN string) {
	s.t.Helper()
	s.table, s.read = table, 0
	s.stream = awstest.Stream{Client: dynamodbstreams.NewFromConfig(s.config), ARN: streamARN}
	store := dynamo.NewLicenses(s.client, table, s.tables["ReferenceTable"])
	devices := dynamo.NewDevices(s.client, s.tables["DeviceTable"])
	keys := issuance.Keys{Licenses: store, Secrets: s.folder.Secrets, Issuer: "Test", Now: time.Now}
	log := slog.New(slog.DiscardHandler)
	issuer, err := issuance.NewRouter(log,
		issuance.Licenses{
			Store: store, Idempotency: dynamo.NewIdempotency(s.client, s.tables["IdempotencyTable"]), Keys: keys,
			Secrets: s.folder.Secrets, Trail: s.trail(), References: issuance.DisclosedReferences(s.trail()),
			Devices: devices, Plans: dynamo.NewPlans(s.client, s.tables["PlanTable"]), Now: time.Now,
			TokenLifetime: 90 * 24 * time.Hour,
		},
		keys,
		issuance.Trail{
			Store: s.trail(), Licenses: store,
			Records:     checkpoint.StoredRecords{Records: dynamo.NewRecords(s.client, table)},
			Checkpoints: s.signed.archive, CheckpointKey: s.signed.key, Origin: checkpointOrigin,
			Secrets: s.folder.Secrets, Now: time.Now,
		},
	)
	if err != nil {
		s.t.Fatal(err)
	}
	verifier := verification.Verifier{
		Licenses: store, Devices: devices, Secrets: s.folder.Secrets,
		Authorizer: token.Authorizer{Key: s.folder.SigningKey, Issuer: "Test", Lifetime: 90 * 24 * time.Hour},
		Reuse:      verification.NewReuse(0, nil), Now: time.Now, Log: log,
	}
	if s.running != nil {
		s.running.Close()
	}
	s.running = httptest.NewServer(newGateway(
		lambdaFunction{router: verifier.Router()}, lambdaFunction{router: issuer, principal: "vendor"},
	))
	s.t.Cleanup(s.running.Close)
	s.url = s.running.URL
}

// readStream hands the stream's next n records to both of its readers.
func (s *stack) readStream(n int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	records, err := s.stream.FromTheStart(ctx, s.read+n)
	if err != nil || len(records) != s.read+n {
		s.t.Fatalf("%d records, want %d, %v", len(records), s.read+n, err)
	}
	log := slog.New(slog.DiscardHandler)
	batch := events.DynamoDBEvent{Records: records[s.read:]}
	for _, read := range []handler{
		auditing.Auditor{Recorder: audit.Recorder{Store: s.trail()}, Log: log}.Handle,
		indexing.Indexer{Records: dynamo.NewRecords(s.client, s.table), Log: log}.Handle,
	} {
		if response, err := read(ctx, batch); err != nil || len(response.BatchItemFailures) > 0 {
			s.t.Fatalf("%v, %v", response, err)
		}
	}
	s.read = len(records)
}

// restored makes a table of the items that the license table has now, as a restore to a point in time does: without a
// stream, which is turned on afterwards.
func (s *stack) restored() (name string) {
	s.t.Helper()
	template, err := samtemplate.Read()
	if err != nil {
		s.t.Fatal(err)
	}
	in, err := awstest.Table(template, "LicenseTable")
	if err != nil {
		s.t.Fatal(err)
	}
	in.StreamSpecification, in.TableName = nil, aws.String("licenser-test-"+uuid.NewString())
	if _, err := s.client.CreateTable(s.t.Context(), in); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_, _ = s.client.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: in.TableName})
	})
	out, err := s.client.Scan(s.t.Context(), &dynamodb.ScanInput{TableName: &s.table, ConsistentRead: aws.Bool(true)})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, item := range out.Items {
		put := &dynamodb.PutItemInput{TableName: in.TableName, Item: item}
		if _, err := s.client.PutItem(s.t.Context(), put); err != nil {
			s.t.Fatal(err)
		}
	}
	return *in.TableName
}

func (s *stack) turnOnStream(table string) (arn string) {
	s.t.Helper()
	out, err := s.client.UpdateTable(s.t.Context(), &dynamodb.UpdateTableInput{
		TableName: &table, StreamSpecification: &types.StreamSpecification{
			StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages,
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return aws.ToString(out.TableDescription.LatestStreamArn)
}

// run runs the command on the tables, and wants an exit code.
func (s *stack) run(code int, arguments ...string) outcome {
	s.t.Helper()
	o := runProgram(s.t, s.url, append([]string{
		"audit", "restore", "--table", s.table, "--audit-table", s.tables["AuditTable"], "--disclosure-table",
		s.tables["DisclosureTable"], "--reference-table", s.tables["ReferenceTable"], "-o", "json",
	}, arguments...)...)
	if o.code != code {
		s.t.Fatalf("licenser audit restore %q: exit code %d, want %d\n%s%s", arguments, o.code, code, o.out, o.err)
	}
	return o
}

// TestRestoreOnAWS: a license is revoked after a backup, and the backup is put in the place of the table. The refusal
// is
// back after the restoration, and the trail says all of it.
func TestRestoreOnAWS(t *testing.T) {
	s := newStack(t)
	w := sold{t: t}
	for _, l := range []*issued{&w.revoked, &w.suspended, &w.deleted, &w.renewed, &w.same} {
		*l = s.issue()
	}
	w.erased = s.sellToQuill("quill-order-1")
	s.readStream(10)
	table := s.restored()

	s.done("license", "revoke", w.revoked.LicenseID, "--reason", "unpaid", "--yes")
	s.done("license", "suspend", w.suspended.LicenseID, "--reason", "late")
	s.done("license", "delete", w.deleted.LicenseID, "--reason", "issued twice", "--yes")
	s.done("license", "erase", w.erased.LicenseID, "--reason", "asked for by letter", "--yes")
	s.done("license", "renew", w.renewed.LicenseID, "--expires", "2101-01-01", "--reason", "paid")
	w.late = s.issue()
	s.readStream(7)
	if answer := s.verify(w.revoked.LicenseKey); answer.Error != "LICENSE_REVOKED" {
		t.Fatalf("verification answers %+v", answer)
	}

	s.deploy(table, "")
	if o := s.run(exitOther, "--apply", "--yes"); !strings.Contains(o.err, "nothing is changed, because") {
		t.Errorf("without a stream: %s", o.err)
	}
	s.deploy(table, s.turnOnStream(table))
	if answer := s.verify(w.revoked.LicenseKey); answer.Message == "" {
		t.Fatalf("nothing is forgotten: %+v", answer)
	}
	// Somebody goes on working before anything is restored.
	s.done("license", "change", w.revoked.LicenseID, "--notes", "since")
	s.readStream(1)

	if diff := cmp.Diff(w.want(""), w.plans(s.run(exitCodeFirst).out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(w.want("done"), w.plans(s.run(0, "--apply", "--yes").out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.run(0) // also before the stream tells of it
	s.readStream(7)
	s.run(0)

	for l, want := range map[issued]string{
		w.revoked: "LICENSE_REVOKED", w.suspended: "LICENSE_SUSPENDED", w.deleted: "INVALID_LICENSE",
		w.renewed: "", w.same: "", w.late: "", w.erased: "",
	} {
		if answer := s.verify(l.LicenseKey); answer.Error != want || (answer.Message == "") != (want != "") {
			t.Errorf("verification of %s answers %+v, want %q", l.LicenseID, answer, want)
		}
	}
	var l struct{ Notes, CustomerName string }
	if s.get("/licenses/"+w.revoked.LicenseID, &l); l.Notes != "since" {
		t.Errorf("what was changed since is %+v", l)
	}
	if s.get("/licenses/"+w.erased.LicenseID, &l); l.CustomerName != "erased" {
		t.Errorf("the customer is %+v", l)
	}
	if status, text := s.call(http.MethodGet, "/licenses/ref:quill-order-1", ""); status != http.StatusNotFound {
		t.Errorf("the reference leads to %d %s", status, text)
	}
	s.wantTrail(w)
}

// wantTrail wants chains that verify, with one gap each where the table was taken back, and nothing of the customer who
// was forgotten.
func (s *stack) wantTrail(w sold) {
	s.t.Helper()
	verified := s.program("audit", "verify", "--all")
	found := map[string]int{}
	for line := range strings.Lines(verified.out) {
		id, rest, _ := strings.Cut(line, "  ")
		if strings.HasPrefix(rest, "WRONG") {
			found[id]++
			if !strings.Contains(rest, "a change before this one is missing") {
				s.t.Error(line)
			}
		}
	}
	want := map[string]int{
		w.revoked.LicenseID: 1, w.suspended.LicenseID: 1, w.erased.LicenseID: 1, w.renewed.LicenseID: 1,
		w.late.LicenseID: 1,
	}
	if diff := cmp.Diff(want, found); diff != "" {
		s.t.Errorf("gaps (-want +got):\n%s\n%s", diff, verified.err)
	}
	removed := s.trailOf(w.deleted.LicenseID)
	if last := removed[len(removed)-1]; last.Action != audit.Deleted || last.Actor != "openlicenser-restore" {
		s.t.Errorf("the removal is %+v", last)
	}
	exported := s.done("audit", "export", w.erased.LicenseID)
	for _, text := range quillsTexts() {
		if strings.Contains(exported, text) {
			s.t.Errorf("the trail tells of %q", text)
		}
	}
}

func (s *stack) trailOf(id string) (entries []audit.Entry) {
	s.t.Helper()
	entries, err := s.trail().Entries(s.t.Context(), id, 0, 100)
	if err != nil {
		s.t.Fatal(err)
	}
	return entries
}
