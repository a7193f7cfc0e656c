package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
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
	audit.Revoked: terminal.Bad, audit.Deleted: terminal.Bad, audit.Suspended: terminal.Warning,
	audit.Issued: terminal.Good, audit.Reinstated: terminal.Good, audit.Renewed: terminal.Good,
}

// stamps are the attributes that each change changes.
var stamps = []string{"version", "changedtimestamp", "changedby", "changereason", "requestid", "putback"}

// changesText says what has changed, but for what each change changes, and for the first state of a license.
func changesText(e audit.Entry) string {
	if e.ChangesDigest != nil {
		return "too much to be recorded"
	}
	if e.Action == audit.Issued || e.Action == audit.Deleted {
		return ""
	}
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(e.Changes)) {
		if slices.Contains(stamps, name) {
			continue
		}
		change := e.Changes[name]
		texts = append(texts, fmt.Sprintf("%s: %s → %s", name, valueText(change.Old), valueText(change.New)))
	}
	return strings.Join(texts, "; ")
}

// valueText returns the value of an attribute as people write it.
func valueText(value json.RawMessage) string {
	var attribute map[string]any
	if len(value) == 0 {
		return "none"
	}
	if json.Unmarshal(value, &attribute) != nil || len(attribute) != 1 {
		return string(value)
	}
	for _, inner := range attribute {
		return fmt.Sprint(inner)
	}
	return string(value)
}
