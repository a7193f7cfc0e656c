package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// Erasures is what completing an erasure needs of a Store.
type Erasures interface {
	// Entries returns up to limit entries with a Sequence greater than after, in order, as they are stored. It returns
	// ErrUnreadable where one of them is none.
	Entries(ctx context.Context, licenseID string, after int64, limit int) ([]Entry, error)

	// Forget removes the disclosures of all entries before a sequence. It can be repeated.
	Forget(ctx context.Context, licenseID string, before int64) error
}

// CompleteErasure makes the store forget what the entries before an erasure disclose. The chain has to say itself that
// its entry of this sequence is one: a head that someone else has written forgets nothing. It can be repeated, whatever
// became of the first attempt.
func CompleteErasure(ctx context.Context, store Erasures, licenseID string, sequence int64) error {
	entries, err := store.Entries(ctx, licenseID, sequence-1, 1)
	if err != nil {
		return fmt.Errorf("erasure of %s: %w", licenseID, err)
	}
	if len(entries) == 0 || entries[0].Sequence != sequence || entries[0].Action != Erased {
		return fmt.Errorf("%w: license %s, entry %d is no erasure", ErrHead, licenseID, sequence)
	}
	if err := store.Forget(ctx, licenseID, sequence); err != nil {
		return fmt.Errorf("erasure of %s: %w", licenseID, err)
	}
	return nil
}

// DisclosedTexts returns the texts that an attribute of a license had, as far as its chain discloses them, each once.
func DisclosedTexts(ctx context.Context, store Store, licenseID, attribute string) (texts []string, err error) {
	state, err := store.State(ctx, licenseID)
	if err != nil || state.Sequence == 0 {
		return nil, err
	}
	disclosures, err := store.Disclosures(ctx, licenseID, state.ErasedSequence, state.Sequence)
	if err != nil {
		return nil, err
	}
	for _, d := range disclosures {
		for _, value := range []json.RawMessage{d.Changes[attribute].Old, d.Changes[attribute].New} {
			var text struct{ S string }
			if json.Unmarshal(value, &text) == nil && text.S != "" && !slices.Contains(texts, text.S) {
				texts = append(texts, text.S)
			}
		}
	}
	return texts, nil
}
