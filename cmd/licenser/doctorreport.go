package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/smithy-go"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/vendorapi"
)

// result is what came of a check.
type result string

// The results of a check.
const (
	resultOK       result = "ok"
	resultToDo     result = "todo"
	resultNotTried result = "nottried" // because something did not let it be tried
	resultLeftOut  result = "leftout"  // because nobody wants it tried
)

// examined is a row of the report of licenser doctor. Its JSON is documented in docs/deploy.md, and its names stay.
type examined struct {
	Check    string   `json:"check"`
	Subject  string   `json:"subject,omitempty"` // that of several
	Result   result   `json:"result"`
	Code     string   `json:"code,omitempty"` // of what is to be done
	Found    string   `json:"found"`
	Do       string   `json:"do,omitempty"`
	Commands []string `json:"commands,omitempty"` // to be pasted into a shell, in this order
}

// isToDo reports whether not all is well. A check that could not be tried may hide anything.
func (c examined) isToDo() bool { return c.Result == resultToDo || c.Result == resultNotTried }

func (c examined) name() string { return strings.TrimSpace(c.Check + " " + c.Subject) }

// report gathers the rows.
type report struct{ rows []examined }

// on returns where the results of a check go, of its one subject where it is about several things.
func (r *report) on(check string, subject ...string) finder {
	return finder{r, examined{Check: check, Subject: strings.Join(subject, " ")}}
}

// finder adds rows to a report that are all about the same.
type finder struct {
	report *report
	about  examined
}

func (f finder) add(c examined) {
	c.Check, c.Subject = f.about.Check, f.about.Subject
	f.report.rows = append(f.report.rows, c)
}

func (f finder) ok(found string, args ...any) {
	f.add(examined{Result: resultOK, Found: fmt.Sprintf(found, args...)})
}

func (f finder) leaveOut(why string) { f.add(examined{Result: resultLeftOut, Found: why}) }

func (f finder) toDo(code, found, do string, commands ...string) {
	f.add(examined{Result: resultToDo, Code: code, Found: found, Do: do, Commands: commands})
}

// untried adds what an error has kept in the dark. That of a context that was canceled is none: somebody has ended the
// command.
func (f finder) untried(err error) {
	var called *smithy.OperationError
	var coded smithy.APIError
	var problem *vendorapi.Problem
	switch {
	case errors.Is(err, context.Canceled):
	case errors.As(err, new(*vendorapi.CredentialsError)):
		f.add(examined{Result: resultNotTried, Code: "NO_CREDENTIALS", Found: "not tried: " + err.Error(),
			Do: "Sign in again, with aws sso login or whatever gives this environment its credentials."})
	case errors.As(err, &problem) && problem.Status == http.StatusForbidden:
		f.forbidden("execute-api:Invoke on " + problem.Request())
	case errors.As(err, &called) && errors.As(err, &coded) && slices.Contains(deniedCodes, coded.ErrorCode()):
		f.forbidden(actionOf(called))
	case errors.As(err, &coded) && strings.Contains(coded.ErrorCode(), "NotFound"):
		f.toDo("RESOURCE_GONE", "it is not there any more: "+coded.ErrorMessage(), "Find out who has removed it, "+
			"behind the back of the stack, and bring it back: an update of the stack does not.")
	default:
		why := err.Error()
		if errors.Is(err, context.DeadlineExceeded) {
			why = "there was no response in time"
		}
		f.add(examined{Result: resultNotTried, Code: "NOT_ANSWERED", Found: "not tried: " + why,
			Do: "Run the command again. If the same comes, look into what it says."})
	}
}

func (f finder) forbidden(action string) {
	f.add(examined{Result: resultNotTried, Code: "NOT_ALLOWED",
		Found: "not tried: these credentials may not do " + action, Do: "Let these credentials do " + action + "."})
}

// deniedCodes are what the services say to who may not do something.
var deniedCodes = []string{
	"AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException",
	"UnauthorizedException", "UnauthorizedOperation",
}

// actionOf returns the IAM action of a call.
func actionOf(call *smithy.OperationError) string {
	if call.Service() == "API Gateway" { // its actions are HTTP methods
		return "apigateway:GET"
	}
	return strings.ToLower(strings.ReplaceAll(call.Service(), " ", "")) + ":" + call.Operation()
}

// resultWords says results to people.
var resultWords = map[result]string{
	resultOK: "ok", resultToDo: "TO DO", resultNotTried: "NOT TRIED", resultLeftOut: "left out",
}

var resultColors = map[result]terminal.Color{
	resultOK: terminal.Good, resultToDo: terminal.Bad, resultNotTried: terminal.Warning,
}

func examinedColumns(t *terminal.Terminal) []terminal.Column[examined] {
	unlessForPeople := func(title string) string {
		if t.ForPeople {
			return ""
		}
		return title
	}
	return []terminal.Column[examined]{
		{
			Name: "result", Title: "RESULT", Text: func(c examined) string { return string(c.Result) },
			People: func(c examined) string { return resultWords[c.Result] },
			Color:  func(c examined) terminal.Color { return resultColors[c.Result] },
		},
		{
			Name: "check", Title: "CHECK", Text: func(c examined) string { return c.Check },
			People: examined.name,
		},
		{Name: "subject", Title: unlessForPeople("SUBJECT"), Text: func(c examined) string { return c.Subject }},
		{Name: "code", Title: unlessForPeople("CODE"), Text: func(c examined) string { return c.Code }},
		{Name: "found", Title: "FOUND", Text: func(c examined) string { return c.Found }},
		{Name: "do", Title: unlessForPeople("DO"), Text: func(c examined) string { return c.Do }},
		{Name: "commands", Text: func(c examined) string { return listText(c.Commands) }},
	}
}

// write writes the report. People get what is to be done below the table, as steps.
func (r *report) write(t *terminal.Terminal) error {
	err := terminal.List(t, examinedColumns(t), listed(r.rows))
	if err != nil || !t.ForPeople || t.Format != terminal.Text {
		return err
	}
	var text strings.Builder
	steps := 0
	for _, c := range r.rows {
		if !c.isToDo() {
			continue
		}
		steps++
		fmt.Fprintf(&text, "\n%d. %s: %s (%s)\n   %s\n", steps, terminal.Printable(c.name()),
			terminal.Printable(c.Found), c.Code, terminal.Printable(c.Do))
		for _, command := range c.Commands {
			fmt.Fprintf(&text, "%s\n", command)
		}
	}
	_, err = fmt.Fprint(t.Out, text.String())
	return err
}
