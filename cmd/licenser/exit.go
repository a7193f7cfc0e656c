package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/alecthomas/kong"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/vendorapi"
)

// The exit codes, for scripts. 0 is for what was done.
const (
	exitOther       = 1
	exitUsage       = 2 // the command line, a file or a value is not as it must be
	exitNotFound    = 3
	exitConflict    = 4 // others have changed it, or its status does not allow the change
	exitUnavailable = 5 // the service or the network; the same again later may do
)

// exitError is an error with an exit code of its own.
type exitError struct {
	message string
	code    int
}

func (e exitError) Error() string { return e.message }

// usageError is the exitError of what the caller has to mend.
func usageError(format string, args ...any) error {
	return exitError{fmt.Errorf(format, args...).Error(), exitUsage}
}

// advised is an error with what to do next.
type advised struct {
	error
	advice string
}

func (a advised) Unwrap() error { return a.error }

// exitCode returns the exit code for an error.
func exitCode(err error) int {
	var coded exitError
	var problem *vendorapi.Problem
	var network *url.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, terminal.ErrCannotAsk):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitOther
	case errors.As(err, &problem):
		return exitCodeOf(problem)
	case errors.As(err, &network):
		return exitUnavailable
	}
	return exitOther
}

// exitCodeOf returns the exit code for a refusal.
func exitCodeOf(p *vendorapi.Problem) int {
	switch p.Code { // those of verifications are all 400
	case "INVALID_LICENSE":
		return exitNotFound
	case "LICENSE_REVOKED", "LICENSE_SUSPENDED", "LICENSE_EXPIRED", "DEVICE_LIMIT_REACHED":
		return exitConflict
	case "UNREADABLE_LICENSE": // which does not pass
		return exitOther
	}
	switch p.Status {
	case http.StatusNotFound, http.StatusGone:
		return exitNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return exitConflict
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitOther
	case http.StatusTooManyRequests:
		return exitUnavailable
	}
	if p.Status >= http.StatusInternalServerError {
		return exitUnavailable
	}
	return exitUsage
}

// explain returns what an error of a command means to whoever has called it, and what to do next.
func explain(err error, command *kong.Node) string {
	var problem *vendorapi.Problem
	var network *url.Error
	var more advised
	switch {
	case errors.As(err, &more):
		return explain(more.error, command) + "\n" + more.advice
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.As(err, new(*vendorapi.CredentialsError)):
		return err.Error() + "\naws sso login, or whatever gives this environment its credentials, signs in again."
	case errors.As(err, &problem):
		return explainProblem(problem, command)
	case errors.As(err, &network):
		return fmt.Sprintf("%v\nIs this the right API? --api or LICENSER_API names another one; "+
			"licenser serve starts one on this machine.", err)
	}
	return err.Error()
}

// nextSteps says what helps, by the code of the API's errors.
var nextSteps = map[string]string{
	"LICENSE_NOT_FOUND": "Look for it with: licenser license list --customer-name NAME",
	"PLAN_NOT_FOUND":    "licenser plan list shows those that there are.",
	"STALE":             "Somebody else was faster. Run the command again.",
	"CONFLICT":          "Run the command again.",
	"NO_SUCH_ROUTE":     "The service is older than this program, or --api is not its URL.",

	"MISSING_AUTHENTICATION_TOKEN": "The service is older than this program, or --api is not its URL.",

	// of verifications
	"INVALID_LICENSE":      "The license is gone.",
	"LICENSE_REVOKED":      "licenser license history shows who revoked it and why.",
	"LICENSE_SUSPENDED":    "licenser license reinstate lets it be used again.",
	"LICENSE_EXPIRED":      "licenser license renew gives it a later end.",
	"FINGERPRINT_REQUIRED": "The license is for a number of devices: name this one with --fingerprint.",
	"INVALID_FINGERPRINT":  "A fingerprint has 8 to 256 printable ASCII characters.",
	"DEVICE_LIMIT_REACHED": "licenser license devices shows who holds the seats, release-device takes one back.",
}

func explainProblem(p *vendorapi.Problem, command *kong.Node) string {
	answered := fmt.Sprintf("The service has answered %d %s.", p.Status, http.StatusText(p.Status))
	lines := []string{cmp.Or(p.Detail, answered)}
	if p.Code != "" {
		lines[0] += " (" + p.Code + ")"
	}
	for _, e := range p.Errors {
		lines = append(lines, "  "+withFlag(e.Field, command)+" "+e.Message)
	}
	switch next := nextSteps[p.Code]; {
	case next != "":
		lines = append(lines, next)
	case p.Code == "REFERENCE_TAKEN":
		lines = append(lines, "It is that of: licenser license show "+p.LicenseID)
	case p.Code == "ERASURE_UNFINISHED":
		lines = append(lines, "Erase it again, by its id: "+p.LicenseID)
	case p.Status == http.StatusUnauthorized:
		lines = append(lines, "--api-token-file or LICENSER_API_TOKEN_FILE names the file that it is in.")
	case p.Status == http.StatusForbidden:
		lines = append(lines, "These credentials may not do this. On AWS they need execute-api:Invoke on "+
			p.Request()+": see docs/deploy.md.")
	case exitCodeOf(p) == exitUnavailable:
		lines = append(lines, "Try again later. The log of the service says more.")
	}
	return strings.Join(lines, "\n")
}

// withFlag names a field of the API, and the flag of the command that sets it.
func withFlag(field string, command *kong.Node) string {
	name, _, _ := strings.Cut(field, "[")
	flag := flagsOfFields[name]
	if name == "appurls" && command.Name == "change" {
		flag = "--add-url"
	}
	if findFlag(command, flag) != nil {
		return field + " (" + flag + ")"
	}
	return field
}

var flagsOfFields = map[string]string{
	"customername":    "--customer-name",
	"customerid":      "--customer-id",
	"expirationdate":  "--expires",
	"expiringbefore":  "--expiring-before",
	"expiringafter":   "--expiring-after",
	"updatesuntil":    "--updates-until",
	"services":        "--service",
	"appurls":         "--url",
	"gracedays":       "--grace-days",
	"maxdevices":      "--max-devices",
	"leaseminutes":    "--lease-minutes",
	"maxleaseminutes": "--max-lease-minutes",
	"durationdays":    "--duration-days",
	"updatesdays":     "--updates-days",
	"tokenkeyid":      "--token-key-id",
	"reference":       "--reference",
	"email":           "--email",
	"notes":           "--notes",
	"plan":            "--plan",
	"reason":          "--reason",
	"status":          "--status",
	"order":           "--order",
}
