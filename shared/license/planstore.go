package license

import (
	"context"
	"errors"
)

// The errors of a PlanStore, for errors.Is. Any other error is a fault of the store: the outcome of a write is then
// unknown.
var (
	ErrNoPlan       = errors.New("no such plan")
	ErrPlanConflict = errors.New("the plan was changed in the meantime")
)

// PlanStore keeps plans. A change that was acknowledged is durable. Reads are strongly consistent: they see every
// change acknowledged before.
type PlanStore interface {
	// Get returns the plan with the name. The error is ErrNoPlan if the store is certain that there is none.
	Get(ctx context.Context, name string) (Plan, error)

	// Put writes after in the place of before, as read from this store. The zero Plan stands for none. Put returns
	// ErrPlanConflict, and changes nothing, if what is stored does not meet before's Expectation any more.
	Put(ctx context.Context, before, after Plan) error

	// Delete removes p, as read from this store. It returns ErrPlanConflict, and changes nothing, if what is stored
	// does not meet p's Expectation any more, or is gone.
	Delete(ctx context.Context, p Plan) error

	// List returns up to limit plans, in the order of their names, byte by byte. It begins behind a name, which need
	// not be that of a plan. A vendor has few plans, so a store may read all of them for each page.
	List(ctx context.Context, after string, limit int) ([]Plan, error)
}
