package functions_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

	"openlicenser/shared/license"
	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/lambdatest"
	"openlicenser/shared/testing/lifetest"
	"openlicenser/shared/testing/samtemplate"
	"openlicenser/shared/vendorapi"
)

// stack is what sam build has built, behind the Lambda Runtime API. The environment, the tables, the secret and the key
// are those that the template declares.
type stack struct {
	*testing.T
	cloud    awstest.Cloud
	template *samtemplate.Template
	url      string // of the API
	stream   awstest.Stream
	readers  map[string]*lambdatest.Function // of the stream, by the functions' names
}

func newStack(t *testing.T) stack {
	t.Helper()
	build := awstest.Need(t, awstest.BuildVariable)
	dynamoDB, moto := awstest.Need(t, awstest.DynamoDBVariable), awstest.Need(t, awstest.MotoVariable)
	cloud := awstest.NewCloud(dynamoDB, moto)
	kms := httptest.NewServer(cloud.KMS)
	t.Cleanup(kms.Close)
	name := func(id string) string { return id + "-" + uuid.NewString() }
	template, err := awstest.Deploy(t.Context(), readTemplate(t), cloud, name)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tablesOf(t, template) {
		t.Cleanup(func() {
			input := dynamodb.DeleteTableInput{TableName: aws.String(template.Value(table))}
			_, _ = cloud.DynamoDB.DeleteTable(context.Background(), &input)
		})
	}
	run := func(function string) *lambdatest.Function {
		environment, err := template.Environment(function)
		if err != nil {
			t.Fatal(err)
		}
		return lambdatest.Run(t, filepath.Join(build, function, "bootstrap"), append(environment,
			"AWS_ENDPOINT_URL_DYNAMODB="+dynamoDB, "AWS_ENDPOINT_URL_SECRETS_MANAGER="+moto,
			"AWS_ENDPOINT_URL_KMS="+kms.URL)...)
	}
	s := stack{
		T: t, cloud: cloud, template: template, url: serveGateway(t, template, run),
		stream: awstest.Stream{
			Client: dynamodbstreams.NewFromConfig(awstest.Config(dynamoDB)),
			ARN:    template.Value("LicenseTable.StreamArn"),
		},
		readers: map[string]*lambdatest.Function{},
	}
	for _, function := range streamReaders {
		s.readers[function] = run(function)
	}
	return s
}

// tablesOf returns the logical ids of the template's tables.
func tablesOf(t *testing.T, template *samtemplate.Template) (ids []string) {
	t.Helper()
	for _, resourceType := range []string{"AWS::DynamoDB::GlobalTable", "AWS::DynamoDB::Table"} {
		of, err := template.Of(resourceType)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, of...)
	}
	return ids
}

// streamReaders are the functions on the stream of the license table.
var streamReaders = []string{"IndexFunction", "AuditFunction"}

// invoke hands an event to a reader of the stream.
func (s stack) invoke(function string, event, answer any) {
	s.readers[function].Invoke(event, "", answer)
}

// TestBuiltFunctions: the whole life of a license, through all functions that a change of it reaches. Our own changes
// leave the index function nothing to do.
func TestBuiltFunctions(t *testing.T) {
	s := newStack(t)
	lifetest.Run(t, lifetest.Service{
		URL:    s.url,
		Settle: func(changes int) { settle(t, s.stream, changes, s.invoke) },
	})
}

// TestForeignWrites: another tool puts whole records of what it knows, over one of ours too. All are in the lists, what
// only we know is back, what the other tool said stands, and the trail tells who did which.
func TestForeignWrites(t *testing.T) {
	s := newStack(t)
	u, err := vendorapi.ParseURL(s.url)
	if err != nil {
		t.Fatal(err)
	}
	api, err := vendorapi.New(vendorapi.Config{URL: u})
	if err != nil {
		t.Fatal(err)
	}
	draft := vendorapi.LicenseDraft{
		CustomerName: "Example & Söhne", ExpirationDate: "2099-01-31", Reference: "order-4711", Email: "a@example.com",
	}
	ours, err := api.Issue(t.Context(), draft, vendorapi.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.Suspend(t.Context(), ours.LicenseID, "unpaid", vendorapi.Options{}); err != nil {
		t.Fatal(err)
	}
	foreign := uuid.NewString()
	s.putForeign(ours.LicenseID)
	s.putForeign(foreign)

	// Four changes until now. The index function makes two more, and none when all comes again.
	for _, changes := range []int{4, 6, 6} {
		deliver(t, s.stream, "IndexFunction", changes, s.invoke)
	}
	settle(t, s.stream, 6, s.invoke)

	listed := map[string]license.Status{}
	for l, err := range api.Licenses(t.Context(), vendorapi.ListQuery{CustomerName: "EXAMPLE & S"}) {
		if err != nil {
			t.Fatal(err)
		}
		listed[l.LicenseID] = l.Status
	}
	want := map[string]license.Status{ours.LicenseID: license.Suspended, foreign: license.Active}
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	kept, err := api.License(t.Context(), "ref:order-4711")
	if err != nil || kept.LicenseID != ours.LicenseID || kept.Email != draft.Email || kept.Notes != "of another tool" {
		t.Errorf("the license is %+v, %v", kept, err)
	}
	var taken *vendorapi.Problem
	if _, err := api.Issue(t.Context(), draft, vendorapi.Options{}); !errors.As(err, &taken) ||
		taken.Code != "REFERENCE_TAKEN" {
		t.Errorf("the reference once more: %v", err)
	}
	const shop = "arn:aws:iam::123456789012:user/shop"
	s.wantTrail(api, ours.LicenseID,
		"ISSUED "+shop, "SUSPENDED "+shop, "REINSTATED unknown", "SUSPENDED "+license.PutBackActor)
	s.wantTrail(api, foreign, "ISSUED unknown")
}

// putForeign puts a record as the original's application does: whole, and of what that knows.
func (s stack) putForeign(id string) {
	s.Helper()
	text := func(value string) types.AttributeValue { return &types.AttributeValueMemberS{Value: value} }
	_, err := s.cloud.DynamoDB.PutItem(s.Context(), &dynamodb.PutItemInput{
		TableName: aws.String(s.template.Value("LicenseTable")),
		Item: map[string]types.AttributeValue{
			"licenseid": text(id), "customerid": text(uuid.NewString()), "customername": text("Example & Söhne"),
			"expirationdate": text("2099-01-31T23:59:59.999Z"), "notes": text("of another tool"),
			"appurls": text("[]"), "services": text("[]"),
			"changedtimestamp": &types.AttributeValueMemberN{Value: "1718622505782"},
			"isrevoked":        &types.AttributeValueMemberBOOL{Value: false},
		},
	})
	if err != nil {
		s.Fatal(err)
	}
}

// wantTrail wants the actions and actors of a license's trail.
func (s stack) wantTrail(api *vendorapi.Client, id string, want ...string) {
	s.Helper()
	var got []string
	for entry, err := range api.AuditEntries(s.Context(), id) {
		if err != nil {
			s.Fatal(err)
		}
		got = append(got, string(entry.Action)+" "+entry.Actor)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("trail (-want +got):\n%s", diff)
	}
}

// settle hands the whole stream to both of its readers.
func settle(
	t *testing.T, stream awstest.Stream, changes int, invoke func(function string, event, answer any),
) {
	t.Helper()
	for _, function := range streamReaders {
		deliver(t, stream, function, changes, invoke)
	}
}

// deliver hands the whole stream, which has this many changes, to a function, and wants it to be content.
func deliver(
	t *testing.T, stream awstest.Stream, function string, changes int, invoke func(function string, event, answer any),
) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	records, err := stream.FromTheStart(ctx, changes)
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != changes {
		t.Errorf("%d changes in the stream, want %d", len(records), changes)
	}
	var response events.DynamoDBEventResponse
	invoke(function, events.DynamoDBEvent{Records: records}, &response)
	if len(response.BatchItemFailures) != 0 {
		t.Errorf("%s failed at %+v", function, response)
	}
}

var pathParameter = regexp.MustCompile(`{([^}]+)}`)

// serveGateway stands in for API Gateway: it turns requests into events for the function that the template names.
func serveGateway(
	t *testing.T, template *samtemplate.Template, run func(function string) *lambdatest.Function,
) (url string) {
	t.Helper()
	routes, err := template.Routes()
	if err != nil {
		t.Fatal(err)
	}
	running := map[string]*lambdatest.Function{}
	mux := http.NewServeMux()
	for route, function := range routes {
		if running[function] == nil {
			running[function] = run(function)
		}
		_, resource, _ := strings.Cut(route, " ")
		mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
			var response events.APIGatewayProxyResponse
			running[function].Invoke(proxyEvent(r, resource), "", &response)
			for name, value := range response.Headers {
				w.Header().Set(name, value)
			}
			w.WriteHeader(response.StatusCode)
			io.WriteString(w, response.Body)
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func proxyEvent(r *http.Request, resource string) events.APIGatewayProxyRequest {
	body, _ := io.ReadAll(r.Body)
	event := events.APIGatewayProxyRequest{
		Resource: resource, Path: r.URL.Path, HTTPMethod: r.Method, Body: string(body),
		PathParameters: map[string]string{},
		Headers:        map[string]string{}, MultiValueHeaders: r.Header,
		QueryStringParameters: map[string]string{}, MultiValueQueryStringParameters: r.URL.Query(),
	}
	for name := range r.Header {
		event.Headers[name] = r.Header.Get(name)
	}
	for name := range r.URL.Query() {
		event.QueryStringParameters[name] = r.URL.Query().Get(name)
	}
	for _, match := range pathParameter.FindAllStringSubmatch(resource, -1) {
		event.PathParameters[match[1]] = r.PathValue(match[1])
	}
	event.RequestContext.RequestID = uuid.NewString()
	event.RequestContext.Path, event.RequestContext.Stage = "/prod"+r.URL.Path, "prod"
	if strings.HasPrefix(resource, "/licenses") {
		event.RequestContext.Identity.UserArn = "arn:aws:iam::123456789012:user/shop"
	}
	return event
}

// TestSAMLocal drives the API that the SAM CLI has started. No stream is connected there, so the test has the CLI
// invoke the stream's readers.
func TestSAMLocal(t *testing.T) {
	url := os.Getenv(awstest.APIVariable)
	if url == "" {
		t.Skip("make sam-local-test runs this")
	}
	cfg := awstest.Config(awstest.Need(t, awstest.DynamoDBVariable))
	input := dynamodb.DescribeTableInput{TableName: aws.String("LicenseTable")}
	table, err := dynamodb.NewFromConfig(cfg).DescribeTable(t.Context(), &input)
	if err != nil {
		t.Fatal(err)
	}
	stream := awstest.Stream{Client: dynamodbstreams.NewFromConfig(cfg), ARN: aws.ToString(table.Table.LatestStreamArn)}
	lifetest.Run(t, lifetest.Service{
		URL: url,
		Settle: func(changes int) {
			settle(t, stream, changes, func(function string, event, answer any) {
				samInvoke(t, function, event, answer)
			})
		},
	})
}

// samInvoke runs `sam local invoke`, with the options that awslocal gives.
func samInvoke(t *testing.T, function string, event, answer any) {
	t.Helper()
	text, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	args := append(strings.Fields(os.Getenv(awstest.SAMInvokeVariable)), function, "--event", "-")
	command := exec.CommandContext(t.Context(), args[0], args[1:]...)
	command.Dir, _ = samtemplate.Root()
	command.Stdin, command.Stderr = strings.NewReader(string(text)), os.Stderr
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(output, answer); err != nil {
		t.Fatal(fmt.Errorf("%w: %s", err, output))
	}
}
