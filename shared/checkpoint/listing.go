package checkpoint

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"openlicenser/shared/audit"
)

// shortHash is the beginning of SHA-256. All chains are in memory at once, so each takes few bytes.
type shortHash [16]byte

// shorten returns zero for no text.
func shorten(text string) (short shortHash) {
	if text != "" {
		sum := sha256.Sum256([]byte(text))
		copy(short[:], sum[:])
	}
	return short
}

// listedChain is a chain in one bucket's list.
type listedChain struct {
	id         shortHash
	storedHash shortHash // zero where there should be no record, or where one was listed
	isWanted   bool      // whatever the hashes say
}

type listedChains [audit.Buckets][]listedChain

// listing compares records with chains as they are listed.
type listing struct {
	records  Records
	chains   audit.HeadLister
	isWanted func(audit.ChainHead) bool // a license is a suspect even if its record is as the chain has left it
}

// Differing returns the licenses whose record and chain differ as they are listed, and those whose chain is wanted, in
// the order of their ids. Lists may lag behind. A license without a chain that other tools alone have written may be
// older than the trail, and is none of them.
func Differing(
	ctx context.Context, records Records, chains audit.HeadLister, isWanted func(audit.ChainHead) bool,
) (ids []string, err error) {
	suspects, err := listing{records, chains, isWanted}.suspects(ctx)
	for _, s := range suspects {
		ids = append(ids, s.licenseID)
	}
	slices.Sort(ids)
	return ids, err
}

// suspects returns the licenses whose record and chain differ as they are listed, each once, and those that are wanted.
func (l listing) suspects(ctx context.Context) ([]suspect, error) {
	chains, err := l.listChains(ctx)
	if err != nil {
		return nil, fmt.Errorf("chains: %w", err)
	}
	var suspects []suspect
	for record, err := range l.records.Hashes(ctx) {
		if err != nil {
			return nil, fmt.Errorf("records: %w", err)
		}
		chain := chains.find(record.LicenseID)
		if chain == nil {
			if !record.Foreign {
				suspects = append(suspects, suspect{record.LicenseID, true})
			}
			continue
		}
		if chain.storedHash != shorten(record.Hash) || chain.isWanted {
			suspects = append(suspects, suspect{record.LicenseID, false})
		}
		chain.storedHash, chain.isWanted = shortHash{}, false
	}
	gone, err := l.withoutRecord(ctx, chains)
	if err != nil {
		return nil, fmt.Errorf("chains: %w", err)
	}
	for _, id := range gone {
		suspects = append(suspects, suspect{id, false})
	}
	return suspects, nil
}

// listChains lists all chains, each bucket in the order of ids.
func (l listing) listChains(ctx context.Context) (*listedChains, error) {
	chains := new(listedChains)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	for bucket := range chains {
		group.Go(func() error {
			var listed []listedChain
			for head, err := range l.chains.Heads(ctx, bucket) {
				if err != nil {
					return err
				}
				listed = append(listed, listedChain{
					shorten(head.LicenseID), shorten(head.StoredHash), l.isWanted(head),
				})
			}
			slices.SortFunc(listed, listedChain.compare)
			chains[bucket] = slices.Clone(listed) // without the room that was left to grow
			return nil
		})
	}
	return chains, group.Wait()
}

func (c listedChain) compare(d listedChain) int { return bytes.Compare(c.id[:], d.id[:]) }

func (c *listedChains) find(licenseID string) *listedChain {
	bucket := c[audit.BucketOf(licenseID)]
	i, found := slices.BinarySearchFunc(bucket, listedChain{id: shorten(licenseID)}, listedChain.compare)
	if !found {
		return nil
	}
	return &bucket[i]
}

// withoutRecord returns the licenses whose chain says that there is a record, or is wanted, where no record was listed.
// It lists their buckets again, for the ids.
func (l listing) withoutRecord(ctx context.Context, chains *listedChains) (ids []string, err error) {
	isGone := func(c listedChain) bool { return c.storedHash != shortHash{} || c.isWanted }
	for bucket, listed := range chains {
		if !slices.ContainsFunc(listed, isGone) {
			continue
		}
		for head, err := range l.chains.Heads(ctx, bucket) {
			if err != nil {
				return nil, err
			}
			if chain := chains.find(head.LicenseID); chain != nil && isGone(*chain) {
				ids = append(ids, head.LicenseID)
			}
		}
	}
	return ids, nil
}
