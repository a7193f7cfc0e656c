package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
)

// chainPage is a page of GET /licenses/{licenseid}/audit.
type chainPage struct {
	Entries []audit.Entry
	Cursor  string
	Head    struct {
		Sequence int64
		Hash     string
	}
	RecordHash string
	Foreign    bool
}

// empty tells, of the last page, whether the whole chain is.
func (p chainPage) empty() bool { return len(p.Entries) == 0 && p.Head.Sequence == 0 }

// chain calls do with every entry of a license's chain, and answers the last page.
func (c client) chain(ctx context.Context, licenseID string, do func(audit.Entry) error) (page chainPage, err error) {
	query := url.Values{"limit": {"100"}}
	for {
		page = chainPage{}
		if err := c.get(ctx, licensePath(licenseID)+"/audit", query, &page); err != nil {
			return page, err
		}
		for _, e := range page.Entries {
			if err := do(e); err != nil {
				return page, err
			}
		}
		if page.Cursor == "" {
			return page, nil
		}
		query.Set("cursor", page.Cursor)
	}
}

func licensePath(licenseID string) string { return "/licenses/" + url.PathEscape(licenseID) }

type exportCommand struct {
	LicenseID string `arg:"" name:"licenseid" help:"The license; it may be gone."`
	vendorAPI

	out io.Writer // standard output, unless a test sets it
}

// Run writes what audit.ReadChain reads.
func (c exportCommand) Run(ctx context.Context) error {
	if c.out == nil {
		c.out = os.Stdout
	}
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	page, err := api.chain(ctx, c.LicenseID, func(e audit.Entry) error { return audit.WriteChain(c.out, []audit.Entry{e}) })
	if err == nil && page.empty() {
		return fmt.Errorf("the trail has no entries of the license %s", c.LicenseID)
	}
	return err
}

type verifyCommand struct {
	LicenseIDs    []string      `arg:"" optional:"" name:"licenseid" help:"The licenses whose chains to check; they may be gone."`
	All           bool          `help:"Check the chains of all licenses that the vendor's API lists: not of those that are gone, and on AWS not of those that other tools alone have written. The checkpoint function looks at all of them."`
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
		return errors.New("--file checks the file alone: leave out licenses, --all and --checkpoint, or leave out --file to check them with the server")
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
	v := chainVerifier{api: api, key: c.CheckpointKey, checkpoint: c.Checkpoint, maxAge: c.MaxAge, delay: c.delay, out: c.out}
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
		if err := api.licenses(ctx, func(l vendorLicense) error { return verify(l.LicenseID) }); err != nil {
			return err
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

// report prints what a verified chain says, and answers errTrail when that is not as it should be.
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
	api        client
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
	if err := v.api.get(ctx, "/audit/checkpoint-key", nil, &v.key); err != nil {
		return err
	}
	v.key = strings.TrimSuffix(v.key, "\n")
	_, err := fmt.Fprintf(v.out, "The server shows this key of checkpoints; compare it with the one that you have kept:\n  %s\n", v.key)
	return err
}

// errNoChain says that there is nothing to check, which is no proof of anything.
var errNoChain = errors.New("no chain")

// looks is how often a chain is looked at before something is wrong that may only be on its way: the trail follows the
// licenses by moments.
const looks = 5

// verify prints the outcome of one chain. The error is one of the way there, not of the chain.
func (v chainVerifier) verify(ctx context.Context, licenseID string) (fine bool, err error) {
	for look := 1; ; look++ {
		chain := audit.NewVerifier(licenseID, audit.Head{})
		wrong, passing, err := v.look(ctx, licenseID, chain)
		if errors.Is(err, errNoChain) {
			_, err := fmt.Fprintf(v.out, "%s  no chain: other tools alone have written this license, and it may be older than the trail\n", licenseID)
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

// look answers what is wrong, and whether that may be passing.
func (v chainVerifier) look(ctx context.Context, licenseID string, chain *audit.Verifier) (wrong []string, passing bool, err error) {
	var broken error
	var entries []audit.Entry
	page, err := v.api.chain(ctx, licenseID, func(e audit.Entry) error {
		if len(entries) == 0 && strings.EqualFold(e.LicenseID, licenseID) { // the API finds an id in either case
			licenseID = e.LicenseID
			*chain = *audit.NewVerifier(licenseID, audit.Head{})
		}
		if broken == nil {
			broken = chain.Next(e)
		}
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	if broken != nil {
		return []string{broken.Error()}, false, nil
	}
	head := chain.Head()
	if head == (audit.Head{}) && page.Head.Sequence == 0 && page.Foreign {
		return nil, false, errNoChain
	}
	if page.empty() && page.RecordHash == "" && !v.checkpoint { // else the checkpoint tells whether there once were some
		return []string{"no entries: the trail knows no such license"}, false, nil
	}
	if page.Head.Sequence != head.Sequence || page.Head.Hash != head.Hash {
		wrong = append(wrong, fmt.Sprintf("the entries end with entry %d, the stored head says entry %d", head.Sequence, page.Head.Sequence))
	}
	if page.RecordHash != head.RecordHash {
		wrong = append(wrong, "the license is not as its last entry left it: a change is missing in the trail")
	}
	passing = len(wrong) > 0
	if v.checkpoint {
		err := v.checkProof(ctx, licenseID, entries)
		var status *statusError
		switch {
		case errors.As(err, &status) && status.status != http.StatusNotFound, ctx.Err() != nil:
			return nil, false, err
		case err != nil:
			wrong = append(wrong, "checkpoint: "+err.Error())
		}
	}
	return wrong, passing, nil
}

// checkProof holds a chain to the latest checkpoint. One that is younger than it is not in it.
func (v chainVerifier) checkProof(ctx context.Context, licenseID string, entries []audit.Entry) error {
	var proof checkpoint.Proof
	err := v.api.get(ctx, licensePath(licenseID)+"/audit/proof", nil, &proof)
	var status *statusError
	if errors.As(err, &status) && status.status == http.StatusNotFound && v.isYounger(ctx, entries) {
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
		return fmt.Errorf("the latest one, number %d, is of %s: older than %s", signed.Number, signed.Time.Format(time.RFC3339), v.maxAge)
	}
	return leaf.Check(entries)
}

// isYounger tells whether a chain says that it began after the latest checkpoint.
func (v chainVerifier) isYounger(ctx context.Context, entries []audit.Entry) bool {
	var signed string
	if v.api.get(ctx, "/audit/checkpoint", nil, &signed) != nil || len(entries) == 0 {
		return false
	}
	latest, errLatest := checkpoint.Open(v.key, []byte(signed))
	begun, errBegun := time.Parse(time.RFC3339, entries[0].Time)
	return errors.Join(errLatest, errBegun) == nil && begun.Add(streamTime).After(latest.Time)
}

// streamTime is what a change needs at most, as a rule, to come to the trail.
const streamTime = time.Minute
