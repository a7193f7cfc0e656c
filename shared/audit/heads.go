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

// ChainHead is the Head of a license's chain.
type ChainHead struct {
	LicenseID string
	Head
}

// HeadLister lists the heads of all chains, bucket by bucket.
type HeadLister interface {
	// Heads returns the head of every chain that is stored in the bucket, each once, in any order, and ends with the
	// first error. It may miss what was appended in the last moments, which Store.Head does not. A head that someone
	// else has written may be in a bucket that is not its own.
	Heads(ctx context.Context, bucket int) iter.Seq2[ChainHead, error]
}
