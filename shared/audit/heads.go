package audit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"iter"
)

// Buckets is how many parts the chains are divided into, so that no reader of all of them holds more than one part.
const Buckets = 1 << bucketBits

const bucketBits = 10

// BucketOf returns the bucket of a license's chain, from 0: the number in the first ten bits of SHA-256 of the id.
func BucketOf(licenseID string) int {
	sum := sha256.Sum256([]byte(licenseID))
	return int(binary.BigEndian.Uint16(sum[:]) >> (16 - bucketBits))
}

// ChainHead is what a list tells of the end of a license's chain.
type ChainHead struct {
	LicenseID      string
	Sequence       int64
	Hash           string
	StoredHash     string // of State
	ErasedSequence int64  // of Head
	GapSequence    int64  // of Head
}

// ChainHead returns what a list tells of the state.
func (s State) ChainHead(licenseID string) ChainHead {
	return ChainHead{licenseID, s.Sequence, s.Hash, s.StoredHash, s.ErasedSequence, s.GapSequence}
}

// HeadLister lists the heads of all chains, bucket by bucket.
type HeadLister interface {
	// Heads returns the head of every chain that is stored in the bucket, each once, in any order, and ends with the
	// first error. It may miss what was appended in the last moments, which Store.State does not. A head that someone
	// else has written may be in a bucket that is not its own.
	Heads(ctx context.Context, bucket int) iter.Seq2[ChainHead, error]
}
