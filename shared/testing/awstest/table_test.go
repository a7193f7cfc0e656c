package awstest_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/samtemplate"
)

// TestLicenseTable: what tests create is what the template declares, in both billing modes.
func TestLicenseTable(t *testing.T) {
	for _, mode := range []string{"PROVISIONED", "PAY_PER_REQUEST"} {
		t.Run(mode, func(t *testing.T) {
			template, err := samtemplate.Read()
			if err != nil {
				t.Fatal(err)
			}
			in, err := awstest.Table(template.With(map[string]any{"BillingMode": mode}), "LicenseTable")
			if err != nil {
				t.Fatal(err)
			}
			if len(in.KeySchema) != 1 || aws.ToString(in.KeySchema[0].AttributeName) != "licenseid" {
				t.Errorf("key %v", in.KeySchema)
			}
			s := in.StreamSpecification
			if s == nil || !aws.ToBool(s.StreamEnabled) || s.StreamViewType != types.StreamViewTypeNewAndOldImages {
				t.Errorf("stream %v", s)
			}
			if len(in.GlobalSecondaryIndexes) == 0 {
				t.Error("no indexes")
			}
			for _, index := range in.GlobalSecondaryIndexes {
				if len(index.KeySchema) != 2 {
					t.Errorf("index %+v", index)
				}
			}
		})
	}
}

// TestUnheardProperty: no property of a table is left out by accident.
func TestUnheardProperty(t *testing.T) {
	template, err := samtemplate.Parse([]byte(
		"Resources: {Table: {Type: AWS::DynamoDB::Table, Properties: {BillingMode: PAY_PER_REQUEST, Unheard: 1}}}"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := awstest.Table(template, "Table"); err == nil || !strings.Contains(err.Error(), "Unheard") {
		t.Errorf("a property that is not known: %v", err)
	}
}
