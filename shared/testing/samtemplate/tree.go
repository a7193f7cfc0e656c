package samtemplate

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Tree is a part of the template with CloudFormation's functions written out: !Ref X is Tree{"Ref": "X"}, and !Sub X is
// Tree{"Fn::Sub": "X"}.
type Tree = map[string]any

// Tree returns the whole template.
func (t *Template) Tree() (Tree, error) {
	if len(t.document.Content) != 1 {
		return nil, fmt.Errorf("%d documents", len(t.document.Content))
	}
	value, err := written(t.document.Content[0])
	tree, _ := value.(Tree)
	return tree, err
}

// written returns a node's value with its function written out.
func written(node *yaml.Node) (any, error) {
	value, err := plain(node)
	if err != nil {
		return nil, err
	}
	switch function, isFunction := strings.CutPrefix(node.Tag, "!"); {
	case !isFunction || strings.HasPrefix(function, "!"):
		return value, nil
	case function == "Ref" || function == "Condition":
		return Tree{function: value}, nil
	default:
		return Tree{"Fn::" + function: value}, nil
	}
}

// plain returns a node's value without the function that its tag names.
func plain(node *yaml.Node) (value any, err error) {
	switch node.Kind {
	case yaml.MappingNode:
		object := Tree{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			if object[node.Content[i].Value], err = written(node.Content[i+1]); err != nil {
				return nil, err
			}
		}
		return object, nil
	case yaml.SequenceNode:
		list := make([]any, len(node.Content))
		for i, element := range node.Content {
			if list[i], err = written(element); err != nil {
				return nil, err
			}
		}
		return list, nil
	case yaml.ScalarNode:
		if strings.HasPrefix(node.Tag, "!!") {
			err = node.Decode(&value)
			return value, err
		}
		return node.Value, nil
	default:
		return nil, fmt.Errorf("line %d: CloudFormation knows no anchors", node.Line)
	}
}

// At returns what is below the names in a Tree, or nil.
func At(value any, names ...string) any {
	for _, name := range names {
		tree, _ := value.(Tree)
		value = tree[name]
	}
	return value
}

// Walk visits a value and each value in it, with the names that lead there.
func Walk(value any, visit func(path []string, value any)) { walk(value, nil, visit) }

func walk(value any, path []string, visit func(path []string, value any)) {
	visit(path, value)
	switch v := value.(type) {
	case Tree:
		for name, element := range v {
			walk(element, append(slices.Clone(path), name), visit)
		}
	case []any:
		for _, element := range v {
			walk(element, path, visit)
		}
	}
}
