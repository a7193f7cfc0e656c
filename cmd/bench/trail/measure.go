//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"golang.org/x/sync/errgroup"

	"openlicenser/functions/checkpoint/checkpointing"
	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/license"
)

// origin is that of a data folder's checkpoints, so that licenser serve goes on from them.
const origin = "openlicenser/local/audit"

// trail is a trail that is measured, and what stands around it.
type trail struct {
	size     int
	licenses license.Store
	records  license.Records
	store    interface {
		audit.Store
		audit.HeadLister
	}
	signer  checkpoint.Signer
	archive *counted
	spare   *counted // another archive, for a first checkpoint that is made alone

	settle func(context.Context) error // removes what follows changes
	close  func() error

	changed int // how many changes were made
}

const (
	proofMedian = "a proof, median"
	eightProofs = "eight proofs at once"
)

// measure makes checkpoints over a trail whose archives are empty.
func (b *bench) measure(ctx context.Context, t *trail) error {
	for _, state := range []struct {
		name    string
		alone   *counted // for Make alone
		changes int      // before each checkpoint
	}{
		{"first", t.spare, 0},
		{"nothing changed", t.archive, 0},
		{"one changed", t.archive, 1},
		{"100 changed", t.archive, 100},
		{"1 % changed", t.archive, t.size / 100},
	} {
		err := b.measureCheckpoint(ctx, t, "Make alone, "+state.name, state.changes, state.alone, t.make)
		if err == nil {
			err = b.measureCheckpoint(ctx, t, "checkpoint, "+state.name, state.changes, t.archive, t.handle)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) measureCheckpoint(
	ctx context.Context, t *trail, what string, changes int, archive *counted,
	do func(context.Context, *counted) error,
) error {
	if err := t.change(ctx, changes); err != nil {
		return err
	}
	archive.take()
	f, err := b.watch(t.size, what, func() error { return do(ctx, archive) })
	f.Objects = archive.take()
	b.note(f)
	return err
}

func (t *trail) maker(archive checkpoint.Archive) checkpoint.Maker {
	return checkpoint.Maker{Trail: t.store, Archive: archive, Signer: t.signer, Origin: origin}
}

func (t *trail) make(ctx context.Context, archive *counted) error {
	result, err := t.maker(archive).Make(ctx, time.Now())
	if err == nil && (result.Chains != t.size || len(result.Findings) > 0 || len(result.Damages) > 0) {
		err = fmt.Errorf("a checkpoint of %d chains, with findings %v and damages %v",
			result.Chains, result.Findings, result.Damages)
	}
	return err
}

// handle does what the checkpoint function does.
func (t *trail) handle(ctx context.Context, archive *counted) error {
	checkpointer := checkpointing.Checkpointer{
		Maker: t.maker(archive),
		Reconciler: checkpoint.Reconciler{
			Records: checkpoint.StoredRecords{Records: t.records}, Chains: t.store, Archive: archive,
		},
		Now: time.Now,
		Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
	}
	summary, err := checkpointer.Handle(ctx, events.EventBridgeEvent{})
	found := summary.Rewritten + summary.Missed + summary.Backlog + summary.Damaged
	if err == nil && (summary.Chains != t.size || found > 0) {
		err = fmt.Errorf("the checkpoint reports %+v", summary)
	}
	return err
}

// measureProofs makes proofs in the latest checkpoints of all trails in turn, so that other load on the machine
// concerns all of them.
func (b *bench) measureProofs(ctx context.Context, trails []*trail) error {
	took := make([][]float64, len(trails))
	for range b.Proofs {
		for i, t := range trails {
			begun := time.Now()
			if err := t.prove(ctx); err != nil {
				return err
			}
			took[i] = append(took[i], time.Since(begun).Seconds())
		}
	}
	for i, t := range trails {
		slices.Sort(took[i])
		b.note(figure{Licenses: t.size, What: proofMedian, Seconds: took[i][b.Proofs/2]})
		b.note(figure{Licenses: t.size, What: "a proof, p99", Seconds: took[i][b.Proofs*99/100]})
		f, err := b.watch(t.size, eightProofs, func() error { return t.proveAtOnce(ctx, 8, b.Proofs/8) })
		if err != nil {
			return err
		}
		f.Note = fmt.Sprintf("%d each", b.Proofs/8)
		b.note(f)
	}
	return nil
}

// prove makes the proof of any license, and verifies it.
func (t *trail) prove(ctx context.Context) error {
	vkey, err := checkpoint.VerifierKey(ctx, t.signer, origin)
	if err != nil {
		return err
	}
	id := licenseID(rand.IntN(t.size), t.size)
	proof, err := checkpoint.Prove(ctx, t.archive, vkey, id)
	if err != nil {
		return err
	}
	_, _, err = proof.Verify(vkey, id)
	return err
}

func (t *trail) proveAtOnce(ctx context.Context, atOnce, each int) error {
	var group errgroup.Group
	for range atOnce {
		group.Go(func() error {
			for range each {
				if err := t.prove(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}
