package checkpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"openlicenser/shared/audit"
)

// survey takes the heads of all chains, and holds them to the leaves that were signed last.
type survey struct {
	trail  Trail
	signed leaves
}

var errHead = errors.New("its head is not the end of a chain")

// run answers the leaves to sign.
func (s survey) run(ctx context.Context) (leaves, []Finding, error) {
	listed := map[string]Leaf{}
	for head, err := range s.trail.Heads(ctx) {
		if err != nil {
			return nil, nil, fmt.Errorf("heads: %w", err)
		}
		listed[head.LicenseID] = Leaf{head.LicenseID, head.Sequence, head.Hash}
	}
	var unsettled, taken leaves
	var findings []Finding
	for _, signed := range s.signed {
		if listed[signed.LicenseID] == signed {
			taken = append(taken, signed)
		} else {
			unsettled = append(unsettled, signed)
		}
		delete(listed, signed.LicenseID)
	}
	for id, l := range listed { // what is left was never signed
		if !l.isValid() {
			findings = append(findings, Finding{Leaf{LicenseID: id}, errHead})
			continue
		}
		taken = append(taken, l)
	}
	settled, found, err := s.settleAll(ctx, unsettled)
	if err != nil {
		return nil, nil, err
	}
	findings = append(findings, found...)
	slices.SortFunc(findings, func(a, b Finding) int { return cmp.Compare(a.Leaf.LicenseID, b.Leaf.LicenseID) })
	return sorted(append(taken, settled...)), findings, nil
}

// settlers is how many chains are read at a time: a change of every license at once is the worst case.
const settlers = 16

// settleAll answers a leaf for each of the signed ones.
func (s survey) settleAll(ctx context.Context, signed leaves) (leaves, []Finding, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	settled, whys := make(leaves, len(signed)), make([]error, len(signed))
	next := make(chan int)
	var group sync.WaitGroup
	for range min(settlers, len(signed)) {
		group.Go(func() {
			for i := range next {
				var err error
				if settled[i], whys[i], err = s.settle(ctx, signed[i]); err != nil {
					cancel(err) // the first cause stays
				}
			}
		})
	}
	for i := range signed {
		next <- i
	}
	close(next)
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, nil, err
	}
	var findings []Finding
	for i, why := range whys {
		if why != nil {
			findings = append(findings, Finding{signed[i], why})
		}
	}
	return settled, findings, nil
}

// pageSize is how many entries are read at a time.
const pageSize = 1000

// settle looks at one chain whose listed head is not the signed one. The list may lag behind, so that a head which was
// signed already seems to be gone: only what strongly consistent reads say counts.
func (s survey) settle(ctx context.Context, signed Leaf) (l Leaf, why, err error) {
	head, err := s.trail.Head(ctx, signed.LicenseID)
	if err != nil {
		return Leaf{}, nil, fmt.Errorf("head of %s: %w", signed.LicenseID, err)
	}
	switch {
	case head.Sequence < signed.Sequence:
		return signed, ErrTailCut, nil
	case head.Sequence == signed.Sequence && head.Hash != signed.Hash:
		return signed, ErrRewritten, nil
	}
	var reached audit.Head // none yet; the first entry to be read is the signed one
	for after := signed.Sequence - 1; after < head.Sequence; after = reached.Sequence {
		entries, err := s.trail.Entries(ctx, signed.LicenseID, after, int(min(pageSize, head.Sequence-after)))
		if err != nil {
			return Leaf{}, nil, fmt.Errorf("entries of %s: %w", signed.LicenseID, err)
		}
		if len(entries) == 0 {
			return signed, ErrTailCut, nil // the head was moved to an entry that is not there
		}
		if reached == (audit.Head{}) {
			if !signed.isOf(entries[0]) {
				return signed, ErrRewritten, nil
			}
			reached, entries = audit.Head{}.After(entries[0]), entries[1:]
		}
		if reached, err = audit.Verify(signed.LicenseID, reached, entries); err != nil {
			return signed, fmt.Errorf("%w: %w", ErrRewritten, err), nil
		}
	}
	if reached.Hash != head.Hash {
		return signed, ErrRewritten, nil
	}
	return Leaf{signed.LicenseID, reached.Sequence, reached.Hash}, nil, nil
}

// isOf tells whether e is the entry that the leaf names.
func (l Leaf) isOf(e audit.Entry) bool {
	computed, err := e.ComputeHash()
	return err == nil && e.LicenseID == l.LicenseID && e.Sequence == l.Sequence && e.Hash == l.Hash && computed == l.Hash
}
