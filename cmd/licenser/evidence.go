package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/vendorapi"
)

// fetchEvidence asks for a license's chain and its proof. The chain's last page tells how it should end.
func fetchEvidence(
	ctx context.Context, api *vendorapi.Client, licenseID, vkey string,
) (e checkpoint.Evidence, last vendorapi.AuditPage, err error) {
	e.Key = checkpoint.KeyID(vkey)
	if e.Proof, err = api.Proof(ctx, licenseID); err != nil { // before the chain, which only grows
		return e, last, err
	}
	e.Entries, last, err = fetchChain(ctx, api, licenseID)
	return e, last, err
}

// fetchChain asks for a license's chain. The last page tells how it should end.
func fetchChain(
	ctx context.Context, api *vendorapi.Client, licenseID string,
) (entries []audit.Entry, last vendorapi.AuditPage, err error) {
	for page, err := range api.AuditPages(ctx, licenseID) {
		if err != nil {
			return nil, last, err
		}
		entries, last = append(entries, page.Entries...), page
	}
	return entries, last, nil
}

// exportEvidence writes a file that needs no server, after it was checked.
func exportEvidence(
	ctx context.Context, t *terminal.Terminal, api *vendorapi.Client, licenseID string, withoutValues bool,
) error {
	vkey, err := api.CheckpointKey(ctx)
	if err != nil {
		return err
	}
	e, _, err := fetchEvidence(ctx, api, licenseID, vkey)
	if isCode(err, "NOT_IN_CHECKPOINT") {
		return advised{err, "The chain is younger than the latest checkpoint: export it after the next one."}
	}
	if err != nil {
		return err
	}
	if withoutValues {
		e.Entries = mapped(e.Entries, audit.Entry.Closed)
	}
	v, err := e.Verify(vkey)
	if err != nil {
		return fmt.Errorf("%w: %w", errTrail, err)
	}
	if err := e.Write(t.Out); err != nil {
		return err
	}
	t.Say("%s", provenText(v, e.Key))
	sayYounger(t, v)
	return nil
}

func provenText(v checkpoint.Verdict, key string) string {
	return fmt.Sprintf("Checkpoint %d of %s, signed with %s, proves the chain up to entry %d.",
		v.Checkpoint.Number, v.Checkpoint.Time.Format(time.RFC3339), key, v.Leaf.Sequence)
}

func sayYounger(t *terminal.Terminal, v checkpoint.Verdict) {
	if last := v.Chain.Head().Sequence; last > v.Leaf.Sequence {
		t.Say("What follows, up to entry %d, is younger than the checkpoint, which does not prove it.", last)
	}
}

// openFile opens an exported file, and reports whether it is evidence or a chain alone.
func openFile(path string) (file io.ReadCloser, isEvidence bool, err error) {
	opened, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	buffered := bufio.NewReader(opened)
	beginning, _ := buffered.Peek(64) // a shorter file is none of both, and that is said later
	return struct {
		io.Reader
		io.Closer
	}{buffered, opened}, checkpoint.IsEvidence(beginning), nil
}

// verifyEvidence checks a file with nothing but a key. Without one it says what it could not check, and fails.
func (c verifyCommand) verifyEvidence(t *terminal.Terminal, file io.Reader) error {
	e, err := checkpoint.ReadEvidence(file)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	v, err := e.Verify(c.CheckpointKey)
	if err != nil && !errors.Is(err, checkpoint.ErrUntrusted) {
		return fmt.Errorf("%w: %s: %w", errTrail, c.File, err)
	}
	outcome := newOutcome(v.Chain.LicenseID(), v.Chain, verdict{})
	if err == nil {
		outcome.Proven = &v.Leaf.Sequence
	}
	if errWrite := writeOutcomes(t, listed([]chainOutcome{outcome})); errWrite != nil {
		return errWrite
	}
	if err != nil {
		t.Say("Its entries follow each other, and lead to checkpoint %d of %s. Not checked: who has signed that. "+
			"--checkpoint-key KEY checks it, with a key that you have from elsewhere; the file says that it is %s.",
			v.Checkpoint.Number, v.Checkpoint.Time.Format(time.RFC3339), e.Key)
		return err
	}
	t.Say("%s", provenText(v, e.Key))
	sayYounger(t, v)
	sayWithheld(t, v.Chain)
	if outcome.Result == chainWrong {
		return errTrail
	}
	return nil
}

// readEvidence reads a file of evidence.
func readEvidence(path string) (checkpoint.Evidence, error) {
	file, isEvidence, err := openFile(path)
	if err != nil {
		return checkpoint.Evidence{}, err
	}
	defer file.Close()
	if !isEvidence {
		return checkpoint.Evidence{}, fmt.Errorf(
			"%s is no evidence, as licenser audit export --evidence writes it", path)
	}
	e, err := checkpoint.ReadEvidence(file)
	if err != nil {
		return checkpoint.Evidence{}, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
}
