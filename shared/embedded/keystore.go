package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"openlicenser/shared/token"
)

// KeyStore implements token.KeyStore on a data folder. A server that has the folder open uses what changes here from
// the next request on.
type KeyStore struct{ Folder string }

var _ token.KeyStore = KeyStore{}

var tokenKeyFiles = map[token.KeyState]string{
	token.Current: tokenKeyFile, token.Next: nextTokenKeyFile, token.Previous: previousTokenKeyFile,
}

func (s KeyStore) path(state token.KeyState) string {
	return filepath.Join(s.Folder, tokenKeyFiles[state])
}

// Keys implements token.KeyStore. A key is in its state since its file was written.
func (s KeyStore) Keys(context.Context) (token.StoredKeys, error) {
	read, err := readTokenKeys(s.Folder)
	if err != nil {
		return nil, err
	}
	keys := token.StoredKeys{}
	for state, name := range tokenKeyFiles {
		if file := read.files[name]; file.value != nil {
			public := &file.value.PublicKey
			kid := token.KeyID(public)
			keys[state] = token.StoredKey{Name: kid, KeyID: kid, Since: file.info.ModTime().UTC(), Public: public}
		}
	}
	return keys, nil
}

// Create implements token.KeyStore.
func (s KeyStore) Create(context.Context) error {
	_, err := readOrMake(s.path(token.Next), true, makeTokenKey)
	return err
}

// Put implements token.KeyStore.
func (s KeyStore) Put(_ context.Context, state token.KeyState, key token.StoredKey) error {
	for from := range tokenKeyFiles {
		text, err := os.ReadFile(s.path(from))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		private, err := parseTokenKey(s.path(from), text)
		if err != nil {
			return err
		}
		if token.KeyID(&private.PublicKey) == key.Name {
			return WriteFile(s.path(state), text)
		}
	}
	return fmt.Errorf("the key %s is in no file of the folder", key.Name)
}

// Clear implements token.KeyStore. A key that has no other state is gone then: nothing else in the folder keeps it.
func (s KeyStore) Clear(_ context.Context, state token.KeyState) error {
	if err := os.Remove(s.path(state)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncFolder(s.Folder)
}
