package functions_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"openlicenser/shared/testing/samtemplate"
)

// commandBlocks returns the blocks of commands in a document.
func commandBlocks(t *testing.T, name string) (blocks []string) {
	t.Helper()
	for _, match := range commandFence.FindAllStringSubmatch(readDocuments(t)[name], -1) {
		blocks = append(blocks, match[1])
	}
	return blocks
}

var commandFence = regexp.MustCompile("(?ms)^```sh\n(.*?)^```")

// deployBlock returns the one block of docs/deploy.md that has the text in it.
func deployBlock(t *testing.T, part string) string {
	t.Helper()
	blocks := slices.DeleteFunc(commandBlocks(t, "docs/deploy.md"), func(block string) bool {
		return !strings.Contains(block, part)
	})
	if len(blocks) != 1 {
		t.Fatalf("%d blocks with %q", len(blocks), part)
	}
	return blocks[0]
}

// TestCommandSyntax: a shell can read every block of commands.
func TestCommandSyntax(t *testing.T) {
	blocks := 0
	for name := range readDocuments(t) {
		for _, block := range commandBlocks(t, name) {
			blocks++
			check := exec.Command(needProgram(t, "bash"), "-n")
			check.Stdin = strings.NewReader(block)
			if output, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s\n%s", name, err, output, block)
			}
		}
	}
	if blocks < 20 {
		t.Errorf("found %d", blocks)
	}
}

func needProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("there is no %s", name)
	}
	return path
}

// paste runs commands in a folder of their own, where aws is the script given and sam does nothing. It returns what was
// printed, and the arguments of each call of aws and sam, one a line.
func paste(t *testing.T, commands, awsScript string, environment ...string) (output, calls, folder string) {
	t.Helper()
	bash, folder := needProgram(t, "bash"), t.TempDir()
	const log = "#!/bin/bash\n" +
		"printf '%s' \"${0##*/} $*\" | tr '\\n' ' ' >>\"$FOLDER/calls\"; echo >>\"$FOLDER/calls\"\n"
	for name, script := range map[string]string{"aws": log + awsScript, "sam": log} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, bash, "-e", "-c", commands)
	shell.Dir = folder
	shell.Env = append(environment, "PATH="+folder+":"+os.Getenv("PATH"), "HOME="+folder, "FOLDER="+folder)
	printed, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, printed)
	}
	called, err := os.ReadFile(filepath.Join(folder, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	return string(printed), string(called), folder
}

// TestFirstRequest runs the first request of docs/deploy.md against a stand-in for the API, which checks its signature.
func TestFirstRequest(t *testing.T) {
	needProgram(t, "curl")
	block := deployBlock(t, "--aws-sigv4")
	const id, secret = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	want := []string{"POST /dev/licenses", "POST /dev/verify-license", "GET /dev/public-key.pem"}
	for _, test := range []struct{ name, export, token string }{
		{"temporary credentials", "export AWS_SESSION_TOKEN='a/token+with=signs'", "a/token+with=signs"},
		{"a user's access key", "", ""},
		{"an empty token", "export AWS_SESSION_TOKEN=", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var asked []string
			credentials := aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: test.token}
			api := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
				body, _ := io.ReadAll(in.Body)
				asked = append(asked, in.Method+" "+in.URL.Path)
				switch {
				case strings.HasSuffix(in.URL.Path, "/licenses"):
					if fault := wrongSignature(t, in, body, credentials); fault != "" {
						t.Error(fault)
					}
					_, _ = io.WriteString(out, `{"licenseid":"1","licensekey":"a.license.key"}`)
				case strings.HasSuffix(in.URL.Path, "/verify-license"):
					if string(body) != `{"licensekey":"a.license.key"}` {
						t.Errorf("verifies %s", body)
					}
				}
			}))
			defer api.Close()
			// A proxy, so that curl asks this server whatever the name. A domain of one's own tells no region.
			paste(t, block, `case "$*" in
*StackId*) echo arn:aws:cloudformation:eu-central-1:123456789012:stack/open-licenser-dev/7d6f ;;
*describe-stacks*) echo http://license.example.com/dev ;;
*export-credentials*)
  echo "export AWS_ACCESS_KEY_ID=`+id+`"
  echo "export AWS_SECRET_ACCESS_KEY=`+secret+`"
  echo "`+test.export+`" ;;
*) exit 1 ;;
esac`, "http_proxy="+api.URL)
			if !slices.Equal(asked, want) {
				t.Errorf("asked for %v", asked)
			}
		})
	}
}

var signedHeaders = regexp.MustCompile(`SignedHeaders=([^,]*)`)

// wrongSignature says what API Gateway would refuse, or nothing.
func wrongSignature(t *testing.T, in *http.Request, body []byte, credentials aws.Credentials) string {
	t.Helper()
	if in.Header.Get("X-Amz-Security-Token") != credentials.SessionToken {
		return "the token is " + in.Header.Get("X-Amz-Security-Token")
	}
	at, err := time.Parse("20060102T150405Z", in.Header.Get("X-Amz-Date"))
	signed := signedHeaders.FindStringSubmatch(in.Header.Get("Authorization"))
	if err != nil || signed == nil {
		return "not signed: " + in.Header.Get("Authorization")
	}
	again, err := http.NewRequestWithContext(t.Context(), in.Method, "http://"+in.Host+in.URL.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Split(signed[1], ";") {
		if values := in.Header.Values(name); len(values) > 0 {
			again.Header[http.CanonicalHeaderKey(name)] = values
		} else if name != "host" {
			return name + " is signed and not sent"
		}
	}
	hash := sha256.Sum256(body)
	payload := hex.EncodeToString(hash[:])
	err = v4.NewSigner().SignHTTP(t.Context(), credentials, again, payload, "execute-api", "eu-central-1", at)
	if err != nil {
		t.Fatal(err)
	}
	_, want, _ := strings.Cut(again.Header.Get("Authorization"), "Signature=")
	if _, got, _ := strings.Cut(in.Header.Get("Authorization"), "Signature="); got != want {
		return "the signature is wrong: " + in.Header.Get("Authorization") +
			", want " + again.Header.Get("Authorization")
	}
	return ""
}

// TestFailedDeployment: the commands of docs/deploy.md remove what CloudFormation could not, and nothing else.
func TestFailedDeployment(t *testing.T) {
	const licenses = `AWS::DynamoDB::GlobalTable\tlicenses\n`
	const bucket, trail = `AWS::S3::Bucket\tb\n`, `AWS::DynamoDB::Table\ttrail\n`
	for _, test := range []struct{ name, left, want string }{
		{"protected tables", licenses + bucket + trail, "licenses trail"},
		{"nothing", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			left := `case "$*" in *list-stack-resources*) printf '` + test.left + `' ;; esac`
			_, calls, _ := paste(t, deployBlock(t, "leftovers.txt"), left)
			var unprotected, deleted []string
			for line := range strings.Lines(calls) {
				words := strings.Fields(line)
				switch {
				case strings.Contains(line, "--no-deletion-protection-enabled"):
					unprotected = append(unprotected, words[4])
				case words[2] == "list-stack-resources" &&
					!strings.Contains(line, "[?ResourceStatus=='DELETE_FAILED']"):
					t.Errorf("lists %s", line)
				case strings.HasPrefix(words[2], "delete-") && words[2] != "delete-stack":
					deleted = append(deleted, words[4])
				}
			}
			if strings.Join(deleted, " ") != test.want || !slices.Equal(unprotected, deleted) {
				t.Errorf("deleted %v, unprotected %v", deleted, unprotected)
			}
			if !strings.Contains(calls, "delete-stack --stack-name open-licenser-dev") {
				t.Errorf("the stack stays:\n%s", calls)
			}
		})
	}
}

// TestRemoval: the commands of docs/deploy.md remove all data and keys that outlive the stack, each by its name.
func TestRemoval(t *testing.T) {
	template := readTree(t)
	script, want := "case \"$*\" in\n", map[string]string{} // the command for what an output names
	for name, output := range template["Outputs"].(tree) {
		script += "*OutputKey==\\'" + name + "\\'*) echo the-" + name + " ;;\n"
		samtemplate.Walk(at(output, "Value"), func(_ []string, value any) {
			id := cmp.Or(text(at(value, "Ref")), strings.TrimSuffix(text(at(value, "Fn::GetAtt")), ".Arn"))
			resource := at(template, "Resources", id)
			command := map[any]string{
				"AWS::DynamoDB::GlobalTable": "dynamodb delete-table", "AWS::DynamoDB::Table": "dynamodb delete-table",
				"AWS::KMS::Key": "kms schedule-key-deletion", "AWS::S3::Bucket": "s3api delete-bucket",
				"AWS::SecretsManager::Secret": "secretsmanager delete-secret",
			}[at(resource, "Type")]
			if command != "" && at(resource, "DeletionPolicy") == "RetainExceptOnCreate" {
				want[id] = "aws " + command + " VALUE the-" + name
			}
		})
	}
	for id, resource := range template["Resources"].(tree) {
		isData := regexp.MustCompile(`Table$|::Key$|::Bucket$|::Secret$`).MatchString(text(at(resource, "Type")))
		if isData && at(resource, "DeletionPolicy") == "RetainExceptOnCreate" && want[id] == "" {
			t.Errorf("no output names %s", id)
		}
	}
	output := regexp.MustCompile(`(?m)^output\(\).*$`).FindString(deployBlock(t, "--aws-sigv4"))
	commands := "STACK=open-licenser-dev\n" + output + "\n" + deployBlock(t, "sam delete") +
		"\n" + deployBlock(t, "deregister-scalable-target")
	_, calls, _ := paste(t, commands, script+"esac")
	called := regexp.MustCompile(`--[a-z-]+ (the-\w+)`).ReplaceAllString(calls, "VALUE $1")
	for id, command := range want {
		if !strings.Contains(called, command) {
			t.Errorf("%s stays: there is no %s", id, command)
		}
	}
	if len(want) < 8 {
		t.Errorf("only %v", want)
	}
}

// TestOverEarlierStack: the commands of docs/deploy.md give a new stack all that the earlier one left, as the
// template's parameters take it. The checkpoint key's policy names another role, and is otherwise as it was.
func TestOverEarlierStack(t *testing.T) {
	policy := func(role string) string {
		return `{"Statement":[{"Sid":"Administration","Principal":{"AWS":"arn:aws:iam::123456789012:root"}},
			{"Sid":"CheckpointsOnly","Condition":{"ArnEquals":
				{"aws:PrincipalArn" : "arn:aws:iam::123456789012:role/` + role + `"}}}]}`
	}
	const key = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	outputs := map[string]string{
		"LicenseTableName": "licenses", "ReferenceTableName": "references", "AuditTableName": "trail",
		"DisclosureTableName":  "values",
		"DeviceTableName":      "devices",
		"PlanTableName":        "plans",
		"TokenKeyAlias":        "alias/old-token",
		"LicenseKeySecretArn":  "arn:aws:secretsmanager:eu-central-1:123456789012:secret:name-AbCdEf",
		"CheckpointBucketName": "checkpoints", "CheckpointKeyArn": key, "CheckpointOrigin": "openlicenser/old/audit",
	}
	template := readTree(t)
	script := `case "$*" in
*get-key-policy*) cat "$FOLDER/policy" 2>/dev/null || cat <<'END'
` + policy("earlier-CheckpointRole-1A2B") + "\nEND\n;;" + `
*put-key-policy*) cp key-policy.json "$FOLDER/policy"; cat key-policy.json >>"$FOLDER/policies" ;;
*describe-key*) echo ` + key + ` ;;
*describe-table*) echo arn:aws:dynamodb:eu-central-1:123456789012:table/licenses/stream/2026-11-23T22:00:00.000 ;;
*describe-stack-resource*) echo new-CheckpointRole-3C4D ;;
`
	for name, value := range outputs {
		if at(template, "Outputs", name) == nil {
			t.Errorf("there is no output %s", name)
		}
		script += "*OutputKey==\\'" + name + "\\'*) echo " + value + " ;;\n"
	}
	first := deployBlock(t, "--aws-sigv4")
	output := regexp.MustCompile(`(?m)^output\(\).*$`).FindString(first)
	commands := output + "\n" + deployBlock(t, "ORIGIN=$(output") + "\n" + deployBlock(t, "signer()")
	_, calls, folder := paste(t, commands, script+"esac")

	deploy := regexp.MustCompile(`(?m)^sam deploy --config-env prod --parameter-overrides (.*)$`)
	deployed := deploy.FindStringSubmatch(calls)
	if deployed == nil {
		t.Fatalf("not deployed:\n%s", calls)
	}
	given := map[string]string{}
	for _, assignment := range strings.Fields(strings.ReplaceAll(deployed[1], `\`, "")) {
		name, value, _ := strings.Cut(assignment, "=")
		given[name] = value
		pattern, _ := at(template, "Parameters", name, "AllowedPattern").(string)
		if value == "" || pattern == "" || !regexp.MustCompile(pattern).MatchString(value) {
			t.Errorf("%s does not go with %q", assignment, pattern)
		}
	}
	for name := range template["Parameters"].(tree) {
		if _, is := given[name]; strings.HasPrefix(name, "Existing") && !is {
			t.Errorf("%s is not given", name)
		}
	}
	for parameter, output := range map[string]string{
		"ExistingTable":          "LicenseTableName",
		"ExistingReferenceTable": "ReferenceTableName",
		"ExistingDeviceTable":    "DeviceTableName",
		"ExistingPlanTable":      "PlanTableName",
		"ExistingAuditTable":     "AuditTableName",

		"ExistingDisclosureTable": "DisclosureTableName",
		"ExistingSecret":          "LicenseKeySecretArn",
		"ExistingCheckpoints":     "CheckpointBucketName",
		"ExistingCheckpointKey":   "CheckpointKeyArn",
		"CheckpointOrigin":        "CheckpointOrigin",
	} {
		if given[parameter] != outputs[output] {
			t.Errorf("%s is %q", parameter, given[parameter])
		}
	}
	put, err := os.ReadFile(filepath.Join(folder, "policies"))
	if err != nil {
		t.Fatal(err)
	}
	policies := json.NewDecoder(strings.NewReader(string(put)))
	for _, role := range []string{"*-CheckpointRole-*", "new-CheckpointRole-3C4D"} {
		var got, want any
		if err := policies.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(policy(role)), &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the policy is %v, want %v", got, want)
		}
	}
}
