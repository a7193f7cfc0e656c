package functions_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/license"
	"openlicenser/shared/testing/samtemplate"
)

// foreign are the attributes that other tools write, beside the key.
var foreign = []string{
	"appurls", "services", "changedtimestamp", "customerid", "customername", "expirationdate", "isrevoked", "notes",
}

// texts returns the texts of a list.
func texts(value any, name string) (found []string) {
	elements, _ := value.([]any)
	for _, element := range elements {
		found = append(found, text(at(element, name)))
	}
	return found
}

// TestLicenseIndexes: the license table has the indexes that the domain reads, and no other. No attribute that other
// tools write is a key, because DynamoDB refuses an item whose key has another type.
func TestLicenseIndexes(t *testing.T) {
	table := at(readTree(t), "Resources", "LicenseTable", "Properties")
	types := map[any]any{}
	for _, definition := range at(table, "AttributeDefinitions").([]any) {
		types[at(definition, "AttributeName")] = at(definition, "AttributeType")
	}
	key := func(of any) string { // as "HASH a S, RANGE b S"
		var parts []string
		for _, part := range at(of, "KeySchema").([]any) {
			name := at(part, "AttributeName")
			if slices.Contains(foreign, text(name)) {
				t.Errorf("%v is a key", name)
			}
			parts = append(parts, fmt.Sprint(at(part, "KeyType"), " ", name, " ", types[name]))
		}
		return strings.Join(parts, ", ")
	}
	if got := key(table); got != "HASH licenseid S" {
		t.Errorf("the key is %s", got)
	}
	want, got := map[string]string{}, map[string]string{}
	for _, index := range license.Indexes {
		want[index.Name] = "HASH " + index.Partition + " S, RANGE " + index.Sort + " S"
	}
	for _, index := range at(table, "GlobalSecondaryIndexes").([]any) {
		name := text(at(index, "IndexName"))
		got[name] = key(index)
		if at(index, "Projection", "ProjectionType") != "ALL" {
			t.Errorf("%s has the projection %v", name, at(index, "Projection"))
		}
		write, _ := at(index, "WriteProvisionedThroughputSettings", "Fn::If").([]any)
		if len(write) != 3 || write[0] != "Provisioned" || at(write[1], "WriteCapacityAutoScalingSettings") == nil {
			t.Errorf("%s has no write capacity of its own, so it slows the table's writes", name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("indexes (-license.Indexes +template):\n%s", diff)
	}
	replicas := at(table, "Replicas").([]any)
	if len(replicas) != 1 { // a replica would be a third reader of the stream
		t.Errorf("the table is in %d regions", len(replicas))
	}
	reads, _ := at(replicas[0], "GlobalSecondaryIndexes", "Fn::If").([]any)
	if len(reads) != 3 || reads[0] != "Provisioned" {
		t.Fatalf("the indexes read by %v", reads)
	}
	for _, index := range reads[1].([]any) { // auto scaling would cost more than the units that it saves
		want := tree{"ReadCapacityUnits": tree{"Ref": "IndexReadCapacity"}}
		if diff := cmp.Diff(want, at(index, "ReadProvisionedThroughputSettings")); diff != "" {
			t.Errorf("%v (-want +got):\n%s", at(index, "IndexName"), diff)
		}
	}
	reading := texts(reads[1], "IndexName")
	slices.Sort(reading)
	if !slices.Equal(reading, slices.Sorted(maps.Keys(want))) {
		t.Errorf("read capacity has %v", reading)
	}
}

// TestListPermissions: the issue function may query each index of the license table, and no other.
func TestListPermissions(t *testing.T) {
	for table, given := range map[string]map[string]any{
		"LicenseTable.Arn": {},
		"arn:aws:dynamodb:eu-central-1:" + samtemplate.Account + ":table/old": {
			"ExistingTable": "old", "ExistingTableStream": "stream",
		},
	} {
		var want, got []string
		for _, index := range license.Indexes {
			want = append(want, table+"/index/"+index.Name)
		}
		policies, err := readTemplate(t).With(given).Property("IssueRole", "Policies")
		if err != nil {
			t.Fatal(err)
		}
		samtemplate.Walk(policies, func(_ []string, value any) {
			queries := slices.Contains(list(at(value, "Action")), "dynamodb:Query")
			for _, resource := range list(at(value, "Resource")) {
				if queries && strings.HasPrefix(resource, table+"/index/") {
					got = append(got, resource)
				}
			}
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-license.Indexes +template):\n%s", diff)
		}
	}
}

// statements returns the statements of a role's policies.
func statements(t *testing.T, template tree, role string) (found []any) {
	t.Helper()
	samtemplate.Walk(at(template, "Resources", role, "Properties", "Policies"), func(_ []string, value any) {
		if at(value, "Effect") != nil {
			found = append(found, value)
		}
	})
	if len(found) == 0 {
		t.Fatalf("%s may do nothing", role)
	}
	return found
}

// TestIndexRole: the index function changes what an amendment is made of, and nothing that any other tool writes. The
// condition of an update and what an update returns are within the same bounds
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html).
func TestIndexRole(t *testing.T) {
	writes := 0
	for _, statement := range statements(t, readTree(t), "IndexRole") {
		actions := list(at(statement, "Action"))
		if !slices.Contains(actions, "dynamodb:UpdateItem") {
			if at(statement, "Condition") != nil {
				t.Errorf("%v on condition of %v", actions, at(statement, "Condition"))
			}
			continue
		}
		writes++
		if len(actions) > 1 { // a read returns all attributes
			t.Errorf("%v on one condition", actions)
		}
		names := at(statement, "Condition", "ForAllValues:StringEquals", "dynamodb:Attributes")
		attributes, amended := list(names), append([]string{license.AttrID}, license.Amended()...)
		slices.Sort(attributes)
		slices.Sort(amended)
		if diff := cmp.Diff(amended, attributes); diff != "" {
			t.Errorf("attributes (-license.Amended +template):\n%s", diff)
		}
		for _, name := range foreign {
			if slices.Contains(attributes, name) {
				t.Errorf("it may write %s", name)
			}
		}
		want := tree{
			"ForAllValues:StringEquals": tree{"dynamodb:Attributes": names},
			"Null":                      tree{"dynamodb:Attributes": "false"}, // of no attributes, all are equal
			"StringEqualsIfExists":      tree{"dynamodb:ReturnValues": "NONE"},
		}
		if diff := cmp.Diff(want, at(statement, "Condition")); diff != "" {
			t.Errorf("condition (-want +template):\n%s", diff)
		}
	}
	if writes != 1 {
		t.Errorf("%d statements let it write", writes)
	}
}

// TestReferencesStay: the issue function alone reaches the references. A put there has a condition, and so has the
// removal of one, which is for erasures.
func TestReferencesStay(t *testing.T) {
	template := readTree(t)
	var granted []string
	for role := range ofType(t, template, "AWS::IAM::Role") {
		samtemplate.Walk(at(template, "Resources", role, "Properties", "Policies"), func(_ []string, value any) {
			if strings.Contains(fmt.Sprint(at(value, "Resource")), "ReferenceTable") {
				granted = append(granted, role)
				granted = append(granted, list(at(value, "Action"))...)
			}
		})
	}
	if !slices.Equal(granted, []string{"IssueRole", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem"}) {
		t.Errorf("granted: %v", granted)
	}
}

// TestSeatsAreGiven: the verify function alone gives seats, and the issue function takes them back. No other reaches
// them, and verify cannot remove those of a license.
func TestSeatsAreGiven(t *testing.T) {
	template := readTree(t)
	granted := map[string][]string{}
	for role := range ofType(t, template, "AWS::IAM::Role") {
		samtemplate.Walk(at(template, "Resources", role, "Properties", "Policies"), func(_ []string, value any) {
			if strings.Contains(fmt.Sprint(at(value, "Resource")), "DeviceTable") {
				granted[role] = append(granted[role], list(at(value, "Action"))...)
			}
		})
	}
	want := map[string][]string{
		"VerifyRole": {"dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
		"IssueRole":  {"dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"},
	}
	if diff := cmp.Diff(want, granted); diff != "" {
		t.Errorf("(-want +granted):\n%s", diff)
	}
}

// TestPlansAreTheIssuers: the issue function alone reaches the plans, and may do no more than it does.
func TestPlansAreTheIssuers(t *testing.T) {
	template := readTree(t)
	granted := map[string][]string{}
	for role := range ofType(t, template, "AWS::IAM::Role") {
		samtemplate.Walk(at(template, "Resources", role, "Properties", "Policies"), func(_ []string, value any) {
			if strings.Contains(fmt.Sprint(at(value, "Resource")), "PlanTable") {
				granted[role] = append(granted[role], list(at(value, "Action"))...)
			}
		})
	}
	want := map[string][]string{
		"IssueRole": {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:Scan"},
	}
	if diff := cmp.Diff(want, granted); diff != "" {
		t.Errorf("(-want +granted):\n%s", diff)
	}
}

// TestStreamReaders: the stream has the two readers that it bears. Each gets every change again until it is done,
// without holding up the others for good. What fails for good goes, whole, where the reader may put it, and sets off an
// alarm, as its being late does.
func TestStreamReaders(t *testing.T) {
	template := readTree(t)
	var readers []string
	for id, function := range ofType(t, template, "AWS::Serverless::Function") {
		events, _ := at(function, "Properties", "Events").(tree)
		for name, event := range events {
			if at(event, "Type") == "DynamoDB" {
				readers = append(readers, id)
				checkReader(t, template, id, name)
			}
		}
	}
	slices.Sort(readers)
	if !slices.Equal(readers, []string{"AuditFunction", "IndexFunction"}) {
		t.Errorf("the stream is read by %v", readers)
	}
}

func checkReader(t *testing.T, template tree, id, event string) {
	t.Helper()
	function := at(template, "Resources", id, "Properties")
	properties := at(function, "Events", event, "Properties")
	for name, want := range map[string]any{
		"Stream": tree{"Fn::If": []any{
			"NewTable", tree{"Fn::GetAtt": "LicenseTable.StreamArn"}, tree{"Ref": "ExistingTableStream"},
		}},
		"StartingPosition":           "TRIM_HORIZON",
		"FunctionResponseTypes":      []any{"ReportBatchItemFailures"},
		"BisectBatchOnFunctionError": true,
		"MaximumRetryAttempts":       25,
		"DestinationConfig": tree{"OnFailure": tree{
			"Type": "S3", "Destination": tree{"Fn::GetAtt": "AuditFailures.Arn"},
		}},
		"MetricsConfig": nil, // seven metrics, which cost where all is well
	} {
		if diff := cmp.Diff(want, at(properties, name)); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", id, name, diff)
		}
	}
	age, _ := at(properties, "MaximumRecordAgeInSeconds").(int)
	if age < 3600 || age > 12*3600 {
		t.Errorf("%s: a change is tried for %d seconds, and the stream forgets it after a day", id, age)
	}
	role := strings.TrimSuffix(text(at(function, "Role", "Fn::GetAtt")), ".Arn")
	may := tree{}
	for _, statement := range statements(t, template, role) {
		for _, action := range list(at(statement, "Action")) {
			may[action] = at(statement, "Resource")
		}
	}
	for action, resource := range map[string]any{
		"s3:PutObject":              tree{"Fn::Sub": "${AuditFailures.Arn}/*"},
		"s3:ListBucket":             tree{"Fn::GetAtt": "AuditFailures.Arn"},
		"dynamodb:DescribeStream":   at(properties, "Stream"),
		"dynamodb:GetRecords":       at(properties, "Stream"),
		"dynamodb:GetShardIterator": at(properties, "Stream"),
	} {
		if !reflect.DeepEqual(may[action], resource) {
			t.Errorf("%s may %s on %v, want %v", role, action, may[action], resource)
		}
	}
	alarmed := map[string]bool{}
	for _, alarm := range ofType(t, template, "AWS::CloudWatch::Alarm") {
		samtemplate.Walk(alarm, func(_ []string, value any) {
			dimensions, _ := at(value, "Dimensions").([]any)
			for _, dimension := range dimensions {
				if of := at(dimension, "Value", "Ref"); of == id || of == id+event {
					alarmed[text(at(value, "MetricName"))] = true
				}
			}
		})
	}
	want := []string{"IteratorAge", "Errors"}
	if id == "AuditFunction" { // what the index function loses, licenser adopt mends
		want = append(want, "DestinationDeliveryFailures")
	}
	for _, metric := range want {
		if !alarmed[metric] {
			t.Errorf("no alarm watches the %s of %s", metric, id)
		}
	}
}
