package main

import (
	"context"
	"fmt"
	"iter"
	"os"
	"time"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/checkpoint"
)

// checkKept checks that a checkpoint that someone has kept is in the history of the latest one: it is there under its
// number, and each up to the latest names the one before it.
func (v chainVerifier) checkKept(ctx context.Context, t *terminal.Terminal, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	kept, err := checkpoint.Open(v.key, text)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", errTrail, file, err)
	}
	signed, err := v.api.Checkpoint(ctx)
	if err != nil {
		return err
	}
	latest, err := checkpoint.Open(v.key, []byte(signed))
	if err != nil {
		return fmt.Errorf("%w: the latest checkpoint: %w", errTrail, err)
	}
	if latest.Number < kept.Number {
		return fmt.Errorf("%w: the trail was rolled back: the latest checkpoint is number %d of %s, "+
			"and the one in %s is number %d of %s", errTrail, latest.Number, latest.Time.Format(time.RFC3339),
			file, kept.Number, kept.Time.Format(time.RFC3339))
	}
	shown := newProgress(t.Err, "checkpoints", latest.Number-kept.Number+1)
	defer shown.end()
	last, lastText, checked := checkpoint.Checkpoint{}, "", 0
	err = inOrder(ctx, numbers(kept.Number, latest.Number), verifyWorkers, v.api.NumberedCheckpoint,
		func(signed string) error {
			c, err := checkpoint.Open(v.key, []byte(signed))
			switch {
			case err != nil:
			case last.Number == 0 && signed != string(text):
				err = fmt.Errorf("there is another checkpoint %d than the one in %s: the trail was rolled back, "+
					"and went on in another way", kept.Number, file)
			case last.Number > 0:
				err = c.Follows(last, []byte(lastText))
			}
			if err != nil {
				return fmt.Errorf("%w: %w", errTrail, err)
			}
			checked++
			shown.show(checked)
			last, lastText = c, signed
			return nil
		})
	if isNotFound(err) {
		return fmt.Errorf("%w: a checkpoint from number %d to %d is missing", errTrail, kept.Number, latest.Number)
	}
	if err != nil {
		return err
	}
	if lastText != signed {
		return fmt.Errorf("%w: the latest checkpoint is not the one of number %d", errTrail, latest.Number)
	}
	t.Say("Checkpoint %d of %s, which you have kept, is in the history of the latest, number %d of %s.",
		kept.Number, kept.Time.Format(time.RFC3339), latest.Number, latest.Time.Format(time.RFC3339))
	return nil
}

func numbers(from, to int64) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		for n := from; n <= to && yield(n, nil); n++ {
		}
	}
}
