package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"

	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/vendorapi"
)

// signedTree is the tree of the latest checkpoint, whose signature was checked. Its pages are asked for one by one, and
// held to the signed root.
type signedTree struct {
	api *vendorapi.Client
	checkpoint.Checkpoint
	roots *checkpoint.BucketRoots
}

// openTree asks for the latest checkpoint and the roots of its tree. One that is too old is a finding.
func openTree(ctx context.Context, api *vendorapi.Client, key string, maxAge time.Duration) (*signedTree, error) {
	signed, err := api.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	c, err := checkpoint.Open(key, []byte(signed))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errTrail, err)
	}
	if err := tooOld(c, maxAge); err != nil {
		return nil, fmt.Errorf("%w: checkpoint: %w", errTrail, err)
	}
	text, err := api.TreeRoots(ctx, c.Root)
	if isNotFound(err) || isCode(err, archiveDamaged) {
		return nil, fmt.Errorf("%w: the roots of checkpoint %d are missing, or others", errTrail, c.Number)
	}
	if err != nil {
		return nil, err
	}
	roots, err := checkpoint.OpenRoots([]byte(text), c.Root)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errTrail, err)
	}
	return &signedTree{api, c, roots}, nil
}

// page returns the leaves of a bucket. An ArchiveError is a finding: the page is missing, or is not what was signed.
func (t *signedTree) page(ctx context.Context, bucket int) (checkpoint.Leaves, error) {
	root := t.roots[bucket]
	if checkpoint.IsEmpty(root) {
		return nil, nil
	}
	page, err := t.api.TreePage(ctx, root)
	switch {
	case isNotFound(err):
		return nil, checkpoint.MissingPage(root)
	case isCode(err, archiveDamaged):
		return nil, checkpoint.ReplacedPage(root)
	case err != nil:
		return nil, err
	}
	return checkpoint.OpenPage([]byte(page), bucket, root)
}

// checkAbsent checks a chain of which nobody has shown that it was signed: it has to be younger than the checkpoint,
// and its page has to be without it. It returns errNotSignedYet for such a chain, and why for another.
func (t *signedTree) checkAbsent(ctx context.Context, licenseID string, entries []audit.Entry) (why, err error) {
	ls, err := t.page(ctx, audit.BucketOf(licenseID))
	var damage *checkpoint.ArchiveError
	if errors.As(err, &damage) {
		return damage, nil
	}
	if err != nil {
		return nil, err
	}
	index, isSigned := ls.Find(licenseID)
	switch {
	case isSigned:
		return ls[index].Check(entries), nil
	case !t.isBefore(entries):
		return errNotSigned, nil
	}
	return errNotSignedYet, nil
}

// isBefore reports whether a chain says that it began after the checkpoint.
func (t *signedTree) isBefore(entries []audit.Entry) bool {
	if len(entries) == 0 {
		return false
	}
	begun, err := time.Parse(time.RFC3339, entries[0].Time)
	return err == nil && begun.Add(streamTime).After(t.Time) && time.Until(begun) < maxAhead
}

// maxAhead is how far the clocks of the service may be ahead of this one.
const maxAhead = 5 * time.Minute

// streamTime is how long a change takes to come to the trail, at most as a rule.
const streamTime = time.Minute

// tooOld returns an error where a checkpoint is so old that it is no proof that it is the latest, or of a time that has
// not come yet, so that it would be the latest for ever.
func tooOld(c checkpoint.Checkpoint, maxAge time.Duration) error {
	switch {
	case time.Until(c.Time) > maxAhead:
		return fmt.Errorf("the latest one, number %d, is of %s: that is in the future",
			c.Number, c.Time.Format(time.RFC3339))
	case time.Since(c.Time) <= maxAge:
		return nil
	}
	return fmt.Errorf("the latest one, number %d, is of %s: older than %s",
		c.Number, c.Time.Format(time.RFC3339), maxAge)
}

// archiveDamaged is the code of a part of the archive that is missing, or not what was kept.
const archiveDamaged = "ARCHIVE_DAMAGED"

func isNotFound(err error) bool {
	var problem *vendorapi.Problem
	return errors.As(err, &problem) && problem.Status == http.StatusNotFound
}

func isCode(err error, code string) bool {
	var problem *vendorapi.Problem
	return errors.As(err, &problem) && problem.Code == code
}

// chainTask is a chain to check.
type chainTask struct {
	licenseID string
	signed    *checkpoint.Leaf // as the tree says; nil where it says nothing
	damage    error            // of a page, in place of a chain
}

// signedChains returns the chains of all leaves, bucket by bucket, and then those of the licenses that have none. After
// each bucket expect learns about how many there are.
func (t *signedTree) signedChains(ctx context.Context, expect func(chains int64)) iter.Seq2[chainTask, error] {
	return func(yield func(chainTask, error) bool) {
		seen := map[[16]byte]bool{} // the beginnings of SHA-256 of license ids, which would take more memory
		for bucket := range audit.Buckets {
			ls, err := t.page(ctx, bucket)
			var damage *checkpoint.ArchiveError
			if errors.As(err, &damage) {
				task := chainTask{damage: fmt.Errorf("checkpoint %d, bucket %d: %w", t.Number, bucket, damage)}
				if !yield(task, nil) {
					return
				}
				continue
			}
			if err != nil {
				yield(chainTask{}, err)
				return
			}
			for _, leaf := range ls {
				seen[short(leaf.LicenseID)] = true
				if !yield(chainTask{licenseID: leaf.LicenseID, signed: &leaf}, nil) {
					return
				}
			}
			expect(int64(len(seen)) * audit.Buckets / int64(bucket+1))
		}
		for l, err := range t.api.Licenses(ctx, vendorapi.ListQuery{}) {
			if err == nil && seen[short(l.LicenseID)] {
				continue
			}
			if !yield(chainTask{licenseID: l.LicenseID}, err) || err != nil {
				return
			}
		}
	}
}

// short returns the beginning of a text's SHA-256, which stands for it where very many have to be remembered.
func short(text string) [16]byte {
	sum := sha256.Sum256([]byte(text))
	return [16]byte(sum[:])
}

var (
	// errNotSignedYet says of a chain that it is younger than the latest checkpoint.
	errNotSignedYet = errors.New("not signed yet")

	errNotSigned = errors.New("the latest one says nothing of this license, and its chain is not younger")
)

// checkSpelling checks that no chain was signed under the spelling of an id that was asked for, where the server has
// shown the chain of another spelling.
func (v chainVerifier) checkSpelling(ctx context.Context, asked string) (why, err error) {
	tree, err := openTree(ctx, v.api, v.key, v.maxAge)
	if err != nil {
		return nil, err
	}
	ls, err := tree.page(ctx, audit.BucketOf(asked))
	if err != nil {
		return nil, err
	}
	if _, isSigned := ls.Find(asked); isSigned {
		return fmt.Errorf("a chain of %s was signed, and another one was shown for it", asked), nil
	}
	return nil, nil
}

// checkSigned compares a chain with the latest checkpoint. It returns why the chain is not as it was signed, or
// errNotSignedYet.
func (v chainVerifier) checkSigned(
	ctx context.Context, task chainTask, licenseID string, entries []audit.Entry,
) (why, err error) {
	switch {
	case task.signed != nil:
		return task.signed.Check(entries), nil
	case v.tree != nil:
		return v.tree.checkAbsent(ctx, licenseID, entries)
	}
	proof, err := v.api.Proof(ctx, licenseID)
	if isNotFound(err) {
		tree, err := openTree(ctx, v.api, v.key, v.maxAge)
		switch {
		case isNotFound(err), errors.Is(err, errTrail): // there is no checkpoint, or not the one that should be there
			return err, nil
		case err != nil:
			return nil, err
		}
		return tree.checkAbsent(ctx, licenseID, entries)
	}
	if isCode(err, archiveDamaged) {
		return err, nil
	}
	if err != nil {
		return nil, err
	}
	signed, leaf, why := proof.Verify(v.key, licenseID)
	if why == nil {
		why = tooOld(signed, v.maxAge)
	}
	if why == nil {
		why = leaf.Check(entries)
	}
	return why, nil
}
