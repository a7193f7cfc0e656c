package checkpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"openlicenser/shared/audit"
)

// survey compares the heads of all chains with the leaves that were signed last, bucket by bucket, and keeps the pages
// of those that have changed.
type survey struct {
	trail   Trail
	archive Archive
	signed  *BucketRoots

	next     *BucketRoots // to sign
	chains   int
	findings []Finding
	damages  []*ArchiveError
	erased   []audit.ChainHead
}

var (
	errHead   = errors.New("its head is not the end of a chain")
	errBucket = errors.New("its head is listed in a bucket that is not its own")
)

// concurrency is how many buckets are held in memory at once, and how many requests are under way.
const concurrency = 16

func (s *survey) run(ctx context.Context) error {
	s.next = new(BucketRoots)
	*s.next = *s.signed
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	for number := range audit.Buckets {
		group.Go(func() error {
			b := bucket{survey: s, number: number}
			err := b.run(ctx)
			var damage *ArchiveError
			mu.Lock()
			defer mu.Unlock()
			s.erased = append(s.erased, b.erased...)
			switch {
			case errors.As(err, &damage): // the signed root stays until the page is back
				s.damages = append(s.damages, damage)
				return nil
			case err != nil:
				return err
			}
			s.next[number] = b.root
			s.chains += b.chains
			s.findings = append(s.findings, b.findings...)
			return nil
		})
	}
	err := group.Wait()
	slices.SortFunc(s.findings, func(a, b Finding) int { return cmp.Compare(a.Leaf.LicenseID, b.Leaf.LicenseID) })
	slices.SortFunc(s.damages, func(a, b *ArchiveError) int { return cmp.Compare(a.Name, b.Name) })
	return err
}

// bucket is the part of a survey that concerns one bucket.
type bucket struct {
	*survey
	number int

	root     tlog.Hash // to sign
	chains   int
	findings []Finding
	erased   []audit.ChainHead
}

func (b *bucket) run(ctx context.Context) error {
	signed, _, err := readPage(ctx, b.archive, b.number, b.signed[b.number])
	if err != nil {
		return err
	}
	next, err := b.leaves(ctx, signed)
	if err != nil {
		return err
	}
	b.root, b.chains = b.signed[b.number], len(next)
	if slices.Equal(next, signed) {
		return nil
	}
	page := next.page()
	b.root = treeHash(lineHashes(page))
	return createTreePart(ctx, b.archive, pageName(b.root), page)
}

// leaves returns the leaves to sign, and notes the chains that do not continue what was signed.
func (b *bucket) leaves(ctx context.Context, signed Leaves) (Leaves, error) {
	listed := map[string]Leaf{}
	for head, err := range b.trail.Heads(ctx, b.number) {
		if err != nil {
			return nil, fmt.Errorf("heads: %w", err)
		}
		listed[head.LicenseID] = Leaf{head.LicenseID, head.Sequence, head.Hash}
		if head.ErasedSequence > 0 {
			b.erased = append(b.erased, head)
		}
	}
	var next Leaves
	for _, l := range signed {
		if listed[l.LicenseID] != l {
			continued, why, err := b.continueChain(ctx, l)
			if err != nil {
				return nil, err
			}
			if why != nil {
				b.find(l, why, listed[l.LicenseID])
			}
			delete(listed, l.LicenseID)
			next = append(next, continued)
			continue
		}
		next = append(next, l)
		delete(listed, l.LicenseID)
	}
	for id, l := range listed { // what remains was never signed
		switch {
		case audit.BucketOf(id) != b.number:
			b.find(Leaf{LicenseID: id}, errBucket, l)
		case !l.isValid():
			b.find(Leaf{LicenseID: id}, errHead, l)
		default:
			next = append(next, l)
		}
	}
	return sorted(next), nil
}

// find notes a chain that does not continue what was signed, and what its head is now.
func (b *bucket) find(signed Leaf, why error, listed Leaf) {
	b.findings = append(b.findings, Finding{signed, found(signed.Hash, listed, b.number, why.Error()), why})
}

// pageSize is how many entries are read at a time.
const pageSize = 1000

// continueChain reads a chain from its signed entry on, and returns the leaf of its last entry. If the chain is not a
// continuation, it returns the signed leaf, and why. The list of heads may be older than the signed leaf, so it makes
// strongly consistent reads.
func (s *survey) continueChain(ctx context.Context, signed Leaf) (next Leaf, why, err error) {
	head, err := s.trail.State(ctx, signed.LicenseID)
	if errors.Is(err, audit.ErrUnreadable) {
		return signed, err, nil
	}
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
		if errors.Is(err, audit.ErrUnreadable) {
			return signed, err, nil
		}
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
