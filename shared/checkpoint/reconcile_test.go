package checkpoint_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
)

// hashes is a checkpoint.RecordHashes in memory.
type hashes map[string]string

func (h hashes) All(context.Context) iter.Seq2[checkpoint.RecordHash, error] {
	return func(yield func(checkpoint.RecordHash, error) bool) {
		for id, hash := range h {
			if hash == "fault" {
				yield(checkpoint.RecordHash{}, errFault)
				return
			}
			if !yield(checkpoint.RecordHash{LicenseID: id, Hash: hash, Foreign: id == "foreign"}, nil) {
				return
			}
		}
	}
}

func (h hashes) Of(_ context.Context, id string) (checkpoint.RecordHash, error) {
	if h[id] == "fault in Of" {
		return checkpoint.RecordHash{}, errFault
	}
	return checkpoint.RecordHash{LicenseID: id, Hash: h[id]}, nil
}

func TestReconcile(t *testing.T) {
	tests := map[string]struct {
		records, chains hashes
		during          func(records, chains hashes) // the pause
		want            map[string]error
	}{
		"Agree":   {records: hashes{"a": "1", "b": "2"}, chains: hashes{"a": "1", "b": "2"}},
		"Removed": {records: hashes{}, chains: hashes{"a": ""}},
		"NotRecorded": {
			records: hashes{"a": "2", "b": "2"},
			chains:  hashes{"a": "1", "b": "2"},
			want:    map[string]error{"a": checkpoint.ErrNotRecorded},
		},
		"NoChain": {
			records: hashes{"a": "1"},
			chains:  hashes{},
			want:    map[string]error{"a": checkpoint.ErrNoChain},
		},
		"OlderThanTrail": {records: hashes{"foreign": "1"}, chains: hashes{}},
		"ForeignChange": {
			records: hashes{"foreign": "2"},
			chains:  hashes{"foreign": "1"},
			want:    map[string]error{"foreign": checkpoint.ErrNotRecorded},
		},
		"ForeignIsBack": {
			records: hashes{"foreign": "1"},
			chains:  hashes{"foreign": ""},
			want:    map[string]error{"foreign": checkpoint.ErrNoChain},
		},
		"RecordIsGone": {
			records: hashes{},
			chains:  hashes{"a": "1"},
			want:    map[string]error{"a": checkpoint.ErrRemovalNotRecorded},
		},
		"BackAfterEnd": {
			records: hashes{"a": "1"},
			chains:  hashes{"a": ""},
			want:    map[string]error{"a": checkpoint.ErrNoChain},
		},
		"TrailCatchesUp": {
			records: hashes{"a": "2"},
			chains:  hashes{"a": "1"},
			during:  func(_, chains hashes) { chains["a"] = "2" },
		},
		"RecordMovesOn": {
			records: hashes{"a": "2"},
			chains:  hashes{"a": "1"},
			during:  func(records, _ hashes) { records["a"] = "3" },
		},
		"RemovedMeanwhile": {
			records: hashes{"a": "2"},
			chains:  hashes{"a": "1"},
			during:  func(records, chains hashes) { delete(records, "a"); chains["a"] = "" },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			paused := 0
			r := checkpoint.Reconciler{Records: test.records, Chains: test.chains, Pause: func(context.Context) error {
				paused++
				if test.during != nil {
					test.during(test.records, test.chains)
				}
				return nil
			}}
			discrepancies, err := r.Reconcile(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got, want := map[string]string{}, map[string]string{}
			for _, d := range discrepancies {
				got[d.LicenseID] = d.Why.Error()
			}
			for id, why := range test.want {
				want[id] = why.Error()
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if differ := len(test.want) > 0 || test.during != nil; (paused == 1) != differ || paused > 1 {
				t.Errorf("paused %d times", paused)
			}
		})
	}
}

func TestReconcileFaults(t *testing.T) {
	pause := func(context.Context) error { return nil }
	for i, r := range []checkpoint.Reconciler{
		{Records: hashes{"a": "fault"}, Chains: hashes{}, Pause: pause},
		{Records: hashes{}, Chains: hashes{"a": "fault"}, Pause: pause},
		{Records: hashes{"a": "fault in Of"}, Chains: hashes{}, Pause: pause},
		{Records: hashes{"a": "1"}, Chains: hashes{}, Pause: func(context.Context) error { return errFault }},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			if got, err := r.Reconcile(t.Context()); !errors.Is(err, errFault) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestChainHashes(t *testing.T) {
	w := newWorld(t, 3)
	chains := checkpoint.ChainHashes{Trail: w.trail}
	records := hashes{}
	for i := range 3 {
		if head := w.trail.heads[license(i)]; i > 0 {
			records[license(i)] = head.RecordHash
		}
	}
	w.trail.lag[license(1)] = audit.Head{} // a list that lags behind is asked again
	r := checkpoint.Reconciler{Records: records, Chains: chains, Pause: checkpoint.PauseFor(time.Millisecond)}
	got, err := r.Reconcile(t.Context())
	want := checkpoint.Discrepancy{LicenseID: license(0), Why: checkpoint.ErrRemovalNotRecorded}
	if err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("got %v, %v", got, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := checkpoint.PauseFor(time.Hour)(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
