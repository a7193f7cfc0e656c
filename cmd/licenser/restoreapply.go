package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/embedded"
	"openlicenser/shared/restore"
	"openlicenser/shared/telemetry"
)

// restoreWork is a Restorer, and what goes with where it works.
type restoreWork struct {
	restore.Restorer
	records  int64 // about as many as there are; 0: nobody knows
	isServed bool  // other processes record changes meanwhile
	close    func(context.Context) error
}

// open opens what the flags name. Without --apply nothing is changed in it.
func (c restoreCommand) open(ctx context.Context, t *terminal.Terminal) (w restoreWork, err error) {
	if c.Table != "" {
		return c.openTables(ctx)
	}
	if c.Apply {
		w, err = c.openFolder(ctx, t)
	} else {
		w, err = c.readFolder(ctx, t)
	}
	if err != nil || c.Trail == "" {
		return w, err
	}
	newer, err := embedded.OpenToRead(ctx, c.Trail)
	if err != nil {
		return w, errors.Join(err, w.close(ctx))
	}
	if newer.Unrecorded > 0 {
		t.Say("The trail of %s does not tell of the last %d changes there: licenser serve records them.",
			c.Trail, newer.Unrecorded)
	}
	closeFolder := w.close
	w.Trail, w.Branch = newer.AuditTrail, w.Trail
	w.close = func(ctx context.Context) error { return errors.Join(newer.Close(), closeFolder(ctx)) }
	return w, nil
}

func (c restoreCommand) openTables(ctx context.Context) (w restoreWork, err error) {
	cfg, err := awsConfig(ctx)
	if err != nil {
		return w, err
	}
	client := newTableClient(cfg)
	state, err := dynamo.ReadTableState(ctx, client, c.Table)
	if err != nil {
		return w, err
	}
	if findings := firstFindings(tableFindings(state)); c.Apply && len(findings) > 0 {
		return w, fmt.Errorf("nothing is changed, because %s; licenser adopt --check --table %s says what to do",
			strings.Join(findings, ", and "), c.Table)
	}
	w = restoreWork{
		Restorer: restore.Restorer{
			Records: dynamo.NewRecords(client, c.Table),
			Trail:   dynamo.NewAuditTrail(client, c.AuditTable, c.DisclosureTable),
			Writer:  dynamo.NewLicenses(client, c.Table, c.ReferenceTable),
		},
		records: state.Records, isServed: true,
		close: func(context.Context) error { return nil },
	}
	if c.DeviceTable != "" {
		w.Forget = dynamo.NewDevices(client, c.DeviceTable).ForgetNames
	}
	return w, nil
}

// readFolder opens the folder to be read alone.
func (c restoreCommand) readFolder(ctx context.Context, t *terminal.Terminal) (w restoreWork, err error) {
	folder, err := embedded.OpenToRead(ctx, c.Data)
	if err != nil {
		return w, err
	}
	if folder.Unrecorded > 0 {
		t.Say("The trail does not tell of the last %d changes: --apply, or licenser serve, records them first.",
			folder.Unrecorded)
	}
	return restoreWork{
		Restorer: restore.Restorer{Records: folder.Records, Trail: folder.AuditTrail},
		close:    func(context.Context) error { return folder.Close() },
	}, nil
}

// openFolder opens the folder, and has all changes recorded, at first and in the end.
func (c restoreCommand) openFolder(ctx context.Context, t *terminal.Terminal) (w restoreWork, err error) {
	folder, err := embedded.OpenExisting(ctx, c.Data)
	if err != nil {
		return w, err
	}
	// That each of these changes has a gap before it is no news.
	handle := streamHandler(folder, slog.New(slog.DiscardHandler))
	source := &eventSource{
		changes: folder.Changes, handle: handle, log: telemetry.NewConsoleLogger(t.Err),
		failures: filepath.Join(c.Data, "audit-failures"),
	}
	if err := source.deliverAll(ctx); err != nil {
		return w, errors.Join(err, folder.Close())
	}
	return restoreWork{
		Restorer: restore.Restorer{
			Records: folder.Licenses, Trail: folder.AuditTrail, Writer: folder.Licenses,
			Forget: func(ctx context.Context, licenseID string) error {
				return errors.Join(folder.Devices.ForgetNames(ctx, licenseID),
					folder.Idempotency.Forget(ctx, licenseID, ""))
			},
		},
		close: func(ctx context.Context) error {
			ctx = context.WithoutCancel(ctx)
			return errors.Join(source.deliverAll(ctx), scrubAndClose(ctx, folder))
		},
	}, nil
}

// deliverAll delivers changes until there are none.
func (s *eventSource) deliverAll(ctx context.Context) error {
	for {
		progress, err := s.deliver(ctx)
		switch {
		case errors.Is(err, errNotRecorded): // it is tried again, and set aside in the end
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(firstBackoff):
			}
		case err != nil || !progress:
			return err
		}
	}
}

// maxRestoreFailures is after how many licenses that cannot be written a run gives up. A store that takes nothing
// should not be asked for all of them.
const maxRestoreFailures = 10

// apply asks, does what is planned, and shows what became of it. People see the plan before, and then what was not
// done.
func (c restoreCommand) apply(ctx context.Context, t *terminal.Terminal, w restoreWork, plans []restore.Plan) error {
	isForPeople, toDo := t.ForPeople && t.Format == terminal.Text, 0
	for _, p := range plans {
		if p.IsToDo() {
			toDo++
		}
	}
	if isForPeople {
		if err := terminal.List(t, restoreColumns(false), undone(plans)); err != nil {
			return err
		}
	}
	if toDo > 0 {
		question := fmt.Sprintf("Make these changes again? Licenses: %d.", toDo)
		if err := t.Confirm(ctx, c.Yes, question); err != nil {
			return err
		}
	}
	done, errDone := c.doAll(ctx, t, w, plans)
	var shown []restore.Done
	made, leftAlone := 0, 0
	for _, d := range done {
		switch {
		case strings.HasPrefix(d.Result, restore.ResultDone):
			made++
		case d.What != restore.None:
			leftAlone++
		}
		if !isForPeople || d.IsToDo() && d.Result != restore.ResultDone {
			shown = append(shown, d)
		}
	}
	if !isForPeople || len(shown) > 0 {
		if err := terminal.List(t, restoreColumns(true), listed(shown)); err != nil {
			return errors.Join(err, errDone)
		}
	}
	t.Say("Licenses that are as the trail says again: %d of %d.", made, toDo)
	if errDone == nil && leftAlone > 0 {
		return errLeftAlone(leftAlone)
	}
	return errDone
}

// doAll does what is planned, one round after the other, and returns what became of all plans. After an interrupt it
// finishes what has begun.
func (c restoreCommand) doAll(
	ctx context.Context, t *terminal.Terminal, w restoreWork, plans []restore.Plan,
) (done []restore.Done, err error) {
	shown := newProgress(t.Err, "licenses", int64(len(plans)))
	defer shown.end()
	var failures atomic.Int32
	for len(plans) > 0 { // those of one round stand together
		n := slices.IndexFunc(plans, func(p restore.Plan) bool { return roundOf(p) != roundOf(plans[0]) })
		turn := plans[:cmp.Or(max(n, 0), len(plans))]
		plans = plans[len(turn):]
		do := func(ctx context.Context, p restore.Plan) (restore.Done, error) { return w.do(ctx, p, &failures) }
		err := inOrder(ctx, listed(turn), restoreWorkers, do, func(d restore.Done) error {
			done = append(done, d)
			shown.show(len(done))
			return nil
		})
		if ctx.Err() != nil {
			return done, errors.New("interrupted: what was done stays, and the same command goes on with the rest")
		}
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// roundOf returns when the turn of a plan is. What is not done comes last.
func roundOf(p restore.Plan) int {
	if !p.IsToDo() {
		return restore.Rounds
	}
	return p.Round()
}

// do does what a plan says. A license that cannot be written does not hold up the others.
func (w restoreWork) do(ctx context.Context, p restore.Plan, failures *atomic.Int32) (restore.Done, error) {
	if !p.IsToDo() || ctx.Err() != nil {
		return restore.Done{Plan: p}, ctx.Err()
	}
	d, err := w.Apply(context.WithoutCancel(ctx), p)
	if err != nil && failures.Add(1) > maxRestoreFailures {
		return d, fmt.Errorf("gave up, because too many licenses cannot be written: %w", err)
	}
	if err != nil {
		return restore.Done{Plan: p, Result: err.Error()}, nil
	}
	return d, nil
}
