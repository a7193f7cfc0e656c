// Package functions_test holds the functions to the template that deploys them.
package functions_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"openlicenser/shared/testing/samtemplate"
)

// resource is what these tests read of a resource.
type resource struct {
	Type                string `yaml:"Type"`
	DeletionPolicy      string `yaml:"DeletionPolicy"`
	UpdateReplacePolicy string `yaml:"UpdateReplacePolicy"`
	Properties          struct {
		Environment struct {
			Variables map[string]any `yaml:"Variables"`
		} `yaml:"Environment"`
		Policies []struct {
			PolicyDocument policyDocument `yaml:"PolicyDocument"`
		} `yaml:"Policies"`
		PolicyDocument policyDocument `yaml:"PolicyDocument"`
		KeyPolicy      policyDocument `yaml:"KeyPolicy"`
	} `yaml:"Properties"`
}

type policyDocument struct {
	Statement []struct {
		Sid       string `yaml:"Sid"`
		Effect    string `yaml:"Effect"`
		Action    any    `yaml:"Action"`
		Resource  any    `yaml:"Resource"`
		Condition any    `yaml:"Condition"`
	} `yaml:"Statement"`
}

func readTemplate(t *testing.T) *samtemplate.Template {
	t.Helper()
	template, err := samtemplate.Read()
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func readResources(t *testing.T) map[string]resource {
	t.Helper()
	var sections struct {
		Resources map[string]resource `yaml:"Resources"`
	}
	if err := readTemplate(t).Decode(&sections); err != nil {
		t.Fatal(err)
	}
	return sections.Resources
}

// variable finds the environment variables in a struct of a main.go.
var variable = regexp.MustCompile("`env:\"([A-Z0-9_]+)")

// TestEnvironment: every variable that a function reads is set, and every one that is set is read.
func TestEnvironment(t *testing.T) {
	resources := readResources(t)
	for _, name := range []string{"verify", "issue", "audit", "index", "checkpoint", "rotate"} {
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
			function := resources[strings.ToUpper(name[:1])+name[1:]+"Function"]
			for variable := range function.Properties.Environment.Variables {
				set = append(set, variable)
			}
			slices.Sort(read)
			slices.Sort(set)
			if (len(read) == 0) != (name == "rotate") || !slices.Equal(read, set) { // rotate is told all by its events
				t.Errorf("reads %v, the template sets %v", read, set)
			}
		})
	}
}

// TestLeastPrivilege holds the roles to what the functions call. Adding a permission is a decision: it belongs here
// too.
func TestLeastPrivilege(t *testing.T) {
	common := []string{"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTelemetryRecords", "xray:PutTraceSegments"}
	want := map[string][]string{
		// Apart from the role stands CheckpointSigning.
		"CheckpointRole": {
			"dynamodb:GetItem", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Query", "dynamodb:Scan",
			"dynamodb:Query", "dynamodb:DeleteItem", // of disclosures; TestDisclosurePermissions says how
			"s3:GetObject", "s3:ListBucket", "s3:PutObject",
		},
		"VerifyRole": {
			"dynamodb:BatchGetItem", "dynamodb:BatchGetItem", "dynamodb:BatchGetItem",
			"dynamodb:GetItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:PutItem", "dynamodb:UpdateItem",
			"kms:GetPublicKey", "kms:GetPublicKey", "kms:Sign", "kms:Sign", "secretsmanager:GetSecretValue",
		},
		"IssueRole": {
			"dynamodb:DeleteItem", "dynamodb:DeleteItem", "dynamodb:DeleteItem", "dynamodb:DeleteItem",
			"dynamodb:DeleteItem", "dynamodb:DeleteItem", // of references and signatures, for erasures
			"dynamodb:GetItem", "dynamodb:GetItem", "dynamodb:GetItem", "dynamodb:GetItem", "dynamodb:GetItem",
			"dynamodb:PutItem", "dynamodb:PutItem", "dynamodb:PutItem", "dynamodb:PutItem",
			"dynamodb:Query", "dynamodb:Query", "dynamodb:Query", "dynamodb:Query", "dynamodb:Scan",
			"dynamodb:UpdateItem", "dynamodb:UpdateItem", "dynamodb:UpdateItem",
			"kms:GetPublicKey", "s3:GetObject", "s3:ListBucket",
			"secretsmanager:GetSecretValue",
		},
		"RotateRole": {
			"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue",
			"secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage",
		},
		"AuditRole": {"dynamodb:DescribeStream", "dynamodb:GetItem", "dynamodb:GetRecords", "dynamodb:GetShardIterator",
			"dynamodb:ListStreams", "dynamodb:PutItem", "dynamodb:Query", "s3:ListBucket", "s3:PutObject",
			"dynamodb:PutItem", "dynamodb:Query", "dynamodb:DeleteItem"}, // of disclosures
		// TestIndexRole says what it may update.
		"IndexRole": {"dynamodb:DescribeStream", "dynamodb:GetItem", "dynamodb:GetRecords", "dynamodb:GetShardIterator",
			"dynamodb:ListStreams", "dynamodb:UpdateItem", "s3:ListBucket", "s3:PutObject"},
	}
	for name, resource := range readResources(t) {
		if resource.Type != "AWS::IAM::Role" ||
			name == "AccessLogRoleOfAccount" { // API Gateway demands AWS's own policy in that one
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

// TestAppendOnly: no role may change or remove what the audit trail or a checkpoint says, by whatever name. The audit
// function moves heads by PutItem, on condition.
func TestAppendOnly(t *testing.T) {
	checked := 0
	for name, resource := range readResources(t) {
		documents := []policyDocument{resource.Properties.PolicyDocument}
		for _, policy := range resource.Properties.Policies {
			documents = append(documents, policy.PolicyDocument)
		}
		for _, document := range documents {
			for _, statement := range document.Statement {
				if statement.Effect != "Allow" {
					continue
				}
				checked++
				ofTrail := strings.Contains(fmt.Sprint(statement.Resource), "AuditTable")
				for _, action := range list(statement.Action) {
					for _, forbidden := range []string{
						"s3:Delete", "s3:Bypass", "s3:PutBucket", "s3:PutObjectRetention", "s3:*",
						"dynamodb:*", "dynamodb:Delete*",
					} {
						if strings.HasPrefix(action, forbidden) {
							t.Errorf("%s may %s", name, action)
						}
					}
					if ofTrail &&
						!slices.Contains([]string{"dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem"}, action) {
						t.Errorf("%s may %s in the audit table", name, action)
					}
					if ofTrail && action == "dynamodb:PutItem" && name != "AuditRole" {
						t.Errorf("%s may write to the audit table", name)
					}
					if action == "s3:PutObject" && strings.Contains(fmt.Sprint(statement.Resource), "Checkpoints") &&
						name != "CheckpointRole" {
						t.Errorf("%s may write checkpoints", name)
					}
				}
			}
		}
	}
	if checked < 20 {
		t.Errorf("checked %d statements", checked)
	}
}

// TestDisclosurePermissions: who removes what the trail discloses reads its keys alone, nobody changes it, and nobody
// but the audit function writes it.
func TestDisclosurePermissions(t *testing.T) {
	may := map[string][]string{}
	for name, resource := range readResources(t) {
		for _, policy := range resource.Properties.Policies {
			for _, statement := range policy.PolicyDocument.Statement {
				if !strings.Contains(fmt.Sprint(statement.Resource), "DisclosureTable") {
					continue
				}
				granted := list(statement.Action)
				may[name] = append(may[name], granted...)
				condition := fmt.Sprint(statement.Condition)
				isOfKeys := strings.Contains(condition, "dynamodb:Attributes:[licenseid sequence]") &&
					strings.Contains(condition, "dynamodb:Select:SPECIFIC_ATTRIBUTES")
				if slices.Contains(granted, "dynamodb:Query") && isOfKeys != (name != "IssueRole") {
					t.Errorf("%s may query disclosures on the condition %s", name, condition)
				}
			}
		}
		slices.Sort(may[name])
	}
	want := map[string][]string{
		"IssueRole":      {"dynamodb:Query"},
		"CheckpointRole": {"dynamodb:DeleteItem", "dynamodb:Query"},
		"AuditRole":      {"dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Query"},
	}
	for name := range may {
		if !slices.Equal(may[name], want[name]) {
			t.Errorf("%s may %v with disclosures, want %v", name, may[name], want[name])
		}
	}
	if len(may["AuditRole"]) == 0 {
		t.Error("no statement was seen")
	}
}

// TestIndexPermissions: an index serves Query and Scan; what else is granted on one is a mistake.
func TestIndexPermissions(t *testing.T) {
	indexes := 0
	for name, resource := range readResources(t) {
		for _, policy := range resource.Properties.Policies {
			for _, statement := range policy.PolicyDocument.Statement {
				if !strings.Contains(fmt.Sprint(statement.Resource), "/index/") {
					continue
				}
				indexes++
				for _, action := range list(statement.Action) {
					if action != "dynamodb:Query" && action != "dynamodb:Scan" {
						t.Errorf("%s may %s on an index", name, action)
					}
				}
			}
		}
	}
	if indexes < 2 {
		t.Errorf("found %d", indexes)
	}
}

// TestCheckpointKey: one role alone signs with it, and only checkpoints; the role that signs tokens is another.
func TestCheckpointKey(t *testing.T) {
	resources := readResources(t)
	var signers []string
	for name, resource := range resources {
		for _, document := range []policyDocument{resource.Properties.PolicyDocument, resource.Properties.KeyPolicy} {
			for _, statement := range document.Statement {
				if !slices.Contains(list(statement.Action), "kms:Sign") || name == "TokenKey" {
					continue
				}
				signers = append(signers, name)
				if condition := fmt.Sprint(statement.Condition); !strings.Contains(condition, "ED25519_SHA_512") ||
					!strings.Contains(condition, "RAW") {
					t.Errorf("%s may sign on condition of %s", name, condition)
				}
				if name == "CheckpointKey" && !strings.Contains(fmt.Sprint(statement.Condition), "CheckpointRole.Arn") {
					t.Error("the key's policy does not name the role")
				}
			}
		}
	}
	slices.Sort(signers)
	if !slices.Equal(signers, []string{"CheckpointKey", "CheckpointSigning"}) {
		t.Errorf("signing is granted by %v", signers)
	}
}

// TestTokenKeys: every key of the account is within reach by the aliases of the token keys alone, and none signs but as
// tokens are signed. The successor does not sign.
func TestTokenKeys(t *testing.T) {
	want := map[string][]string{
		"kms:GetPublicKey": {
			"alias/${AWS::StackName}-token",
			"alias/${AWS::StackName}-token-next",
			"alias/${AWS::StackName}-token-previous",
		},
		"kms:Sign": {"alias/${AWS::StackName}-token", "alias/${AWS::StackName}-token-previous"},
	}
	for _, statement := range readResources(t)["VerifyRole"].Properties.Policies[0].PolicyDocument.Statement {
		actions := list(statement.Action)
		if len(actions) != 1 || !strings.HasPrefix(actions[0], "kms:") {
			continue
		}
		condition, _ := statement.Condition.(map[string]any)
		equals, _ := condition["StringEquals"].(map[string]any)
		if signs := actions[0] == "kms:Sign"; signs &&
			(equals["kms:SigningAlgorithm"] != "RSASSA_PKCS1_V1_5_SHA_256" || equals["kms:MessageType"] != "DIGEST") {
			t.Errorf("%s on condition of %v", actions, equals)
		}
		if !strings.HasSuffix(fmt.Sprint(statement.Resource), ":key/*") {
			continue // on the key of the template
		}
		if aliases := list(equals["kms:RequestAlias"]); len(condition) != 1 ||
			!slices.Equal(aliases, want[actions[0]]) {
			t.Errorf("%s by %v", actions, aliases)
		}
		delete(want, actions[0])
	}
	if len(want) > 0 {
		t.Errorf("not granted: %v", want)
	}
}

// TestRetained: removing the stack, or replacing a resource, loses no data and no key. A stack that could not be made
// leaves nothing: what it made is empty, and would only be in the way of the next attempt.
func TestRetained(t *testing.T) {
	stores := []string{
		"AWS::DynamoDB::GlobalTable", "AWS::KMS::Key", "AWS::SecretsManager::Secret", "AWS::S3::Bucket",
		"AWS::S3::BucketPolicy", "AWS::Logs::LogGroup",
	}
	transient := []string{
		"IdempotencyTable", // it holds nothing for longer than a day
		"SignatureTable",   // what is missing in it is made anew
	}
	always := []string{ // even by a stack that could not be made
		"AccessLogAccount", "AccessLogRoleOfAccount", // other APIs of the account may log with them by then
		"FirstCheckpoint", // there is nothing to take back, and nobody need answer
	}
	found := map[string]bool{}
	for name, resource := range readResources(t) {
		policies := resource.DeletionPolicy + ", " + resource.UpdateReplacePolicy
		switch {
		case slices.Contains(transient, name):
		case slices.Contains(always, name) != (resource.DeletionPolicy == "Retain"):
			t.Errorf("%s has the DeletionPolicy %q", name, resource.DeletionPolicy)
		case slices.Contains(stores, resource.Type):
			found[resource.Type] = true
			if policies != "RetainExceptOnCreate, Retain" {
				t.Errorf("%s has the policies %s", name, policies)
			}
			if strings.HasPrefix(resource.Type, "AWS::DynamoDB::") {
				checkProtected(t, name)
			}
		}
	}
	if len(found) != len(stores) {
		t.Errorf("found only %v", found)
	}
}

// TestReplicable: what cannot be changed later is right from the first stack. A key that is not a multi-Region key
// never becomes one, nor does a plain table become a global one.
func TestReplicable(t *testing.T) {
	seen := 0
	for name, resource := range ofType(t, readTree(t), "AWS::KMS::Key") {
		if at(resource, "DeletionPolicy") == "RetainExceptOnCreate" {
			seen++
			if at(resource, "Properties", "MultiRegion") != true {
				t.Errorf("%s is no multi-Region key", name)
			}
		}
	}
	for name, resource := range readTree(t)["Resources"].(tree) {
		if at(resource, "Type") == "AWS::DynamoDB::Table" && at(resource, "DeletionPolicy") != "Delete" {
			t.Errorf("%s is kept, and no global table", name)
		}
		if at(resource, "Type") == "AWS::DynamoDB::GlobalTable" {
			seen++
			replicas, _ := at(resource, "Properties", "Replicas").([]any)
			if len(replicas) != 1 || !reflect.DeepEqual(at(replicas[0], "Region"), tree{"Ref": "AWS::Region"}) {
				t.Errorf("%s has the replicas %v", name, replicas)
			}
		}
	}
	if seen < 8 {
		t.Errorf("only %d resources", seen)
	}
}

// TestPoliciesForPeople: who reads changes nothing, and who helps customers neither deletes nor erases. Each pattern
// stands for a route that there is.
func TestPoliciesForPeople(t *testing.T) {
	routes, err := readTemplate(t).Routes()
	if err != nil {
		t.Fatal(err)
	}
	policies := ofType(t, readTree(t), "AWS::IAM::ManagedPolicy")
	allowed := func(policy, method, path string) (is bool) {
		statements := at(policies[policy], "Properties", "PolicyDocument", "Statement").([]any)
		for _, resource := range at(statements[0], "Resource").([]any) {
			_, pattern, _ := strings.Cut(at(resource, "Fn::Sub").(string), "${Stage}/")
			pattern = "^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$"
			is = is || regexp.MustCompile(pattern).MatchString(method+path)
		}
		return is
	}
	supported := 0
	for route, function := range routes {
		method, path, _ := strings.Cut(route, " ")
		isErasing := strings.HasSuffix(path, "/erase") || method == "DELETE" && !strings.Contains(path, "/devices")
		if got := allowed("ReadPolicy", method, path); got != (method == "GET") {
			t.Errorf("who reads may %s: %v", route, got)
		}
		got := allowed("SupportPolicy", method, path)
		if got && isErasing || !got && !isErasing && function == "IssueFunction" {
			t.Errorf("who helps customers may %s: %v", route, got)
		}
		if got {
			supported++
		}
	}
	if supported < 15 {
		t.Errorf("%d routes", supported)
	}
}

// TestOwnDomain: with a domain, each address that is printed has it, and none the AWS host name, which a new stack
// changes.
func TestOwnDomain(t *testing.T) {
	template, urls := readTree(t), 0
	for name, output := range template["Outputs"].(tree) {
		value := at(output, "Value")
		choice, _ := at(value, "Fn::If").([]any)
		isURL := strings.Contains(fmt.Sprint(value), "execute-api")
		if !isURL {
			continue
		}
		urls++
		if len(choice) != 3 || choice[0] != "OwnDomain" {
			t.Errorf("%s is %v", name, value)
			continue
		}
		own, _ := strings.CutPrefix(at(choice[1], "Fn::Sub").(string), "https://${DomainName}")
		_, ours, _ := strings.Cut(at(choice[2], "Fn::Sub").(string), "/${Stage}")
		if own != ours {
			t.Errorf("%s: %q with a domain, %q without", name, own, ours)
		}
	}
	if urls < 6 {
		t.Errorf("%d addresses", urls)
	}
}

// checkProtected: nobody deletes the table by mistake, and it can be brought back as it was at any second of 35 days.
func checkProtected(t *testing.T, id string) {
	t.Helper()
	table := at(readTree(t), "Resources", id, "Properties")
	if replicas, _ := at(table, "Replicas").([]any); len(replicas) > 0 {
		table = replicas[0]
	}
	if at(table, "DeletionProtectionEnabled") != true ||
		at(table, "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled") != true {
		t.Errorf("%s is not protected", id)
	}
}

// list returns the texts of a value that is one text or a list of them.
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

// TestSignaturesAreCredentials: what makes tokens is encrypted, and no function but verify reads it. The issue function
// removes it, and does nothing else.
func TestSignaturesAreCredentials(t *testing.T) {
	reached := false
	resources := readTree(t)["Resources"].(tree)
	for name, resource := range resources {
		text, err := json.Marshal(resource)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "SignatureTable") {
			continue
		}
		if name != "VerifyRole" && name != "VerifyFunction" && name != "IssueRole" && name != "IssueFunction" {
			t.Errorf("%s reaches the table", name)
		}
		reached = true
	}
	if !reached {
		t.Error("nobody reaches the table")
	}
	for _, statement := range statements(t, readTree(t), "IssueRole") {
		actions := list(at(statement, "Action"))
		if strings.Contains(fmt.Sprint(at(statement, "Resource")), "SignatureTable") &&
			!slices.Equal(actions, []string{"dynamodb:DeleteItem"}) {
			t.Errorf("the issue function may %v", actions)
		}
	}
	table := resources["SignatureTable"].(tree)["Properties"].(tree)
	if encryption := table["SSESpecification"].(tree); encryption["SSEEnabled"] != true ||
		encryption["SSEType"] != "KMS" {
		t.Errorf("encrypted by %v", encryption)
	}
	if expiry := table["TimeToLiveSpecification"].(tree); expiry["Enabled"] != true ||
		expiry["AttributeName"] != "expires" {
		t.Errorf("items expire by %v", expiry)
	}
}
