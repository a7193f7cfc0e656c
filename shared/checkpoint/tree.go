package checkpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"openlicenser/shared/audit"
)

// The tree has two levels. The leaves of each bucket make a Merkle tree (RFC 6962 section 2.1), whose root is that of
// SHA-256 of nothing where there is none. The roots of all buckets, in order, are the leaves of another, whose root is
// signed.

// bucketBits is the height of the upper level.
var bucketBits = bits.Len(audit.Buckets - 1)

// emptyRoot is the root of no leaves.
var emptyRoot = tlog.Hash(sha256.Sum256(nil))

// IsEmpty reports whether a bucket of this root has no leaves, and so no page.
func IsEmpty(root tlog.Hash) bool { return root == emptyRoot }

// Step is one hash on the way from a leaf to its root: that of the neighbour, and on which side it stands. Its text is
//
//	left cyTGBLcrgwVdC9Hlv7yXtXxn2xQYzGyBfmvVTSeRx8E=
//
// or the same with right.
type Step struct {
	Left bool
	Hash tlog.Hash
}

func (s Step) String() string {
	if s.Left {
		return "left " + s.Hash.String()
	}
	return "right " + s.Hash.String()
}

// MarshalText implements encoding.TextMarshaler.
func (s Step) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It refuses any other spelling than String's.
func (s *Step) UnmarshalText(text []byte) error {
	side, hash, _ := strings.Cut(string(text), " ")
	parsed, err := tlog.ParseHash(hash)
	*s = Step{side == "left", parsed}
	if err != nil || s.String() != string(text) {
		return fmt.Errorf("%q is not left or right and a hash", text)
	}
	return nil
}

// above returns the hash of the node above one and its neighbour.
func (s Step) above(node tlog.Hash) tlog.Hash {
	if s.Left {
		return tlog.NodeHash(s.Hash, node)
	}
	return tlog.NodeHash(node, s.Hash)
}

// treeHash returns the root over the hashes of leaves.
func treeHash(hashes []tlog.Hash) tlog.Hash {
	switch len(hashes) {
	case 0:
		return emptyRoot
	case 1:
		return hashes[0]
	}
	k := split(len(hashes))
	return tlog.NodeHash(treeHash(hashes[:k]), treeHash(hashes[k:]))
}

// split returns the largest power of two below n, which is the number of leaves on the left.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// pathTo returns the steps from a leaf to the root over the hashes of leaves, the first from the leaf up.
func pathTo(hashes []tlog.Hash, index int) []Step {
	if len(hashes) <= 1 {
		return []Step{}
	}
	k := split(len(hashes))
	if index < k {
		return append(pathTo(hashes[:k], index), Step{false, treeHash(hashes[k:])})
	}
	return append(pathTo(hashes[k:], index-k), Step{true, treeHash(hashes[:k])})
}

// BucketRoots are the roots of all buckets, by their numbers.
type BucketRoots [audit.Buckets]tlog.Hash

// noRoots are those of a trail without chains.
func noRoots() *BucketRoots {
	roots := new(BucketRoots)
	for i := range roots {
		roots[i] = emptyRoot
	}
	return roots
}

func (r *BucketRoots) leafHashes() []tlog.Hash {
	hashes := make([]tlog.Hash, len(r))
	for i, root := range r {
		hashes[i] = tlog.RecordHash(root[:])
	}
	return hashes
}

func (r *BucketRoots) root() tlog.Hash { return treeHash(r.leafHashes()) }

// text returns the roots as they are archived: a line of 64 lower-case hexadecimal digits for each.
func (r *BucketRoots) text() []byte {
	text := make([]byte, 0, len(r)*65)
	for _, root := range r {
		text = append(hex.AppendEncode(text, root[:]), '\n')
	}
	return text
}

var errRoots = errors.New("not a line of 64 hexadecimal digits for each bucket")

// parseRoots reads what text returns.
func parseRoots(text []byte) (*BucketRoots, error) {
	roots := new(BucketRoots)
	lines := strings.Split(string(text), "\n")
	if len(lines) != len(roots)+1 || lines[len(roots)] != "" {
		return nil, errRoots
	}
	for i := range roots {
		root, err := hex.DecodeString(lines[i])
		if err != nil || !isHash(lines[i]) {
			return nil, errRoots
		}
		roots[i] = tlog.Hash(root)
	}
	return roots, nil
}
