package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"openlicenser/shared/dynamo"
	"openlicenser/shared/license"
)

// checkReport is what licenser adopt --check finds. Its JSON is documented in docs/migrate.md, and its names stay.
type checkReport struct {
	Ready    bool            `json:"ready"` // nothing has to be done first
	Table    *tableReport    `json:"table,omitempty"`
	Secret   *secretReport   `json:"secret,omitempty"`
	Key      *keyReport      `json:"key,omitempty"`
	Records  *license.Survey `json:"records,omitempty"` // absent where the table could not be read
	Findings []finding       `json:"findings"`
	Next     []step          `json:"next"`

	state *dynamo.TableState // nil for a folder
	adopt string             // the command that adopts
}

type tableReport struct {
	Name                string        `json:"name"`
	Status              string        `json:"status"`
	Billing             string        `json:"billing"` // on-demand or provisioned
	Records             int64         `json:"records"` // as DynamoDB last counted them
	Stream              string        `json:"stream"`  // the view type; empty: none
	Indexes             []indexReport `json:"indexes"`
	PointInTimeRecovery string        `json:"pointintimerecovery"` // empty: unknown
	DeletionProtection  bool          `json:"deletionprotection"`
	OtherRegions        []string      `json:"otherregions"`
}

type indexReport struct {
	Name      string                `json:"name"`
	Condition dynamo.IndexCondition `json:"condition"`
}

type secretReport struct {
	Name    string `json:"name"`
	Problem string `json:"problem,omitempty"`
	Short   int    `json:"short"` // secrets in force that are too short
}

type keyReport struct {
	Name     string   `json:"name"`
	ARN      string   `json:"arn"`
	KeyID    string   `json:"kid,omitempty"`
	Problems []string `json:"problems,omitempty"`
}

func newTableReport(s dynamo.TableState) *tableReport {
	r := &tableReport{
		Name: s.Name, Status: s.Status, Billing: "on-demand", Records: s.Records, Stream: s.StreamView,
		PointInTimeRecovery: s.PointInTimeRecovery, DeletionProtection: s.DeletionProtection,
		OtherRegions: append([]string{}, s.OtherRegions...),
	}
	if s.WriteCapacity > 0 {
		r.Billing = "provisioned"
	}
	for _, index := range s.Indexes {
		r.Indexes = append(r.Indexes, indexReport{index.Name, index.Condition})
	}
	return r
}

// conclude sets what follows from what was found.
func (r *checkReport) conclude() {
	r.Findings, r.Next = []finding{}, []step{}
	if r.state != nil {
		r.Findings = append(r.Findings, tableFindings(*r.state)...)
	}
	if r.Secret != nil {
		r.Findings = append(r.Findings, secretFindings(*r.Secret)...)
	}
	if r.Key != nil {
		r.Findings = append(r.Findings, keyFindings(*r.Key)...)
	}
	if r.Records != nil {
		r.Findings = append(r.Findings, recordFindings(*r.Records)...)
	}
	r.Ready = len(firstFindings(r.Findings)) == 0
	r.addSteps(func(f finding) bool { return f.First })
	r.addSteps(func(f finding) bool { return !f.First && !f.after })
	if r.state != nil {
		r.Next = append(r.Next, step{Do: "Deploy the stack with the table, its stream, the secret and the key as " +
			"parameters, unless it is deployed: docs/migrate.md."})
	}
	if r.Records == nil || r.Records.Lacking > 0 {
		r.Next = append(r.Next, step{Do: "Adopt the licenses.", Commands: []string{r.adopt}})
	}
	r.addSteps(func(f finding) bool { return f.after })
	for i := range r.Next {
		r.Next[i].Commands = append([]string{}, r.Next[i].Commands...) // a list in JSON, also where it is empty
	}
}

// addSteps adds what is to be done about some of the findings, once.
func (r *checkReport) addSteps(isMeant func(finding) bool) {
	for _, f := range r.Findings {
		if isMeant(f) && f.step.Do != "" && !slices.ContainsFunc(r.Next, f.step.equal) {
			r.Next = append(r.Next, f.step)
		}
	}
}

func (s step) equal(o step) bool { return s.Do == o.Do && slices.Equal(s.Commands, o.Commands) }

func (r *checkReport) printJSON(out io.Writer) error { return printJSON(out, r) }

// maxListed bounds the lists that are printed for people.
const maxListed = 20

// print prints the report for people.
func (r *checkReport) print(out io.Writer) error {
	var text strings.Builder
	r.printFacts(&text)
	if r.Records != nil {
		printSurvey(&text, *r.Records)
	}
	if len(r.Findings) > 0 {
		text.WriteString("\nFound:\n")
	}
	for _, f := range r.Findings {
		what := "advice"
		if f.First {
			what = "FIRST"
		}
		fmt.Fprintf(&text, "  %-7s %s (%s)\n", what, f.Message, f.Code)
	}
	text.WriteString("\nWhat to do next:\n")
	for i, s := range r.Next {
		fmt.Fprintf(&text, "\n%d. %s\n", i+1, s.Do)
		for _, command := range s.Commands {
			fmt.Fprintf(&text, "%s\n", command)
		}
	}
	if len(r.Next) == 0 {
		text.WriteString("  nothing\n")
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func (r *checkReport) printFacts(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer table.Flush()
	if t := r.Table; t != nil {
		fmt.Fprintf(table, "Table %s\t%s, %s\n", t.Name, t.Status, t.Billing)
		fmt.Fprintf(table, "  stream\t%s\n", cmp.Or(t.Stream, "none"))
		for _, index := range t.Indexes {
			fmt.Fprintf(table, "  index %s\t%s\n", index.Name, index.Condition)
		}
		fmt.Fprintf(table, "  point-in-time recovery\t%s\n", cmp.Or(t.PointInTimeRecovery, "unknown"))
		fmt.Fprintf(table, "  deletion protection\t%s\n", either(t.DeletionProtection, "ENABLED", "DISABLED"))
	}
	if r.Secret != nil {
		state := either(r.Secret.Problem == "", "can be used", "cannot be used")
		fmt.Fprintf(table, "Secret %s\t%s\n", r.Secret.Name, state)
	}
	if r.Key != nil {
		fmt.Fprintf(table, "Key %s\t%s\n", r.Key.Name, cmp.Or(r.Key.KeyID, "cannot be used"))
	}
	if s := r.Records; s != nil {
		fmt.Fprintf(table, "Records\t%d\n", s.Records)
		fmt.Fprintf(table, "  without true index attributes\t%d\n", s.Lacking)
		for _, status := range []license.Status{
			license.Active, license.Grace, license.Expired, license.Suspended, license.Revoked, license.Unreadable,
		} {
			fmt.Fprintf(table, "  %s\t%d\n", status, s.Statuses[status])
		}
	}
}

func either(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

// printSurvey lists records by their ids. These are quoted, because anybody may have written them.
func printSurvey(out io.Writer, s license.Survey) {
	problems := func(list []license.RecordProblem) (lines []string) {
		for _, p := range list {
			for _, field := range p.Problems {
				lines = append(lines, fmt.Sprintf("%q (%s): %s %s", p.LicenseID, p.Status, field.Field, field.Message))
			}
		}
		return lines
	}
	quoted := func(ids ...string) (lines []string) {
		for _, id := range ids {
			lines = append(lines, fmt.Sprintf("%q", id))
		}
		return lines
	}
	var groups []string
	for _, group := range s.DifferByCase {
		groups = append(groups, strings.Join(quoted(group...), ", "))
	}
	for _, list := range []struct {
		title string
		lines []string
	}{
		{"Refused, because they cannot be understood", problems(s.Refused)},
		{"Not understood, but harmless", problems(s.Harmless)},
		{"License ids that are no UUIDs", quoted(s.NotUUIDs...)},
		{"License ids that are the same but for case", groups},
		{"Licenses whose customer id is no UUID", quoted(s.CustomerNotUUIDs...)},
	} {
		if len(list.lines) == 0 {
			continue
		}
		fmt.Fprintf(out, "\n%s:\n", list.title)
		for _, line := range list.lines[:min(maxListed, len(list.lines))] {
			fmt.Fprintf(out, "  %s\n", line)
		}
		if more := len(list.lines) - maxListed; more > 0 {
			fmt.Fprintf(out, "  and %d more; --output json has all\n", more)
		}
	}
}
