package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/vendorapi"
)

type exportCommand struct {
	LicenseID string `arg:"" name:"licenseid" help:"The license; it may be gone."`
	vendorAPI

	out io.Writer // standard output, unless a test sets it
}

// Run writes the chain in the form that audit.ReadChain reads.
func (c exportCommand) Run(ctx context.Context) error {
	if c.out == nil {
		c.out = os.Stdout
	}
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	isEmpty := true
	for e, err := range api.AuditEntries(ctx, c.LicenseID) {
		if err != nil {
			return err
		}
		if err := audit.WriteChain(c.out, []audit.Entry{e}); err != nil {
			return err
		}
		isEmpty = false
	}
	if isEmpty {
		return fmt.Errorf("the trail has no entries of the license %s", c.LicenseID)
	}
	return nil
}

type verifyCommand struct {
	LicenseIDs    []string      `arg:"" optional:"" name:"licenseid" help:"The licenses whose chains to check; they may be gone."`
	All           bool          `help:"Check the chains of all licenses that the vendor's API lists: not of those that are gone, nor of those that came before this service and were not adopted yet. The checkpoint function looks at all of them."`
	File          string        `help:"Check a file that licenser audit export wrote, and ask nobody." type:"existingfile"`
	Checkpoint    bool          `help:"Check that the chains are those that were signed, too."`
	MaxAge        time.Duration `help:"How old the latest checkpoint may be: an older one is no proof that it is the latest." default:"3h"`
	CheckpointKey string        `help:"The key of checkpoints, as you have kept it from /audit/checkpoint-key. Without it the key that the server shows now is used, which proves nothing against whoever runs the server." placeholder:"KEY"`
	vendorAPI

	out   io.Writer     // standard output, unless a test sets it
	delay time.Duration // before another look at a chain that a change may be on its way to
}

// errTrail ends the command when a chain is not as it should be; what is wrong was printed.
var errTrail = errors.New("the audit trail is not as it should be")

// Run prints a line for each chain, and a line for each thing that is wrong with it.
func (c verifyCommand) Run(ctx context.Context) error {
	if c.out == nil {
		c.out, c.delay = os.Stdout, 3*time.Second
	}
	switch {
	case c.File != "" && (c.All || c.Checkpoint || len(c.LicenseIDs) > 0):
		return errors.New("--file checks the file alone: leave out licenses, --all and --checkpoint, " +
			"or leave out --file to check them with the server")
	case c.CheckpointKey != "" && !c.Checkpoint:
		return errors.New("--checkpoint-key goes with --checkpoint")
	case c.File != "":
		return c.verifyFile()
	case len(c.LicenseIDs) == 0 == !c.All:
		return errors.New("name licenses, or --all, or --file")
	}
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	v := chainVerifier{
		api: api, key: c.CheckpointKey, checkpoint: c.Checkpoint, maxAge: c.MaxAge, delay: c.delay, out: c.out,
	}
	if err := v.findKey(ctx); err != nil {
		return err
	}
	wrong := 0
	verify := func(licenseID string) error {
		fine, err := v.verify(ctx, licenseID)
		if !fine {
			wrong++
		}
		return err
	}
	for _, id := range c.LicenseIDs {
		if err := verify(id); err != nil {
			return err
		}
	}
	if c.All {
		for l, err := range api.Licenses(ctx, vendorapi.ListQuery{}) {
			if err != nil {
				return err
			}
			if err := verify(l.LicenseID); err != nil {
				return err
			}
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%w: licenses %d", errTrail, wrong)
	}
	return nil
}

func (c verifyCommand) verifyFile() error {
	file, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer file.Close()
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
	return report(c.out, v.LicenseID(), v, nil)
}

// report prints what a verified chain says, and returns errTrail when that is not as it should be.
func report(out io.Writer, licenseID string, v *audit.Verifier, wrong []string) error {
	head := v.Head()
	for _, finding := range v.Findings() {
		wrong = append(wrong, fmt.Sprintf("entry %d: %s", finding.Sequence, finding.Text))
	}
	if len(wrong) == 0 {
		_, err := fmt.Fprintf(out, "%s  ok  entries %d  %s\n", licenseID, head.Sequence, head.Hash)
		return err
	}
	for _, text := range wrong {
		if _, err := fmt.Fprintf(out, "%s  WRONG  %s\n", licenseID, text); err != nil {
			return err
		}
	}
	return errTrail
}

// chainVerifier checks chains that the API shows.
type chainVerifier struct {
	api        *vendorapi.Client
	checkpoint bool
	key        string
	maxAge     time.Duration
	delay      time.Duration
	out        io.Writer
}

// findKey asks the server for the key of checkpoints where the caller has none.
func (v *chainVerifier) findKey(ctx context.Context) error {
	if !v.checkpoint {
		return nil
	}
	if v.key != "" {
		if _, err := note.NewVerifier(v.key); err != nil {
			return fmt.Errorf("--checkpoint-key is no key as /audit/checkpoint-key shows it: %w", err)
		}
		return nil
	}
	var err error
	if v.key, err = v.api.CheckpointKey(ctx); err != nil {
		return err
	}
	const text = "The server shows this key of checkpoints; compare it with the one that you have kept:\n  %s\n"
	_, err = fmt.Fprintf(v.out, text, v.key)
	return err
}

// errNoChain says that there is nothing to check, which is no proof of anything.
var errNoChain = errors.New("no chain")

// looks bounds how often a chain is looked at. The trail follows the licenses by moments, so that a change may still be
// on its way.
const looks = 5

// verify prints the outcome for one chain, and reports whether the chain is fine. An error is not the chain's: the
// chain could not be read.
func (v chainVerifier) verify(ctx context.Context, licenseID string) (fine bool, err error) {
	for look := 1; ; look++ {
		chain := audit.NewVerifier(licenseID, audit.Head{})
		wrong, passing, err := v.look(ctx, licenseID, chain)
		if errors.Is(err, errNoChain) {
			_, err := fmt.Fprintf(v.out, "%s  no chain: other tools alone have written this license, "+
				"and it may be older than the trail\n", licenseID)
			return err == nil, err
		}
		if err != nil {
			return false, err
		}
		if !passing || look == looks {
			err := report(v.out, licenseID, chain, wrong)
			if errors.Is(err, errTrail) {
				return false, nil
			}
			return err == nil, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(v.delay):
		}
	}
}

// look returns what is wrong with a chain, and whether that may be passing.
func (v chainVerifier) look(
	ctx context.Context, licenseID string, chain *audit.Verifier,
) (wrong []string, passing bool, err error) {
	read, err := v.read(ctx, licenseID, chain)
	if err != nil {
		return nil, false, err
	}
	if read.broken != nil {
		return []string{read.broken.Error()}, false, nil
	}
	head, stored := chain.Head(), read.end
	switch {
	case head == (audit.Head{}) && stored.Sequence == 0 && read.last.Foreign:
		return nil, false, errNoChain
	case len(read.entries) == 0 && stored.Sequence == 0 && read.last.RecordHash == "" && !v.checkpoint:
		// With a checkpoint, that tells whether there once were entries.
		return []string{"no entries: the trail knows no such license"}, false, nil
	}
	if stored.Sequence != head.Sequence || stored.Hash != head.Hash {
		wrong = append(wrong, fmt.Sprintf("the entries end with entry %d, the stored head says entry %d",
			head.Sequence, stored.Sequence))
	}
	if read.last.RecordHash != head.RecordHash {
		wrong = append(wrong, "the license is not as its last entry left it: a change is missing in the trail")
	}
	passing = len(wrong) > 0
	if v.checkpoint {
		err := v.checkProof(ctx, chain.LicenseID(), read.entries)
		var problem *vendorapi.Problem
		switch {
		case errors.As(err, &problem) && problem.Status != http.StatusNotFound, ctx.Err() != nil:
			return nil, false, err
		case err != nil:
			wrong = append(wrong, "checkpoint: "+err.Error())
		}
	}
	return wrong, passing, nil
}

// shownChain is a license's chain as the server shows it.
type shownChain struct {
	entries []audit.Entry
	broken  error               // of the first entry that does not follow the one before
	last    vendorapi.AuditPage // tells the end of the chain
	end     vendorapi.ChainHead // of the last page; zero where it has none
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

// checkProof compares a chain with the latest checkpoint. A chain that is younger than the checkpoint is not in it.
func (v chainVerifier) checkProof(ctx context.Context, licenseID string, entries []audit.Entry) error {
	proof, err := v.api.Proof(ctx, licenseID)
	var problem *vendorapi.Problem
	if errors.As(err, &problem) && problem.Status == http.StatusNotFound && v.isYounger(ctx, entries) {
		_, err := fmt.Fprintf(v.out, "%s  not signed yet: its chain is younger than the latest checkpoint\n", licenseID)
		return err
	}
	if err != nil {
		return err
	}
	signed, leaf, err := proof.Verify(v.key, licenseID)
	if err != nil {
		return err
	}
	if age := time.Since(signed.Time); age > v.maxAge {
		return fmt.Errorf("the latest one, number %d, is of %s: older than %s",
			signed.Number, signed.Time.Format(time.RFC3339), v.maxAge)
	}
	return leaf.Check(entries)
}

// isYounger reports whether a chain says that it began after the latest checkpoint.
func (v chainVerifier) isYounger(ctx context.Context, entries []audit.Entry) bool {
	signed, err := v.api.Checkpoint(ctx)
	if err != nil || len(entries) == 0 {
		return false
	}
	latest, errLatest := checkpoint.Open(v.key, []byte(signed))
	begun, errBegun := time.Parse(time.RFC3339, entries[0].Time)
	return errors.Join(errLatest, errBegun) == nil && begun.Add(streamTime).After(latest.Time)
}

// streamTime is how long a change takes to come to the trail, at most as a rule.
const streamTime = time.Minute
