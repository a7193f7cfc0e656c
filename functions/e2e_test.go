package functions_test

import (
	"context"
	"encoding/json"
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
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/google/uuid"

	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/lambdatest"
	"openlicenser/shared/testing/lifetest"
	"openlicenser/shared/testing/samtemplate"
)

// TestBuiltFunctions starts what sam build has built, behind the Lambda Runtime API. The environment, the tables, the
// secret and the key are those that the template declares.
func TestBuiltFunctions(t *testing.T) {
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
	for _, table := range []string{"LicenseTable", "AuditTable", "IdempotencyTable", "SignatureTable"} {
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
	auditor := run("AuditFunction")
	stream := awstest.Stream{
		Client: dynamodbstreams.NewFromConfig(awstest.Config(dynamoDB)), ARN: template.Value("LicenseTable.StreamArn"),
	}
	lifetest.Run(t, lifetest.Service{
		URL: serveGateway(t, template, run),
		Settle: func(changes int) {
			deliver(t, stream, changes, func(event, answer any) { auditor.Invoke(event, "", answer) })
		},
	})
}

// deliver hands the whole stream to the audit function, and wants it to be content.
func deliver(t *testing.T, stream awstest.Stream, changes int, invoke func(event, answer any)) {
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
	invoke(events.DynamoDBEvent{Records: records}, &response)
	if len(response.BatchItemFailures) != 0 {
		t.Errorf("not recorded: %+v", response)
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
// invoke the audit function.
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
			deliver(t, stream, changes, func(event, answer any) { samInvoke(t, "AuditFunction", event, answer) })
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
