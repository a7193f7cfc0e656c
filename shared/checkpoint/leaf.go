package checkpoint

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"openlicenser/shared/audit"
)

// Leaf states that the chain of a license has an entry with this sequence and this hash. Its text is one line:
//
//	<license id> <sequence> <hash>
//
// There is one space between two fields, and a line feed at the end. The leaf's hash in the tree is that of RFC 6962
// over the line with its line feed.
type Leaf struct {
	LicenseID string // percent-encoded in the text as a segment of a path is; a UUID stays as it is
	Sequence  int64  // decimal, from 1
	Hash      string // 64 lower-case hexadecimal digits
}

func (l Leaf) String() string {
	return url.PathEscape(l.LicenseID) + " " + strconv.FormatInt(l.Sequence, 10) + " " + l.Hash + "\n"
}

var errLeaf = errors.New("not a line of license id, sequence and hash")

// parseLeaf reads a leaf's line. It refuses any other spelling than String's.
func parseLeaf(line string) (Leaf, error) {
	escaped, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	number, hash, _ := strings.Cut(rest, " ")
	id, errID := url.PathUnescape(escaped)
	sequence, errSequence := strconv.ParseInt(number, 10, 64)
	l := Leaf{LicenseID: id, Sequence: sequence, Hash: hash}
	if errors.Join(errID, errSequence) != nil || !l.isValid() || l.String() != line {
		return Leaf{}, errLeaf
	}
	return l, nil
}

func (l Leaf) isValid() bool { return l.LicenseID != "" && l.Sequence > 0 && isHash(l.Hash) }

func isHash(text string) bool { return len(text) == 64 && strings.Trim(text, "0123456789abcdef") == "" }

// What is wrong with a chain that is not the signed one, to be tested with errors.Is.
var (
	ErrTailCut = errors.New(
		"the chain is shorter than the one that was signed: its tail was cut, or an old copy restored")
	ErrRewritten = errors.New("the chain is not the one that was signed")
)

// Check checks that a chain, from its first entry on, has the entry that was signed, or returns ErrTailCut or
// ErrRewritten. It trusts the chain's hashes, so the caller has verified the chain with audit.Verify. Then the
// entries up to the leaf's sequence are those that were signed, and those after it are younger than the checkpoint.
func (l Leaf) Check(chain []audit.Entry) error {
	switch {
	case l.Sequence < 1 || l.Sequence > int64(len(chain)):
		return fmt.Errorf("entry %d: %w", l.Sequence, ErrTailCut)
	case chain[l.Sequence-1].Hash != l.Hash:
		return fmt.Errorf("entry %d: %w", l.Sequence, ErrRewritten)
	}
	return nil
}

// Leaves are those of one bucket, one for each license, strictly ascending by license id, byte by byte.
type Leaves []Leaf

func sorted(unsorted []Leaf) Leaves {
	slices.SortFunc(unsorted, func(a, b Leaf) int { return cmp.Compare(a.LicenseID, b.LicenseID) })
	return unsorted
}

// Find returns the index of the license's leaf, and whether there is one.
func (ls Leaves) Find(licenseID string) (int, bool) {
	return slices.BinarySearchFunc(ls, licenseID, func(l Leaf, id string) int { return cmp.Compare(l.LicenseID, id) })
}

// page returns the leaves as they are archived: the lines, one after another.
func (ls Leaves) page() []byte {
	var text bytes.Buffer
	for _, l := range ls {
		text.WriteString(l.String())
	}
	return text.Bytes()
}

// lineHashes returns the hashes of a page's leaves.
func lineHashes(page []byte) []tlog.Hash {
	var hashes []tlog.Hash
	for line := range bytes.Lines(page) {
		hashes = append(hashes, tlog.RecordHash(line))
	}
	return hashes
}

// parsePage reads what page returns. It refuses another order, and a leaf of another bucket.
func parsePage(page []byte, bucket int) (Leaves, error) {
	var ls Leaves
	for line := range strings.Lines(string(page)) {
		l, err := parseLeaf(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(ls)+1, err)
		}
		if len(ls) > 0 && ls[len(ls)-1].LicenseID >= l.LicenseID {
			return nil, fmt.Errorf("line %d: out of order", len(ls)+1)
		}
		if audit.BucketOf(l.LicenseID) != bucket {
			return nil, fmt.Errorf("line %d: of another bucket", len(ls)+1)
		}
		ls = append(ls, l)
	}
	return ls, nil
}
