// Command licenser is Open Licenser for people. It serves the whole service on this machine, and works on the keys and
// the audit trail of a deployed one.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"openlicenser/shared/token"
	"openlicenser/shared/version"
)

type program struct {
	Version kong.VersionFlag `help:"Print the version and exit."`

	Serve serveCommand `cmd:"" help:"Serve the licensing API on this machine, without AWS."`
	Keys  keysCommand  `cmd:"" help:"Work on the secrets that sign license keys."`

	TokenKey tokenKeyCommand `cmd:"" help:"Replace the key that signs authorization tokens, so that no product notices."`

	Audit auditCommand `cmd:"" help:"Work on the audit trail."`

	Adopt adoptCommand `cmd:"" help:"Move over from an existing Open Licenser: give the licenses that are there what the vendor's lists read. --check says what has to be done first."`
}

// variables returns what the struct tags of the commands name as ${…}.
func variables() kong.Vars {
	return kong.Vars{
		"version": version.Number,
		"lead":    strings.TrimSuffix(token.DefaultLead.String(), "0m0s"),

		"adoptRate": strconv.Itoa(onDemandRate),
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	parser := kong.Must(&program{},
		kong.Name("licenser"),
		kong.Description("Open Licenser: decides whether a copy of your software may run."),
		variables(),
		kong.BindTo(ctx, (*context.Context)(nil)))
	parsed, err := parser.Parse(withKeyIDs(os.Args[1:]))
	parser.FatalIfErrorf(err)
	if err := parsed.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "licenser:", err)
		os.Exit(exitCode(err))
	}
}

// keyIDLikeFlag matches a kid that begins with a hyphen, as one in 64 does. No flag looks like that.
var keyIDLikeFlag = regexp.MustCompile(`^-[A-Za-z0-9_-]{42}$`).MatchString

// withKeyIDs returns arguments in which no kid passes for a flag: it stands behind all others then.
func withKeyIDs(args []string) []string {
	var keyIDs []string
	rest := slices.DeleteFunc(slices.Clone(args), func(arg string) bool {
		isKeyID := keyIDLikeFlag(arg)
		if isKeyID {
			keyIDs = append(keyIDs, arg)
		}
		return isKeyID
	})
	if len(keyIDs) == 0 || slices.Contains(args, "--") {
		return args
	}
	return append(append(rest, "--"), keyIDs...)
}

// exitError is an error with an exit code of its own.
type exitError struct {
	message string
	code    int
}

func (e exitError) Error() string { return e.message }

// exitCode returns the exit code for an error: that of an exitError, or else 1.
func exitCode(err error) int {
	var coded exitError
	if errors.As(err, &coded) {
		return coded.code
	}
	return 1
}
