package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"time"

	"openlicenser/shared/audit"
)

// Trail is what a Maker reads of the audit trail.
type Trail interface {
	audit.HeadLister
	State(ctx context.Context, licenseID string) (audit.State, error)
	Entries(ctx context.Context, licenseID string, after int64, limit int) ([]audit.Entry, error)
}

// Maker makes checkpoints over all chains of a trail.
type Maker struct {
	Trail   Trail
	Archive Archive
	Signer  Signer
	Origin  string // of the checkpoints; also the name of their key
}

// Finding is a chain that is not a continuation of what was signed last.
type Finding struct {
	Leaf  Leaf   // as it was signed; only its license id where the chain was never signed
	Found string // what is there instead, as in a Statement
	Why   error  // ErrTailCut, ErrRewritten, that the chain cannot be read, or its head is in a wrong bucket
}

// Statement returns what was found, to be acknowledged.
func (f Finding) Statement() Statement {
	return Statement{KindRewritten, f.Leaf.LicenseID, f.Leaf.Sequence, f.Found}
}

// Result is what Make has made.
type Result struct {
	Checkpoint Checkpoint
	Signed     []byte
	Chains     int               // that are signed, those behind missing pages left out
	Findings   []Finding         // in the order of license ids
	Damages    []*ArchiveError   // what is missing in the archive or was replaced
	Erased     []audit.ChainHead // of licenses whose customer was forgotten, in no order
}

// maxAttempts bounds how often Make begins again because another process made a checkpoint of the same number.
const maxAttempts = 3

// Make makes, signs and keeps the next checkpoint, also where nothing has changed since the last one.
//
// A chain's leaf is replaced only by that of a verified continuation of the chain. A chain that was cut, replaced or
// removed keeps the leaf that was signed last. It is a Finding now and in every later run, and contradicts every later
// checkpoint. Other chains are not held up by it. A bucket whose page is missing keeps the root that was signed last.
//
// Make can be repeated after any error, and two may run at the same time.
func (m Maker) Make(ctx context.Context, now time.Time) (Result, error) {
	vkey, err := VerifierKey(ctx, m.Signer, m.Origin)
	if err != nil {
		return Result{}, err
	}
	for range maxAttempts {
		result, err := m.attempt(ctx, vkey, now)
		if !errors.Is(err, ErrExists) {
			return result, err
		}
	}
	return Result{}, fmt.Errorf("%w, %d times in turn", ErrExists, maxAttempts)
}

func (m Maker) attempt(ctx context.Context, vkey string, now time.Time) (Result, error) {
	history := history{archive: m.Archive, vkey: vkey}
	newest, err := history.newest(ctx)
	if err != nil {
		return Result{}, err
	}
	history.checkClock(newest, now)
	if err := history.recheck(ctx, newest.Number); err != nil {
		return Result{}, err
	}
	signedRoots := noRoots()
	if newest.signed != nil {
		if signedRoots, err = readRoots(ctx, m.Archive, newest.Root); err != nil {
			return Result{}, err
		}
	}
	survey := survey{trail: m.Trail, archive: m.Archive, signed: signedRoots}
	if err := survey.run(ctx); err != nil {
		return Result{}, err
	}
	c := Checkpoint{
		Origin:   m.Origin,
		Root:     survey.next.root(),
		Number:   newest.Number + 1,
		Time:     now.UTC().Truncate(time.Second),
		Previous: noPrevious,
	}
	if newest.signed != nil {
		c.Previous = hashOf(newest.signed)
	}
	signed, err := sign(ctx, m.Signer, vkey, c)
	if err != nil {
		return Result{}, err
	}
	isNew := newest.signed == nil || newest.Root != c.Root
	if err := m.keep(ctx, c, signed, survey.next, isNew); err != nil {
		return Result{}, err
	}
	return Result{
		Checkpoint: c, Signed: signed, Chains: survey.chains, Findings: survey.findings, Erased: survey.erased,
		Damages: append(history.damages, survey.damages...),
	}, nil
}

// keep writes a checkpoint to the archive after its roots, whose pages are there: no checkpoint is ever there without
// them.
func (m Maker) keep(ctx context.Context, c Checkpoint, signed []byte, roots *BucketRoots, isNew bool) error {
	if isNew {
		if err := createTreePart(ctx, m.Archive, rootsName(c.Root), roots.text()); err != nil {
			return fmt.Errorf("keep the roots of checkpoint %d: %w", c.Number, err)
		}
	}
	// A crash before here leaves pages and roots that no checkpoint names. They do no harm, and nobody removes them.

	if err := create(ctx, m.Archive, checkpointName(c.Number), signed); err != nil {
		return fmt.Errorf("keep checkpoint %d: %w", c.Number, err)
	}
	// From here on the checkpoint counts: the next one follows it. A crash here leaves the latest at the one before,
	// which is still true. The next Make finds this one by its number, and puts its own as the latest.

	if err := m.Archive.Put(ctx, latestName, signed); err != nil {
		return fmt.Errorf("put checkpoint %d as the latest: %w", c.Number, err)
	}
	return nil
}
