package awstest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Template is the repository's template.yaml, read as CloudFormation reads it, as far as tests need it.
type Template struct {
	parameters map[string]any
	conditions map[string]yaml.Node
	resources  map[string]resource
	values     map[string]any
}

type resource struct {
	Type       string    `yaml:"Type"`
	Condition  string    `yaml:"Condition"`
	Properties yaml.Node `yaml:"Properties"`
}

// ReadTemplate reads the template of the repository that the working folder belongs to. The values say what !Ref, !GetAtt
// and !Sub answer: by the name of a parameter, in place of its default; by the logical id of a resource; or by
// its attribute, as "TokenKey.Arn". A resource without a value is referred to by its logical id, as the SAM CLI does.
func ReadTemplate(values map[string]any) (*Template, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return nil, err
	}
	return parseTemplate(text, values)
}

func parseTemplate(text []byte, values map[string]any) (*Template, error) {
	var file struct {
		Parameters map[string]struct {
			Default any `yaml:"Default"`
		} `yaml:"Parameters"`
		Conditions map[string]yaml.Node `yaml:"Conditions"`
		Resources  map[string]resource  `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	t := &Template{parameters: map[string]any{}, conditions: file.Conditions, resources: file.Resources, values: maps.Clone(values)}
	for name, parameter := range file.Parameters {
		t.parameters[name] = parameter.Default
	}
	return t, nil
}

// Of answers the logical ids of the resources of a type that the conditions let be, in order.
func (t *Template) Of(resourceType string) ([]string, error) {
	var ids []string
	for id, resource := range t.resources {
		if resource.Type != resourceType {
			continue
		}
		exists, err := t.condition(resource.Condition)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		if exists {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Property answers a property of a resource, evaluated; nil where it has none of that name.
func (t *Template) Property(id, name string) (any, error) {
	properties := t.resources[id].Properties
	for i := 0; i+1 < len(properties.Content); i += 2 {
		if properties.Content[i].Value == name {
			value, err := t.evaluate(properties.Content[i+1])
			if err != nil {
				return nil, fmt.Errorf("%s.%s: %w", id, name, err)
			}
			return value, nil
		}
	}
	return nil, nil
}

// Environment answers the environment of a function, NAME=value. A variable without a value is not set.
func (t *Template) Environment(function string) ([]string, error) {
	property, err := t.Property(function, "Environment")
	if err != nil {
		return nil, err
	}
	variables, isMap := member(property, "Variables").(map[string]any)
	if !isMap {
		return nil, fmt.Errorf("%s has no environment", function)
	}
	var environment []string
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		environment = append(environment, fmt.Sprint(name, "=", variables[name]))
	}
	return environment, nil
}

// Routes answers which function answers which route, by "METHOD /path", from the functions' API events.
func (t *Template) Routes() (map[string]string, error) {
	functions, err := t.Of("AWS::Serverless::Function")
	if err != nil {
		return nil, err
	}
	routes := map[string]string{}
	for _, function := range functions {
		property, err := t.Property(function, "Events")
		if err != nil {
			return nil, err
		}
		events, _ := property.(map[string]any)
		for _, event := range events {
			if properties := member(event, "Properties"); member(event, "Type") == "Api" {
				routes[fmt.Sprint(member(properties, "Method"), " ", member(properties, "Path"))] = function
			}
		}
	}
	return routes, nil
}

func member(value any, name string) any {
	object, _ := value.(map[string]any)
	return object[name]
}

// noValue is what !Ref AWS::NoValue answers: where it stands, nothing stands.
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

// condition tells whether a condition holds; none always does.
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
