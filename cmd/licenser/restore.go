package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/restore"
)

// restoreCommand makes the changes again that the trail knows and a license table has forgotten.
type restoreCommand struct {
	Licenses []string `arg:"" optional:"" name:"licenseid" help:"The licenses to look at, by their ids. Unless named, all."`

	Data  string `help:"Data folder of the local server, which must be stopped." type:"existingdir" xor:"where" required:""`
	Table string `help:"Name of the license table, which is reached with the AWS credentials of this environment." xor:"where" required:""`

	AuditTable      string `help:"With --table: name of the audit table."`
	DisclosureTable string `help:"With --table: name of the table of what the audit trail discloses."`
	ReferenceTable  string `help:"With --table: name of the table of references."`
	DeviceTable     string `help:"With --table: name of the table of devices, if it came back from a backup too: names of devices are then forgotten again."`

	Trail string `help:"With --data: a newer copy of the folder, whose audit trail tells what is missing. The folder's own came back with it." type:"existingdir" placeholder:"FOLDER"`
	Apply bool   `help:"Make the changes again, after a question."`
	consent

	delay time.Duration // before another look at what may be recorded by then; 0: lookDelay
}

func (restoreCommand) Help() string {
	return "A license table that came back from a backup has forgotten what was changed since: what was revoked may " +
		"be used again. The audit trail knows. This compares each license with its chain, and shows what has to be " +
		"done. With --apply it does it: erasures at first, then what takes the right to use a license away, then the " +
		"rest. What another tool has written since the restore stays. A chain that does not verify is not believed, " +
		"and its license is left alone.\n\n" +
		"The exit code is 0 when nothing is to be done, 4 when something is, and 1 when somebody has to look at " +
		"something that was left alone. It can be interrupted and repeated.\n\n" +
		examples(`licenser audit restore --data .licenser`, `licenser audit restore --data .licenser --apply --yes`)
}

// restoreWorkers is how many licenses are looked at, or written, at once.
const restoreWorkers = 16

// Run shows what is to be done, or does it.
func (c restoreCommand) Run(ctx context.Context, t *terminal.Terminal) (err error) {
	if err := c.checkFlags(); err != nil {
		return err
	}
	if c.Apply && !c.Yes && !t.CanAsk {
		return t.Confirm(ctx, false, "")
	}
	w, err := c.open(ctx, t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close(ctx)) }()
	w.Now, w.RequestID, w.Mark = t.Now, uuid.NewString(), rand.Text
	plans, err := c.plan(ctx, t, w)
	if ctx.Err() != nil {
		return errors.New("interrupted; nothing is changed")
	}
	if err != nil {
		return err
	}
	if c.Apply {
		return c.apply(ctx, t, w, plans)
	}
	return c.show(t, plans)
}

func (c restoreCommand) checkFlags() error {
	tables := []string{c.AuditTable, c.DisclosureTable, c.ReferenceTable}
	for _, name := range tables {
		if c.Table != "" && name == "" {
			return usageError("--table goes with --audit-table, --disclosure-table and --reference-table")
		}
	}
	switch {
	case c.Table == "" && cmp.Or(append(tables, c.DeviceTable)...) != "":
		return usageError("--audit-table, --disclosure-table, --reference-table and --device-table go with --table")
	case c.Trail != "" && c.Data == "":
		return usageError("--trail goes with --data")
	}
	return nil
}

// plan returns what is to be done, in the order in which it is done, and what is left alone. Where other processes
// record changes, what may only be a moment behind is looked at again.
func (c restoreCommand) plan(ctx context.Context, t *terminal.Terminal, w restoreWork) ([]restore.Plan, error) {
	ids, err := c.Licenses, error(nil)
	if len(ids) == 0 {
		shown := newProgress(t.Err, "records", w.records)
		ids, err = w.Suspects(ctx, shown.show)
		shown.end()
		if err != nil {
			return nil, err
		}
	}
	var plans, passing []restore.Plan
	for look := 1; ; look++ {
		shown := newProgress(t.Err, "chains", int64(len(ids)))
		found, err := c.look(ctx, w, ids, shown)
		shown.end()
		if err != nil {
			return nil, err
		}
		plans, passing, ids = c.sort(plans, found, w.isServed && look < looks)
		if len(passing) == 0 {
			return inRounds(plans), nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(cmp.Or(c.delay, lookDelay)):
		}
	}
}

// look returns the plans for licenses.
func (c restoreCommand) look(
	ctx context.Context, w restoreWork, ids []string, shown *progress,
) (plans []restore.Plan, err error) {
	err = inOrder(ctx, listed(ids), restoreWorkers, w.Plan, func(p restore.Plan) error {
		plans = append(plans, p)
		shown.show(len(plans))
		return nil
	})
	return plans, err
}

// sort adds the plans that were found to those that stay. The ids are those of plans that may pass, where another look
// is worth it. Plans to do nothing are only for licenses that were named.
func (c restoreCommand) sort(
	plans, found []restore.Plan, isWorth bool,
) (staying, passing []restore.Plan, ids []string) {
	for _, p := range found {
		switch {
		case isWorth && p.MayPass:
			passing, ids = append(passing, p), append(ids, p.LicenseID)
		case p.What != restore.None || len(c.Licenses) > 0:
			plans = append(plans, p)
		}
	}
	return plans, passing, ids
}

// inRounds returns plans in the order of their rounds.
func inRounds(plans []restore.Plan) []restore.Plan {
	slices.SortStableFunc(plans, func(a, b restore.Plan) int { return cmp.Compare(roundOf(a), roundOf(b)) })
	return plans
}

// show shows plans, and returns an error where there is something to do, or to look at.
func (c restoreCommand) show(t *terminal.Terminal, plans []restore.Plan) error {
	if err := terminal.List(t, restoreColumns(false), undone(plans)); err != nil {
		return err
	}
	toDo, leftAlone := 0, 0
	for _, p := range plans {
		if p.IsToDo() {
			toDo++
		} else if p.What == restore.LeftAlone {
			leftAlone++
		}
	}
	switch {
	case toDo > 0:
		return exitError{fmt.Sprintf("licenses that are not as the trail says: %d; --apply makes the changes again",
			toDo), exitCodeFirst}
	case leftAlone > 0:
		return errLeftAlone(leftAlone)
	}
	t.Say("All licenses that were looked at are as the trail says.")
	return nil
}

func errLeftAlone(n int) error {
	return fmt.Errorf("somebody has to look at what was left alone, see above: licenses %d", n)
}

// undone returns plans as they are before anything was done.
func undone(plans []restore.Plan) iter.Seq2[restore.Done, error] {
	return func(yield func(restore.Done, error) bool) {
		for _, p := range plans {
			if !yield(restore.Done{Plan: p}, nil) {
				return
			}
		}
	}
}

// restoreColumns are those of plans, and of what became of them.
func restoreColumns(withResult bool) []terminal.Column[restore.Done] {
	entry := func(sequence int64) string {
		if sequence == 0 {
			return ""
		}
		return strconv.FormatInt(sequence, 10)
	}
	columns := []terminal.Column[restore.Done]{
		{Name: "licenseid", Title: "LICENSE", Text: func(d restore.Done) string { return d.LicenseID }},
		{
			Name: "what", Title: "WHAT", Text: func(d restore.Done) string { return string(d.What) },
			Color: func(d restore.Done) terminal.Color {
				switch {
				case d.What == restore.LeftAlone:
					return terminal.Bad
				case d.IsToDo():
					return terminal.Warning
				}
				return terminal.Good
			},
		},
		{Name: "from", Title: "FROM", Text: func(d restore.Done) string { return entry(d.From) }},
		{Name: "to", Title: "TO", Text: func(d restore.Done) string { return entry(d.To) }},
		{Name: "found", Title: "FOUND", Text: func(d restore.Done) string { return d.Found }},
	}
	if !withResult {
		return columns
	}
	return append(columns, terminal.Column[restore.Done]{
		Name: "result", Title: "RESULT", Text: func(d restore.Done) string { return d.Result },
	})
}
