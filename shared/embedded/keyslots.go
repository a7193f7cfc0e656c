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

// KeySlots is the token.KeySlots in a data folder, which a server may have open: it uses what changes here from the next
// request on.
type KeySlots struct{ Folder string }

var _ token.KeySlots = KeySlots{}

var slotFiles = map[token.Slot]string{token.Current: tokenKeyFile, token.Next: nextTokenKeyFile, token.Previous: previousTokenKeyFile}

func (s KeySlots) path(slot token.Slot) string { return filepath.Join(s.Folder, slotFiles[slot]) }

// Slots implements token.KeySlots. A key stands in a slot since its file was written.
func (s KeySlots) Slots(context.Context) (token.Slots, error) {
	keys, err := readTokenKeys(s.Folder)
	if err != nil {
		return nil, err
	}
	slots := token.Slots{}
	for slot, name := range slotFiles {
		if file := keys.files[name]; file.value != nil {
			kid := token.KeyID(&file.value.PublicKey)
			slots[slot] = token.SlotKey{Name: kid, KeyID: kid, Since: file.info.ModTime().UTC()}
		}
	}
	return slots, nil
}

// Create implements token.KeySlots.
func (s KeySlots) Create(context.Context) error {
	_, err := readOrMake(s.path(token.Next), true, makeTokenKey)
	return err
}

// Put implements token.KeySlots.
func (s KeySlots) Put(_ context.Context, slot token.Slot, key token.SlotKey) error {
	for from := range slotFiles {
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
			return writeWhole(s.path(slot), text, os.Rename)
		}
	}
	return fmt.Errorf("the key %s is in no file of the folder", key.Name)
}

// Clear implements token.KeySlots. Locally nothing else keeps the key: it is gone then.
func (s KeySlots) Clear(_ context.Context, slot token.Slot) error {
	if err := os.Remove(s.path(slot)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncFolder(s.Folder)
}
