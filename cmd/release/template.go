package main

import (
	"bytes"
	"errors"
	"fmt"

	"gopkg.in/yaml.v3"
)

// codeFolder returns the folder of a function's code beside a packaged template.
func codeFolder(function string) string { return "functions/" + function }

// packageTemplate returns the template for functions that are built already, and the logical ids of the functions. It
// is for one of Lambda's architectures. To deploy it takes neither Go nor make.
func packageTemplate(source []byte, architecture string) (packaged []byte, functions []string, err error) {
	var document yaml.Node
	if err := yaml.Unmarshal(source, &document); err != nil {
		return nil, nil, err
	}
	if len(document.Content) != 1 {
		return nil, nil, errors.New("not one document")
	}
	template := document.Content[0]
	resources := member(template, "Resources")
	parameter := member(member(template, "Parameters"), "Architecture")
	globals := member(member(template, "Globals"), "Function")
	if resources == nil || parameter == nil || member(globals, "CodeUri") == nil {
		return nil, nil, errors.New("no Resources, no parameter Architecture, or no CodeUri in Globals")
	}
	remove(globals, "CodeUri")
	*member(parameter, "Default") = text(architecture)
	*member(parameter, "AllowedValues") = yaml.Node{
		Kind:    yaml.SequenceNode,
		Content: []*yaml.Node{new(text(architecture))},
	}
	for i := 0; i+1 < len(resources.Content); i += 2 {
		id, resource := resources.Content[i].Value, resources.Content[i+1]
		if kind := member(resource, "Type"); kind == nil || kind.Value != "AWS::Serverless::Function" {
			continue
		}
		properties := member(resource, "Properties")
		if properties == nil || member(resource, "Metadata") == nil {
			return nil, nil, fmt.Errorf("%s has no Properties or no Metadata", id)
		}
		remove(resource, "Metadata") // which says how to build it
		properties.Content = append(properties.Content, new(text("CodeUri")), new(text(codeFolder(id))))
		functions = append(functions, id)
	}
	if len(functions) == 0 {
		return nil, nil, errors.New("no functions")
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	err = errors.Join(encoder.Encode(&document), encoder.Close())
	return out.Bytes(), functions, err
}

func text(value string) yaml.Node {
	return yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
}

// member returns the value under a name in a mapping, or nil.
func member(mapping *yaml.Node, name string) *yaml.Node {
	if mapping == nil {
		return nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i+1]
		}
	}
	return nil
}

func remove(mapping *yaml.Node, name string) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			mapping.Content = append(mapping.Content[:i], mapping.Content[i+2:]...)
			return
		}
	}
}
