package checkpoint

import "golang.org/x/mod/sumdb/tlog"

// tree is the Merkle tree (RFC 6962) over leaves.
type tree struct {
	size   int64       // number of leaves
	hashes []tlog.Hash // by tlog.StoredHashIndex
}

func newTree(ls leaves) (tree, error) {
	t := tree{hashes: make([]tlog.Hash, 0, tlog.StoredHashCount(int64(len(ls))))}
	for _, l := range ls {
		hashes, err := tlog.StoredHashes(t.size, []byte(l.String()), t)
		if err != nil {
			return tree{}, err
		}
		t.hashes = append(t.hashes, hashes...)
		t.size++
	}
	return t, nil
}

// ReadHashes implements tlog.HashReader.
func (t tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = t.hashes[index]
	}
	return hashes, nil
}

func (t tree) root() (tlog.Hash, error) { return tlog.TreeHash(t.size, t) }
