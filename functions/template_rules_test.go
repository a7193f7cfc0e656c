package functions_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/google/go-cmp/cmp"

	"openlicenser/functions/checkpoint/checkpointing"
	"openlicenser/shared/api"
	"openlicenser/shared/stream"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/lambdatest"
	"openlicenser/shared/testing/samtemplate"
)

// tree is a part of the template with CloudFormation's functions written out.
type tree = samtemplate.Tree

func readTree(t *testing.T) tree {
	t.Helper()
	whole, err := readTemplate(t).Tree()
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

// at returns what is below the names, or nil.
func at(value any, names ...string) any { return samtemplate.At(value, names...) }

// ofType returns the template's resources of a type, by logical id. There has to be one.
func ofType(t *testing.T, template tree, name string) map[string]any {
	t.Helper()
	found := map[string]any{}
	for id, resource := range template["Resources"].(tree) {
		if at(resource, "Type") == name {
			found[id] = resource
		}
	}
	if len(found) == 0 {
		t.Fatalf("no %s", name)
	}
	return found
}

// TestParameters: a person who deploys is told what each is for, can leave it as it is, and gets no further with
// nonsense.
func TestParameters(t *testing.T) {
	template := readTree(t)
	grouped := map[any]bool{}
	for _, group := range at(template, "Metadata", "AWS::CloudFormation::Interface", "ParameterGroups").([]any) {
		for _, name := range at(group, "Parameters").([]any) {
			grouped[name] = true
		}
	}
	parameters := template["Parameters"].(tree)
	for name, parameter := range parameters {
		if description, _ := at(parameter, "Description").(string); description == "" {
			t.Errorf("%s has no description", name)
		}
		if !grouped[name] {
			t.Errorf("%s is in no group", name)
		}
		value := at(parameter, "Default")
		if value == nil {
			t.Errorf("%s has no default", name)
		}
		pattern, _ := at(parameter, "AllowedPattern").(string)
		allowed, _ := at(parameter, "AllowedValues").([]any)
		switch {
		case pattern != "":
			if text, _ := value.(string); !regexp.MustCompile(pattern).MatchString(text) {
				t.Errorf("the pattern of %s does not allow its default", name)
			}
			if !strings.HasPrefix(pattern, "^") || !strings.HasSuffix(pattern, "$") ||
				at(parameter, "ConstraintDescription") == nil {
				t.Errorf("the pattern of %s is not anchored, or does not say what it asks for", name)
			}
		case allowed != nil:
			if !slices.Contains(allowed, value) {
				t.Errorf("the values of %s do not allow its default", name)
			}
		default:
			least, isLeast := at(parameter, "MinValue").(int)
			most, isMost := at(parameter, "MaxValue").(int)
			number, isFraction := value.(float64)
			whole, isWhole := value.(int)
			if isWhole {
				number = float64(whole)
			}
			if !isLeast || !isMost || !isWhole && !isFraction || number < float64(least) || number > float64(most) {
				t.Errorf("%s takes anything, or not its default", name)
			}
		}
	}
	if len(grouped) != len(parameters) {
		t.Errorf("%d parameters, %d of them in groups", len(parameters), len(grouped))
	}
}

// TestNoStar: no permission is for all actions of a service, and none for all resources where AWS lets it be narrower.
func TestNoStar(t *testing.T) {
	statements := 0
	samtemplate.Walk(readTree(t)["Resources"], func(path []string, value any) {
		effect, isStatement := at(value, "Effect").(string)
		if !isStatement || effect == "Deny" { // denying everything is narrow
			return
		}
		statements++
		actions := list(at(value, "Action"))
		for _, action := range actions {
			if strings.Contains(action, "*") {
				t.Errorf("%s: %s", path[0], action)
			}
		}
		if len(actions) == 0 || at(value, "NotAction") != nil || at(value, "NotResource") != nil ||
			at(value, "NotPrincipal") != nil {
			t.Errorf("%s has a statement that does not say what it allows", path[0])
		}
		if at(value, "Principal") == "*" || at(value, "Principal", "AWS") == "*" {
			t.Errorf("%s lets everyone", path[0])
		}
		if slices.Contains(list(at(value, "Resource")), "*") && !slices.Contains(path, "KeyPolicy") &&
			!strings.HasPrefix(actions[0], "xray:") {
			t.Errorf("%s: %v on every resource", path[0], actions)
		}
	})
	if statements < 20 {
		t.Errorf("found %d statements", statements)
	}
}

// TestFunctions: each is traced, logs where the logs are kept for a time, and has a role that is its alone.
func TestFunctions(t *testing.T) {
	template := readTree(t)
	if at(template, "Globals", "Function", "Tracing") != "Active" {
		t.Error("the functions are not traced")
	}
	// SAM puts it beside the log group of each function.
	wantLogging := tree{"LogFormat": "JSON", "SystemLogLevel": "WARN", "ApplicationLogLevel": "INFO"}
	if diff := cmp.Diff(wantLogging, at(template, "Globals", "Function", "LoggingConfig")); diff != "" {
		t.Errorf("more than one record for an invocation, or none (-want +got):\n%s", diff)
	}
	owner := map[any]string{}
	functions := ofType(t, template, "AWS::Serverless::Function")
	for id, function := range functions {
		properties := at(function, "Properties")
		if tracing := at(properties, "Tracing"); tracing != nil && tracing != "Active" {
			t.Errorf("%s is not traced", id)
		}
		if at(properties, "Policies") != nil {
			t.Errorf("%s has policies beside its role", id)
		}
		roleARN, _ := at(properties, "Role", "Fn::GetAtt").(string)
		role, isARN := strings.CutSuffix(roleARN, ".Arn")
		if !isARN || at(template, "Resources", role, "Type") != "AWS::IAM::Role" ||
			at(template, "Resources", role, "Properties", "ManagedPolicyArns") != nil {
			t.Errorf("%s has the role %q", id, roleARN)
		}
		logging, _ := at(properties, "LoggingConfig").(tree)
		if len(logging) != 1 {
			t.Errorf("%s logs by %v", id, logging)
		}
		logs, _ := at(logging, "LogGroup", "Ref").(string)
		if at(template, "Resources", logs, "Type") != "AWS::Logs::LogGroup" {
			t.Errorf("%s logs to %q", id, logs)
		}
		for _, own := range []string{role, logs} {
			if other, taken := owner[own]; taken {
				t.Errorf("%s and %s share %s", id, other, own)
			}
			owner[own] = id
		}
	}
	for id, group := range ofType(t, template, "AWS::Logs::LogGroup") {
		if !reflect.DeepEqual(at(group, "Properties", "RetentionInDays"), tree{"Ref": "LogRetentionDays"}) {
			t.Errorf("%s is kept for %v", id, at(group, "Properties", "RetentionInDays"))
		}
		if class := at(group, "Properties", "LogGroupClass"); class != nil { // no metrics come out of another class
			t.Errorf("%s is of the class %v", id, class)
		}
	}
}

// TestSampling: a share of the requests to this API is traced, by the parameter, and nothing beyond it.
func TestSampling(t *testing.T) {
	rules := ofType(t, readTree(t), "AWS::XRay::SamplingRule")
	template := readTemplate(t).With(map[string]any{"Api": "a1b2c3d4e5", "AWS::StackName": strings.Repeat("n", 128)})
	for id := range rules {
		rule, err := template.Property(id, "SamplingRule")
		if err != nil {
			t.Fatal(err)
		}
		want := tree{
			"RuleName": "open-licenser-a1b2c3d4e5", "ServiceType": "AWS::ApiGateway::Stage", "FixedRate": 0.01,
			"ResourceARN": "arn:aws:apigateway:eu-central-1::/restapis/a1b2c3d4e5/stages/prod", "ReservoirSize": 0,
			"ServiceName": "*", "Host": "*", "HTTPMethod": "*", "URLPath": "*", "Priority": 1000, "Version": 1,
		}
		if diff := cmp.Diff(want, rule); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
		if name := text(at(rule, "RuleName")); len(name) > 32 {
			t.Errorf("%s has the name %s", id, name)
		}
	}
	if len(rules) != 1 || at(readTree(t), "Resources", "Api", "Properties", "TracingEnabled") != true {
		t.Errorf("%d rules", len(rules))
	}
}

// TestAlarms: every alarm tells someone, says what to do, is on the dashboard, and is quiet where nothing happens.
// Every function is watched, and all that functions count is read by an alarm.
func TestAlarms(t *testing.T) {
	template := readTree(t)
	dashboard, _ := at(template, "Resources", "Dashboard", "Properties", "DashboardBody", "Fn::Sub").(string)
	topic := []any{tree{"Fn::If": []any{"NewAlarmTopic", tree{"Ref": "AlarmTopic"}, tree{"Ref": "AlarmTopicArn"}}}}
	functions := ofType(t, template, "AWS::Serverless::Function")
	filtered := filteredMetrics(t, template)
	watched := map[any][]string{}
	var own []string
	for id, alarm := range ofType(t, template, "AWS::CloudWatch::Alarm") {
		properties := at(alarm, "Properties")
		if !reflect.DeepEqual(at(properties, "AlarmActions"), topic) || at(properties, "ActionsEnabled") != nil {
			t.Errorf("%s tells nobody", id)
		}
		if description, _ := at(properties, "AlarmDescription").(string); len(description) < 40 {
			t.Errorf("%s is described by %q", id, description)
		}
		switch at(properties, "TreatMissingData") {
		case nil:
			t.Errorf("%s does not say what silence means", id)
		case "breaching": // it would cry as soon as it is made
			if !reflect.DeepEqual(at(properties, "Tags"), afterFirstCheckpoint) || !watchesCheckpoints(properties) {
				t.Errorf("%s does not wait until there is something to hear", id)
			}
		}
		if !strings.Contains(dashboard, `"${`+id+`.Arn}"`) {
			t.Errorf("%s is not on the dashboard", id)
		}
		samtemplate.Walk(properties, func(_ []string, value any) {
			metric, _ := at(value, "MetricName").(string)
			if at(value, "Namespace") == telemetry.Namespace {
				dimension, _ := at(value, "Dimensions").([]any)
				if len(dimension) != 1 || at(dimension[0], "Name") != telemetry.FunctionKey ||
					functions[text(at(dimension[0], "Value", "Ref"))] == nil {
					t.Errorf("%s is not on the metric of a function of this stack", id)
				}
				own = append(own, metric)
			}
			if reflect.DeepEqual(at(value, "Namespace"), namespaceOfStack) {
				if own = append(own, metric); !slices.Contains(filtered, metric) {
					t.Errorf("%s is on the metric %s, which no filter makes", id, metric)
				}
			}
			if dimensions, _ := at(value, "Dimensions").([]any); len(dimensions) == 1 &&
				at(dimensions[0], "Name") == "FunctionName" {
				watched[at(dimensions[0], "Value", "Ref")] = append(watched[at(dimensions[0], "Value", "Ref")], metric)
			}
		})
	}
	for _, metric := range []string{
		telemetry.GapsKey, telemetry.ReturnedKey, telemetry.ShortSecretsKey, telemetry.RevocationsTakenBackKey,
		checkpointing.CheckpointsKey, checkpointing.FindingsKey,
		telemetry.StaleKeysKey, "BatchesFailed", "KmsThrottles", // by filters
	} {
		if !slices.Contains(own, metric) {
			t.Errorf("no alarm watches %s", metric)
		}
	}
	for id := range functions {
		isOverdue := id == "CheckpointFunction" && slices.Contains(own, checkpointing.CheckpointsKey)
		if !slices.Contains(watched[id], "Errors") && !isOverdue {
			t.Errorf("no alarm watches the errors of %s", id)
		}
	}
}

// namespaceOfStack is where the metrics are that come out of logs by a filter.
var namespaceOfStack = tree{"Fn::Sub": telemetry.Namespace + "/${AWS::StackName}"}

// filteredMetrics returns the names of the metrics that filters make of logs. None comes where nothing happens.
func filteredMetrics(t *testing.T, template tree) (names []string) {
	t.Helper()
	for id, filter := range ofType(t, template, "AWS::Logs::MetricFilter") {
		for _, metric := range at(filter, "Properties", "MetricTransformations").([]any) {
			names = append(names, at(metric, "MetricName").(string))
			isOfStack := reflect.DeepEqual(at(metric, "MetricNamespace"), namespaceOfStack)
			if !isOfStack || at(metric, "DefaultValue") != nil {
				t.Errorf("%s makes %v", id, metric)
			}
		}
	}
	return names
}

// afterFirstCheckpoint is how an alarm waits for the first checkpoint.
var afterFirstCheckpoint = []any{tree{
	"Key": "after", "Value": tree{"Fn::If": []any{"CheckpointsMade", tree{"Ref": "FirstCheckpoint"}, "NONE"}},
}}

func watchesCheckpoints(alarm any) bool {
	return at(alarm, "MetricName") == checkpointing.CheckpointsKey
}

// TestFirstCheckpoint: the stack has the checkpoint function make one, once it can and as late as can be. It waits for
// the answer longer than the function may take.
func TestFirstCheckpoint(t *testing.T) {
	template := readTree(t)
	first := at(template, "Resources", "FirstCheckpoint")
	token := at(first, "Properties", "ServiceToken")
	if !reflect.DeepEqual(token, tree{"Fn::GetAtt": "CheckpointFunction.Arn"}) {
		t.Errorf("asks %v", token)
	}
	waits, _ := at(first, "Properties", "ServiceTimeout").(int)
	most, _ := at(template, "Resources", "CheckpointFunction", "Properties", "Timeout").(int)
	if waits <= most || most == 0 {
		t.Errorf("waits for %d seconds, the function may take %d", waits, most)
	}
	after := list(at(first, "DependsOn"))
	if !slices.Contains(after, "CheckpointSigning") || !slices.Contains(after, "AuditFunctionLicenseChanges") {
		t.Errorf("comes after %v", after)
	}
	if !reflect.DeepEqual(at(first, "Properties", "Stage"), tree{"Ref": "Api.Stage"}) {
		t.Error("comes before the API, which may fail")
	}
	// What the function is told is what makes another checkpoint when it changes.
	told := at(template, "Resources", "CheckpointFunction", "Properties", "Environment", "Variables")
	for property, variable := range map[string]string{
		"AuditTable": "AUDIT_TABLE",
		"Bucket":     "CHECKPOINT_BUCKET",
		"Key":        "CHECKPOINT_KEY_ID",
		"Origin":     "CHECKPOINT_ORIGIN",
	} {
		if got := at(first, "Properties", property); got == nil || !reflect.DeepEqual(got, at(told, variable)) {
			t.Errorf("%s is %v, %s is %v", property, got, variable, at(told, variable))
		}
	}
	for _, id := range []string{"CheckpointFunction", "IssueFunction"} { // proofs are of the checkpoints that are made
		other := at(template, "Resources", id, "Properties", "Environment", "Variables", "CHECKPOINT_ORIGIN")
		if !reflect.DeepEqual(other, at(told, "CHECKPOINT_ORIGIN")) {
			t.Errorf("%s has the origin %v", id, other)
		}
	}
}

// TestExisting: what an earlier stack left, each by itself, takes the place of what the stack would make: in the
// functions' environment and in their permissions.
func TestExisting(t *testing.T) {
	const account = "eu-central-1:" + samtemplate.Account
	const key, tables = "arn:aws:kms:" + account + ":key/7d6f", "arn:aws:dynamodb:" + account + ":table/"
	const stream = tables + "old/stream/2026-11-23T22:00:00.000"
	reader := []string{tables + "old", stream, tables + "old/stream/*"}
	for _, test := range []struct {
		parameter, value string
		variable         string              // of the functions
		gone             []string            // resources that are not made
		permitted        map[string][]string // to roles
	}{
		{"ExistingTable", "old", "LICENSER_DB", []string{"LicenseTable"}, map[string][]string{
			"VerifyRole": {tables + "old"}, "IssueRole": {tables + "old", tables + "old/index/name"},
			"AuditRole": reader[1:], "IndexRole": reader, "CheckpointRole": {tables + "old"},
		}},
		{"ExistingReferenceTable", "references", "REFERENCE_TABLE", []string{"ReferenceTable"}, map[string][]string{
			"IssueRole": {tables + "references"},
		}},
		{"ExistingDeviceTable", "devices", "DEVICE_TABLE", []string{"DeviceTable"}, map[string][]string{
			"VerifyRole": {tables + "devices"}, "IssueRole": {tables + "devices"},
		}},
		{"ExistingPlanTable", "plans", "PLAN_TABLE", []string{"PlanTable"}, map[string][]string{
			"IssueRole": {tables + "plans"},
		}},
		{"ExistingAuditTable", "trail", "AUDIT_TABLE", []string{"AuditTable"}, map[string][]string{
			"CheckpointRole": {tables + "trail", tables + "trail/index/heads"},
			"AuditRole":      {tables + "trail"}, "IssueRole": {tables + "trail"},
		}},
		{"ExistingDisclosureTable", "values", "DISCLOSURE_TABLE", []string{"DisclosureTable"}, map[string][]string{
			"CheckpointRole": {tables + "values"}, "AuditRole": {tables + "values"}, "IssueRole": {tables + "values"},
		}},
		{
			"ExistingCheckpoints", "bucket", "CHECKPOINT_BUCKET", []string{"Checkpoints", "CheckpointsPolicy"},
			map[string][]string{"CheckpointRole": {"arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"}},
		},
		{
			"ExistingCheckpointKey", key, "CHECKPOINT_KEY_ID", []string{"CheckpointKey", "CheckpointKeyAlias"},
			map[string][]string{"CheckpointSigning": {key}},
		},
		{"CheckpointOrigin", "openlicenser/earlier/audit", "CHECKPOINT_ORIGIN", nil, nil},
	} {
		t.Run(test.parameter, func(t *testing.T) {
			given := map[string]any{test.parameter: test.value}
			if test.parameter == "ExistingTable" {
				given["ExistingTableStream"] = stream
			}
			template, whole := readTemplate(t).With(given), readTree(t)
			resources := whole["Resources"].(tree)
			for _, id := range test.gone {
				if made, err := template.Of(at(resources[id], "Type").(string)); err != nil ||
					slices.Contains(made, id) {
					t.Errorf("%s is made: %v", id, err)
				}
			}
			for function, declared := range ofType(t, whole, "AWS::Serverless::Function") {
				variables := at(declared, "Properties", "Environment", "Variables")
				if variables == nil {
					continue
				}
				environment, err := template.Environment(function)
				if err != nil {
					t.Fatal(err)
				}
				reads := at(variables, test.variable) != nil
				if reads != slices.Contains(environment, test.variable+"="+test.value) {
					t.Errorf("%s has %v", function, environment)
				}
			}
			permitted := map[string][]string{}
			for id, property := range map[string]string{
				"CheckpointRole": "Policies", "CheckpointSigning": "PolicyDocument", "VerifyRole": "Policies",
				"IssueRole": "Policies", "AuditRole": "Policies", "IndexRole": "Policies", "RotateRole": "Policies",
			} {
				value, err := template.Property(id, property)
				if err != nil {
					t.Fatal(err)
				}
				samtemplate.Walk(value, func(_ []string, value any) {
					permitted[id] = append(permitted[id], list(at(value, "Resource"))...)
				})
				for _, gone := range test.gone {
					for _, arn := range permitted[id] {
						if strings.HasPrefix(arn, gone+".") {
							t.Errorf("%s may use %s", id, arn)
						}
					}
				}
			}
			for role, arns := range test.permitted {
				for _, arn := range arns {
					if !slices.Contains(permitted[role], arn) {
						t.Errorf("%s may not use %s", role, arn)
					}
				}
			}
		})
	}
}

// text returns a value that is a text, or "".
func text(value any) string {
	s, _ := value.(string)
	return s
}

// placeholder is a value that CloudFormation puts into a !Sub.
var placeholder = regexp.MustCompile(`\$\{!?[^}]*\}`)

// TestDashboard: what CloudWatch takes, on metrics that there are, and on what the log records tell.
func TestDashboard(t *testing.T) {
	template := readTree(t)
	body := at(template, "Resources", "Dashboard", "Properties", "DashboardBody", "Fn::Sub").(string)
	var dashboard struct {
		Widgets []struct {
			Type       string
			Properties struct {
				Title, Query string
				Metrics      [][]any
			}
		}
	}
	if err := json.Unmarshal([]byte(placeholder.ReplaceAllString(body, "x")), &dashboard); err != nil {
		t.Fatal(err)
	}
	own := []string{telemetry.GapsKey, checkpointing.FindingsKey} // of those that alarms are on
	filtered := filteredMetrics(t, template)
	var summed, shown []string
	for _, widget := range dashboard.Widgets {
		if (widget.Type == "log") != (widget.Properties.Query != "") {
			t.Errorf("%s is of the type %s", widget.Properties.Title, widget.Type)
		}
		for _, match := range summedField.FindAllStringSubmatch(widget.Properties.Query, -1) {
			summed = append(summed, match[1])
		}
		for _, metric := range widget.Properties.Metrics {
			if metric[0] == telemetry.Namespace {
				shown = append(shown, metric[1].(string))
			}
			if metric[0] == telemetry.Namespace+"/x" && !slices.Contains(filtered, metric[1].(string)) {
				t.Errorf("no filter makes the metric %v", metric[1])
			}
		}
	}
	slices.Sort(shown)
	slices.Sort(own)
	if diff := cmp.Diff(own, shown); diff != "" {
		t.Errorf("metrics (-want +shown):\n%s", diff)
	}
	want := []string{
		telemetry.SignaturesKey, telemetry.ReusedFromTableKey, telemetry.ReusedFromMemoryKey,
		telemetry.PutBackKey, telemetry.RevocationsTakenBackKey,
		telemetry.SeatsAcquiredKey, telemetry.SeatsTakenOverKey, telemetry.SeatsRefusedKey,
	}
	if diff := cmp.Diff(want, summed); diff != "" {
		t.Errorf("sums (-what records tell +shown):\n%s", diff)
	}
	if !strings.Contains(body, "by "+telemetry.CodeKey+" |") {
		t.Error("outcomes are not shown")
	}
	for _, match := range querySource.FindAllStringSubmatch(body, -1) {
		if at(template, "Resources", match[1], "Type") != "AWS::Logs::LogGroup" {
			t.Errorf("queries %s", match[1])
		}
	}
}

// Parts of the queries of Logs Insights on the dashboard.
var (
	summedField = regexp.MustCompile(`sum\((\w+)\)`)
	querySource = regexp.MustCompile(`SOURCE '\$\{(\w+)\}'`)
)

// logged are the variables of API Gateway that may stand in its access log: none holds a license key, a credential, or
// what a caller may have put in a place where it does not belong.
var logged = []string{
	"error.responseType", "httpMethod", "identity.sourceIp", "identity.userArn", "requestId", "resourcePath",
	"responseLatency", "status", "wafResponseCode",
}

// TestAccessLog: JSON without secrets, and no execution logs, which hold whole requests.
func TestAccessLog(t *testing.T) {
	api := at(readTree(t), "Resources", "Api", "Properties")
	setting := at(api, "AccessLogSetting", "Fn::If").([]any)
	if setting[0] != "AccessLogged" ||
		!reflect.DeepEqual(at(setting[1], "DestinationArn"), tree{"Fn::GetAtt": "AccessLogs.Arn"}) {
		t.Errorf("logs to %v", setting)
	}
	var format map[string]string
	if err := json.Unmarshal([]byte(at(setting[1], "Format").(string)), &format); err != nil {
		t.Fatal(err)
	}
	var variables []string
	for _, value := range format {
		for part := range strings.FieldsSeq(value) {
			variables = append(variables, strings.TrimPrefix(part, "$context."))
		}
	}
	slices.Sort(variables)
	if !slices.Equal(variables, logged) {
		t.Errorf("logs %v", variables)
	}
	samtemplate.Walk(api, func(path []string, value any) {
		if at(value, "DataTraceEnabled") != nil || at(value, "LoggingLevel") != nil {
			t.Errorf("%v logs whole requests", path)
		}
	})
}

// TestThrottling: the public routes have the public's limits, each for itself, and all others the vendor's.
func TestThrottling(t *testing.T) {
	api := at(readTree(t), "Resources", "Api", "Properties")
	want := map[string]string{"* /*": "Vendor"}
	for path, methods := range at(api, "DefinitionBody", "paths").(tree) {
		for method, operation := range methods.(tree) {
			if security, _ := at(operation, "security").([]any); len(security) == 0 {
				want[strings.ToUpper(method)+" /"+strings.ReplaceAll(path, "/", "~1")] = "Public"
			}
		}
	}
	got := map[string]string{}
	for _, setting := range at(api, "MethodSettings").([]any) {
		rate, _ := at(setting, "ThrottlingRateLimit", "Ref").(string)
		burst, _ := at(setting, "ThrottlingBurstLimit", "Ref").(string)
		whose, isRate := strings.CutSuffix(rate, "RateLimit")
		if !isRate || burst != whose+"BurstLimit" {
			t.Errorf("limits by %q and %q", rate, burst)
		}
		got[at(setting, "HttpMethod").(string)+" "+at(setting, "ResourcePath").(string)] = whose
	}
	if !maps.Equal(got, want) {
		t.Errorf("throttles %v, want %v", got, want)
	}
}

// TestPreflights: the public routes, and no others, answer a browser's preflight as the functions do where there is no
// API Gateway. That costs no call of a function.
func TestPreflights(t *testing.T) {
	found := 0
	for path, methods := range at(readTree(t), "Resources", "Api", "Properties", "DefinitionBody", "paths").(tree) {
		var public []string
		for method, operation := range methods.(tree) {
			if security, _ := at(operation, "security").([]any); len(security) == 0 && method != "options" {
				public = append(public, strings.ToUpper(method))
			}
		}
		preflight := at(methods, "options")
		if (preflight != nil) != (len(public) > 0) {
			t.Errorf("%s has the public methods %v, and the preflight %v", path, public, preflight)
		}
		if preflight == nil {
			continue
		}
		found++
		mock := at(preflight, "x-amazon-apigateway-integration")
		status := at(mock, "responses", "default", "statusCode")
		parameters, declared := tree{}, at(preflight, "responses", text(status), "headers")
		for name, value := range api.Preflight(public...) {
			parameters["method.response.header."+name] = "'" + value + "'"
			if at(declared, name) == nil {
				t.Errorf("%s: the header %s is not declared, so that API Gateway refuses to map it", path, name)
			}
		}
		if diff := cmp.Diff(parameters, at(mock, "responses", "default", "responseParameters")); diff != "" ||
			at(mock, "type") != "mock" ||
			status != "204" ||
			at(mock, "requestTemplates", "application/json") != `{"statusCode": 204}` {
			t.Errorf("%s answers %v, headers (-functions +template):\n%s", path, mock, diff)
		}
	}
	if found != 8 {
		t.Errorf("%d preflights", found)
	}
}

// TestFailedBatch: the filters find the record of a batch of which some has failed, and no other.
func TestFailedBatch(t *testing.T) {
	for _, id := range []string{"AuditBatchesFailed", "IndexBatchesFailed"} {
		filter := at(readTree(t), "Resources", id, "Properties")
		if got := at(filter, "FilterPattern"); got != `{ $.msg = "batch" && $.failed > 0 }` {
			t.Errorf("%s: %v", id, got)
		}
		if logs := strings.TrimSuffix(id, "BatchesFailed") + "Logs"; at(filter, "LogGroupName", "Ref") != logs {
			t.Errorf("%s does not read %s", id, logs)
		}
	}
	var log bytes.Buffer
	for _, fault := range []error{nil, errors.New("no")} {
		_, err := stream.Processor{
			Do: func(context.Context, stream.Change) error { return fault }, Log: telemetry.NewLogger(&log),
		}.Handle(t.Context(), lambdatest.SampleEvents[events.DynamoDBEvent](t, "../events/stream")["insert"])
		if err != nil {
			t.Fatal(err)
		}
	}
	var found []int
	for line := range strings.Lines(log.String()) {
		record := struct {
			Msg    string
			Failed int
		}{Failed: -1}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		if record.Msg == "batch" {
			found = append(found, record.Failed)
		}
	}
	if !slices.Equal(found, []int{0, 1}) {
		t.Errorf("batches of which none and one has failed tell %v", found)
	}
}

// TestStaleKeys: the filters find, in the logs of both functions that read secrets and keys, what the functions log.
func TestStaleKeys(t *testing.T) {
	for id, logs := range map[string]string{"VerifyKeysStale": "VerifyLogs", "IssueKeysStale": "IssueLogs"} {
		filter := at(readTree(t), "Resources", id, "Properties")
		want := "{ $." + telemetry.StaleKeysKey + " > 0 }"
		if at(filter, "FilterPattern") != want || at(filter, "LogGroupName", "Ref") != logs {
			t.Errorf("%s: %v", id, filter)
		}
	}
}

// TestThrottledSignature: the filter finds what the SDK says of a request that KMS throttled, and finds no other fault.
func TestThrottledSignature(t *testing.T) {
	pattern := at(readTree(t), "Resources", "KmsThrottles", "Properties", "FilterPattern").(string)
	parts := regexp.MustCompile(`\$\.error = "\*([^"*]+)\*"`).FindAllStringSubmatch(pattern, -1)
	for code, throttled := range map[string]bool{"ThrottlingException": true, "AccessDeniedException": false} {
		server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
			out.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(out, `{"__type":"`+code+`","message":"said by KMS"}`)
		}))
		defer server.Close()
		_, err := kms.New(kms.Options{
			BaseEndpoint: &server.URL, Region: "us-east-1", Retryer: aws.NopRetryer{},
			Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		}).Sign(t.Context(), &kms.SignInput{
			KeyId: aws.String("key"), Message: []byte("digest"),
			SigningAlgorithm: types.SigningAlgorithmSpecRsassaPkcs1V15Sha256,
		})
		found := err != nil && len(parts) == 2
		for _, part := range parts {
			found = found && strings.Contains(err.Error(), part[1])
		}
		if found != throttled {
			t.Errorf("%s finds %v in %v", pattern, found, err)
		}
	}
}
