package iamtest

import (
	"fmt"
	"slices"
	"strings"
)

// Role is a role of the account, with its policies.
type Role struct {
	Name     string // in errors
	ARN      string
	Policies []Policy
}

// Allows returns nil if the role may make a call, in which it is the aws:PrincipalArn. of is the policy of what the
// call is about, or nil where that has none. One of the role's statements has to allow the call and, for a key, one of
// the key's as well. A statement of either that denies it prevails
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html,
// https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html).
func (r Role) Allows(c Call, of *Policy) error {
	var own, others []Statement
	for _, policy := range r.Policies {
		own = append(own, policy.Statement...)
	}
	if of != nil {
		others = slices.DeleteFunc(slices.Clone(of.Statement), func(s Statement) bool { return !r.isNamed(s) })
	}
	byRole, err := decide(own, c)
	if err != nil {
		return fmt.Errorf("%s: %w", r.Name, err)
	}
	byResource, err := decide(others, c)
	switch needsBoth := of != nil && strings.HasPrefix(c.Action, "kms:"); {
	case err != nil:
		return fmt.Errorf("%s: %w", r.Name, err)
	case byRole == deny || byResource == deny:
		return fmt.Errorf("%s may not %s, which a statement denies", r.Name, c)
	case byRole != allow:
		return fmt.Errorf("%s may not %s, which none of its statements allows", r.Name, c)
	case needsBoth && byResource != allow:
		return fmt.Errorf("%s may not %s, which the key's policy does not allow", r.Name, c)
	}
	return nil
}

// decide returns what statements come to: allow, deny, or "" where none applies.
func decide(statements []Statement, c Call) (effect string, err error) {
	for _, s := range statements {
		applies, err := s.Applies(c)
		switch {
		case err != nil:
			return "", err
		case applies && effect != deny:
			effect = s.Effect
		}
	}
	return effect, nil
}

// isNamed reports whether a statement is about everybody, the role, or its account, which leaves it to the role's own
// policies.
func (r Role) isNamed(s Statement) bool {
	if s.Principal == "*" {
		return true
	}
	principals, _ := s.Principal.(map[string]any)
	names, isList := principals["AWS"].([]any)
	if !isList {
		names = []any{principals["AWS"]}
	}
	account, _, _ := strings.Cut(r.ARN, ":role/")
	return slices.ContainsFunc(names, func(name any) bool {
		return name == "*" || name == r.ARN || name == account+":root"
	})
}
