package checkpoint

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
)

// RecordHash is the hash of a license's record as it is stored.
type RecordHash struct {
	LicenseID string
	Hash      string // as audit.HashStored returns it; "" where there is no record

	// Foreign tells that only other tools have written the record (see license.RecordVersion). It may be older than the
	// trail.
	Foreign bool
}

// HashOf returns the hash of a license's record as it is stored.
func HashOf(licenseID string, record attribute.Map) (RecordHash, error) {
	hash, err := audit.HashStored(record)
	return RecordHash{LicenseID: licenseID, Hash: hash, Foreign: license.RecordVersion(record) < 1}, err
}

// Records are the records of all licenses.
type Records interface {
	// Hashes returns the hash of every record, and ends with the first error. It may lag behind.
	Hashes(ctx context.Context) iter.Seq2[RecordHash, error]

	// Record returns a license's record, nil where there is none. It is strongly consistent.
	Record(ctx context.Context, licenseID string) (attribute.Map, error)
}

// Chains are the chains of a trail, as far as a Reconciler reads them.
type Chains interface {
	audit.HeadLister
	State(ctx context.Context, licenseID string) (audit.State, error)
}

// Reconciler finds licenses whose record is not as the last entry of their chain has left it: the trail is behind, or
// has missed a change.
type Reconciler struct {
	Records Records // as they are stored
	Chains  Chains  // as the trail has left them
	Archive Archive // remembers since when they differ
}

// Discrepancy is a license whose record is not as its chain has left it.
type Discrepancy struct {
	LicenseID string
	Sequence  int64     // of the chain's last entry, 0 where there is none
	Since     time.Time // when it was first seen
	Found     string    // how they differ, as in a Statement
	Why       error
}

// Statement returns what was found, to be acknowledged.
func (d Discrepancy) Statement() Statement {
	return Statement{KindMissed, d.LicenseID, d.Sequence, d.Found}
}

// The values of Discrepancy.Why.
var (
	ErrNotRecorded        = errors.New("its record was changed, and the trail does not say so")
	ErrNoChain            = errors.New("it has a record, and nothing on the trail says so")
	ErrRemovalNotRecorded = errors.New("its record is gone, and the trail does not say so")
	ErrNotListed          = errors.New("its chain is in no bucket's list, so that no checkpoint signs it")
)

// maxConfirmed bounds how many differences are looked into in one run, those that were seen before at first.
const maxConfirmed = 200_000

// Comparison is what a Reconciler has found, in the order of license ids.
type Comparison struct {
	Backlog []Discrepancy   // that may be recorded yet
	Missed  []Discrepancy   // that cannot be recorded any more
	Damages []*ArchiveError // of the archive
}

// backlogTime is how long a change may wait to be recorded. A stream remembers it for 24 hours
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html).
const backlogTime = 25 * time.Hour

// Reconcile compares all records with their chains. A difference is backlog at first: the trail is a moment behind, or
// hours where its consumer stood still. One at the same end of its chain is missed backlogTime later. What was seen is
// remembered in the archive, and nothing is remembered where Reconcile returns an error.
func (r Reconciler) Reconcile(ctx context.Context, now time.Time) (Comparison, error) {
	var found Comparison
	seen, err := readBacklog(ctx, r.Archive)
	var damage *ArchiveError
	switch {
	case errors.As(err, &damage): // what was seen is seen anew
		found.Damages = append(found.Damages, damage)
	case err != nil:
		return Comparison{}, err
	}
	suspects, err := listing{r.Records, r.Chains, func(audit.ChainHead) bool { return false }}.suspects(ctx)
	if err != nil {
		return Comparison{}, err
	}
	slices.SortFunc(suspects, func(a, b suspect) int {
		byRank := cmp.Compare(seen.rank(a.licenseID), seen.rank(b.licenseID))
		return cmp.Or(byRank, strings.Compare(a.licenseID, b.licenseID))
	})
	differences, err := r.confirm(ctx, suspects[:min(len(suspects), maxConfirmed)])
	if err != nil {
		return Comparison{}, err
	}
	now = now.UTC().Truncate(time.Second)
	var list backlog
	for _, d := range differences {
		d.Since = seen.since(d, now)
		list = append(list, d)
		if now.Sub(d.Since) >= backlogTime {
			found.Missed = append(found.Missed, d)
		} else {
			found.Backlog = append(found.Backlog, d)
		}
	}
	if text := list.text(); !bytes.Equal(text, seen.text()) || damage != nil {
		if err := r.Archive.Put(ctx, backlogName, text); err != nil {
			return Comparison{}, fmt.Errorf("keep the backlog: %w", err)
		}
	}
	return found, nil
}

// suspect is a license whose record and chain differ as they are listed.
type suspect struct {
	licenseID  string
	isUnlisted bool // its chain is not listed
}

// confirm returns the suspects that differ indeed, by strongly consistent reads: the lists lag behind.
func (r Reconciler) confirm(ctx context.Context, suspects []suspect) ([]Discrepancy, error) {
	confirmed := make([]Discrepancy, len(suspects))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	for i, s := range suspects {
		group.Go(func() error {
			d, err := r.compare(ctx, s)
			if err != nil {
				return fmt.Errorf("license %s: %w", s.licenseID, err)
			}
			confirmed[i] = d
			return nil
		})
	}
	err := group.Wait()
	confirmed = slices.DeleteFunc(confirmed, func(d Discrepancy) bool { return d.Why == nil })
	slices.SortFunc(confirmed, func(a, b Discrepancy) int { return strings.Compare(a.LicenseID, b.LicenseID) })
	return confirmed, err
}

// compare returns how a suspect's record and chain differ. Its Why is nil where they do not.
func (r Reconciler) compare(ctx context.Context, s suspect) (Discrepancy, error) {
	record, err := r.Records.Record(ctx, s.licenseID)
	if err != nil {
		return Discrepancy{}, err
	}
	state, errState := r.Chains.State(ctx, s.licenseID)
	if errState != nil && !errors.Is(errState, audit.ErrUnreadable) {
		return Discrepancy{}, errState
	}
	stored, errStored := HashOf(s.licenseID, record)
	told, errTold := audit.HashRecord(record, state.Nonces) // what is found is kept for ever, so it tells no value
	if err := errors.Join(errStored, errTold); err != nil {
		return Discrepancy{}, err
	}
	d := Discrepancy{LicenseID: s.licenseID, Sequence: state.Sequence, Why: difference(stored, state)}
	switch isThere := state.Head != (audit.Head{}); {
	case errState != nil:
		d.Why = errState
	case d.Why == nil && s.isUnlisted && isThere:
		d.Why = ErrNotListed
	}
	if d.Why != nil {
		d.Found = found(state.Hash, told, d.Why.Error())
	}
	return d, nil
}

// difference returns in what a record differs from the end of its chain, or nil.
func difference(record RecordHash, state audit.State) error {
	switch mayBeOlder := record.Foreign && state.Head == (audit.Head{}); {
	case record.Hash == state.StoredHash, mayBeOlder:
		return nil
	case record.Hash == "":
		return ErrRemovalNotRecorded
	case state.StoredHash == "":
		return ErrNoChain
	}
	return ErrNotRecorded
}
