package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/audit"
)

type historyCommand struct{ licenseTarget }

func (historyCommand) Help() string {
	return "The license may be gone. licenser audit verify proves that nothing in it was changed.\n\n" +
		examples(`licenser license history order-4711`)
}

func (c historyCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	entries := func(yield func(audit.Entry, error) bool) {
		for e, err := range api.AuditEntries(ctx, c.License.id()) {
			if err != nil {
				err = c.License.explain(err)
			}
			if !yield(e, err) {
				return
			}
		}
	}
	return terminal.List(t, entryColumns(t.Now()), entries)
}

// entryColumns are what people ask of an entry of the trail.
func entryColumns(now time.Time) []terminal.Column[audit.Entry] {
	type column = terminal.Column[audit.Entry]
	return []column{
		{
			Name: "time", Title: "WHEN", Text: func(e audit.Entry) string { return e.Time },
			People: func(e audit.Entry) string {
				at, err := time.Parse(time.RFC3339Nano, e.Time)
				if err != nil {
					return e.Time
				}
				return terminal.Date(at) + " (" + terminal.InWords(at, now) + ")"
			},
		},
		{
			Name: "action", Title: "WHAT", Text: func(e audit.Entry) string { return string(e.Action) },
			Color: func(e audit.Entry) terminal.Color { return actionColors[e.Action] },
		},
		{Name: "actor", Title: "WHO", Narrow: 12, Text: func(e audit.Entry) string { return e.Actor }},
		{Name: "reason", Title: "WHY", Narrow: 12, Text: func(e audit.Entry) string { return e.Reason }},
		{Name: "changes", Title: "CHANGES", Narrow: 12, Text: changesText},
		{Name: "sequence", Text: func(e audit.Entry) string { return fmt.Sprint(e.Sequence) }},
		{Name: "requestid", Text: func(e audit.Entry) string { return e.RequestID }},
		{Name: "hash", Text: func(e audit.Entry) string { return e.Hash }},
	}
}

var actionColors = map[audit.Action]terminal.Color{
	audit.Revoked: terminal.Bad, audit.Deleted: terminal.Bad, audit.Erased: terminal.Bad,
	audit.Suspended: terminal.Warning,
	audit.Issued:    terminal.Good, audit.Reinstated: terminal.Good, audit.Renewed: terminal.Good,
}

// changesText says what has changed.
func changesText(e audit.Entry) string {
	return strings.Join(mapped(e.Differences(), func(d audit.Difference) string {
		return fmt.Sprintf("%s: %s → %s", d.Attribute, cmp.Or(d.Old, "none"), cmp.Or(d.New, "none"))
	}), "; ")
}
