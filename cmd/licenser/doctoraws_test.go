package main

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/google/uuid"

	"openlicenser/shared/testing/awstest"
)

// TestDoctorOnMoto: the services of another stand-in are read as those of our own are.
func TestDoctorOnMoto(t *testing.T) {
	setAWS(t, awstest.Need(t, awstest.MotoVariable))
	cfg, err := awsConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client, name := cloudformation.NewFromConfig(cfg), aws.String("licenser-test-"+uuid.NewString())
	const template = `
Parameters:
  PublicRateLimit: {Type: Number, Default: 200}
Resources:
  PlanTable:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: plan, AttributeType: S}]
      KeySchema: [{AttributeName: plan, KeyType: HASH}]
  SignatureTable:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: licenseid, AttributeType: S}]
      KeySchema: [{AttributeName: licenseid, KeyType: HASH}]
Outputs:
  ApiUrl: {Value: 'http://127.0.0.1:9'}
  PlanTableName: {Value: !Ref PlanTable}
`
	_, err = client.CreateStack(t.Context(), &cloudformation.CreateStackInput{
		StackName: name, TemplateBody: aws.String(template),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = client.DeleteStack(context.Background(), &cloudformation.DeleteStackInput{StackName: name})
	})
	s, err := readStack(t.Context(), client, *name, cfg.Region)
	if err != nil || s.resourcesErr != nil || len(s.of("AWS::DynamoDB::Table")) != 2 ||
		s.outputs["PlanTableName"] != s.named("PlanTable") || s.number("PublicRateLimit", 0) != 200 ||
		time.Since(s.changed).Abs() > time.Hour {
		t.Fatalf("read %+v, %v", s, err)
	}
	d, err := newDoctor(cfg, s, piped(t.Output()))
	if err != nil {
		t.Fatal(err)
	}
	if !d.examineStack() {
		t.Error("there is nothing to examine")
	}
	d.otherTables(t.Context())
	d.gatewayAccount(t.Context())
	want := []string{"DELETION_PROTECTION_OFF", "NO_ACCESS_LOGS", "POINT_IN_TIME_RECOVERY_OFF", "TIME_TO_LIVE_OFF"}
	if got := codes(d.rows); !slices.Equal(got, want) {
		t.Errorf("found %v", d.rows)
	}
	if _, err := readStack(t.Context(), client, "licenser-test-none", cfg.Region); exitCode(err) != exitNotFound {
		t.Errorf("a stack that is not there: %v", err)
	}
}
