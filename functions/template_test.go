// Package functions_test holds the functions to the template that deploys them.
package functions_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

type resource struct {
	Type                string `yaml:"Type"`
	DeletionPolicy      string `yaml:"DeletionPolicy"`
	UpdateReplacePolicy string `yaml:"UpdateReplacePolicy"`
	Properties          struct {
		Environment struct {
			Variables map[string]any `yaml:"Variables"`
		} `yaml:"Environment"`
		Policies []struct {
			PolicyDocument struct {
				Statement []struct {
					Action   any `yaml:"Action"`
					Resource any `yaml:"Resource"`
				} `yaml:"Statement"`
			} `yaml:"PolicyDocument"`
		} `yaml:"Policies"`
	} `yaml:"Properties"`
}

func readResources(t *testing.T) map[string]resource {
	t.Helper()
	text, err := os.ReadFile("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]resource `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	return template.Resources
}

// variable finds the environment variables in a struct of a main.go.
var variable = regexp.MustCompile("`env:\"([A-Z0-9_]+)")

// TestEnvironment: every variable that a function reads is set, and every one that is set is read.
func TestEnvironment(t *testing.T) {
	resources := readResources(t)
	for _, name := range []string{"verify", "issue", "audit"} {
		t.Run(name, func(t *testing.T) {
			source, err := os.ReadFile(name + "/main.go")
			if err != nil {
				t.Fatal(err)
			}
			var read []string
			for _, match := range variable.FindAllStringSubmatch(string(source), -1) {
				read = append(read, match[1])
			}
			var set []string
			for variable := range resources[strings.ToUpper(name[:1])+name[1:]+"Function"].Properties.Environment.Variables {
				set = append(set, variable)
			}
			slices.Sort(read)
			slices.Sort(set)
			if len(read) == 0 || !slices.Equal(read, set) {
				t.Errorf("reads %v, the template sets %v", read, set)
			}
		})
	}
}

// TestLeastPrivilege holds the roles to what the functions call. Adding a permission is a decision: it belongs here too.
func TestLeastPrivilege(t *testing.T) {
	common := []string{"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTelemetryRecords", "xray:PutTraceSegments"}
	want := map[string][]string{
		"VerifyRole": {"dynamodb:GetItem", "kms:GetPublicKey", "kms:Sign", "secretsmanager:GetSecretValue"},
		"IssueRole": {"dynamodb:DeleteItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:Query",
			"dynamodb:UpdateItem", "dynamodb:UpdateItem",
			"secretsmanager:GetSecretValue"},
		"AuditRole": {"dynamodb:DescribeStream", "dynamodb:GetItem", "dynamodb:GetRecords", "dynamodb:GetShardIterator",
			"dynamodb:ListStreams", "dynamodb:PutItem", "dynamodb:Query", "s3:ListBucket", "s3:PutObject"},
	}
	for name, resource := range readResources(t) {
		if resource.Type != "AWS::IAM::Role" || name == "AccessLogRoleOfAccount" { // API Gateway demands AWS's own policy in that one
			continue
		}
		t.Run(name, func(t *testing.T) {
			var actions []string
			for _, policy := range resource.Properties.Policies {
				for _, statement := range policy.PolicyDocument.Statement {
					granted := list(statement.Action)
					actions = append(actions, granted...)
					if slices.Contains(list(statement.Resource), "*") && !strings.HasPrefix(granted[0], "xray:") {
						t.Errorf("%v on every resource", granted)
					}
				}
			}
			slices.Sort(actions)
			expected := slices.Concat(want[name], common)
			slices.Sort(expected)
			if !slices.Equal(actions, expected) {
				t.Errorf("may %v, want %v", actions, expected)
			}
		})
	}
}

// TestRetained: removing the stack, or replacing a resource, loses no data and no key.
func TestRetained(t *testing.T) {
	stores := []string{"AWS::DynamoDB::GlobalTable", "AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::SecretsManager::Secret", "AWS::S3::Bucket", "AWS::Logs::LogGroup"}
	transient := []string{
		"IdempotencyTable", // it holds nothing for longer than a day
		"AlarmKey",         // it encrypts what is on its way only
	}
	found := map[string]bool{}
	for name, resource := range readResources(t) {
		if !slices.Contains(stores, resource.Type) || slices.Contains(transient, name) {
			continue
		}
		found[resource.Type] = true
		if resource.DeletionPolicy != "Retain" || resource.UpdateReplacePolicy != "Retain" {
			t.Errorf("%s has the DeletionPolicy %q and the UpdateReplacePolicy %q", name, resource.DeletionPolicy, resource.UpdateReplacePolicy)
		}
	}
	if len(found) != len(stores) {
		t.Errorf("found only %v", found)
	}
}

// list answers one text or a list of them.
func list(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		var texts []string
		for _, element := range v {
			if text, isText := element.(string); isText {
				texts = append(texts, text)
			}
		}
		return texts
	default:
		return nil
	}
}
