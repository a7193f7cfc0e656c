package restore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/license"
)

// Trail is what a Restorer reads of an audit trail.
type Trail interface {
	audit.HeadLister
	audit.EntryReader
	State(ctx context.Context, licenseID string) (audit.State, error)
}

// Restorer compares records with an audit trail, and makes the changes again that they have forgotten. It can be
// interrupted anywhere and repeated.
type Restorer struct {
	Records license.Records
	Trail   Trail

	// Branch is the trail that came back with the records, where Trail is another one: a copy of it that went on. Nil
	// where there is one trail.
	Branch Trail

	Writer license.Rewriter // not needed for plans

	// Forget, where it is set, makes other stores forget the customer of a license. It is called with each license that
	// is erased, before and after that.
	Forget func(ctx context.Context, licenseID string) error

	Now       func() time.Time
	Mark      func() string // returns a text that no erasure had before
	RequestID string        // of all that is written
}

// Suspects returns the licenses whose record may not be as the trail says, in the order of their ids: it differs from
// the end of the chain, or the chain has a gap or an erasure. seen is called now and then with the number of records so
// far. It reads every record and the heads of all chains, and no chain.
func (r Restorer) Suspects(ctx context.Context, seen func(int)) ([]string, error) {
	records := counted{checkpoint.StoredRecords{Records: r.Records}, seen}
	return checkpoint.Differing(ctx, records, r.Trail, func(head audit.ChainHead) bool {
		return head.GapSequence > 0 || head.ErasedSequence > 0
	})
}

// Plan returns what is to be done to the record of a license. A chain that does not verify up to its head is not
// believed, and the record is left alone. The error is one of the stores.
func (r Restorer) Plan(ctx context.Context, licenseID string) (Plan, error) {
	p, err := r.plan(ctx, licenseID)
	var broken *brokenError
	if errors.As(err, &broken) {
		return Plan{LicenseID: licenseID, What: LeftAlone, Found: broken.why}, nil
	}
	if err != nil {
		return Plan{}, fmt.Errorf("license %q: %w", licenseID, err)
	}
	return p, nil
}

// brokenError says why a chain, or a record, cannot be gone by.
type brokenError struct{ why string }

func (e *brokenError) Error() string { return e.why }

func (r Restorer) plan(ctx context.Context, licenseID string) (Plan, error) {
	chain, err := r.chain(ctx, licenseID)
	if err != nil {
		return Plan{}, err
	}
	// The record is read after the chain: then a change in between looks unrecorded, and not as if it were older.
	record, err := r.Records.Record(ctx, licenseID)
	switch {
	case errors.Is(err, license.ErrUnreadable):
		return Plan{}, &brokenError{"its record cannot be read"}
	case err != nil && !errors.Is(err, license.ErrNotFound):
		return Plan{}, err
	case len(chain.entries) > 0:
		last, err := endOf(chain.state, record)
		if err != nil {
			return Plan{}, err
		}
		t := newTimeline(chain.entries, last)
		t.wanted.isTold = t.wanted.isTold || t.wanted.isErased && chain.isTold
		return t.plan(licenseID, record, r.Mark())
	case record == nil:
		return Plan{}, &brokenError{"there is no such license, and there is nothing on the trail of it"}
	case license.RecordVersion(record) < 1:
		const found = "other tools alone have written it, maybe before the trail began"
		return Plan{LicenseID: licenseID, What: None, Found: found}, nil
	}
	const found = "there is nothing on the trail of it"
	return Plan{LicenseID: licenseID, What: LeftAlone, MayPass: true, Found: found}, nil
}

// chain is what trails tell of a license.
type chain struct {
	entries []audit.Entry // in the order of their events, with what they disclose
	state   audit.State   // at their end
	isTold  bool          // the trail beside the records tells of the customer
}

// chain reads the chain of a license. One that went on in two copies of a trail is first as in the one, and then as in
// the other from where they part.
func (r Restorer) chain(ctx context.Context, licenseID string) (c chain, err error) {
	if c.entries, c.state, err = readChain(ctx, r.Trail, licenseID); err != nil || r.Branch == nil {
		return c, err
	}
	branch, state, err := readChain(ctx, r.Branch, licenseID)
	if err != nil {
		return c, err
	}
	for _, e := range branch {
		c.isTold = e.Action != audit.Erased && (c.isTold || tells(e))
	}
	common := 0
	for common < min(len(c.entries), len(branch)) && c.entries[common].Hash == branch[common].Hash {
		common++
	}
	if common == len(branch) {
		return c, nil
	}
	parted := slices.Clone(branch[common:])
	parted[0].Gap = parted[0].Gap || common < len(c.entries)
	c.entries, c.state = append(c.entries, parted...), state
	return c, nil
}

// pageSize is how many entries are read at once.
const pageSize = 500

// readChain returns a chain with what it discloses, and its state. It goes no further than that: entries may come in
// meanwhile. The error is a *brokenError where the chain does not verify.
func readChain(ctx context.Context, trail Trail, licenseID string) ([]audit.Entry, audit.State, error) {
	state, err := trail.State(ctx, licenseID)
	if err != nil {
		return nil, state, asBroken(err)
	}
	verifier := audit.NewVerifier(licenseID, audit.Head{})
	var chain []audit.Entry
	for sequence := verifier.Head().Sequence; sequence < state.Sequence; sequence = verifier.Head().Sequence {
		page := int(min(pageSize, state.Sequence-sequence))
		entries, err := audit.DisclosedEntries(ctx, trail, licenseID, sequence, page)
		if err != nil {
			return nil, state, asBroken(err)
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			if err := verifier.Next(e); err != nil {
				return nil, state, &brokenError{"its chain is not as it should be: " + err.Error()}
			}
			chain = append(chain, e)
		}
	}
	if verifier.Head() != state.Head {
		return nil, state, &brokenError{fmt.Sprintf("its chain is not as it should be: "+
			"the entries end with entry %d, the stored head says entry %d", verifier.Head().Sequence, state.Sequence)}
	}
	return inOrder(chain), state, nil
}

func asBroken(err error) error {
	if errors.Is(err, audit.ErrUnreadable) {
		return &brokenError{"its chain cannot be read"}
	}
	return err
}

// inOrder returns entries in the order of their events. Those that are late were recorded behind later ones.
func inOrder(chain []audit.Entry) []audit.Entry {
	if slices.ContainsFunc(chain, func(e audit.Entry) bool { return e.Late }) {
		slices.SortStableFunc(chain, func(a, b audit.Entry) int { return a.Position().Compare(b.Position()) })
	}
	return chain
}

// counted says how many records were seen.
type counted struct {
	checkpoint.Records
	seen func(int)
}

// Hashes implements checkpoint.Records.
func (c counted) Hashes(ctx context.Context) iter.Seq2[checkpoint.RecordHash, error] {
	return func(yield func(checkpoint.RecordHash, error) bool) {
		so := 0
		for hash, err := range c.Records.Hashes(ctx) {
			so++
			c.seen(so)
			if !yield(hash, err) {
				return
			}
		}
	}
}

// Done is what became of a plan.
type Done struct {
	Plan
	Result string `json:"result,omitempty"` // ResultDone, or why nothing was done; empty: nothing was to be done
}

// ResultDone is the result of what was done.
const ResultDone = "done"

// attempts bounds how often a record is looked at again because others have written it meanwhile.
const attempts = 3

// Apply does what was planned, if that is still to be done. The error is one of the stores: what was written until then
// stays, and Apply can be repeated.
func (r Restorer) Apply(ctx context.Context, shown Plan) (Done, error) {
	isTaken, isBegun := false, false
	for range attempts {
		p, err := r.Plan(ctx, shown.LicenseID)
		switch {
		case err != nil:
			return Done{}, err
		case p.What == None:
			return Done{p, "nothing is to be done any more"}, nil
		case p.What != shown.What && !isBegun:
			return Done{p, "what is to be done has changed meanwhile"}, nil
		}
		begun, err := r.writeAll(ctx, p, isTaken)
		isBegun = isBegun || begun
		var taken *license.ReferenceTakenError
		switch {
		case err == nil && isTaken:
			return Done{p, ResultDone + ", without its reference, which another license has"}, nil
		case err == nil:
			return Done{p, ResultDone}, nil
		case errors.As(err, &taken) && !isTaken:
			isTaken = true
		case !errors.Is(err, license.ErrConflict):
			return Done{}, fmt.Errorf("license %q: %w", shown.LicenseID, err)
		}
	}
	return Done{shown, fmt.Sprintf("others have written it %d times meanwhile", attempts)}, nil
}

// writeAll makes the writes of a plan, and what goes with an erasure: before that, because another try would not see
// that it is missing, and after it, because until then the stores take more.
func (r Restorer) writeAll(ctx context.Context, p Plan, withoutReference bool) (begun bool, err error) {
	if p.What != Erase || r.Forget == nil {
		return r.write(ctx, p, withoutReference)
	}
	if err := r.Forget(ctx, p.LicenseID); err != nil {
		return false, err
	}
	if begun, err = r.write(ctx, p, withoutReference); err != nil {
		return begun, err
	}
	return begun, r.Forget(ctx, p.LicenseID)
}

// write makes the writes of a plan, and reports whether it has made any. After a crash between two there is a record
// that is marked for removal, which the next plan removes.
func (r Restorer) write(ctx context.Context, p Plan, withoutReference bool) (begun bool, err error) {
	before := p.before
	c := license.Change{At: r.Now(), By: license.RestoreActor, Reason: p.reason(), RequestID: r.RequestID}
	for i, after := range p.writes {
		w, err := license.NewRewrite(before, after, p.version+int64(i), c, p.issued)
		if err != nil {
			return begun, err
		}
		if withoutReference {
			w = w.WithoutReference()
		}
		if err := r.Writer.Rewrite(ctx, p.LicenseID, w); err != nil {
			return begun, err
		}
		before, begun = w.Apply(before), true
	}
	return begun, nil
}

func (p Plan) reason() string {
	if p.From == p.To {
		return fmt.Sprintf("restored from the audit trail: entry %d", p.To)
	}
	return fmt.Sprintf("restored from the audit trail: entries %d to %d", p.From, p.To)
}
