package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/audit"
	"openlicenser/shared/vendorapi"
)

type verifyCommand struct {
	Licenses       []licenseName `arg:"" optional:"" name:"license" help:"The licenses whose chains to check: their ids, license keys or references. By their ids they may be gone."`
	All            bool          `help:"Check the chains of all licenses that the vendor's API lists: not of those that are gone, nor of those that came before this service and were not adopted yet. The checkpoint function looks at all of them."`
	File           string        `help:"Check a file that licenser audit export wrote, with or without --evidence, and ask nobody." type:"existingfile"`
	Checkpoint     bool          `help:"Check that the chains are those that were signed, too."`
	MaxAge         time.Duration `help:"How old the latest checkpoint may be: an older one is no proof that it is the latest." default:"3h"`
	CheckpointFile string        `help:"Check that a checkpoint that you have kept, from /audit/checkpoint, is in the history of the latest: else the trail was rolled back." type:"existingfile" placeholder:"FILE"`
	CheckpointKey  string        `help:"The key of checkpoints, as you have kept it from /audit/checkpoint-key. Without it the key that the server shows now is used, which proves nothing against whoever runs the server." placeholder:"KEY"`
	vendorAPI

	delay time.Duration // before another look at a chain that a change may be on its way to; 0: lookDelay
}

func (verifyCommand) Help() string {
	return examples(`licenser audit verify --all`, `licenser audit verify order-4711`,
		`licenser audit verify --file chain.jsonl`)
}

// errTrail ends the command when a chain is not as it should be; what is wrong was printed.
var errTrail = errors.New("the audit trail is not as it should be")

// Run writes the outcome for each chain.
func (c verifyCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	switch {
	case c.File != "" && (c.All || c.Checkpoint || c.CheckpointFile != "" || len(c.Licenses) > 0):
		return usageError("--file checks the file alone: leave out licenses, --all, --checkpoint and " +
			"--checkpoint-file, or leave out --file to check them with the server")
	case c.CheckpointKey != "" && !c.Checkpoint && c.CheckpointFile == "" && c.File == "":
		return usageError("--checkpoint-key goes with --checkpoint, --checkpoint-file, or --file")
	case c.File != "":
		return c.verifyFile(t)
	case len(c.Licenses) == 0 == !c.All && (c.CheckpointFile == "" || c.All || c.Checkpoint):
		return usageError("name licenses, or --all, or --file")
	}
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	v := chainVerifier{
		api: api, key: c.CheckpointKey, checkpoint: c.Checkpoint, maxAge: c.MaxAge, delay: cmp.Or(c.delay, lookDelay),
	}
	if err := v.findKey(ctx, t, c.Checkpoint || c.CheckpointFile != ""); err != nil {
		return err
	}
	if c.CheckpointFile != "" {
		if err := v.checkKept(ctx, t, c.CheckpointFile); err != nil {
			return err
		}
	}
	var shown *progress
	if c.All && !t.ForPeople { // on a terminal the lines themselves show it
		shown = newProgress(t.Err, "chains", 0)
	}
	tasks, err := c.tasks(ctx, &v, shown)
	if err != nil {
		return err
	}
	wrong, checked := 0, 0
	err = writeOutcomes(t, func(yield func(chainOutcome, error) bool) {
		err := inOrder(ctx, tasks, verifyWorkers, v.verify, func(outcome chainOutcome) error {
			if outcome.Result == chainWrong {
				wrong++
			}
			checked++
			shown.show(checked)
			if !yield(outcome, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(chainOutcome{}, err)
		}
	})
	shown.end()
	if err == nil && wrong > 0 {
		return fmt.Errorf("%w: licenses %d", errTrail, wrong)
	}
	return err
}

// verifyWorkers is how many chains are asked for at once.
const verifyWorkers = 8

// tasks returns the chains to check. With a checkpoint, all means all that it signs besides those of the licenses.
func (c verifyCommand) tasks(
	ctx context.Context, v *chainVerifier, shown *progress,
) (iter.Seq2[chainTask, error], error) {
	if c.All && c.Checkpoint {
		var err error
		if v.tree, err = openTree(ctx, v.api, v.key, c.MaxAge); err != nil {
			return nil, err
		}
		return v.tree.signedChains(ctx, shown.expect), nil
	}
	return func(yield func(chainTask, error) bool) {
		for licenseID, err := range c.licenseIDs(ctx, v.api) {
			if !yield(chainTask{licenseID: licenseID}, err) || err != nil {
				return
			}
		}
	}, nil
}

// licenseIDs returns the licenses whose chains to check.
func (c verifyCommand) licenseIDs(ctx context.Context, api *vendorapi.Client) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, name := range c.Licenses {
			if !yield(name.resolve(ctx, api)) {
				return
			}
		}
		if !c.All {
			return
		}
		for l, err := range api.Licenses(ctx, vendorapi.ListQuery{}) {
			if !yield(l.LicenseID, err) {
				return
			}
		}
	}
}

func (c verifyCommand) verifyFile(t *terminal.Terminal) error {
	file, isEvidence, err := openFile(c.File)
	if err != nil {
		return err
	}
	defer file.Close()
	if isEvidence {
		return c.verifyEvidence(t, file)
	}
	if c.CheckpointKey != "" {
		return usageError("--checkpoint-key goes with evidence: %s is a chain alone, which no checkpoint proves",
			c.File)
	}
	var v *audit.Verifier
	for e, err := range audit.ReadChain(file) {
		if v == nil && err == nil {
			v = audit.NewVerifier(e.LicenseID, audit.Head{})
		}
		if err == nil {
			err = v.Next(e)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.File, err)
		}
	}
	if v == nil {
		return fmt.Errorf("%s: no entries", c.File)
	}
	sayWithheld(t, v)
	outcome := newOutcome(v.LicenseID(), v, verdict{})
	if err := writeOutcomes(t, listed([]chainOutcome{outcome})); err != nil {
		return err
	}
	if outcome.Result == chainWrong {
		return errTrail
	}
	return nil
}

// sayWithheld says that a file was exported without values.
func sayWithheld(t *terminal.Terminal, v *audit.Verifier) {
	if v.Withholds() {
		t.Say("The file was exported without personal values: commitments stand in their place.")
	}
}

// chainVerifier checks chains that the API shows.
type chainVerifier struct {
	api        *vendorapi.Client
	checkpoint bool
	key        string
	maxAge     time.Duration
	delay      time.Duration
	tree       *signedTree // of all chains; nil where each has a proof of its own
}

// findKey asks the server for the key of checkpoints where the caller has none.
func (v *chainVerifier) findKey(ctx context.Context, t *terminal.Terminal, isNeeded bool) error {
	if !isNeeded {
		return nil
	}
	if v.key != "" {
		if _, err := note.NewVerifier(v.key); err != nil {
			return usageError("--checkpoint-key is no key as /audit/checkpoint-key shows it: %w", err)
		}
		return nil
	}
	var err error
	if v.key, err = v.api.CheckpointKey(ctx); err != nil {
		return err
	}
	t.Say("The server shows this key of checkpoints; compare it with the one that you have kept:")
	t.Say("  %s", v.key)
	return nil
}

// errNoChain says that there is nothing to check, which is no proof of anything.
var errNoChain = errors.New("no chain")

// The trail follows the licenses by moments, so that a change may still be on its way. So a chain is looked at again.
const (
	looks     = 5 // at most
	lookDelay = 3 * time.Second
)

// verify returns the outcome for one chain. An error is not the chain's: the chain could not be read.
func (v chainVerifier) verify(ctx context.Context, task chainTask) (chainOutcome, error) {
	if task.damage != nil {
		return chainOutcome{Result: chainWrong, Findings: []string{task.damage.Error()}}, nil
	}
	for look := 1; ; look++ {
		chain := audit.NewVerifier(task.licenseID, audit.Head{})
		found, err := v.look(ctx, task, chain)
		if errors.Is(err, errNoChain) {
			return chainOutcome{LicenseID: task.licenseID, Result: chainNone, Findings: []string{}}, nil
		}
		if err != nil {
			return chainOutcome{}, err
		}
		if !found.isPassing || look == looks {
			return newOutcome(task.licenseID, chain, found), nil
		}
		select {
		case <-ctx.Done():
			return chainOutcome{}, ctx.Err()
		case <-time.After(v.delay):
		}
	}
}

// verdict is what a look at a chain has found.
type verdict struct {
	wrong     []string
	isPassing bool // what is wrong may be gone at another look
	isYounger bool // than the latest checkpoint, so that it is not signed yet
}

func (v chainVerifier) look(ctx context.Context, task chainTask, chain *audit.Verifier) (found verdict, err error) {
	read, err := v.read(ctx, task.licenseID, chain)
	if err != nil {
		return found, err
	}
	if read.broken != nil {
		return verdict{wrong: []string{read.broken.Error()}}, nil
	}
	head, stored := chain.Head(), read.end
	switch {
	case head == (audit.Head{}) && stored.Sequence == 0 && read.last.Foreign && task.signed == nil:
		return found, errNoChain
	case len(read.entries) == 0 && stored.Sequence == 0 && read.last.RecordHash == "" && !v.checkpoint:
		// With a checkpoint, that tells whether there once were entries.
		return verdict{wrong: []string{"no entries: the trail knows no such license"}}, nil
	}
	if stored.Sequence != head.Sequence || stored.Hash != head.Hash {
		found.wrong = append(found.wrong, fmt.Sprintf("the entries end with entry %d, the stored head says entry %d",
			head.Sequence, stored.Sequence))
	}
	if read.last.RecordHash != head.RecordHash {
		found.wrong = append(found.wrong, read.difference())
	}
	found.isPassing = len(found.wrong) > 0
	if chain.Withholds() {
		found.wrong = append(found.wrong, "its entries do not disclose the values that they are committed to")
	}
	if !v.checkpoint {
		return found, nil
	}
	why, err := v.checkSigned(ctx, task, chain.LicenseID(), read.entries)
	if why == nil && err == nil && task.licenseID != chain.LicenseID() {
		why, err = v.checkSpelling(ctx, task.licenseID)
	}
	switch {
	case err != nil:
		return found, err
	case errors.Is(why, errNotSignedYet):
		found.isYounger = true
	case why != nil:
		found.wrong = append(found.wrong, "checkpoint: "+why.Error())
	}
	return found, nil
}

// shownChain is a license's chain as the server shows it.
type shownChain struct {
	entries []audit.Entry
	broken  error               // of the first entry that does not follow the one before
	last    vendorapi.AuditPage // tells the end of the chain
	end     vendorapi.ChainHead // of the last page; zero where it has none
}

// difference says how the license's record differs from the end of its chain.
func (c shownChain) difference() string {
	if c.last.RecordHash == "" {
		return "the license is gone, and the trail does not say so: " +
			"its removal is missing in the trail, or its table is behind the trail, as after a restore from a backup"
	}
	if c.last.LeftBy > 0 {
		return fmt.Sprintf("the license is as entry %d left it, and not the last one: "+
			"its table is behind the trail, as after a restore from a backup", c.last.LeftBy)
	}
	return "the license is not as its last entry left it: a change is missing in the trail"
}

// read hands a chain to a verifier. The server finds a license in either case of its id, so the verifier takes over the
// spelling of the first entry.
func (v chainVerifier) read(ctx context.Context, licenseID string, chain *audit.Verifier) (c shownChain, err error) {
	for page, err := range v.api.AuditPages(ctx, licenseID) {
		if err != nil {
			return c, err
		}
		for _, e := range page.Entries {
			if len(c.entries) == 0 && strings.EqualFold(e.LicenseID, licenseID) {
				*chain = *audit.NewVerifier(e.LicenseID, audit.Head{})
			}
			if c.broken == nil {
				c.broken = chain.Next(e)
			}
			c.entries = append(c.entries, e)
		}
		c.last = page
	}
	if c.last.Head != nil {
		c.end = *c.last.Head
	}
	return c, nil
}
