// Package samtemplate reads the repository's template.yaml, for tests that hold something to it.
//
// A Template can be read in three ways: evaluated, as CloudFormation deploys it (Of, Property, Environment, Routes); as
// a Tree, with CloudFormation's functions written out; and into types of Go's (Decode, API). The package knows nothing
// of what the template deploys.
package samtemplate

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"gopkg.in/yaml.v3"
)

// Template is a SAM template.
type Template struct {
	document   yaml.Node
	parameters map[string]any // their defaults
	conditions map[string]yaml.Node
	resources  map[string]resource
	outputs    map[string]output
	values     map[string]any // of what !Ref and !GetAtt name
}

type resource struct {
	Type       string    `yaml:"Type"`
	Condition  string    `yaml:"Condition"`
	Properties yaml.Node `yaml:"Properties"`
}

type output struct {
	Condition string    `yaml:"Condition"`
	Value     yaml.Node `yaml:"Value"`
}

// Root returns the repository's folder, to which the working folder belongs.
func Root() (string, error) {
	folder, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(folder, "template.yaml")); err == nil {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", fmt.Errorf("no template.yaml above the working folder: %w", os.ErrNotExist)
		}
		folder = parent
	}
	return "", err
}

// Source returns the text of template.yaml.
func Source() ([]byte, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(root, "template.yaml"))
}

// Read reads template.yaml.
func Read() (*Template, error) {
	text, err := Source()
	if err != nil {
		return nil, err
	}
	return Parse(text)
}

// Parse reads the text of a template.
func Parse(text []byte) (*Template, error) {
	t := &Template{parameters: map[string]any{}}
	if err := yaml.Unmarshal(text, &t.document); err != nil {
		return nil, err
	}
	var sections struct {
		Parameters map[string]struct {
			Default any `yaml:"Default"`
		} `yaml:"Parameters"`
		Conditions map[string]yaml.Node `yaml:"Conditions"`
		Resources  map[string]resource  `yaml:"Resources"`
		Outputs    map[string]output    `yaml:"Outputs"`
	}
	if err := t.Decode(&sections); err != nil {
		return nil, err
	}
	t.conditions, t.resources, t.outputs = sections.Conditions, sections.Resources, sections.Outputs
	for name, parameter := range sections.Parameters {
		t.parameters[name] = parameter.Default
	}
	return t, nil
}

// With returns the template with values for what !Ref, !GetAtt and !Sub name. They go by the name of a parameter, in
// place of its default; by the logical id of a resource; or by its attribute, as "TokenKey.Arn". A resource without a
// value is referred to by its logical id, as the SAM CLI does.
func (t *Template) With(values map[string]any) *Template {
	with := *t
	with.values = map[string]any{}
	maps.Copy(with.values, t.values)
	maps.Copy(with.values, values)
	return &with
}

// Value returns the value of a name that With was given, as text.
func (t *Template) Value(name string) string { return fmt.Sprint(t.values[name]) }

// Values returns all values that With was given.
func (t *Template) Values() map[string]any { return maps.Clone(t.values) }

// Decode decodes the template into a struct with yaml tags. CloudFormation's functions are left out: !Sub X is X.
func (t *Template) Decode(into any) error { return t.document.Decode(into) }

// Of returns the logical ids of the resources of a type that the conditions let be, in order.
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

// Type returns the type of a resource, or "" where there is none of that logical id.
func (t *Template) Type(id string) string { return t.resources[id].Type }

// Properties returns the properties of a resource, evaluated.
func (t *Template) Properties(id string) (map[string]any, error) {
	properties := t.resources[id].Properties
	value, err := t.evaluate(&properties)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	object, _ := value.(map[string]any)
	return object, nil
}

// Property returns a property of a resource, evaluated, or nil where it has none of that name.
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

// Outputs returns the outputs that the conditions let be, evaluated.
func (t *Template) Outputs() (map[string]string, error) {
	outputs := map[string]string{}
	for name, output := range t.outputs {
		exists, err := t.condition(output.Condition)
		var value any
		if err == nil && exists {
			value, err = t.evaluate(&output.Value)
		}
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", name, err)
		}
		if exists {
			outputs[name] = fmt.Sprint(value)
		}
	}
	return outputs, nil
}

// Parameters returns the parameters with their values, or "" where one has none.
func (t *Template) Parameters() map[string]string {
	parameters := map[string]string{}
	for name, value := range t.parameters {
		if given, isGiven := t.values[name]; isGiven {
			value = given
		}
		if value == nil {
			value = ""
		}
		parameters[name] = fmt.Sprint(value)
	}
	return parameters
}

// Environment returns the environment of a function, NAME=value. A variable without a value is not set.
func (t *Template) Environment(function string) ([]string, error) {
	property, err := t.Property(function, "Environment")
	if err != nil {
		return nil, err
	}
	variables, isMap := At(property, "Variables").(map[string]any)
	if !isMap {
		return nil, fmt.Errorf("%s has no environment", function)
	}
	var environment []string
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		environment = append(environment, fmt.Sprint(name, "=", variables[name]))
	}
	return environment, nil
}

// Routes returns which function serves which route, by "METHOD /path", from the functions' API events.
func (t *Template) Routes() (map[string]string, error) {
	functions, err := t.Of("AWS::Serverless::Function")
	if err != nil {
		return nil, err
	}
	routes := map[string]string{}
	for _, function := range functions {
		events, err := t.Property(function, "Events")
		if err != nil {
			return nil, err
		}
		declared, _ := events.(map[string]any)
		for _, event := range declared {
			if At(event, "Type") == "Api" {
				route := fmt.Sprint(At(event, "Properties", "Method"), " ", At(event, "Properties", "Path"))
				routes[route] = function
			}
		}
	}
	return routes, nil
}

// API is what the template declares of the API: its OpenAPI document.
type API struct {
	Paths            map[string]map[string]Operation // by path and method
	GatewayResponses map[string]GatewayResponse      `yaml:"x-amazon-apigateway-gateway-responses"`
}

// Operation is a method of a path.
type Operation struct {
	ID       string `yaml:"operationId"`
	Security []any  // none where the route is public
}

// GatewayResponse is a response of API Gateway's own.
type GatewayResponse struct {
	Status     int               `yaml:"statusCode"` // 0: any
	Templates  map[string]string `yaml:"responseTemplates"`
	Parameters map[string]string `yaml:"responseParameters"`
}

// API returns the API, without the preflights: the method options of its paths.
func (t *Template) API() (API, error) {
	var template struct {
		Resources struct {
			API struct {
				Properties struct {
					Body API `yaml:"DefinitionBody"`
				} `yaml:"Properties"`
			} `yaml:"Api"`
		} `yaml:"Resources"`
	}
	err := t.Decode(&template)
	api := template.Resources.API.Properties.Body
	for _, methods := range api.Paths {
		delete(methods, "options")
	}
	return api, err
}
