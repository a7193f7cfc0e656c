package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

// explainCommand says whether a license could be used at a moment, and what proves it.
type explainCommand struct {
	License       licenseName `arg:"" optional:"" name:"license" help:"The license: its id, its license key in either form, or its reference. By its id it may be gone."`
	At            instant     `help:"The moment, as 2027-01-31 (its beginning, in UTC) or 2027-01-31T15:04:05Z. Now unless set." placeholder:"TIME"`
	File          string      `help:"Go by a file that licenser audit export --evidence wrote, and ask nobody." type:"existingfile"`
	CheckpointKey string      `help:"The key of checkpoints, as you have kept it from /audit/checkpoint-key. Without it the server's is used, and of a file nobody checks who has signed it." placeholder:"KEY"`
	vendorAPI
}

func (explainCommand) Help() string {
	return "The exit code is 0 whatever the answer is, and 1 where there is none.\n\n" +
		examples(`licenser audit explain order-4711 --at 2026-01-31T12:00:00Z`)
}

// instant is a moment that a person writes.
type instant struct{ time.Time }

// UnmarshalText is called by the parser.
func (i *instant) UnmarshalText(text []byte) (err error) {
	if i.Time, err = time.Parse(time.RFC3339, string(text)); err != nil {
		i.Time, err = time.Parse(time.DateOnly, string(text))
	}
	if err != nil {
		return fmt.Errorf("%q is no moment as 2027-01-31 or 2027-01-31T15:04:05Z", text)
	}
	return nil
}

// explanation is the answer, as programs get it.
type explanation struct {
	LicenseID string          `json:"licenseid"`
	At        time.Time       `json:"at"`
	Usable    *bool           `json:"usable"` // null: the trail does not tell
	Status    license.Status  `json:"status"`
	Since     *time.Time      `json:"since,omitempty"`
	Entry     *explainedEntry `json:"entry,omitempty"` // that led to the status
	Last      int64           `json:"lastentry"`       // the latest at the moment; 0: none
	Proof     *explainedProof `json:"proof,omitempty"`
	Doubts    []string        `json:"doubts"`
}

type explainedEntry struct {
	Sequence int64        `json:"sequence"`
	Action   audit.Action `json:"action"`
	Time     string       `json:"time"`
	Actor    string       `json:"actor"`
	Reason   string       `json:"reason,omitempty"`
	Hash     string       `json:"hash"`
}

type explainedProof struct {
	Number   int64     `json:"checkpoint"`
	Time     time.Time `json:"time"`
	Key      string    `json:"key"`
	Sequence int64     `json:"entries"` // up to this one
}

// Run answers for the moment.
func (c explainCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	if (c.File == "") == (c.License == "") {
		return usageError("name a license, or --file")
	}
	at := c.At.UTC()
	if at.IsZero() {
		at = t.Now().UTC().Truncate(time.Second)
	}
	if at.After(t.Now()) {
		return usageError("--at is in the future, of which the trail tells nothing")
	}
	x := explanation{At: at, Doubts: []string{}}
	entries, err := c.evidence(ctx, &x)
	if err != nil {
		return err
	}
	standing, err := audit.StandingAt(entries, at)
	if err != nil {
		return err
	}
	x.answer(standing)
	if t.Format != terminal.Text {
		if t.Format == terminal.CSV {
			return usageError("The answer is text or JSON: leave out --output csv.")
		}
		text, err := json.MarshalIndent(x, "", "  ")
		if err != nil {
			return err
		}
		if _, err = fmt.Fprintf(t.Out, "%s\n", text); err != nil {
			return err
		}
		return x.unanswered()
	}
	for _, line := range x.lines() {
		if _, err := fmt.Fprintln(t.Out, terminal.Printable(line)); err != nil {
			return err
		}
	}
	return x.unanswered()
}

// unanswered returns an error where the answer is neither yes nor no.
func (x *explanation) unanswered() error {
	if x.Usable == nil {
		return errors.New("the trail does not tell whether the license could be used")
	}
	return nil
}

// evidence returns the chain, after it was checked, and tells what proves it.
func (c explainCommand) evidence(ctx context.Context, x *explanation) ([]audit.Entry, error) {
	if c.File != "" {
		e, err := readEvidence(c.File)
		if err != nil {
			return nil, err
		}
		return e.Entries, x.prove(e, c.CheckpointKey)
	}
	api, err := c.client(ctx)
	if err != nil {
		return nil, err
	}
	id, err := c.License.resolve(ctx, api)
	if err != nil {
		return nil, c.License.explain(err)
	}
	vkey := c.CheckpointKey
	if vkey == "" {
		if vkey, err = api.CheckpointKey(ctx); err != nil {
			return nil, err
		}
	}
	e, err := fetchEvidence(ctx, api, id, vkey)
	if isCode(err, "NOT_IN_CHECKPOINT") || isCode(err, "NO_CHECKPOINT") {
		return x.unproven(ctx, api, id)
	}
	if err != nil {
		return nil, err
	}
	return e.Entries, x.prove(e, vkey)
}

// prove checks evidence.
func (x *explanation) prove(e checkpoint.Evidence, vkey string) error {
	v, err := e.Verify(vkey)
	isUntrusted := errors.Is(err, checkpoint.ErrUntrusted)
	if err != nil && !isUntrusted {
		return fmt.Errorf("%w: %w", errTrail, err)
	}
	if isUntrusted {
		x.doubt("nobody has checked who has signed the checkpoint: " +
			"--checkpoint-key KEY does, with a key from elsewhere")
	}
	x.LicenseID = v.Leaf.LicenseID
	x.Proof = &explainedProof{v.Checkpoint.Number, v.Checkpoint.Time, e.Key, v.Leaf.Sequence}
	if x.At.After(v.Checkpoint.Time) {
		x.doubt("the checkpoint is of %s: what happened between then and the moment is not signed",
			v.Checkpoint.Time.Format(time.RFC3339))
	}
	return nil
}

// unproven reads a chain that no checkpoint has signed yet.
func (x *explanation) unproven(
	ctx context.Context, api *vendorapi.Client, id string,
) (entries []audit.Entry, err error) {
	for e, err := range api.AuditEntries(ctx, id) {
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	x.LicenseID = id
	if len(entries) == 0 {
		return nil, fmt.Errorf("the trail has no entries of the license %s", id)
	}
	x.LicenseID = entries[0].LicenseID
	x.doubt("no checkpoint has signed the chain yet")
	return entries, verifyChain(x.LicenseID, entries)
}

func (x *explanation) doubt(format string, values ...any) {
	x.Doubts = append(x.Doubts, fmt.Sprintf(format, values...))
}

// answer takes over what the chain tells.
func (x *explanation) answer(s audit.Standing) {
	x.Status, x.Last = s.Status, s.Last.Sequence
	if s.Status != audit.Unknown && s.Status != license.Unreadable {
		usable := s.IsUsable()
		x.Usable = &usable
	}
	if !s.Since.IsZero() {
		x.Since = &s.Since
	}
	if e := s.Decided; e.Sequence > 0 {
		x.Entry = &explainedEntry{e.Sequence, e.Action, e.Time, e.Actor, e.Reason, e.Hash}
	}
	x.Doubts = append(x.Doubts, s.Doubts...)
	if x.Proof != nil && s.Last.Sequence > x.Proof.Sequence {
		x.doubt("entry %d is younger than the checkpoint", s.Last.Sequence)
	}
}

// statusWords say what a status means.
var statusWords = map[license.Status]string{
	license.Active:     "could be used",
	license.Grace:      "could be used, in its days of grace after its end",
	license.Revoked:    "could not be used: it was revoked",
	license.Suspended:  "could not be used: it was suspended",
	license.Expired:    "could not be used: it had expired",
	license.Unreadable: "could not be verified: its record could not be understood, which is a fault and no refusal",
	audit.Absent:       "could not be used: there was none",
	audit.Unknown:      "may or may not have been usable: the trail does not tell",
}

// lines are the answer for people.
func (x *explanation) lines() []string {
	lines := []string{fmt.Sprintf("On %s the license %s %s.", moment(x.At), x.LicenseID, statusWords[x.Status])}
	switch e := x.Entry; {
	case e == nil && x.Last == 0:
		lines = append(lines, "Its chain begins later.")
	case e != nil:
		lines = append(lines, fmt.Sprintf("That was so since %s, by %s%s (entry %d, %s, of %s).",
			moment(*x.Since), e.Actor, because(e.Reason), e.Sequence, e.Action, e.Time))
		lines = append(lines, fmt.Sprintf("The latest entry then was number %d. Entry %d has the hash %s.",
			x.Last, e.Sequence, e.Hash))
	}
	if p := x.Proof; p != nil {
		lines = append(lines, fmt.Sprintf("Checkpoint %d of %s, signed with %s, proves the chain up to entry %d.",
			p.Number, moment(p.Time), p.Key, p.Sequence))
	}
	for _, doubt := range x.Doubts {
		lines = append(lines, "But "+strings.TrimSuffix(doubt, ".")+".")
	}
	return lines
}

func moment(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") }

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ", because: " + reason
}
