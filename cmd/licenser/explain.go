package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	At            *instant    `help:"The moment, as 2027-01-31 (its beginning, in UTC) or 2027-01-31T15:04:05Z. Now unless set." placeholder:"TIME"`
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
	End       *time.Time      `json:"end,omitempty"`   // the expiration date, where it led to the status by itself
	Entry     *explainedEntry `json:"entry,omitempty"` // that led to the status, or had set the end
	Last      int64           `json:"lastentry"`       // the latest at the moment; 0: none
	LastHash  string          `json:"lasthash,omitempty"`
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
	Checked  bool      `json:"checked"` // with a key that is trusted; else anybody may have signed
	Sequence int64     `json:"entries"` // up to this one
}

// Run answers for the moment.
func (c explainCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	if (c.File == "") == (c.License == "") {
		return usageError("name a license, or --file")
	}
	at := t.Now().UTC().Truncate(time.Second)
	if c.At != nil {
		at = c.At.UTC()
	}
	if at.After(t.Now()) {
		return usageError("--at is in the future, of which the trail tells nothing")
	}
	x := explanation{At: at, Doubts: []string{}}
	chain, err := c.evidence(ctx, &x)
	if err != nil {
		return err
	}
	if err := x.answer(chain); err != nil {
		return err
	}
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
func (c explainCommand) evidence(ctx context.Context, x *explanation) (chain explainedChain, err error) {
	if c.File != "" {
		e, err := readEvidence(c.File)
		if err != nil {
			return chain, err
		}
		return x.proveFile(e, c.CheckpointKey)
	}
	api, err := c.client(ctx)
	if err != nil {
		return chain, err
	}
	id, err := c.License.resolve(ctx, api)
	if err != nil {
		return chain, c.License.explain(err)
	}
	vkey := c.CheckpointKey
	if vkey == "" {
		if vkey, err = api.CheckpointKey(ctx); err != nil {
			return chain, err
		}
	}
	e, last, err := fetchEvidence(ctx, api, id, vkey)
	if isCode(err, "NOT_IN_CHECKPOINT") || isCode(err, "NO_CHECKPOINT") {
		return x.unproven(ctx, api, id)
	}
	if err != nil {
		return chain, err
	}
	if chain, err = x.prove(e, vkey); err != nil {
		return chain, err
	}
	chain.last = &last
	return chain, nil
}

// explainedChain is a chain that was checked, and what of it decides.
type explainedChain struct {
	signed  []audit.Entry        // decide; all entries, where there is no checkpoint
	entries []audit.Entry        // with those behind the checkpoint, which can only add doubts
	head    audit.Head           // of entries
	last    *vendorapi.AuditPage // what the server says of the chain's end; nil: nobody was asked
}

// proveFile checks evidence that may come from anybody. Entries behind the checkpoint are left out, because whoever
// passes a file on can add some.
func (x *explanation) proveFile(e checkpoint.Evidence, vkey string) (explainedChain, error) {
	chain, err := x.prove(e, vkey)
	if all := len(chain.entries); all > len(chain.signed) {
		x.doubt("the file goes on up to entry %d, and the checkpoint signs only those up to entry %d: "+
			"the others may be forged, and are left out", all, len(chain.signed))
	}
	chain.entries = chain.signed
	return chain, err
}

// prove checks evidence.
func (x *explanation) prove(e checkpoint.Evidence, vkey string) (chain explainedChain, err error) {
	v, err := e.Verify(vkey)
	isUntrusted := errors.Is(err, checkpoint.ErrUntrusted)
	if err != nil && !isUntrusted {
		return chain, fmt.Errorf("%w: %w", errTrail, err)
	}
	if isUntrusted {
		x.doubt("nobody has checked who has signed this, so that anybody may have made up all of it: " +
			"--checkpoint-key KEY checks it, with a key from elsewhere")
	}
	x.LicenseID = v.Leaf.LicenseID
	x.Proof = &explainedProof{v.Checkpoint.Number, v.Checkpoint.Time, e.Key, !isUntrusted, v.Leaf.Sequence}
	if x.At.After(v.Checkpoint.Time) {
		x.doubt("the checkpoint is of %s: what happened between then and the moment is not signed",
			moment(v.Checkpoint.Time))
	}
	return explainedChain{signed: e.Entries[:v.Leaf.Sequence], entries: e.Entries, head: v.Chain.Head()}, nil
}

// unproven reads a chain that no checkpoint has signed yet.
func (x *explanation) unproven(
	ctx context.Context, api *vendorapi.Client, id string,
) (chain explainedChain, err error) {
	entries, last, err := fetchChain(ctx, api, id)
	if err != nil {
		return chain, err
	}
	if len(entries) == 0 {
		return chain, fmt.Errorf("the trail has no entries of the license %s", id)
	}
	x.LicenseID = entries[0].LicenseID
	head, err := audit.Verify(x.LicenseID, audit.Head{}, entries)
	if err != nil {
		return chain, fmt.Errorf("%w: %w", errTrail, err)
	}
	x.doubt("no checkpoint has signed the chain yet")
	return explainedChain{entries, entries, head, &last}, nil
}

func (x *explanation) doubt(format string, values ...any) {
	x.Doubts = append(x.Doubts, fmt.Sprintf(format, values...))
}

// answer takes over what the signed entries tell, and what makes that doubtful.
func (x *explanation) answer(chain explainedChain) error {
	s, err := audit.StandingAt(chain.signed, x.At)
	if err != nil {
		return err
	}
	x.take(s)
	all, err := audit.StandingAt(chain.entries, x.At)
	if err != nil {
		return err
	}
	x.doubtUnsigned(s, all)
	x.Doubts = append(x.Doubts, s.Doubts...)
	for _, doubt := range all.Doubts {
		if !slices.Contains(s.Doubts, doubt) {
			x.doubt("%s", doubt)
		}
	}
	if chain.last != nil && all.Next.Sequence == 0 {
		x.doubtEnd(chain)
	}
	return nil
}

func (x *explanation) take(s audit.Standing) {
	x.Status, x.Last, x.LastHash = s.Status, s.Last.Sequence, s.Last.Hash
	if s.Status != audit.Unknown && s.Status != license.Unreadable {
		usable := s.IsUsable()
		x.Usable = &usable
	}
	if !s.Since.IsZero() {
		x.Since = &s.Since
	}
	if !s.End.IsZero() {
		x.End = &s.End
	}
	if e := s.Decided; e.Sequence > 0 {
		x.Entry = &explainedEntry{e.Sequence, e.Action, e.Time, e.Actor, e.Reason, e.Hash}
	}
}

// doubtUnsigned says what the entries behind the checkpoint change.
func (x *explanation) doubtUnsigned(signed, all audit.Standing) {
	switch {
	case all.Status != signed.Status || !all.Since.Equal(signed.Since) ||
		all.Decided.Sequence != signed.Decided.Sequence:
		x.doubt("this is what the signed entries say; with those that are younger than the checkpoint, up to "+
			"entry %d, the license %s%s", all.Last.Sequence, statusWords[all.Status], since(all))
	case all.Counted > signed.Counted:
		x.doubt("entries up to entry %d are younger than the checkpoint, and not signed; they do not change the answer",
			all.Last.Sequence)
	}
}

func since(s audit.Standing) string {
	if s.Since.IsZero() {
		return ""
	}
	return fmt.Sprintf(", since %s (entry %d, %s)", moment(s.Since), s.Decided.Sequence, s.Decided.Action)
}

// doubtEnd compares the end of the chain with what the server says of it. A change that is missing there came after all
// entries.
func (x *explanation) doubtEnd(chain explainedChain) {
	said := vendorapi.ChainHead{}
	if chain.last.Head != nil {
		said = *chain.last.Head
	}
	if said.Sequence != chain.head.Sequence || said.Hash != chain.head.Hash {
		x.doubt("the entries end with entry %d, and the stored head says entry %d: a change may be missing",
			chain.head.Sequence, said.Sequence)
	}
	if chain.last.RecordHash != chain.head.RecordHash {
		x.doubt("the license is not as its last entry left it: a change may be missing, or on its way to the trail")
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
	doubts := x.Doubts
	if p := x.Proof; p != nil && !p.Checked { // then nothing else is worth anything
		lines = []string{"Beware: " + doubts[0] + ".", lines[0]}
		doubts = doubts[1:]
	}
	if e := x.Entry; e != nil {
		lines = append(lines, x.cause())
		if e.Sequence != x.Last {
			lines = append(lines, fmt.Sprintf("Entry %d has the hash %s.", e.Sequence, e.Hash))
		}
	}
	if x.Last == 0 {
		lines = append(lines, "Its chain begins later.")
	} else {
		lines = append(lines, fmt.Sprintf("The latest entry then was number %d. It has the hash %s.",
			x.Last, x.LastHash))
	}
	if x.Proof != nil {
		lines = append(lines, x.Proof.text())
	}
	for _, doubt := range doubts {
		lines = append(lines, "But "+strings.TrimSuffix(doubt, ".")+".")
	}
	return lines
}

// cause says since when the status was so, and what led to it.
func (x *explanation) cause() string {
	e := x.Entry
	decided := fmt.Sprintf("by %s%s (entry %d, %s, of %s)", e.Actor, because(e.Reason), e.Sequence, e.Action, e.Time)
	switch {
	case x.End == nil:
		return fmt.Sprintf("That was so since %s, %s.", moment(*x.Since), decided)
	case x.End.Equal(*x.Since):
		return fmt.Sprintf("That was so since %s: its end, as set %s.", moment(*x.Since), decided)
	}
	return fmt.Sprintf("That was so since %s: its end, %s, and its days of grace, as set %s.",
		moment(*x.Since), moment(*x.End), decided)
}

func (p explainedProof) text() string {
	if !p.Checked {
		return fmt.Sprintf("The file says that checkpoint %d of %s, signed with %s, holds the chain up to entry %d.",
			p.Number, moment(p.Time), p.Key, p.Sequence)
	}
	return fmt.Sprintf("Checkpoint %d of %s, signed with %s, proves the chain up to entry %d.",
		p.Number, moment(p.Time), p.Key, p.Sequence)
}

func moment(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") }

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ", because: " + reason
}
