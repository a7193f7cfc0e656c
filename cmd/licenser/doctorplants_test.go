package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// planted is what is wrong with a stack.
type planted struct {
	isOfLife   bool // only the life of a license shows it
	plant      func(action string, input, output object) (code string)
	intercept  func(w http.ResponseWriter, r *http.Request) bool
	parameters map[string]string
	also       []string // codes that follow from it
	says       string   // the command, or the row, that has to be there
}

// set plants members in the object at a path of a response: names and values in turn.
func set(action, path string, members ...any) func(string, object, object) string {
	return func(called string, _, output object) string {
		if called == action {
			for i := 0; i < len(members); i += 2 {
				at(output, path)[members[i].(string)] = members[i+1]
			}
		}
		return ""
	}
}

// setOf plants it for the one of a name.
func setOf(name, action, path string, members ...any) func(string, object, object) string {
	return func(called string, input, output object) string {
		if !strings.Contains(fmtValues(input), name) {
			return ""
		}
		return set(action, path, members...)(called, input, output)
	}
}

func fmtValues(input object) (text string) {
	for _, value := range input {
		if s, isText := value.(string); isText {
			text += s + " "
		}
	}
	return text
}

func fail(action, code string) func(string, object, object) string {
	return func(called string, _, _ object) string {
		if called == action {
			return code
		}
		return ""
	}
}

// broken responds with a fault to requests of a method whose path has an end.
func broken(method, end string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || !strings.HasSuffix(r.URL.Path, end) {
			return false
		}
		internalError.write(w)
		return true
	}
}

// plants has, by the codes of the report, what leads to them.
func plants(t *testing.T, c *cloud) map[string]planted {
	t.Helper()
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	otherToken, err := x509.MarshalPKIXPublicKey(other.Public())
	if err != nil {
		t.Fatal(err)
	}
	otherCheckpoint, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	past := time.Now().AddDate(0, 0, -9)
	rotate := c.outputs["RotateFunctionArn"]
	stack := func(status string) planted {
		return planted{plant: set("cloudformation:DescribeStacks", "Stacks.0", "StackStatus", status)}
	}
	return map[string]planted{
		"STACK_IN_PROGRESS":  stack("UPDATE_IN_PROGRESS"),
		"UPDATE_ROLLED_BACK": stack("UPDATE_ROLLBACK_COMPLETE"),
		"STACK_FAILED":       stack("ROLLBACK_FAILED"),
		"NOT_OPEN_LICENSER":  {plant: set("cloudformation:DescribeStacks", "Stacks.0", "Outputs", []any{})},

		"NOT_ALLOWED": {
			plant: fail("lambda:GetAccountSettings", "AccessDeniedException"),
			says:  "may not do lambda:GetAccountSettings",
		},
		"NOT_ANSWERED":  {plant: fail("lambda:GetAccountSettings", "InvalidRequest"), says: "said by the service"},
		"RESOURCE_GONE": {plant: fail("sns:GetTopicAttributes", "NotFound"), says: `"alarm topic"`},

		"KEYS_NOT_SERVED": {intercept: broken("GET", "/jwks.json"), says: "aws logs tail VerifyLogs --since 15m"},
		"KEYS_DIFFER":     {plant: setOf("token", "kms:GetPublicKey", "", "PublicKey", otherToken)},
		"TOKEN_KEY_UNUSABLE": {
			plant: set("kms:DescribeKey", "KeyMetadata", "KeyState", "PendingDeletion"), says: "PendingDeletion",
		},
		"CHECKPOINT_KEY_UNUSABLE": {
			plant: func(action string, input, _ object) string {
				if action == "kms:GetPublicKey" && input["KeyId"] == c.outputs["CheckpointKeyArn"] {
					return "DisabledException"
				}
				return ""
			},
			says: "aws kms describe-key --key-id CheckpointKey.Arn",
		},
		"CHECKPOINT_NOT_SERVED": {intercept: broken("GET", "/audit/checkpoint")},
		"CHECKPOINT_KEY_DIFFERS": {
			plant: setOf(c.outputs["CheckpointKeyArn"], "kms:GetPublicKey", "", "PublicKey", derOf(t, otherCheckpoint)),
		},
		"CHECKPOINT_NOT_SIGNED": {intercept: c.altered("GET", "/audit/checkpoint",
			regexp.MustCompile(`[A-Za-z]{9}\S+\n$`), strings.ToUpper)},
		"CHECKPOINT_OVERDUE": {parameters: map[string]string{"CheckpointOverdueHours": "0"}},

		"SECRET_TO_BE_DELETED": {
			plant: set("secretsmanager:DescribeSecret", "", "DeletedDate", past),
			says:  "restore-secret --secret-id LicenseKey",
		},
		"ROTATION_OFF": {
			parameters: map[string]string{"SecretRotationDays": "30"}, says: "licenser keys rotate --secret",
		},
		"ROTATION_BY_OTHER": {plant: set("secretsmanager:DescribeSecret", "", "RotationEnabled", true,
			"RotationLambdaARN", "arn:other")},
		"ROTATION_NOT_DONE": {plant: set("secretsmanager:DescribeSecret", "VersionIdsToStages",
			"2", []any{"AWSPENDING"})},
		"ROTATION_OVERDUE": {plant: set("secretsmanager:DescribeSecret", "", "RotationEnabled", true,
			"RotationLambdaARN", rotate, "NextRotationDate", past)},

		"STREAM_VIEW": {plant: setOf("LicenseTable", "dynamodb:DescribeTable", "Table.StreamSpecification",
			"StreamViewType", "KEYS_ONLY"), says: "aws dynamodb update-table --table-name LicenseTable"},
		"TABLE_NOT_ACTIVE": {plant: setOf("PlanTable", "dynamodb:DescribeTable", "Table", "TableStatus", "CREATING")},
		"INDEX_NOT_ACTIVE": {
			plant: setOf("AuditTable", "dynamodb:DescribeTable", "Table.GlobalSecondaryIndexes.0",
				"IndexStatus", "CREATING"),
			says: "the index newest is CREATING",
		},
		"DELETION_PROTECTION_OFF": {
			plant: setOf("DeviceTable", "dynamodb:DescribeTable", "Table", "DeletionProtectionEnabled", false),
			says:  "update-table --table-name DeviceTable --deletion-protection-enabled",
		},
		"POINT_IN_TIME_RECOVERY_OFF": {
			plant: setOf("ReferenceTable", "dynamodb:DescribeContinuousBackups",
				"ContinuousBackupsDescription.PointInTimeRecoveryDescription", "PointInTimeRecoveryStatus", "DISABLED"),
			says: "update-continuous-backups --table-name ReferenceTable",
		},
		"TIME_TO_LIVE_OFF": {
			plant: setOf("IdempotencyTable", "dynamodb:DescribeTimeToLive", "TimeToLiveDescription",
				"TimeToLiveStatus", "DISABLED"),
			says: "update-time-to-live --table-name IdempotencyTable",
		},

		"FUNCTION_NOT_ACTIVE": {
			plant: setOf("IndexFunction", "lambda:GetFunctionConfiguration", "", "State", "Failed"),
		},
		"FUNCTION_STOPPED": {
			plant: setOf("RotateFunction", "lambda:GetFunctionConcurrency", "", "ReservedConcurrentExecutions", 0),
			says:  "RotateConcurrency",
		},
		"READER_NOT_ENABLED": {
			plant: setOf("AuditFunctionLicenseChanges", "lambda:GetEventSourceMapping", "", "State", "Disabled"),
			says:  "update-event-source-mapping --uuid AuditFunctionLicenseChanges --enabled",
		},
		"READER_FAILS": {
			plant: setOf("IndexFunctionLicenseChanges", "lambda:GetEventSourceMapping", "", "LastProcessingResult",
				"PROBLEM: Function call failed"),
			says: "aws logs tail IndexLogs",
		},
		"READER_OF_OTHER_STREAM": {plant: set("lambda:GetEventSourceMapping", "", "EventSourceArn", "arn:other")},
		"FEW_EXECUTIONS": {
			plant: set("lambda:GetAccountSettings", "AccountLimit", "ConcurrentExecutions", 10),
			says:  "--service-code lambda --quota-code L-B99A9384 --desired-value 1000",
		},
		"FEW_SIGNATURES": {plant: set("servicequotas:GetServiceQuota", "Quota", "Value", 100.0),
			says: "--service-code kms --quota-code L-2AC98190 --desired-value 200"},
		"FEW_REQUESTS":   {plant: set("apigateway:GET", "throttleSettings", "rateLimit", 100)},
		"NO_ACCESS_LOGS": {plant: set("apigateway:GET", "", "cloudwatchRoleArn", "")},

		"ALARM_GONE": {plant: func(action string, _, output object) string {
			if action == "cloudwatch:DescribeAlarms" {
				output["MetricAlarms"] = output["MetricAlarms"].([]any)[1:]
			}
			return ""
		}},
		"ALARM_WITHOUT_ACTION": {
			plant: set("cloudwatch:DescribeAlarms", "MetricAlarms.3", "ActionsEnabled", false),
			says:  "enable-alarm-actions",
		},
		"ALARM_SOUNDS": {plant: set("cloudwatch:DescribeAlarms", "MetricAlarms.3", "StateValue", "ALARM", "StateReason",
			"too many"), says: "it sounds: too many"},
		"ALARM_WITHOUT_DATA": {
			plant: set("cloudwatch:DescribeAlarms", "MetricAlarms.3", "StateValue", "INSUFFICIENT_DATA"),
		},
		"ALARMS_NOT_CONFIRMED": {
			plant: set("sns:GetTopicAttributes", "Attributes.entry", "key", "SubscriptionsPending"),
		},
		"ALARMS_NOT_READ": {plant: set("sns:GetTopicAttributes", "Attributes.entry", "value", "0"),
			says: "aws sns subscribe"},
		"METRIC_MISSING": {
			plant: set("cloudwatch:GetMetricData", "", "MetricDataResults", []any{}), says: "AuditCheckpoints",
		},

		"VENDOR_API_OPEN": {intercept: func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Authorization") == "" {
				r.Header.Set("Authorization", "AWS4-HMAC-SHA256 of nobody")
			}
			return false
		}, says: "put-function-concurrency --reserved-concurrent-executions 0 --function-name IssueFunction"},
		"SIGNED_REQUEST_FAILS": {intercept: func(w http.ResponseWriter, r *http.Request) bool {
			return r.Header.Get("Authorization") != "" && broken("GET", "/licenses")(w, r)
		}},

		"ISSUE_FAILS": {isOfLife: true, intercept: broken("POST", "/licenses"), says: "aws logs tail IssueLogs"},
		"VERIFY_FAILS": {isOfLife: true, intercept: broken("POST", "/verify-license"),
			says: "aws logs tail VerifyLogs"},
		"TOKEN_WRONG": {isOfLife: true, intercept: c.altered("POST", "/verify-license",
			regexp.MustCompile(`[A-Za-z0-9]{9}[^."]*"}$`), strings.ToLower)},
		"REVOKE_FAILS":        {isOfLife: true, intercept: broken("POST", "/revoke")},
		"REVOCATION_NOT_SEEN": {isOfLife: true, intercept: c.cached()},
		"LICENSE_LEFT": {isOfLife: true, intercept: func(w http.ResponseWriter, r *http.Request) bool {
			return broken(http.MethodDelete, "")(w, r)
		}, says: "licenser license delete "},
		"TRAIL_LATE": {isOfLife: true, intercept: func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/audit") {
				r.URL.Path = "/licenses/869b100f-06b7-44cc-80df-b4c4bf728461/audit"
			}
			return false
		}, says: "after 300ms there is no DELETED"},
		"TRAIL_NOT_SERVED": {isOfLife: true, intercept: broken("GET", "/audit")},
		"TRAIL_WRONG": {isOfLife: true, intercept: c.altered("GET", "/audit", regexp.MustCompile(trialReason),
			strings.ToUpper)},
	}
}

// altered passes requests on, and changes what a pattern matches in the response.
func (c *cloud) altered(
	method, end string, match *regexp.Regexp, change func(string) string,
) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || !strings.HasSuffix(r.URL.Path, end) {
			return false
		}
		recorder := c.forward(r)
		maps.Copy(w.Header(), recorder.Header())
		w.WriteHeader(recorder.Code)
		_, _ = io.WriteString(w, match.ReplaceAllStringFunc(recorder.Body.String(), change))
		return true
	}
}

// forward returns what the server responds to a request.
func (c *cloud) forward(r *http.Request) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	c.proxy().ServeHTTP(recorder, r)
	recorder.Header().Del("Content-Length")
	return recorder
}

// cached gives the first response to a verification again.
func (c *cloud) cached() func(http.ResponseWriter, *http.Request) bool {
	var kept *httptest.ResponseRecorder
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/verify-license" {
			return false
		}
		if kept == nil {
			kept = c.forward(r)
		}
		maps.Copy(w.Header(), kept.Header())
		w.WriteHeader(kept.Code)
		_, _ = w.Write(kept.Body.Bytes())
		return true
	}
}
