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

// survey compares the heads of all chains with the leaves that were signed last.
type survey struct {
	trail  Trail
	signed leaves
}

var errHead = errors.New("its head is not the end of a chain")

// run returns the leaves to sign, and the chains that do not continue what was signed.
func (s survey) run(ctx context.Context) (leaves, []Finding, error) {
	listed := map[string]Leaf{}
	for head, err := range s.trail.Heads(ctx) {
		if err != nil {
			return nil, nil, fmt.Errorf("heads: %w", err)
		}
		listed[head.LicenseID] = Leaf{head.LicenseID, head.Sequence, head.Hash}
	}
	var next, changed leaves // leaves to sign; signed leaves whose chains have another head now
	var findings []Finding
	for _, signed := range s.signed {
		if listed[signed.LicenseID] == signed {
			next = append(next, signed)
		} else {
			changed = append(changed, signed)
		}
		delete(listed, signed.LicenseID)
	}
	for id, l := range listed { // what remains was never signed
		if !l.isValid() {
			findings = append(findings, Finding{Leaf{LicenseID: id}, errHead})
			continue
		}
		next = append(next, l)
	}
	continued, found, err := s.continueAll(ctx, changed)
	if err != nil {
		return nil, nil, err
	}
	findings = append(findings, found...)
	slices.SortFunc(findings, func(a, b Finding) int { return cmp.Compare(a.Leaf.LicenseID, b.Leaf.LicenseID) })
	return sorted(append(next, continued...)), findings, nil
}

// concurrency is how many chains are read at a time. In the worst case every license has changed.
const concurrency = 16

// continueAll returns the next leaf for each of the signed ones, as continueChain does.
func (s survey) continueAll(ctx context.Context, signed leaves) (leaves, []Finding, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	continued, whys := make(leaves, len(signed)), make([]error, len(signed))
	indexes := make(chan int)
	var group sync.WaitGroup
	for range min(concurrency, len(signed)) {
		group.Go(func() {
			for i := range indexes {
				var err error
				if continued[i], whys[i], err = s.continueChain(ctx, signed[i]); err != nil {
					cancel(err) // only the first one counts
				}
			}
		})
	}
	for i := range signed {
		indexes <- i
	}
	close(indexes)
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
	return continued, findings, nil
}

// pageSize is how many entries are read at a time.
const pageSize = 1000

// continueChain reads a chain from its signed entry on, and returns the leaf of its last entry. If the chain is not a
// continuation, it returns the signed leaf, and why. The list of heads may be older than the signed leaf, so it makes
// strongly consistent reads.
func (s survey) continueChain(ctx context.Context, signed Leaf) (next Leaf, why, err error) {
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
	var reached audit.Head // none yet: the first entry that is read is the signed one
	for after := signed.Sequence - 1; after < head.Sequence; after = reached.Sequence {
		entries, err := s.trail.Entries(ctx, signed.LicenseID, after, int(min(pageSize, head.Sequence-after)))
		if err != nil {
			return Leaf{}, nil, fmt.Errorf("entries of %s: %w", signed.LicenseID, err)
		}
		if len(entries) == 0 {
			return signed, ErrTailCut, nil // the head names an entry that is not there
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

// isOf reports whether e is the entry that the leaf names.
func (l Leaf) isOf(e audit.Entry) bool {
	computed, err := e.ComputeHash()
	isSame := Leaf{e.LicenseID, e.Sequence, e.Hash} == l
	return err == nil && isSame && computed == l.Hash
}
