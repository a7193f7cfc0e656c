package checkpoint

// The text forms, which are read only inside the package.
var (
	Parse     = parse
	ParseLeaf = parseLeaf
)
