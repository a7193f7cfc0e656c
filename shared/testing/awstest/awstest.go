// Package awstest is AWS for tests, where AWS cannot be: DynamoDB Local and moto, which `make test-aws` starts, a stand-in
// for KMS, and the template as CloudFormation would read it. It knows nothing of licenses.
package awstest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// The account and region that everything lives in.
const (
	Account = "123456789012"
	Region  = "eu-central-1"
)

// The environment variables by which `make test-aws` tells tests what it has started.
const (
	DynamoDBVariable  = "LICENSER_TEST_DYNAMODB_ENDPOINT" // URL of DynamoDB Local
	MotoVariable      = "LICENSER_TEST_MOTO_ENDPOINT"     // URL of moto
	BuildVariable     = "LICENSER_TEST_BUILD"             // folder that sam build has filled
	APIVariable       = "LICENSER_TEST_API"               // URL of the API that sam local has started
	SAMInvokeVariable = "LICENSER_TEST_SAM_INVOKE"        // sam local invoke, with its options
	RequiredVariable  = "LICENSER_TEST_AWS"               // "required": to skip a test is a failure
)

// Need answers the value of one of the variables. Where it is not set it skips the test, and under `make test-aws`
// it fails it.
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

// Config leads every client that is made of it to the endpoint.
func Config(endpoint string) aws.Config {
	return aws.Config{
		BaseEndpoint: &endpoint,
		Region:       Region,
		Credentials:  credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "example", ""),
	}
}

// Root answers the repository's folder.
func Root() (string, error) {
	folder, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(folder, "template.yaml")); err == nil {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", os.ErrNotExist
		}
		folder = parent
	}
	return "", err
}
