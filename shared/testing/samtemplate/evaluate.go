package samtemplate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// The account and region of what is evaluated.
const (
	Account = "123456789012"
	Region  = "eu-central-1"
)

// noValue is the value of !Ref AWS::NoValue. Whatever has it is left out.
type noValue struct{}

func (t *Template) evaluate(node *yaml.Node) (any, error) {
	if strings.HasPrefix(node.Tag, "!") && !strings.HasPrefix(node.Tag, "!!") {
		return t.function(node)
	}
	switch node.Kind {
	case yaml.AliasNode:
		return t.evaluate(node.Alias)
	case yaml.SequenceNode:
		list := []any{}
		for _, element := range node.Content {
			value, err := t.evaluate(element)
			if err != nil {
				return nil, err
			}
			if value != (noValue{}) {
				list = append(list, value)
			}
		}
		return list, nil
	case yaml.MappingNode:
		object := map[string]any{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			value, err := t.evaluate(node.Content[i+1])
			if err != nil {
				return nil, err
			}
			if value != (noValue{}) {
				object[node.Content[i].Value] = value
			}
		}
		return object, nil
	default:
		var value any
		err := node.Decode(&value)
		return value, err
	}
}

// function evaluates an intrinsic function in its short form.
func (t *Template) function(node *yaml.Node) (any, error) {
	switch node.Tag {
	case "!Ref":
		return t.reference(node.Value)
	case "!GetAtt":
		return t.attribute(node.Value)
	case "!Sub":
		return t.substitute(node)
	case "!If":
		if len(node.Content) != 3 {
			return nil, fmt.Errorf("line %d: !If takes three", node.Line)
		}
		holds, err := t.condition(node.Content[0].Value)
		if err != nil {
			return nil, err
		}
		if holds {
			return t.evaluate(node.Content[1])
		}
		return t.evaluate(node.Content[2])
	case "!Condition":
		return t.condition(node.Value)
	case "!Equals", "!Not", "!And", "!Or":
		return t.logic(node)
	default:
		return nil, fmt.Errorf("line %d: %s is not known here", node.Line, node.Tag)
	}
}

func (t *Template) reference(name string) (any, error) {
	if value, given := t.values[name]; given {
		return value, nil
	}
	if value, isParameter := t.parameters[name]; isParameter && value != nil {
		return value, nil
	}
	if _, isResource := t.resources[name]; isResource {
		return name, nil
	}
	switch name {
	case "AWS::NoValue":
		return noValue{}, nil
	case "AWS::StackName":
		return "open-licenser-test", nil
	case "AWS::Region":
		return Region, nil
	case "AWS::AccountId":
		return Account, nil
	case "AWS::Partition":
		return "aws", nil
	case "AWS::URLSuffix":
		return "amazonaws.com", nil
	}
	return nil, fmt.Errorf("!Ref %s: no such parameter or resource, or it has no value", name)
}

func (t *Template) attribute(name string) (any, error) {
	if value, given := t.values[name]; given {
		return value, nil
	}
	id, _, _ := strings.Cut(name, ".")
	if _, isResource := t.resources[id]; !isResource {
		return nil, fmt.Errorf("!GetAtt %s: no such resource", name)
	}
	return name, nil
}

var placeholder = regexp.MustCompile(`\$\{([^!}][^}]*)\}`)

func (t *Template) substitute(node *yaml.Node) (any, error) {
	if node.Kind != yaml.ScalarNode {
		return nil, fmt.Errorf("line %d: !Sub is known here with a text only", node.Line)
	}
	var failure error
	text := placeholder.ReplaceAllStringFunc(node.Value, func(found string) string {
		name := found[2 : len(found)-1]
		resolve := t.reference
		if strings.Contains(name, ".") {
			resolve = t.attribute
		}
		value, err := resolve(name)
		if err != nil {
			failure = err
		}
		return fmt.Sprint(value)
	})
	return text, failure
}

// condition reports whether a condition holds. The condition "" always does.
func (t *Template) condition(name string) (bool, error) {
	if name == "" {
		return true, nil
	}
	node, known := t.conditions[name]
	if !known {
		return false, fmt.Errorf("no condition %s", name)
	}
	value, err := t.evaluate(&node)
	if err != nil {
		return false, err
	}
	holds, isBool := value.(bool)
	if !isBool {
		return false, fmt.Errorf("condition %s is %v", name, value)
	}
	return holds, nil
}

func (t *Template) logic(node *yaml.Node) (any, error) {
	var operands []any
	for _, operand := range node.Content {
		value, err := t.evaluate(operand)
		if err != nil {
			return nil, err
		}
		operands = append(operands, value)
	}
	switch {
	case node.Tag == "!Equals" && len(operands) == 2:
		return fmt.Sprint(operands[0]) == fmt.Sprint(operands[1]), nil
	case node.Tag == "!Not" && len(operands) == 1:
		return operands[0] != true, nil
	case node.Tag == "!And" && len(operands) > 0:
		return !slices.Contains(operands, any(false)), nil
	case node.Tag == "!Or" && len(operands) > 0:
		return slices.Contains(operands, any(true)), nil
	}
	return nil, fmt.Errorf("line %d: %s of %d", node.Line, node.Tag, len(operands))
}
