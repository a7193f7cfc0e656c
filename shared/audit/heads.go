package audit

import (
	"context"
	"iter"
)

// ChainHead is the head of a license's chain.
type ChainHead struct {
	LicenseID string
	Head
}

// HeadLister lists the heads of all chains.
type HeadLister interface {
	// Heads answers every chain's head, each once, in any order, and ends with the first error. It may miss what
	// was appended in the last moments; Store.Head tells what holds.
	Heads(ctx context.Context) iter.Seq2[ChainHead, error]
}
