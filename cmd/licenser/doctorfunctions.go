package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	quotas "github.com/aws/aws-sdk-go-v2/service/servicequotas/types"
)

// functions wants all functions to be able to run.
func (d *doctor) functions(ctx context.Context) {
	const check = "functions"
	functions, known := d.resourcesOf(check, "AWS::Lambda::Function")
	if !known {
		return
	}
	client, before := lambda.NewFromConfig(d.cfg), len(d.rows)
	for _, function := range functions {
		f := d.on(check, function.logicalID)
		state, err := client.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{
			FunctionName: &function.name,
		})
		if err != nil {
			f.untried(err)
			continue
		}
		reason := cmp.Or(aws.ToString(state.StateReason), aws.ToString(state.LastUpdateStatusReason), "no reason given")
		isReady := state.State == types.StateActive || state.State == types.StateInactive // of one long unused
		if !isReady || state.LastUpdateStatus != types.LastUpdateStatusSuccessful {
			f.toDo("FUNCTION_NOT_ACTIVE", fmt.Sprintf("it is %s, and its last update is %s: %s",
				state.State, state.LastUpdateStatus, reason), "Deploy again.")
		}
		reserved, err := client.GetFunctionConcurrency(ctx, &lambda.GetFunctionConcurrencyInput{
			FunctionName: &function.name,
		})
		switch {
		case err != nil:
			f.untried(err)
		case reserved.ReservedConcurrentExecutions != nil && *reserved.ReservedConcurrentExecutions == 0:
			f.toDo("FUNCTION_STOPPED", "its reserved concurrency is 0, so that it never runs",
				"Deploy with another "+strings.TrimSuffix(function.logicalID, "Function")+"Concurrency, or none.")
		}
	}
	if len(d.rows) == before {
		d.on(check).ok("%d can run", len(functions))
	}
}

// streamReaders wants each function that reads the license table's stream to be handed its changes.
func (d *doctor) streamReaders(ctx context.Context) {
	mappings, known := d.resourcesOf("stream readers", "AWS::Lambda::EventSourceMapping")
	if !known {
		return
	}
	client := lambda.NewFromConfig(d.cfg)
	for _, mapping := range mappings {
		f, before := d.on("stream reader", mapping.logicalID), len(d.rows)
		m, err := client.GetEventSourceMapping(ctx, &lambda.GetEventSourceMappingInput{UUID: &mapping.name})
		if err != nil {
			f.untried(err)
			continue
		}
		state, last := aws.ToString(m.State), aws.ToString(m.LastProcessingResult)
		function, _, _ := strings.Cut(mapping.logicalID, "Function")
		if state != "Enabled" {
			f.toDo("READER_NOT_ENABLED", fmt.Sprintf("it is %s (%s)", state, aws.ToString(m.StateTransitionReason)),
				"Enable it within 24 hours, after which the stream forgets.",
				"aws lambda update-event-source-mapping --uuid "+quoteForShell(mapping.name)+" --enabled")
		}
		if strings.HasPrefix(last, "PROBLEM") {
			f.toDo("READER_FAILS", "Lambda says: "+last, "See the log of the function.", d.stack.logs(function)...)
		}
		if arn := aws.ToString(m.EventSourceArn); d.streamARN != "" && arn != d.streamARN {
			f.toDo("READER_OF_OTHER_STREAM", "it reads "+arn+", and the stream of the license table is "+d.streamARN,
				"Deploy again, with that stream as ExistingTableStream where the stack was given the table.")
		}
		if len(d.rows) == before {
			f.ok("%s, last result: %s", state, last)
		}
	}
}

// leastConcurrency is how many functions an account has to be allowed at once, so that one busy function leaves room
// for the others, and concurrency can be reserved at all.
const leastConcurrency = 100

// The quotas of Service Quotas.
const (
	concurrencyQuota = "L-B99A9384" // of Lambda: concurrent executions
	signatureQuota   = "L-2AC98190" // of KMS: cryptographic operations (RSA) request rate
)

func increaseQuota(service, quota string, to int) string {
	return fmt.Sprintf("aws service-quotas request-service-quota-increase --service-code %s --quota-code %s "+
		"--desired-value %d", service, quota, to)
}

// lambdaQuota looks at how many functions the account may run at once. New accounts have ten.
func (d *doctor) lambdaQuota(ctx context.Context) {
	f := d.on("Lambda quota")
	settings, err := lambda.NewFromConfig(d.cfg).GetAccountSettings(ctx, &lambda.GetAccountSettingsInput{})
	if err == nil && settings.AccountLimit == nil {
		err = errors.New("the limits of the account are not in the response")
	}
	if err != nil {
		f.untried(err)
		return
	}
	atOnce := settings.AccountLimit.ConcurrentExecutions
	found := fmt.Sprintf("%d executions at once, of all functions of the account and region", atOnce)
	if atOnce < leastConcurrency {
		f.toDo("FEW_EXECUTIONS", found+": verifications are turned away where products ask together, and none can be "+
			"reserved", "Ask AWS for more.", increaseQuota("lambda", concurrencyQuota, 1000))
		return
	}
	f.ok("%s", found)
}

// signatureQuota compares how many tokens KMS signs in a second with how many verifications the API lets pass.
func (d *doctor) signatureQuota(ctx context.Context) {
	f, client := d.on("KMS quota"), servicequotas.NewFromConfig(d.cfg)
	var quota *quotas.ServiceQuota
	out, err := client.GetServiceQuota(ctx, &servicequotas.GetServiceQuotaInput{
		ServiceCode: aws.String("kms"), QuotaCode: aws.String(signatureQuota),
	})
	if err == nil {
		quota = out.Quota
	}
	if errors.As(err, new(*quotas.NoSuchResourceException)) { // the account has the initial one
		var initial *servicequotas.GetAWSDefaultServiceQuotaOutput
		initial, err = client.GetAWSDefaultServiceQuota(ctx, &servicequotas.GetAWSDefaultServiceQuotaInput{
			ServiceCode: aws.String("kms"), QuotaCode: aws.String(signatureQuota),
		})
		if err == nil {
			quota = initial.Quota
		}
	}
	if err == nil && (quota == nil || quota.Value == nil) {
		err = errors.New("the quota is not in the response")
	}
	if err != nil {
		f.untried(err)
		return
	}
	passing := d.stack.number("PublicRateLimit", 0)
	found := fmt.Sprintf("%.0f RSA signatures a second, and PublicRateLimit lets %d verifications pass",
		*quota.Value, passing)
	if *quota.Value < float64(passing) {
		f.toDo("FEW_SIGNATURES", found, "Ask AWS for more, or lower PublicRateLimit.",
			increaseQuota("kms", signatureQuota, passing))
		return
	}
	f.ok("%s", found)
}

// gatewayAccount looks at what all APIs of the account and region share: a role for access logs, and a rate.
func (d *doctor) gatewayAccount(ctx context.Context) {
	f, before := d.on("API Gateway account"), len(d.rows)
	account, err := apigateway.NewFromConfig(d.cfg).GetAccount(ctx, &apigateway.GetAccountInput{})
	if err != nil {
		f.untried(err)
		return
	}
	role := aws.ToString(account.CloudwatchRoleArn)
	if role == "" && d.stack.parameters["AccessLogRole"] != "NONE" {
		f.toDo("NO_ACCESS_LOGS", "it has no role to write access logs in",
			"Deploy with AccessLogRole=CREATE. If it was, somebody has taken the role away since: deploy with NONE, "+
				"and then with CREATE again.")
	}
	passing, limit := d.stack.number("PublicRateLimit", 0), "no limit is known"
	if throttle := account.ThrottleSettings; throttle != nil {
		limit = fmt.Sprintf("%.0f requests a second, of all its APIs", throttle.RateLimit)
		if throttle.RateLimit < float64(passing) {
			f.toDo("FEW_REQUESTS", fmt.Sprintf("%s, and PublicRateLimit is %d", limit, passing),
				"Ask AWS for a higher throttle rate in Service Quotas, or lower PublicRateLimit.")
		}
	}
	if len(d.rows) == before {
		f.ok("%s", limit)
	}
}
