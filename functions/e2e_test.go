package functions_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

	"openlicenser/shared/license"
	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/iamtest"
	"openlicenser/shared/testing/kmstest"
	"openlicenser/shared/testing/lambdatest"
	"openlicenser/shared/testing/lifetest"
	"openlicenser/shared/testing/samtemplate"
	"openlicenser/shared/vendorapi"
)

// stack is what sam build has built, behind the Lambda Runtime API. The environment, the tables, the secret and the
// keys are those that the template declares. What a function calls of AWS is recorded.
type stack struct {
	*testing.T
	build    string // folder that sam build has filled
	cloud    awstest.Cloud
	template *samtemplate.Template
	backends iamtest.Backends
	stream   awstest.Stream
	url      string                          // of the API
	running  map[string]*lambdatest.Function // by the functions' names
	recorded map[string]*iamtest.Recorder    // by the functions' names
}

// newStack returns a stack in which a call that a function's role does not allow fails the test in the end.
func newStack(t *testing.T) stack {
	t.Helper()
	build := awstest.Need(t, awstest.BuildVariable)
	dynamoDB, moto := awstest.Need(t, awstest.DynamoDBVariable), awstest.Need(t, awstest.MotoVariable)
	cloud := awstest.NewCloud(dynamoDB, moto)
	name := func(id string) string { return id + "-" + uuid.NewString() }
	template, err := awstest.Deploy(t.Context(), readTemplate(t), cloud, name)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range of(t, template, "AWS::IAM::Role") {
		template = template.With(map[string]any{role + ".Arn": roleARN + role})
	}
	for _, table := range tablesOf(t, template) {
		t.Cleanup(func() {
			input := dynamodb.DeleteTableInput{TableName: aws.String(template.Value(table))}
			_, _ = cloud.DynamoDB.DeleteTable(context.Background(), &input)
		})
	}
	bucket := lambdatest.NewBucket(t)
	s := stack{
		T: t, build: build, cloud: cloud, template: template, backends: iamtest.Backends{
			"dynamodb": proxy(t, dynamoDB), "secretsmanager": proxy(t, moto), "kms": cloud.KMS, "s3": bucket,
		},
		stream: awstest.Stream{
			Client: dynamodbstreams.NewFromConfig(awstest.Config(dynamoDB)),
			ARN:    template.Value("LicenseTable.StreamArn"),
		},
	}
	s = s.with(nil)
	t.Cleanup(func() {
		for _, problem := range denied(actorsOf(s, s)) {
			t.Error(problem)
		}
	})
	return s
}

// over returns a stack over what this one has made, as over what an earlier one has left.
func (s stack) over() stack {
	s.Helper()
	made := s.template.Values()
	parameters := map[string]any{
		"ExistingTable": made["LicenseTable"], "ExistingTableStream": made["LicenseTable.StreamArn"],
		"ExistingSecret": made["LicenseKeySecret"], "ExistingKey": made["TokenKey.Arn"],
		"ExistingCheckpointKey": made["CheckpointKey.Arn"],
	}
	for parameter := range s.template.Parameters() {
		id, isExisting := strings.CutPrefix(parameter, "Existing")
		if isExisting && parameters[parameter] == nil { // it is called after what it names
			parameters[parameter] = made[id]
		}
		if isExisting && parameters[parameter] == nil {
			s.Fatalf("%s names what the stack has not made", parameter)
		}
	}
	return s.with(parameters)
}

// with returns a stack that has these parameters, and functions of its own.
func (s stack) with(parameters map[string]any) stack {
	s.Helper()
	s.template = s.template.With(parameters)
	s.running, s.recorded = map[string]*lambdatest.Function{}, map[string]*iamtest.Recorder{}
	s.url = s.serveGateway()
	return s
}

func proxy(t *testing.T, endpoint string) http.Handler {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return httputil.NewSingleHostReverseProxy(u)
}

// function returns a function of the stack, by its logical id. It starts when it is first asked for.
func (s stack) function(name string) *lambdatest.Function {
	s.Helper()
	if s.running[name] != nil {
		return s.running[name]
	}
	var environment []string
	if s.property(name, "Environment") != nil { // the rotate function has none
		var err error
		if environment, err = s.template.Environment(name); err != nil {
			s.Fatal(err)
		}
	}
	if s.recorded[name] == nil {
		s.recorded[name] = iamtest.NewRecorder(s, s.backends, func(alias string) string {
			return kmstest.ARN(s.cloud.KMS.Target(alias))
		})
	}
	function := lambdatest.Run(s, filepath.Join(s.build, name, "bootstrap"),
		append(environment, "AWS_ENDPOINT_URL="+s.recorded[name].URL)...)
	if timeout, isSet := s.property(name, "Timeout").(int); isSet {
		function.Timeout = time.Duration(timeout) * time.Second
	}
	s.running[name] = function
	return function
}

// tablesOf returns the logical ids of the template's tables.
func tablesOf(t *testing.T, template *samtemplate.Template) []string {
	t.Helper()
	return append(of(t, template, "AWS::DynamoDB::GlobalTable"), of(t, template, "AWS::DynamoDB::Table")...)
}

// of returns the logical ids of the template's resources of a type.
func of(t *testing.T, template *samtemplate.Template, resourceType string) []string {
	t.Helper()
	ids, err := template.Of(resourceType)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// streamReaders are the functions on the stream of the license table.
var streamReaders = []string{"IndexFunction", "AuditFunction"}

// invoke hands an event to a function.
func (s stack) invoke(function string, event, answer any) {
	s.Helper()
	s.function(function).Invoke(event, "", answer)
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
	api := s.api()
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

// api returns a client of the stack's API.
func (s stack) api() *vendorapi.Client {
	s.Helper()
	u, err := vendorapi.ParseURL(s.url)
	if err != nil {
		s.Fatal(err)
	}
	api, err := vendorapi.New(vendorapi.Config{URL: u})
	if err != nil {
		s.Fatal(err)
	}
	return api
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

// serveGateway stands in for API Gateway: it turns requests into events for the function that the template names. It
// serves one request at a time.
func (s stack) serveGateway() (url string) {
	s.Helper()
	routes, err := s.template.Routes()
	if err != nil {
		s.Fatal(err)
	}
	var mu sync.Mutex
	mux := http.NewServeMux()
	for route, function := range routes {
		_, resource, _ := strings.Cut(route, " ")
		mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			var response events.APIGatewayProxyResponse
			s.invoke(function, proxyEvent(r, resource), &response)
			for name, value := range response.Headers {
				w.Header().Set(name, value)
			}
			w.WriteHeader(response.StatusCode)
			io.WriteString(w, response.Body)
		})
	}
	server := httptest.NewServer(mux)
	s.Cleanup(server.Close)
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
	api := os.Getenv(awstest.APIVariable)
	if api == "" {
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
		URL: api,
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
