package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
)

// RecordHash is the hash of a license's record: as it is stored, or as the last entry of its chain has left it.
type RecordHash struct {
	LicenseID string
	Hash      string // "" where there is no record, or no longer one

	// Foreign tells that only other tools have written the record (see license.RecordVersion). It may be older than the
	// trail.
	Foreign bool
}

// HashOf returns the hash of a license's record as it is stored.
func HashOf(licenseID string, record attribute.Map) (RecordHash, error) {
	hash, err := audit.HashRecord(record)
	return RecordHash{LicenseID: licenseID, Hash: hash, Foreign: license.RecordVersion(record) < 1}, err
}

// RecordHashes is one of the two sides that a Reconciler compares.
type RecordHashes interface {
	// All returns the hash of every license on this side, and ends with the first error. It may lag behind.
	All(ctx context.Context) iter.Seq2[RecordHash, error]

	// Of returns the hash of one license, an empty one where this side has none. It is strongly consistent.
	Of(ctx context.Context, licenseID string) (RecordHash, error)
}

// Reconciler finds licenses whose record is not as the last entry of their chain has left it: the trail missed a
// change.
type Reconciler struct {
	Records RecordHashes // as they are stored
	Chains  RecordHashes // as the chains have left them

	// Pause waits until the trail has caught up with the records.
	Pause func(ctx context.Context) error
}

// Discrepancy is a license whose record is not as its chain has left it.
type Discrepancy struct {
	LicenseID string
	Why       error
}

// The values of Discrepancy.Why.
var (
	ErrNotRecorded        = errors.New("its record was changed, and the trail does not say so")
	ErrNoChain            = errors.New("it has a record, and nothing on the trail says so")
	ErrRemovalNotRecorded = errors.New("its record is gone, and the trail does not say so")
)

// Reconcile returns the discrepancies, in the order of license ids. The trail is a moment behind the records, so
// whatever differs is compared again after the pause. It counts only if the record has not changed meanwhile: a
// license that is being changed just now is left to the next run.
func (r Reconciler) Reconcile(ctx context.Context) ([]Discrepancy, error) {
	suspects, err := r.suspects(ctx)
	if err != nil || len(suspects) == 0 {
		return nil, err
	}
	if err := r.Pause(ctx); err != nil {
		return nil, err
	}
	var discrepancies []Discrepancy
	for _, suspect := range suspects {
		ofRecord, errRecord := r.Records.Of(ctx, suspect.LicenseID)
		ofChain, errChain := r.Chains.Of(ctx, suspect.LicenseID)
		record, chain := ofRecord.Hash, ofChain.Hash
		switch {
		case errors.Join(errRecord, errChain) != nil:
			return nil, fmt.Errorf("license %s: %w", suspect.LicenseID, errors.Join(errRecord, errChain))
		case record != suspect.Hash || record == chain:
			continue
		case record == "":
			discrepancies = append(discrepancies, Discrepancy{suspect.LicenseID, ErrRemovalNotRecorded})
		case chain == "":
			discrepancies = append(discrepancies, Discrepancy{suspect.LicenseID, ErrNoChain})
		default:
			discrepancies = append(discrepancies, Discrepancy{suspect.LicenseID, ErrNotRecorded})
		}
	}
	return discrepancies, nil
}

// suspects returns the licenses whose two hashes differ before the pause, with the hash of the record.
func (r Reconciler) suspects(ctx context.Context) ([]RecordHash, error) {
	chains := map[string]string{}
	for chain, err := range r.Chains.All(ctx) {
		if err != nil {
			return nil, fmt.Errorf("chains: %w", err)
		}
		chains[chain.LicenseID] = chain.Hash
	}
	var suspects []RecordHash
	for record, err := range r.Records.All(ctx) {
		if err != nil {
			return nil, fmt.Errorf("records: %w", err)
		}
		chain, hasChain := chains[record.LicenseID]
		if mayBeOlder := record.Foreign && !hasChain; chain != record.Hash && !mayBeOlder {
			suspects = append(suspects, record)
		}
		delete(chains, record.LicenseID)
	}
	for id, hash := range chains {
		if hash != "" {
			suspects = append(suspects, RecordHash{LicenseID: id})
		}
	}
	slices.SortFunc(suspects, func(a, b RecordHash) int { return strings.Compare(a.LicenseID, b.LicenseID) })
	return suspects, nil
}

// ChainHashes are the hashes of the records as the chains of a trail have left them.
type ChainHashes struct{ Trail Trail }

var _ RecordHashes = ChainHashes{}

// All implements RecordHashes.
func (c ChainHashes) All(ctx context.Context) iter.Seq2[RecordHash, error] {
	return func(yield func(RecordHash, error) bool) {
		for head, err := range c.Trail.Heads(ctx) {
			if !yield(RecordHash{LicenseID: head.LicenseID, Hash: head.Head.RecordHash}, err) {
				return
			}
		}
	}
}

// Of implements RecordHashes.
func (c ChainHashes) Of(ctx context.Context, licenseID string) (RecordHash, error) {
	head, err := c.Trail.Head(ctx, licenseID)
	return RecordHash{LicenseID: licenseID, Hash: head.RecordHash}, err
}

// PauseFor returns a Pause of a fixed time for a Reconciler.
func PauseFor(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
			return nil
		}
	}
}
