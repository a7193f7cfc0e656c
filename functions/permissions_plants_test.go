package functions_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"openlicenser/shared/testing/iamtest"
)

// plant returns what takes the place of a statement, for one of its permissions. It returns nil where it is no mistake.
type plant func(iamtest.Statement, iamtest.Permission) []iamtest.Statement

// plantMistakes makes each mistake in each permission that a call needs, by itself, and wants it to be found.
func plantMistakes(t *testing.T, actors []actor) {
	for name, mistake := range map[string]struct {
		plant plant
		find  func([]actor) []string
	}{
		"missing":           {missing, denied},
		"for another":       {forAnother, denied},
		"for everything":    {forEverything, tooBroad},
		"to do everything":  {toDoEverything, tooBroad},
		"to do more beside": {toDelete, uncalledDeletions},
	} {
		t.Run("a permission "+name, func(t *testing.T) {
			planted := 0
			permissions := permissionsOf(actors)
			for _, permission := range slices.Sorted(maps.Keys(permissions)) {
				if !permissions[permission] {
					continue
				}
				if changed := plantIn(actors, permission, mistake.plant); len(changed) > 0 {
					planted++
					if len(mistake.find(changed)) == 0 {
						t.Errorf("nobody finds it: %s", permission)
					}
				}
			}
			if planted == 0 {
				t.Error("none is planted")
			}
		})
	}
}

// plantIn returns the actors whose statements have a permission, with another statement in the place of each of these.
func plantIn(actors []actor, permission string, plant plant) (changed []actor) {
	for _, a := range actors {
		isChanged := false
		replace := func(owner string, policy iamtest.Policy) iamtest.Policy {
			var statements []iamtest.Statement
			for _, s := range policy.Statement {
				planted := a.plantInStatement(owner, s, permission, plant)
				if planted == nil {
					planted = []iamtest.Statement{s}
				} else {
					isChanged = true
				}
				statements = append(statements, planted...)
			}
			policy.Statement = statements
			return policy
		}
		b := a
		b.role.Policies, b.policies = nil, map[string]iamtest.Policy{}
		for _, policy := range a.role.Policies {
			b.role.Policies = append(b.role.Policies, replace(a.role.Name, policy))
		}
		for arn, policy := range a.policies {
			b.policies[arn] = replace(arn, policy)
		}
		if isChanged {
			changed = append(changed, b)
		}
	}
	return changed
}

// plantInStatement returns nil where the statement does not have the permission, or where it is no mistake.
func (a actor) plantInStatement(
	owner string, s iamtest.Statement, permission string, plant plant,
) []iamtest.Statement {
	for _, p := range s.Permissions() {
		if s.Effect == "Allow" && a.names.Replace(owner+" "+p.String()) == permission {
			return plant(s, p)
		}
	}
	return nil
}

// missing leaves a permission out.
func missing(s iamtest.Statement, p iamtest.Permission) []iamtest.Statement {
	if p.Key == "" {
		others, elsewhere := s, s
		others.Action = without(s.Action, p.Action)
		elsewhere.Action, elsewhere.Resource = iamtest.Texts{p.Action}, without(s.Resource, p.Resource)
		return []iamtest.Statement{others, elsewhere}
	}
	conditions := map[string]map[string]iamtest.Texts{}
	for operator, condition := range s.Condition {
		conditions[operator] = maps.Clone(condition)
		if values, has := condition[p.Key]; has {
			conditions[operator][p.Key] = without(values, p.Value)
		}
	}
	s.Condition = conditions
	return []iamtest.Statement{s}
}

func without(texts iamtest.Texts, text string) iamtest.Texts {
	return slices.DeleteFunc(slices.Clone(texts), func(t string) bool { return t == text })
}

// forAnother has a permission for another table, key, bucket or secret. In the policy of a key * is that key.
func forAnother(s iamtest.Statement, p iamtest.Permission) []iamtest.Statement {
	if p.Key != "" || p.Resource == "*" {
		return nil
	}
	service, _, _ := strings.Cut(p.Action, ":")
	another := s
	another.Action, another.Resource = iamtest.Texts{p.Action}, iamtest.Texts{anothers[service]}
	return append(missing(s, p), another)
}

// forEverything has a permission for all that a service has.
func forEverything(s iamtest.Statement, p iamtest.Permission) []iamtest.Statement {
	if p.Key != "" || hasWildcard(p.Resource) {
		return nil
	}
	s.Action, s.Resource = iamtest.Texts{p.Action}, iamtest.Texts{"*"}
	return []iamtest.Statement{s}
}

// toDoEverything has a permission to do all that can be done.
func toDoEverything(s iamtest.Statement, p iamtest.Permission) []iamtest.Statement {
	if p.Key != "" {
		return nil
	}
	service, _, _ := strings.Cut(p.Action, ":")
	s.Action = iamtest.Texts{service + ":*"}
	return []iamtest.Statement{s}
}

// toDelete has a permission that no function needs beside one that it does.
func toDelete(s iamtest.Statement, p iamtest.Permission) []iamtest.Statement {
	service, _, _ := strings.Cut(p.Action, ":")
	s.Action = append(slices.Clone(s.Action), service+deletion)
	return []iamtest.Statement{s}
}

const deletion = ":DeleteAll"

func uncalledDeletions(actors []actor) (found []string) {
	for permission, needed := range permissionsOf(actors) {
		if strings.Contains(permission, deletion) && !needed {
			found = append(found, permission)
		}
	}
	return found
}

// checkBuckets: where a function is allowed a call, the policy of the bucket denies one that is not over TLS, and a put
// that might replace an object for good.
func checkBuckets(t *testing.T, actors []actor) {
	for key, value := range map[string]string{"aws:SecureTransport": "false", "s3:if-none-match": ""} {
		tried := 0
		for _, a := range actors {
			for _, call := range a.calls {
				if !strings.HasPrefix(call.Action, "s3:") || len(call.Context[key]) == 0 {
					continue
				}
				tried++
				if a.calls = []iamtest.Call{call.With(key, value)}; len(denied([]actor{a})) == 0 {
					t.Errorf("%s is not denied with %s=%q", call, key, value)
				}
			}
		}
		if tried == 0 {
			t.Errorf("no call has %s", key)
		}
	}
}
