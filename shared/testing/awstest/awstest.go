// Package awstest reaches what stands in for AWS in tests: DynamoDB Local and moto, which `make test-aws` starts, and
// kmstest. It makes there what the template declares. It knows nothing of licenses.
package awstest

import (
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"openlicenser/shared/testing/samtemplate"
)

// Region is the region of everything.
const Region = samtemplate.Region

// The environment variables by which `make test-aws` and `make sam-local-test` tell tests what they have started.
const (
	DynamoDBVariable  = "LICENSER_TEST_DYNAMODB_ENDPOINT" // URL of DynamoDB Local
	MotoVariable      = "LICENSER_TEST_MOTO_ENDPOINT"     // URL of moto
	BuildVariable     = "LICENSER_TEST_BUILD"             // folder that sam build has filled
	APIVariable       = "LICENSER_TEST_API"               // URL of the API that sam local has started
	SAMInvokeVariable = "LICENSER_TEST_SAM_INVOKE"        // sam local invoke, with its options
	RequiredVariable  = "LICENSER_TEST_AWS"               // "required": to skip a test is a failure
)

// Need returns the value of one of the variables. Where it is not set, the test is skipped, or fails under
// `make test-aws`.
func Need(t testing.TB, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	switch {
	case value != "":
	case os.Getenv(RequiredVariable) == "required":
		t.Fatalf("%s is not set", variable)
	default:
		t.Skipf("%s is not set: make test-aws sets it", variable)
	}
	return value
}

// Config returns a configuration whose clients call the endpoint.
func Config(endpoint string) aws.Config {
	return aws.Config{
		BaseEndpoint: &endpoint,
		Region:       Region,
		Credentials:  credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "example", ""),
	}
}
