//go:build unix

package main

import (
	"fmt"
	"regexp"
	"strings"

	"openlicenser/shared/testing/samtemplate"
)

// More prices in dollars, us-east-1, November 2026. A GB is taken for 10⁹ bytes, which is the dearer reading.
const (
	perAPIRequest      = 3.50e-6 // REST API (https://aws.amazon.com/api-gateway/pricing/)
	perLogGB           = 0.50    // CloudWatch Logs, taken in (https://aws.amazon.com/cloudwatch/pricing/)
	perKeptLogGB       = 0.03    // a month
	perTrace           = 5e-6    // X-Ray (https://aws.amazon.com/xray/pricing/)
	perSecretCall      = 5e-6    // Secrets Manager (https://aws.amazon.com/secrets-manager/pricing/)
	perPublicKey       = 3e-6    // KMS, RSA_2048
	bytesOfEvent       = 26      // that CloudWatch counts for each log event beside its text
	hoursOfMonth       = 730     //
	refreshesOfHour    = 12      // that an instance reads the secret and the public keys anew
	costTargetOfAll    = 4.90    // a million verifications with everything on the bill
	standingCostTarget = 12      // what stands still, a month
)

// line is a line of a bill.
type line struct {
	what, price string
	dollars     float64
}

// newLine returns a line; the format and what follows say what it is for.
func newLine(dollars float64, price, format string, args ...any) line {
	return line{fmt.Sprintf(format, args...), price, dollars}
}

func sum(lines []line) (dollars float64) {
	for _, l := range lines {
		dollars += l.dollars
	}
	return dollars
}

// settings are what the bill depends on, of the template's parameters and properties.
type settings struct {
	memory       float64 // of the verify function, MB
	sampling     float64 // the share of requests that is traced
	retention    float64 // of logs, days
	publicKeys   int     // that the verify function reads
	accessRecord string  // of a verification in the API's log
}

func readSettings(t *samtemplate.Template) (s settings, err error) {
	function, err := t.Properties("VerifyFunction")
	if err != nil {
		return s, err
	}
	logs, err := t.Properties("VerifyLogs")
	if err != nil {
		return s, err
	}
	rule, err := t.Property("TraceSamplingRule", "SamplingRule")
	if err != nil {
		return s, err
	}
	access, err := t.Property("Api", "AccessLogSetting")
	if err != nil {
		return s, err
	}
	for _, read := range []struct {
		into  *float64
		value any
		name  string
	}{
		{&s.memory, function["MemorySize"], "VerifyFunction.MemorySize"},
		{&s.retention, logs["RetentionInDays"], "VerifyLogs.RetentionInDays"},
		{&s.sampling, samtemplate.At(rule, "FixedRate"), "TraceSamplingRule.FixedRate"},
	} {
		if *read.into, err = number(read.value); err != nil {
			return s, fmt.Errorf("%s: %w", read.name, err)
		}
	}
	variables, _ := samtemplate.At(function, "Environment", "Variables").(map[string]any)
	for name := range variables {
		if strings.HasPrefix(name, "KMS_") && strings.HasSuffix(name, "KEY_ID") {
			s.publicKeys++
		}
	}
	format, _ := samtemplate.At(access, "Format").(string)
	s.accessRecord, err = accessRecordOf(format)
	return s, err
}

func number(value any) (float64, error) {
	switch v := value.(type) {
	case int:
		return float64(v), nil
	case float64:
		return v, nil
	}
	return 0, fmt.Errorf("%v is no number", value)
}

// accessed are the variables of API Gateway for a verification, where an address has the most characters that one of
// IPv4 has. A variable without a value is a hyphen.
var accessed = map[string]string{
	"requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef", "httpMethod": "POST", "resourcePath": "/verify-license",
	"status": "200", "responseLatency": "12", "identity.sourceIp": "203.113.113.114", "identity.userArn": "-",
	"error.responseType": "-", "wafResponseCode": "-",
}

var contextVariable = regexp.MustCompile(`\$context\.([A-Za-z.]+)`)

// accessRecordOf returns the record of a verification in a log of this format.
func accessRecordOf(format string) (record string, err error) {
	record = contextVariable.ReplaceAllStringFunc(format, func(found string) string {
		value, known := accessed[strings.TrimPrefix(found, "$context.")]
		if !known {
			err = fmt.Errorf("the access log has %s, whose length is not known here", found)
		}
		return value
	})
	if format == "" {
		err = fmt.Errorf("the API writes no access log")
	}
	return record, err
}

// Parts of the record of a verification: the time that it took, whose digits are not the same twice, and its trace.
var (
	took  = regexp.MustCompile(`"milliseconds":[0-9.]+`)
	trace = regexp.MustCompile(`,"traceid":"[^"]*"`)
)

// bytesPerVerification returns the mean bytes of what the function has logged, and the mean number of records, where a
// share of the verifications is traced. All were, when they were measured.
func (r result) bytesPerVerification(sampling float64) (bytes, records float64) {
	for _, record := range r.records {
		record = took.ReplaceAllString(record, `"milliseconds":10.123`)
		untraced := float64(len(trace.ReplaceAllString(record, "")))
		bytes += untraced + sampling*(float64(len(record))-untraced)
	}
	return bytes / float64(len(r.warm)), float64(len(r.records)) / float64(len(r.warm))
}

// million returns what a million verifications cost with everything on the bill, each license once a day.
func million(reused, signed result, s settings) []line {
	const million, gb = 1e6, 1e9
	all := fleet(costOf(reused, s.memory), costOf(signed, s.memory))
	mix := func(reused, signed float64) float64 { return (reused*(reusedOf-1) + signed) / reusedOf }
	reusedBytes, reusedRecords := reused.bytesPerVerification(s.sampling)
	signedBytes, signedRecords := signed.bytesPerVerification(s.sampling)
	record, records := mix(reusedBytes, signedBytes), mix(reusedRecords, signedRecords)
	access := float64(len(s.accessRecord))
	logged := (record + access + (records+1)*bytesOfEvent) * million / gb
	duration := mix(billed(reused.warm), billed(signed.warm))
	refreshes := float64(hoursOfMonth * refreshesOfHour)
	keys := perSecretCall + float64(s.publicKeys)*perPublicKey
	return []line{
		newLine(perAPIRequest*million, "$3.50 per million", "API Gateway, REST API"),
		newLine(logged*perLogGB, "$0.50 per GB",
			"CloudWatch Logs, %.0f bytes each: the function's record has %.0f, the access log's %.0f, "+
				"and each takes %d more", logged*gb/million, record, access, bytesOfEvent),
		newLine(logged*perKeptLogGB*s.retention*24/hoursOfMonth, "$0.03 per GB and month",
			"the same kept for %.0f days, at most, because they are compressed", s.retention),
		newLine(all.kms*million, "$3.00 per million", "KMS, an RSA signature for one in %d", reusedOf),
		newLine(all.dynamoDB*million, "$0.125 and $0.625 per million",
			"DynamoDB on demand: a strongly consistent read of up to 4 KB, half a unit for the signature, "+
				"a signature kept for one in %d", reusedOf),
		newLine(all.requests*million, "$0.20 per million", "Lambda, requests"),
		newLine(all.duration*million, "$0.0000133334 per GB-second",
			"Lambda, %.0f MB arm64 for %.0f ms each", s.memory, duration*1000),
		newLine(refreshes*keys, "$5.00 and $3.00 per million",
			"Secrets Manager and KMS, the secret and %d public keys every five minutes, for one instance and a month",
			s.publicKeys),
		newLine(s.sampling*perTrace*million, "$5.00 per million", "X-Ray, %.3g %% of the requests", s.sampling*100),
	}
}
