// Command licenser is Open Licenser for people. It works on the licenses, plans, keys and the audit trail of a service,
// shows them in a browser, and serves the whole service on this machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/token"
	"openlicenser/shared/version"
)

type program struct {
	Version kong.VersionFlag `help:"Print the version and exit."`
	Output  terminal.Format  `help:"How results are written: a table (tab-separated in a pipe), json, or csv." enum:"table,json,csv,text" default:"table" placeholder:"FORM" short:"o"`

	License licenseCommand `cmd:"" help:"Issue, find, change and revoke licenses."`
	Plan    planCommand    `cmd:"" help:"Work on plans, which are what new licenses have where nothing else is said."`
	Import  importCommand  `cmd:"" help:"Issue licenses from a file."`
	Export  exportCommand  `cmd:"" help:"Write licenses into a file that licenser import reads again."`

	Console consoleCommand `cmd:"" help:"Show the vendor's pages in a browser on this machine: find, issue, change and revoke licenses."`

	Audit    auditCommand    `cmd:"" help:"Work on the audit trail."`
	Keys     keysCommand     `cmd:"" help:"Work on the secrets that sign license keys."`
	TokenKey tokenKeyCommand `cmd:"" help:"Replace the key that signs authorization tokens, so that no product notices."`

	Serve  serveCommand  `cmd:"" help:"Serve the licensing API on this machine, without AWS."`
	Adopt  adoptCommand  `cmd:"" help:"Move over from an existing Open Licenser: give the licenses that are there what the vendor's lists read. --check says what has to be done first."`
	Doctor doctorCommand `cmd:"" help:"Examine a stack on AWS: say what is well, what is not, and what to do about it. For the minutes after its first deployment, above all."`

	Completion completionCommand `cmd:"" help:"Print what makes a shell complete the commands and flags of licenser."`
}

// variables returns what the struct tags of the commands name as ${…}.
func variables() kong.Vars {
	return kong.Vars{
		"version": version.Number,
		"lead":    strings.TrimSuffix(token.DefaultLead.String(), "0m0s"),

		"adoptRate":  strconv.Itoa(onDemandRate),
		"importRate": strconv.Itoa(importRate),
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run runs a command line, and returns the exit code.
func run(ctx context.Context, args []string) int {
	p := program{}
	parser := newParser(ctx, &p)
	if len(args) > 0 && args[0] == completeName {
		complete(os.Stdout, parser.Model.Node, args[1:])
		return 0
	}
	parsed, err := parser.Parse(withIDs(args, parser.Model.Node))
	var wrong *kong.ParseError
	switch {
	case errors.As(err, &wrong):
		return refuse(wrong)
	case err != nil:
		printError(err.Error())
		return exitOther
	default:
		t := terminal.New(p.Output)
		if t.Format != terminal.Text && !takesTerminal(parsed.Selected()) {
			err = usageError("%s has one form of output: leave --output out.", parsed.Selected().FullPath())
		} else {
			parsed.Bind(t)
			err = parsed.Run()
		}
	}
	if err != nil {
		printError(explain(err, parsed.Selected()))
	}
	return exitCode(err)
}

// takesTerminal reports whether a command writes in all forms of output.
func takesTerminal(command *kong.Node) bool {
	run := command.Target.Addr().MethodByName("Run").Type()
	for i := range run.NumIn() {
		if run.In(i) == reflect.TypeFor[*terminal.Terminal]() {
			return true
		}
	}
	return false
}

func newParser(ctx context.Context, p *program, options ...kong.Option) *kong.Kong {
	return kong.Must(p, append(options,
		kong.Name("licenser"),
		kong.Description("Open Licenser: decides whether a copy of your software may run."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		variables(),
		kong.BindTo(ctx, (*context.Context)(nil)))...)
}

// refuse tells what is wrong with a command line. One that names a group of commands alone asks for help.
func refuse(wrong *kong.ParseError) int {
	node := wrong.Context.Model.Node
	if selected := wrong.Context.Selected(); selected != nil {
		node = selected
	}
	if isGroup(node) && len(wrong.Context.Args) == depth(node) {
		if err := wrong.Context.PrintUsage(false); err == nil {
			return 0
		}
	}
	printError(fmt.Sprintf("%v\n%s --help says what there is.", wrong, node.FullPath()))
	return exitUsage
}

// printError prints a text that may hold what a license, a server or a pasted key says.
func printError(text string) {
	for line := range strings.Lines("licenser: " + text) {
		fmt.Fprintln(os.Stderr, terminal.Printable(strings.TrimSuffix(line, "\n")))
	}
}

func isGroup(node *kong.Node) bool { return len(node.Children) > 0 }

func depth(node *kong.Node) int {
	if node.Parent == nil {
		return 0
	}
	return 1 + depth(node.Parent)
}

// idLikeFlag matches a kid or the id of a device that begins with a hyphen, as one in 64 does.
var idLikeFlag = regexp.MustCompile(`^-([A-Za-z0-9_-]{42}|[A-Za-z0-9_-]{21})$`).MatchString

// withIDs returns arguments in which no kid and no id of a device passes for a flag: they stand behind all others then,
// or with their flag.
func withIDs(args []string, root *kong.Node) []string {
	var rest, ids []string
	for i, arg := range args {
		flag := (*kong.Flag)(nil)
		if i > 0 {
			flag = anyFlag(root, args[i-1])
		}
		switch {
		case !idLikeFlag(arg) || anyFlag(root, arg) != nil:
			rest = append(rest, arg)
		case flag != nil && !flag.IsBool(): // it is the value of the flag
			rest[len(rest)-1] += "=" + arg
		default:
			ids = append(ids, arg)
		}
	}
	if slices.Contains(args, "--") {
		return args
	}
	if len(ids) > 0 {
		rest = append(append(rest, "--"), ids...)
	}
	return rest
}

// anyFlag returns the flag of any command that an argument is, or nil.
func anyFlag(node *kong.Node, arg string) *kong.Flag {
	if flag := findFlag(node, arg); flag != nil {
		return flag
	}
	for _, child := range node.Children {
		if flag := anyFlag(child, arg); flag != nil {
			return flag
		}
	}
	return nil
}
