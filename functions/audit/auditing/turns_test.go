package auditing_test

import (
	"cmp"
	"slices"
	"sync"
	"testing/synctest"
)

// turns lets the calls of a store through one at a time, in the order of its choices. It waits until every license of
// every invocation is at a call or at its end, so the same choices lead to the same run. It works in a bubble of
// synctest only.
type turns struct {
	mu      sync.Mutex
	choices []int
	waiting []turn
}

// turn is a call that waits.
type turn struct {
	caller string // one call of it waits at a time
	begin  chan struct{}
}

// take waits until it is the caller's turn. Of nil turns it is always.
func (o *turns) take(caller string) {
	if o == nil {
		return
	}
	begin := make(chan struct{})
	o.mu.Lock()
	o.waiting = append(o.waiting, turn{caller, begin})
	o.mu.Unlock()
	<-begin
}

// give returns when nobody waits any more.
func (o *turns) give() {
	for {
		synctest.Wait()
		if len(o.waiting) == 0 {
			return
		}
		slices.SortFunc(o.waiting, func(a, b turn) int { return cmp.Compare(a.caller, b.caller) })
		next := 0
		if len(o.choices) > 0 {
			next, o.choices = o.choices[0]%len(o.waiting), o.choices[1:]
		}
		chosen := o.waiting[next]
		o.waiting = slices.Delete(o.waiting, next, next+1)
		close(chosen.begin)
	}
}
