package main

import (
	"fmt"
	"iter"
	"strconv"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/audit"
)

// The results for a chain.
const (
	chainOK      = "ok"
	chainWrong   = "wrong"
	chainNone    = "no chain"       // other tools alone have written the license
	chainYounger = "not signed yet" // it is ok, and younger than the latest checkpoint
)

// chainOutcome is what is known of a license's chain.
type chainOutcome struct {
	LicenseID string   `json:"licenseid"`
	Result    string   `json:"result"`
	Entries   int64    `json:"entries"`  // that follow each other
	Hash      string   `json:"hash"`     // of the last of them; empty: there are none
	Findings  []string `json:"findings"` // what is wrong

	// Proven is up to which entry a checkpoint proves the chain, of evidence that was checked with a key.
	Proven *int64 `json:"proven,omitempty"`

	isYounger bool // than the latest checkpoint
}

// newOutcome returns what a verified chain says, and what is wrong with it.
func newOutcome(licenseID string, v *audit.Verifier, found verdict) chainOutcome {
	head := v.Head()
	o := chainOutcome{
		LicenseID: licenseID, Result: chainOK, Entries: head.Sequence, Hash: head.Hash,
		Findings: append([]string{}, found.wrong...), isYounger: found.isYounger,
	}
	for _, finding := range v.Findings() {
		o.Findings = append(o.Findings, fmt.Sprintf("entry %d: %s", finding.Sequence, finding.Text))
	}
	switch {
	case len(o.Findings) > 0:
		o.Result = chainWrong
	case o.isYounger:
		o.Result = chainYounger
	}
	return o
}

var outcomeColumns = []terminal.Column[chainOutcome]{
	{Name: "licenseid", Text: func(o chainOutcome) string { return o.LicenseID }},
	{Name: "result", Text: func(o chainOutcome) string { return o.Result }},
	{Name: "entries", Text: func(o chainOutcome) string { return strconv.FormatInt(o.Entries, 10) }},
	{Name: "hash", Text: func(o chainOutcome) string { return o.Hash }},
	{Name: "findings", Text: func(o chainOutcome) string { return listText(o.Findings) }},
}

// writeOutcomes writes outcomes as they come. Its table is lines of text: one for a chain that is ok, and one for each
// thing that is wrong.
func writeOutcomes(t *terminal.Terminal, outcomes iter.Seq2[chainOutcome, error]) error {
	if t.Format != terminal.Text {
		return terminal.List(t, outcomeColumns, outcomes)
	}
	for o, err := range outcomes {
		if err != nil {
			return err
		}
		for _, line := range o.lines() {
			if _, err := fmt.Fprintln(t.Out, terminal.Printable(o.LicenseID+"  "+line)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o chainOutcome) lines() (lines []string) {
	if o.Result == chainNone {
		return []string{"no chain: other tools alone have written this license, and it may be older than the trail"}
	}
	if o.isYounger {
		lines = append(lines, "not signed yet: its chain is younger than the latest checkpoint")
	}
	if o.Result != chainWrong {
		return append(lines, fmt.Sprintf("ok  entries %d  %s", o.Entries, o.Hash))
	}
	for _, text := range o.Findings {
		lines = append(lines, "WRONG  "+text)
	}
	return lines
}
