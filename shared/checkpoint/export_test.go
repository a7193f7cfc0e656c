package checkpoint

// What is used only inside the package.
var (
	Parse     = parse
	ParseLeaf = parseLeaf
	TreeHash  = treeHash
	PathTo    = pathTo
)

// SetRecheckedAtOnce sets how many earlier checkpoints a run reads again, until undo is called.
func SetRecheckedAtOnce(n int64) (undo func()) {
	before := recheckedAtOnce
	recheckedAtOnce = n
	return func() { recheckedAtOnce = before }
}
