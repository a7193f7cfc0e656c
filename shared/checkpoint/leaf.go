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

	"openlicenser/shared/audit"
)

// Leaf is what a checkpoint says of one license: that its chain has an entry of this sequence with this hash. Its
// text is one line,
//
//	<license id> <sequence> <hash>
//
// with one space between, a line feed at the end, the license id percent-encoded as a segment of a path (a UUID stays as
// it is), the sequence a decimal from 1, and the hash 64 lower-case hexadecimal digits. The leaf's hash in the tree is
// that of RFC 6962 over the line with its line feed.
type Leaf struct {
	LicenseID string
	Sequence  int64
	Hash      string
}

func (l Leaf) String() string {
	return url.PathEscape(l.LicenseID) + " " + strconv.FormatInt(l.Sequence, 10) + " " + l.Hash + "\n"
}

// errLeaf says that a text is not a leaf's line.
var errLeaf = errors.New("not a line of license id, sequence and hash")

// ParseLeaf reads a line, and no other spelling of it than String's.
func ParseLeaf(line string) (Leaf, error) {
	fields := strings.Split(strings.TrimSuffix(line, "\n"), " ")
	if len(fields) != 3 {
		return Leaf{}, errLeaf
	}
	id, errID := url.PathUnescape(fields[0])
	sequence, errSequence := strconv.ParseInt(fields[1], 10, 64)
	l := Leaf{LicenseID: id, Sequence: sequence, Hash: fields[2]}
	if errors.Join(errID, errSequence) != nil || !l.isValid() || l.String() != line {
		return Leaf{}, errLeaf
	}
	return l, nil
}

func (l Leaf) isValid() bool { return l.LicenseID != "" && l.Sequence > 0 && isHash(l.Hash) }

func isHash(text string) bool { return len(text) == 64 && strings.Trim(text, "0123456789abcdef") == "" }

// What Check answers of a chain that is not the signed one.
var (
	ErrTailCut   = errors.New("the chain is shorter than the one that was signed: its tail was cut, or an old copy restored")
	ErrRewritten = errors.New("the chain is not the one that was signed")
)

// Check wants a chain to hold the entry that was signed. hashAt answers the hash of the entry of a sequence, or that
// the chain has none. The caller has verified the chain with audit.Verify from its beginning: then all up to the
// leaf's sequence is what was signed, and what follows is younger than the checkpoint.
func (l Leaf) Check(hashAt func(sequence int64) (hash string, found bool)) error {
	hash, found := hashAt(l.Sequence)
	switch {
	case !found:
		return fmt.Errorf("entry %d: %w", l.Sequence, ErrTailCut)
	case hash != l.Hash:
		return fmt.Errorf("entry %d: %w", l.Sequence, ErrRewritten)
	}
	return nil
}

// HashesOf is the hashAt for Check of a whole chain in memory, from entry 1 on.
func HashesOf(entries []audit.Entry) func(sequence int64) (string, bool) {
	return func(sequence int64) (string, bool) {
		if sequence < 1 || sequence > int64(len(entries)) {
			return "", false
		}
		return entries[sequence-1].Hash, true
	}
}

// leaves are ordered by license id, byte by byte, and of each license there is one.
type leaves []Leaf

func sorted(unsorted []Leaf) leaves {
	slices.SortFunc(unsorted, func(a, b Leaf) int { return cmp.Compare(a.LicenseID, b.LicenseID) })
	return unsorted
}

// find answers the index of the license's leaf.
func (ls leaves) find(licenseID string) (int, bool) {
	return slices.BinarySearchFunc(ls, licenseID, func(l Leaf, id string) int { return cmp.Compare(l.LicenseID, id) })
}

// text is the list as it is archived: the lines, one after another.
func (ls leaves) text() []byte {
	var text bytes.Buffer
	for _, l := range ls {
		text.WriteString(l.String())
	}
	return text.Bytes()
}

// parseLeaves reads a list, and no list in another order.
func parseLeaves(text []byte) (leaves, error) {
	var ls leaves
	for line := range strings.Lines(string(text)) {
		l, err := ParseLeaf(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(ls)+1, err)
		}
		if len(ls) > 0 && ls[len(ls)-1].LicenseID >= l.LicenseID {
			return nil, fmt.Errorf("line %d: out of order", len(ls)+1)
		}
		ls = append(ls, l)
	}
	return ls, nil
}
