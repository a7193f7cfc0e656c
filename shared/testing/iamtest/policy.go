// Package iamtest judges calls of AWS by IAM's policies, for tests. A Recorder stands between a function and AWS's
// stand-ins, and keeps what the function asks for as IAM sees it. A Role with its policies allows that or does not. The
// package knows as much of both as is in use here, and refuses to judge what it does not know. It knows nothing of
// licenses.
package iamtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Policy is a policy document
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html).
type Policy struct {
	Version   string
	ID        string `json:"Id"`
	Statement []Statement
}

// Statement is a statement of a policy. Only policies of resources have a Principal.
type Statement struct {
	Sid       string
	Effect    string
	Principal any
	Action    Texts
	Resource  Texts
	Condition map[string]map[string]Texts // by operator and key
}

// Texts is a text or a list of them.
type Texts []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *Texts) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*t = Texts{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(t))
}

// Parse returns the policy of a document in JSON's types. What this package cannot judge is an error, as NotAction is.
func Parse(document any) (p Policy, err error) {
	text, err := json.Marshal(document)
	if err != nil {
		return p, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return p, fmt.Errorf("a policy: %w", err)
	}
	for _, s := range p.Statement {
		if err := s.check(); err != nil {
			return p, fmt.Errorf("a statement that is to %s %v: %w", s.Effect, s.Action, err)
		}
	}
	return p, nil
}

func (s Statement) check() error {
	if s.Effect != allow && s.Effect != deny || len(s.Action) == 0 || len(s.Resource) == 0 {
		return fmt.Errorf("it has the effect %q, %d actions and %d resources", s.Effect, len(s.Action), len(s.Resource))
	}
	for _, pattern := range slices.Concat(s.Action, s.Resource) {
		if strings.Contains(pattern, "?") {
			return fmt.Errorf("the wildcard in %s is not known here", pattern)
		}
	}
	for operator := range s.Condition {
		if operators[operator] == nil {
			return fmt.Errorf("the operator %s is not known here", operator)
		}
	}
	return nil
}

// The values of Statement.Effect.
const (
	allow = "Allow"
	deny  = "Deny"
)

// operators say whether the values that a call has for a key satisfy those of a condition
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html).
var operators = map[string]func(has, wanted []string) bool{
	"StringEquals": hasOne,
	"StringEqualsIfExists": func(has, wanted []string) bool {
		return len(has) == 0 || hasOne(has, wanted)
	},
	manyValues + "StringEquals": func(has, wanted []string) bool { // of no values, all are equal
		return !slices.ContainsFunc(has, func(value string) bool { return !slices.Contains(wanted, value) })
	},
	"ArnEquals": func(has, wanted []string) bool {
		return slices.ContainsFunc(wanted, func(pattern string) bool {
			return len(has) == 1 && sameARN(pattern, has[0])
		})
	},
	"Bool": hasOne,
	"Null": func(has, wanted []string) bool { return hasOne([]string{fmt.Sprint(len(has) == 0)}, wanted) },
}

// manyValues begins the operators for keys that can have several values.
const manyValues = "ForAllValues:"

func hasOne(has, wanted []string) bool { return len(has) == 1 && slices.Contains(wanted, has[0]) }

// sameARN compares part by part, so that no wildcard goes beyond its own.
func sameARN(pattern, arn string) bool {
	wanted, parts := strings.SplitN(pattern, ":", 6), strings.SplitN(arn, ":", 6)
	return slices.EqualFunc(wanted, parts, matches)
}

// matches reports whether a text is as a pattern says, in which * stands for any text.
func matches(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	text, isPrefixed := strings.CutPrefix(text, parts[0])
	if !isPrefixed {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}

// isAbout reports whether one of the statement's actions and one of its resources are those of a call.
func (s Statement) isAbout(c Call) bool {
	return slices.ContainsFunc(s.Action, func(pattern string) bool { return isAction(pattern, c.Action) }) &&
		slices.ContainsFunc(s.Resource, func(pattern string) bool { return matches(pattern, c.Resource) })
}

func isAction(pattern, action string) bool {
	return matches(strings.ToLower(pattern), strings.ToLower(action))
}

// Applies reports whether a statement is about a call and its conditions hold. It returns an error where a condition is
// about what is not known of the call.
func (s Statement) Applies(c Call) (bool, error) {
	if !s.isAbout(c) {
		return false, nil
	}
	holds := true
	for operator, conditions := range s.Condition {
		for key, wanted := range conditions {
			has, known := c.Context[key]
			switch {
			case !known:
				return false, fmt.Errorf("%s: what %s is for it is not known here", c, key)
			case len(has) > 1 && !strings.HasPrefix(operator, manyValues) && operator != "Null":
				return false, fmt.Errorf("%s has several values for %s, which %s does not take", c, key, operator)
			}
			holds = holds && operators[operator](has, wanted)
		}
	}
	return holds, nil
}

// Permission is the smallest part of a statement that allows something: an action on a resource or, where a condition
// lists values for a key, one of these for an action.
type Permission struct {
	Action, Resource string // one of the statement's
	Key, Value       string // one of its conditions', or empty
}

func (p Permission) String() string {
	if p.Key == "" {
		return p.Action + " " + p.Resource
	}
	return fmt.Sprintf("%s %s %s=%s", p.Action, p.Resource, p.Key, p.Value)
}

// Permissions returns all parts of a statement.
func (s Statement) Permissions() (parts []Permission) {
	for _, action := range s.Action {
		for _, resource := range s.Resource {
			parts = append(parts, Permission{Action: action, Resource: resource})
			for _, conditions := range s.Condition {
				for key, values := range conditions {
					for _, value := range values {
						if len(values) > 1 {
							parts = append(parts, Permission{action, resource, key, value})
						}
					}
				}
			}
		}
	}
	return parts
}

// IsUsed reports whether a part is one by which its statement applies to a call.
func (p Permission) IsUsed(c Call) bool {
	return isAction(p.Action, c.Action) && matches(p.Resource, c.Resource) &&
		(p.Key == "" || slices.Contains(c.Context[p.Key], p.Value))
}
