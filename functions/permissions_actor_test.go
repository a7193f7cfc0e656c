package functions_test

import (
	"maps"
	"slices"
	"strings"

	"openlicenser/shared/testing/iamtest"
	"openlicenser/shared/testing/kmstest"
	"openlicenser/shared/testing/samtemplate"
)

// roleARN is the ARN of a role but for its name.
const roleARN = "arn:aws:iam::" + samtemplate.Account + ":role/"

// actor is a function of a stack with what it may do, and what it has done.
type actor struct {
	role     iamtest.Role
	calls    []iamtest.Call
	policies map[string]iamtest.Policy // of keys and buckets, by ARN
	copied   map[string]string         // from the ARN of a key to that of the one whose policy it has
	others   map[string][]string       // ARNs that nothing but a permission keeps it from, by service
	names    *strings.Replacer         // from values to their names in the template
}

// actorsOf returns the functions of a stack. The policies of keys and buckets are those that the template makes, also
// where an earlier stack has made them.
func actorsOf(s, made stack) (actors []actor) {
	s.Helper()
	managed := slices.DeleteFunc(of(s.T, s.template, "AWS::IAM::ManagedPolicy"), func(id string) bool {
		return id == "ReadPolicy" || id == "SupportPolicy" // of people: TestPoliciesForPeople
	})
	for _, id := range slices.Concat(of(s.T, s.template, "AWS::IAM::Policy"), managed) {
		s.Fatalf("whose policy %s is, is not known here", id)
	}
	policies, others, names := policiesOf(made), othersOf(made), namesOf(made)
	copied := map[string]string{} // by licenser token-key
	for _, alias := range []string{"", "-previous"} {
		successor := made.cloud.KMS.Target(made.template.Value("TokenKeyAlias") + alias)
		copied[kmstest.ARN(successor)] = made.arn("TokenKey")
	}
	for _, function := range of(s.T, s.template, "AWS::Serverless::Function") {
		a := actor{
			role: s.roleOf(function), policies: policies, copied: copied, others: others, names: names,
		}
		if recorder := s.recorded[function]; recorder != nil {
			for _, call := range recorder.Calls() {
				a.calls = append(a.calls, call.With("aws:PrincipalArn", a.role.ARN))
			}
		}
		actors = append(actors, a)
	}
	return actors
}

func (s stack) property(id, name string) any {
	s.Helper()
	value, err := s.template.Property(id, name)
	if err != nil {
		s.Fatal(err)
	}
	return value
}

func (s stack) policy(document any) iamtest.Policy {
	s.Helper()
	policy, err := iamtest.Parse(document)
	if err != nil {
		s.Fatal(err)
	}
	return policy
}

// roleOf returns the role of a function.
func (s stack) roleOf(function string) iamtest.Role {
	s.Helper()
	arn := text(s.property(function, "Role"))
	id, isOurs := strings.CutPrefix(arn, roleARN)
	if !isOurs || s.property(id, "ManagedPolicyArns") != nil || s.property(function, "Policies") != nil {
		s.Fatalf("what the role %q of %s may do is not known here", arn, function)
	}
	role := iamtest.Role{Name: id, ARN: arn}
	inline, _ := s.property(id, "Policies").([]any)
	for _, policy := range inline {
		role.Policies = append(role.Policies, s.policy(at(policy, "PolicyDocument")))
	}
	for _, apart := range of(s.T, s.template, "AWS::IAM::RolePolicy") {
		if s.property(apart, "RoleName") == id {
			role.Policies = append(role.Policies, s.policy(s.property(apart, "PolicyDocument")))
		}
	}
	return role
}

// policiesOf returns the policies of keys and buckets, by ARN.
func policiesOf(made stack) map[string]iamtest.Policy {
	made.Helper()
	policies := map[string]iamtest.Policy{}
	for _, id := range of(made.T, made.template, "AWS::KMS::Key") {
		policies[made.arn(id)] = made.policy(made.property(id, "KeyPolicy"))
	}
	for _, id := range of(made.T, made.template, "AWS::S3::BucketPolicy") {
		bucket := "arn:aws:s3:::" + text(made.property(id, "Bucket"))
		policies[bucket] = made.policy(made.property(id, "PolicyDocument"))
	}
	return policies
}

// arn returns the ARN of a resource, or its name in the template where nothing stands in for it.
func (s stack) arn(id string) string {
	if value, isMade := s.template.Values()[id+".Arn"]; isMade {
		return text(value)
	}
	return id + ".Arn"
}

// anothers are ARNs of what another stack has.
var anothers = map[string]string{
	"dynamodb":       "arn:aws:dynamodb:" + samtemplate.Region + ":" + samtemplate.Account + ":table/another",
	"kms":            "arn:aws:kms:" + samtemplate.Region + ":" + samtemplate.Account + ":key/another",
	"s3":             "arn:aws:s3:::another",
	"secretsmanager": "arn:aws:secretsmanager:" + samtemplate.Region + ":" + samtemplate.Account + ":secret:another",
}

// othersOf returns the ARNs of what a template has made, and of something of each kind that is another stack's.
func othersOf(made stack) map[string][]string {
	made.Helper()
	others := map[string][]string{"dynamodb": {anothers["dynamodb"] + "/index/newest"}}
	for service, arn := range anothers {
		others[service] = append(others[service], arn)
	}
	for _, id := range tablesOf(made.T, made.template) {
		others["dynamodb"] = append(others["dynamodb"], made.arn(id))
		indexes, _ := made.property(id, "GlobalSecondaryIndexes").([]any)
		for _, name := range texts(indexes, "IndexName") {
			others["dynamodb"] = append(others["dynamodb"], made.arn(id)+"/index/"+name)
		}
	}
	for service, resourceType := range map[string]string{"kms": "AWS::KMS::Key", "s3": "AWS::S3::Bucket"} {
		for _, id := range of(made.T, made.template, resourceType) {
			others[service] = append(others[service], made.arn(id))
		}
	}
	return others
}

// namesOf returns what puts the names of resources, as the template has them, in place of their values.
func namesOf(made stack) *strings.Replacer {
	values := made.template.Values()
	var pairs []string
	for _, name := range slices.SortedFunc(maps.Keys(values), func(a, b string) int {
		if longer := len(text(values[b])) - len(text(values[a])); longer != 0 { // an ARN has the name in it
			return longer
		}
		return strings.Compare(b, a)
	}) {
		if value := text(values[name]); value != "" {
			pairs = append(pairs, value, name)
		}
	}
	return strings.NewReplacer(pairs...)
}

// policyOf returns the policy of the key or bucket that a call is about, or nil.
func (a actor) policyOf(c iamtest.Call) *iamtest.Policy {
	arn := c.Resource
	if strings.HasPrefix(c.Action, "s3:") {
		arn, _, _ = strings.Cut(arn, "/") // of an object the bucket
	}
	if original, isCopied := a.copied[arn]; isCopied {
		arn = original
	}
	if policy, has := a.policies[arn]; has {
		return &policy
	}
	return nil
}
