package audit

import (
	"context"
	"iter"
)

// ChainHead is the Head of a license's chain.
type ChainHead struct {
	LicenseID string
	Head
}

// HeadLister lists the heads of all chains.
type HeadLister interface {
	// Heads returns every chain's head, each once, in any order, and ends with the first error. It may miss what was
	// appended in the last moments, which Store.Head does not.
	Heads(ctx context.Context) iter.Seq2[ChainHead, error]
}
