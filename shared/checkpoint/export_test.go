package checkpoint

import "golang.org/x/mod/sumdb/tlog"

// What is used only inside the package.
var (
	Parse     = parse
	ParseLeaf = parseLeaf
	TreeHash  = treeHash
	PathTo    = pathTo
)

// PageRoot returns the root over the lines of a page.
func PageRoot(page []byte) tlog.Hash { return treeHash(lineHashes(page)) }

// SetRecheckedAtOnce sets how many earlier checkpoints a run reads again, until undo is called.
func SetRecheckedAtOnce(n int64) (undo func()) {
	before := recheckedAtOnce
	recheckedAtOnce = n
	return func() { recheckedAtOnce = before }
}
