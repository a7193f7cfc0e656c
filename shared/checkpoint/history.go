package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// history reads the checkpoints that an archive keeps, and notes what is missing or was replaced.
type history struct {
	archive Reader
	vkey    string
	damages []*ArchiveError
}

// kept is a verified checkpoint of the archive. The zero value stands for an empty archive.
type kept struct {
	Checkpoint
	signed []byte
}

func (h *history) note(name string, why error) {
	h.damages = append(h.damages, &ArchiveError{name, why})
}

// newest returns the checkpoint with the highest number. The latest may be one behind it, after a crash before it was
// put or after two runs that crossed. One that is further behind, or junk, is a damage, which the next checkpoint
// mends. A checkpoint that our key has not signed, or that does not follow the one before it, is an error that only a
// person can resolve: the archive, or the key, is not ours.
func (h *history) newest(ctx context.Context) (kept, error) {
	signed, latest, err := Latest(ctx, h.archive, h.vkey)
	var isJunk *ArchiveError
	switch {
	case errors.As(err, &isJunk):
		h.damages = append(h.damages, isJunk)
	case err != nil && !errors.Is(err, ErrNone):
		return kept{}, fmt.Errorf("the latest checkpoint: %w", err)
	}
	newest := kept{latest, signed}
	if signed != nil {
		if newest, err = h.asKept(ctx, newest); err != nil {
			return kept{}, err
		}
	}
	for {
		next, err := h.open(ctx, newest.Number+1)
		if errors.Is(err, errMissing) {
			break
		}
		if err == nil {
			err = next.follows(newest)
		}
		if err != nil {
			return kept{}, err
		}
		newest = next
	}
	switch behind := newest.Number - latest.Number; {
	case isJunk != nil && newest.signed == nil:
		return kept{}, isJunk // there is nothing that tells that the archive is ours
	case isJunk == nil && behind > 1:
		h.note(latestName, fmt.Errorf("it is checkpoint %d, and %d is there", latest.Number, newest.Number))
	}
	return newest, nil
}

func (h *history) open(ctx context.Context, number int64) (kept, error) {
	return openNumbered(ctx, h.archive, h.vkey, number)
}

// follows returns an ArchiveError unless the checkpoint is the one right after another. Before the first there is none.
func (k kept) follows(before kept) error {
	if before.signed == nil {
		return nil
	}
	if err := k.Follows(before.Checkpoint, before.signed); err != nil {
		return &ArchiveError{checkpointName(k.Number), err}
	}
	return nil
}

// asKept returns the latest checkpoint as it is under its number, where it can be read, and notes where it is not there
// as the latest says.
func (h *history) asKept(ctx context.Context, latest kept) (kept, error) {
	numbered, err := h.open(ctx, latest.Number)
	var damage *ArchiveError
	switch {
	case errors.As(err, &damage):
		h.damages = append(h.damages, damage)
		return latest, nil
	case err != nil:
		return kept{}, err
	case !bytes.Equal(numbered.signed, latest.signed):
		h.note(latestName, fmt.Errorf("it is another checkpoint %d than the one that was kept", latest.Number))
	}
	return numbered, nil
}

// maxAhead is how far the clocks of two runs may be apart.
const maxAhead = 5 * time.Minute

// checkClock notes where the newest checkpoint is of a time that has not come yet.
func (h *history) checkClock(newest kept, now time.Time) {
	if newest.Time.After(now.Add(maxAhead)) {
		why := fmt.Errorf("it is of %s, and now is %s: the clock was wrong then, or is now",
			newest.Time.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
		h.note(checkpointName(newest.Number), why)
	}
}

// recheckedAtOnce is how many earlier checkpoints each run reads again at least. Where they are many it is one of
// maxParts parts, so that all of hourly ones take some ten days.
var recheckedAtOnce int64 = 100

const maxParts = 88

// goldenRatio times 1, 2, 3, … leaves fractions that spread evenly, wherever one begins.
const goldenRatio = 0.6180339887498949

// recheck reads a part of the earlier checkpoints again, and notes those that are missing or do not follow the one
// before. While their number grows, each part has its turn again and again.
func (h *history) recheck(ctx context.Context, newest int64) error {
	size := max(recheckedAtOnce, newest/maxParts)
	_, fraction := math.Modf(float64(newest) * goldenRatio)
	first := int64(fraction*float64(newest/size+1))*size + 1
	var before kept
	for number := first; number <= min(first+size, newest-1); number++ {
		c, err := h.open(ctx, number)
		if err == nil {
			err = c.follows(before)
		}
		var damage *ArchiveError
		switch {
		case errors.As(err, &damage):
			h.damages = append(h.damages, damage)
		case err != nil:
			return err
		}
		before = c
	}
	return nil
}
