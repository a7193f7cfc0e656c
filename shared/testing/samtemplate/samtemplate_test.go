package samtemplate_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/testing/samtemplate"
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
Outputs:
  Table: {Condition: ModeA, Value: !Ref Table}
  Other: {Condition: NotA, Value: !Ref Other}
  Url: {Value: !Sub 'https://${AWS::Region}/${Mode}'}
`

func TestTemplate(t *testing.T) {
	template, err := samtemplate.Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	template = template.With(map[string]any{"Table.Arn": "arn:table"})
	environment, err := template.Environment("F")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ATTRIBUTE=arn:table", "BOTH=0", "CHOSEN=yes it is", "EITHER=1", "REF=Table",
		"TEXT=x/Table/arn:table/eu-central-1/${!Literal}",
	}
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
	outputs, err := template.Outputs()
	wantOutputs := map[string]string{"Table": "Table", "Url": "https://eu-central-1/a"}
	if diff := cmp.Diff(wantOutputs, outputs); diff != "" || err != nil {
		t.Errorf("outputs (-want +got):\n%s %v", diff, err)
	}
	for _, property := range []string{"Missing", "Unknown", "Function"} {
		if value, err := template.Property("F", property); err == nil {
			t.Errorf("%s is %v", property, value)
		}
	}
}

func TestTemplateWithOtherValues(t *testing.T) {
	template, err := samtemplate.Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	template = template.With(map[string]any{"Mode": "b", "Table": "name"})
	environment, err := template.Environment("F")
	if err != nil {
		t.Fatal(err)
	}
	const want = "CHOSEN=no EITHER=1 NONE=x REF=name TEXT=x/name/Table.Arn/"
	if got := strings.Join(environment, " "); !strings.Contains(got, want) {
		t.Errorf("environment %s", got)
	}
	wantParameters := map[string]string{"Mode": "b", "Required": ""}
	if diff := cmp.Diff(wantParameters, template.Parameters()); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	if tables, err := template.Of("AWS::DynamoDB::Table"); err != nil || len(tables) != 1 || tables[0] != "Other" {
		t.Errorf("tables %v, %v", tables, err)
	}
}
