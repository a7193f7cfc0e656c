package awstest

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
)

const sample = `
Parameters:
  Mode: {Default: a}
  Required: {}
Conditions:
  ModeA: !Equals [!Ref Mode, a]
  NotA: !Not [!Condition ModeA]
  Both: !And [!Condition ModeA, !Condition NotA]
  Either: !Or [!Condition ModeA, !Condition NotA]
Resources:
  Table: {Type: AWS::DynamoDB::Table, Condition: ModeA, Properties: {BillingMode: PAY_PER_REQUEST, Unheard: 1}}
  Other: {Type: AWS::DynamoDB::Table, Condition: NotA}
  F:
    Type: AWS::Serverless::Function
    Properties:
      Environment:
        Variables:
          REF: !Ref Table
          ATTRIBUTE: !GetAtt Table.Arn
          TEXT: !Sub 'x/${Table}/${Table.Arn}/${AWS::Region}/${!Literal}'
          CHOSEN: !If [ModeA, yes it is, no]
          BOTH: !If [Both, 1, 0]
          EITHER: !If [Either, 1, 0]
          NONE: !If [NotA, x, !Ref AWS::NoValue]
      Events:
        A: {Type: Api, Properties: {Method: GET, Path: '/a/{id}'}}
        B: {Type: DynamoDB, Properties: {Method: GET, Path: '/b'}}
      Missing: !Ref Required
      Unknown: !Ref Nothing
      Function: !Cidr [x]
`

func TestTemplate(t *testing.T) {
	template, err := parseTemplate([]byte(sample), map[string]any{"Table.Arn": "arn:table"})
	if err != nil {
		t.Fatal(err)
	}
	environment, err := template.Environment("F")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"ATTRIBUTE=arn:table", "BOTH=0", "CHOSEN=yes it is", "EITHER=1", "REF=Table", "TEXT=x/Table/arn:table/eu-central-1/${!Literal}"}
	if diff := cmp.Diff(want, environment); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	routes, err := template.Routes()
	if diff := cmp.Diff(map[string]string{"GET /a/{id}": "F"}, routes); diff != "" || err != nil {
		t.Errorf("routes (-want +got):\n%s %v", diff, err)
	}
	tables, err := template.Of("AWS::DynamoDB::Table")
	if diff := cmp.Diff([]string{"Table"}, tables); diff != "" || err != nil {
		t.Errorf("tables (-want +got):\n%s %v", diff, err)
	}
	for _, property := range []string{"Missing", "Unknown", "Function"} {
		if value, err := template.Property("F", property); err == nil {
			t.Errorf("%s is %v", property, value)
		}
	}
	if _, err := template.Table("Table"); err == nil || !strings.Contains(err.Error(), "Unheard") {
		t.Errorf("a property that is not known: %v", err)
	}
}

func TestTemplateWithOtherValues(t *testing.T) {
	template, err := parseTemplate([]byte(sample), map[string]any{"Mode": "b", "Table": "name"})
	if err != nil {
		t.Fatal(err)
	}
	environment, err := template.Environment("F")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(environment, " "); !strings.Contains(got, "CHOSEN=no EITHER=1 NONE=x REF=name TEXT=x/name/Table.Arn/") {
		t.Errorf("environment %s", got)
	}
	if tables, err := template.Of("AWS::DynamoDB::Table"); err != nil || len(tables) != 1 || tables[0] != "Other" {
		t.Errorf("tables %v, %v", tables, err)
	}
}

// TestLicenseTable: what tests create is what the template declares, in both billing modes.
func TestLicenseTable(t *testing.T) {
	for _, mode := range []string{"PROVISIONED", "PAY_PER_REQUEST"} {
		t.Run(mode, func(t *testing.T) {
			template, err := ReadTemplate(map[string]any{"BillingMode": mode})
			if err != nil {
				t.Fatal(err)
			}
			in, err := template.Table("LicenseTable")
			if err != nil {
				t.Fatal(err)
			}
			if len(in.KeySchema) != 1 || aws.ToString(in.KeySchema[0].AttributeName) != "licenseid" {
				t.Errorf("key %v", in.KeySchema)
			}
			if s := in.StreamSpecification; s == nil || !aws.ToBool(s.StreamEnabled) || s.StreamViewType != types.StreamViewTypeNewAndOldImages {
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
