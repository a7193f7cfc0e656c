package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"openlicenser/cmd/licenser/terminal"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (completionCommand) Help() string {
	return "For the shells that begin from now on:\n\n" +
		"    bash: licenser completion bash >~/.local/share/bash-completion/completions/licenser\n" +
		"    zsh:  licenser completion zsh >\"${fpath[1]}/_licenser\"\n" +
		"    fish: licenser completion fish >~/.config/fish/completions/licenser.fish\n\n" +
		examples(`licenser completion bash`, `licenser completion zsh`, `licenser completion fish`)
}

// completeName is the word by which the shells ask for what can follow.
const completeName = "__complete"

// completions ask the program itself, so that they know what it knows. Where it knows nothing, files are completed.
var completions = map[string]string{
	"bash": `_licenser() {
  local IFS=$'\n'
  COMPREPLY=($(licenser ` + completeName + ` "${COMP_WORDS[@]:1:COMP_CWORD}"))
}
complete -o default -F _licenser licenser
`,
	"zsh": `#compdef licenser
_licenser() {
  local -a found
  found=(${(f)"$(licenser ` + completeName + ` "${(@)words[2,CURRENT]}")"})
  if (( $#found )); then compadd -- $found; else _files; fi
}
if [ "$funcstack[1]" = _licenser ]; then _licenser; else compdef _licenser licenser; fi
`,
	"fish": `complete -c licenser -f -a '(licenser ` + completeName + ` (commandline -opc)[2..] (commandline -ct))'
complete -c licenser -F -n '__fish_seen_subcommand_from import replay'
`,
}

func (c completionCommand) Run(t *terminal.Terminal) error {
	_, err := io.WriteString(t.Out, completions[c.Shell])
	return err
}

// complete writes what the last word can be, one in a line. The words before it say where it stands.
func complete(out io.Writer, root *kong.Node, words []string) {
	if len(words) == 0 {
		words = []string{""}
	}
	last, node := len(words)-1, root
	var awaiting *kong.Flag // takes the next word as its value
	for _, word := range words[:last] {
		switch flag := findFlag(node, word); {
		case awaiting != nil:
			awaiting = nil
		case flag != nil && !flag.IsBool() && !strings.Contains(word, "="):
			awaiting = flag
		case flag == nil:
			if child := findChild(node, word); child != nil {
				node = child
			}
		}
	}
	for _, candidate := range candidates(node, awaiting, words[last]) {
		if strings.HasPrefix(candidate, words[last]) {
			fmt.Fprintln(out, candidate)
		}
	}
}

func candidates(node *kong.Node, awaiting *kong.Flag, word string) (found []string) {
	switch {
	case awaiting != nil:
		return enumOf(awaiting.Value)
	case strings.HasPrefix(word, "--") && strings.Contains(word, "="):
		name, _, _ := strings.Cut(word, "=")
		if flag := findFlag(node, name); flag != nil {
			for _, value := range enumOf(flag.Value) {
				found = append(found, name+"="+value)
			}
		}
		return found
	case strings.HasPrefix(word, "-"):
		for _, flag := range flagsAt(node) {
			found = append(found, "--"+flag.Name)
		}
		slices.Sort(found)
		return found
	}
	for _, child := range node.Children {
		if !child.Hidden {
			found = append(found, child.Name)
		}
	}
	for _, argument := range node.Positional {
		found = append(found, enumOf(argument)...)
	}
	return found
}

func enumOf(value *kong.Value) []string {
	if value.Enum == "" {
		return nil
	}
	return slices.DeleteFunc(value.EnumSlice(), func(v string) bool { return v == "" || v == "text" }) // an older name
}

func findChild(node *kong.Node, name string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == name {
			return child
		}
	}
	return nil
}

// flagsAt returns the flags of a node and of those above it.
func flagsAt(node *kong.Node) (flags []*kong.Flag) {
	for ; node != nil; node = node.Parent {
		for _, flag := range node.Flags {
			if !flag.Hidden {
				flags = append(flags, flag)
			}
		}
	}
	return flags
}

func findFlag(node *kong.Node, word string) *kong.Flag {
	name, _, _ := strings.Cut(word, "=")
	for _, flag := range flagsAt(node) {
		if name == "--"+flag.Name || flag.Short != 0 && name == "-"+string(flag.Short) {
			return flag
		}
	}
	return nil
}
