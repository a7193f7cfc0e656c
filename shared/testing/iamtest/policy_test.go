package iamtest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/testing/iamtest"
)

const (
	table = "arn:aws:dynamodb:eu-central-1:123456789012:table/licenses"
	key   = "arn:aws:kms:eu-central-1:123456789012:key/1"
	role  = "arn:aws:iam::123456789012:role/verify"
)

func parse(t *testing.T, statements string) (iamtest.Policy, error) {
	t.Helper()
	var document any
	text := `{"Version": "2012-10-17", "Statement": [` + statements + `]}`
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	return iamtest.Parse(document)
}

func policy(t *testing.T, statements string) iamtest.Policy {
	t.Helper()
	parsed, err := parse(t, statements)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// TestApplies: to a call of the action and the resource.
func TestApplies(t *testing.T) {
	for _, test := range []struct {
		actions, resource string
		action, of        string
		want              bool
	}{
		{`["dynamodb:GetItem", "dynamodb:Query"]`, table, "dynamodb:Query", table, true},
		{`"dynamodb:GetItem"`, table, "dynamodb:getitem", table, true},
		{`"dynamodb:GetItem"`, table, "dynamodb:PutItem", table, false},
		{`"dynamodb:GetItem"`, table, "dynamodb:GetItem", table + "2", false},
		{`"dynamodb:Query"`, table, "dynamodb:Query", table + "/index/name", false},
		{`"dynamodb:*Item"`, "arn:*:table/*/index/*", "dynamodb:GetItem", table + "/index/name", true},
		{`"dynamodb:*Item"`, "*", "dynamodb:GetItems", table, false},
		{`"*"`, "table/*", "dynamodb:GetItem", table, false},
		{`"*"`, "arn:aws:dynamodb:*/licenses/*/name", "dynamodb:GetItem", table + "/name", false},
	} {
		s := policy(t, `{"Effect": "Allow", "Action": `+test.actions+`, "Resource": "`+test.resource+`"}`)
		got, err := s.Statement[0].Applies(iamtest.Call{Action: test.action, Resource: test.of})
		if got != test.want || err != nil {
			t.Errorf("%s on %s for %s of %s: %v, %v", test.actions, test.resource, test.action, test.of, got, err)
		}
	}
}

// TestConditions: of a call with these values.
func TestConditions(t *testing.T) {
	type values = []string
	const noError = ""
	for _, test := range []struct {
		condition string
		has       values
		want      bool
		err       string
	}{
		{`"StringEquals": {"key": ["a", "b"]}`, values{"b"}, true, noError},
		{`"StringEquals": {"key": "a"}`, values{"b"}, false, noError},
		{`"StringEquals": {"key": "a"}`, nil, false, noError},
		{`"StringEquals": {"key": "a"}`, values{"a", "b"}, false, "several values"},
		{`"StringEquals": {"other": "a"}`, values{"a"}, false, "is not known here"},
		{`"StringEqualsIfExists": {"key": "a"}`, values{"a"}, true, noError},
		{`"StringEqualsIfExists": {"key": "a"}`, values{"b"}, false, noError},
		{`"StringEqualsIfExists": {"key": "a"}`, nil, true, noError},
		{`"ForAllValues:StringEquals": {"key": ["a", "b", "c"]}`, values{"c", "a"}, true, noError},
		{`"ForAllValues:StringEquals": {"key": ["a", "b", "c"]}`, values{"a", "d"}, false, noError},
		{`"ForAllValues:StringEquals": {"key": "a"}`, nil, true, noError},
		{`"Null": {"key": "false"}`, values{"a", "b"}, true, noError},
		{`"Null": {"key": "false"}`, nil, false, noError},
		{`"Null": {"key": "true"}`, nil, true, noError},
		{`"Bool": {"key": "false"}`, values{"false"}, true, noError},
		{`"Bool": {"key": "false"}`, values{"true"}, false, noError},
		{`"ArnEquals": {"key": "` + role + `"}`, values{role}, true, noError},
		{`"ArnEquals": {"key": "` + role + `"}`, values{role + "2"}, false, noError},
		{`"ArnEquals": {"key": "arn:aws:iam::*:role/*"}`, values{role}, true, noError},
		{`"ArnEquals": {"key": "arn:*:role/verify"}`, values{role}, false, noError}, // no part is for another
		{`"StringEquals": {"key": "a"}, "Null": {"key": "true"}`, values{"a"}, false, noError},
	} {
		s := policy(t, `{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {`+test.condition+`}}`)
		got, err := s.Statement[0].Applies(iamtest.Call{Context: map[string][]string{"key": test.has}})
		if got != test.want || (err != nil) != (test.err != noError) ||
			err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s of %v: %v, %v", test.condition, test.has, got, err)
		}
	}
}

// TestAllows: the role's policies and that of what is asked for together.
func TestAllows(t *testing.T) {
	const (
		signs     = `{"Effect": "Allow", "Action": "kms:Sign", "Resource": "*"`
		puts      = `{"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::b/*"`
		denies    = `{"Effect": "Deny", "Action": "*", "Resource": "*"`
		other     = `{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}`
		byRoot    = `, "Principal": {"AWS": "arn:aws:iam::123456789012:root"}`
		byService = `, "Principal": {"Service": "x"}`
		byOther   = `, "Principal": {"AWS": ["` + role + `2"]}`
		byRole    = `, "Principal": {"AWS": ["x", "` + role + `"]}`
		forRole   = `, "Condition": {"ArnEquals": {"aws:PrincipalArn": "` + role + `"}}`
		forOther  = `, "Condition": {"ArnEquals": {"aws:PrincipalArn": "` + role + `2"}}`

		nothing = "which none of its statements allows"
		denied  = "which a statement denies"
		ofKey   = "which the key's policy does not allow"
	)
	for name, test := range map[string]struct{ own, of, want string }{
		"nothing":                       {other, "", nothing},
		"its own":                       {signs + `}`, "", ""},
		"its own, denied":               {signs + `}, ` + denies + `}, ` + signs + `}`, "", denied},
		"key of the account":            {signs + `}`, signs + byRoot + `}`, ""},
		"key of the account, not own":   {other, signs + byRoot + `}`, nothing},
		"key of nobody":                 {signs + `}`, other, ofKey},
		"key of a service":              {signs + `}`, signs + byService + `}`, ofKey},
		"key of another role":           {signs + `}`, signs + byOther + `}`, ofKey},
		"key of the role":               {signs + `}`, signs + byRole + `}`, ""},
		"key of one principal":          {signs + `}`, signs + byRoot + forRole + `}`, ""},
		"key of another principal":      {signs + `}`, signs + byRoot + forOther + `}`, ofKey},
		"bucket that says nothing":      {puts + `}`, other, ""},
		"bucket that denies everybody":  {puts + `}`, denies + `, "Principal": "*"}`, denied},
		"bucket that denies others":     {puts + `}`, denies + byOther + `}`, ""},
		"bucket that allows, not own":   {other, puts + `, "Principal": "*"}`, nothing},
		"a condition that is not known": {signs + `, "Condition": {"Bool": {"x": "y"}}}`, "", "VerifyRole: kms:Sign"},
	} {
		t.Run(name, func(t *testing.T) {
			call := iamtest.Call{Action: "kms:Sign", Resource: key}.With("aws:PrincipalArn", role)
			if strings.Contains(name, "bucket") {
				call.Action, call.Resource = "s3:PutObject", "arn:aws:s3:::b/k"
			}
			r := iamtest.Role{Name: "VerifyRole", ARN: role, Policies: []iamtest.Policy{policy(t, test.own)}}
			var of *iamtest.Policy
			if test.of != "" {
				parsed := policy(t, test.of)
				of = &parsed
			}
			err := r.Allows(call, of)
			if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestParse: what cannot be judged is no policy.
func TestParse(t *testing.T) {
	for statement, want := range map[string]string{
		`{"Effect": "Allow", "NotAction": "*", "Resource": "*"}`:                              "NotAction",
		`{"Effect": "Deny", "NotPrincipal": 1, "Action": "*", "Resource": "*"}`:               "NotPrincipal",
		`{"Effect": "Allow", "Action": "*"}`:                                                  "0 resources",
		`{"Effect": "allow", "Action": "*", "Resource": "*"}`:                                 `"allow"`,
		`{"Effect": "Allow", "Action": "*", "Resource": "a?"}`:                                "a? is not known",
		`{"Effect": "Allow", "Action": 1, "Resource": "*"}`:                                   "a policy",
		`{"Effect": "Allow", "Action": [1], "Resource": "*"}`:                                 "a policy",
		`{"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"DateEquals": {}}}`: "DateEquals",
	} {
		if _, err := parse(t, statement); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", statement, err, want)
		}
	}
}

func TestPermissions(t *testing.T) {
	s := policy(t, `{"Effect": "Allow", "Action": ["kms:Sign", "kms:GetPublicKey"], "Resource": "arn:key/*",
		"Condition": {"StringEquals": {"kms:RequestAlias": ["alias/a", "alias/b"], "kms:MessageType": "RAW"}}}`)
	call := iamtest.Call{Action: "kms:Sign", Resource: "arn:key/1"}.With("kms:RequestAlias", "alias/b")
	used := map[string]bool{}
	for _, p := range s.Statement[0].Permissions() {
		used[p.String()] = p.IsUsed(call)
	}
	want := map[string]bool{
		"kms:Sign arn:key/*":                                  true,
		"kms:Sign arn:key/* kms:RequestAlias=alias/a":         false,
		"kms:Sign arn:key/* kms:RequestAlias=alias/b":         true,
		"kms:GetPublicKey arn:key/*":                          false,
		"kms:GetPublicKey arn:key/* kms:RequestAlias=alias/a": false,
		"kms:GetPublicKey arn:key/* kms:RequestAlias=alias/b": false,
	}
	if diff := cmp.Diff(want, used); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
