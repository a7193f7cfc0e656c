package embedded

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"openlicenser/shared/token"
)

// RingStore implements token.RingStore on a data folder. A server that has the folder open uses a changed ring from the
// next request on. Nothing guards one change from another at the same time: the last one wins.
type RingStore struct{ Folder string }

var _ token.RingStore = RingStore{}

const secretFile = "license-key-secret.json"

func (s RingStore) path() string { return filepath.Join(s.Folder, secretFile) }

// Read implements token.RingStore.
func (s RingStore) Read(context.Context) (token.Ring, error) {
	text, err := os.ReadFile(s.path())
	if err != nil {
		return token.Ring{}, err
	}
	return parseRing(s.path(), text)
}

func parseRing(path string, text []byte) (token.Ring, error) {
	ring, err := token.ParseRing(text)
	if err != nil {
		return token.Ring{}, fmt.Errorf("file %s: %w", path, err)
	}
	return ring, nil
}

// Change implements token.RingStore.
func (s RingStore) Change(ctx context.Context, edit func(token.Ring) (token.Ring, error)) (token.Ring, error) {
	ring, err := s.Read(ctx)
	if err != nil {
		return token.Ring{}, err
	}
	if ring, err = edit(ring); err != nil {
		return token.Ring{}, err
	}
	text, err := ring.Marshal()
	if err != nil {
		return token.Ring{}, err
	}
	return ring, WriteFile(s.path(), text)
}

// Rotate implements token.RingStore. It is done when it returns.
func (s RingStore) Rotate(ctx context.Context, now time.Time) (done bool, err error) {
	_, err = s.Change(ctx, func(r token.Ring) (token.Ring, error) { return r.Rotate(token.NewSecret(), now) })
	return err == nil, err
}
