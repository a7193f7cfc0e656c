package licensing

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// Store keeps a few small documents across restarts. A product may bring its own. Processes that share one each read
// what another has saved. What is lost is asked for again. An error is logged, and ends nothing. A panic is not caught:
// whoever calls a method of the client gets it, and in the background it ends the program.
type Store interface {
	// Load returns a document as it was saved, or nil where there is none.
	Load(name string) ([]byte, error)

	// Save replaces a document as a whole. After a crash either the old one or the new one is there.
	Save(name string, document []byte) error
}

// The names of the documents.
const (
	licenseDocument = "license"
	clockDocument   = "clock"
)

// Dir keeps the documents in a folder of the product's own, which it makes for its user alone. Several processes of the
// product may share it, on one machine: the token and the clock mark are that machine's.
func Dir(path string) Store { return dir(path) }

type dir string

func (d dir) file(name string) string { return filepath.Join(string(d), name+".state") }

func (d dir) Load(name string) (document []byte, err error) {
	file, err := os.Open(d.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxStored+1))
}

// Save writes a temporary file, which os.CreateTemp opens for its user alone, and renames it.
func (d dir) Save(name string, document []byte) error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(string(d), name+".*.tmp")
	if err != nil {
		return err
	}
	_, err = file.Write(document)
	if err == nil {
		err = file.Sync() // else a crash could leave the new name on an empty file
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = rename(file.Name(), d.file(name))
	}
	if err != nil {
		os.Remove(file.Name())
	}
	d.sweep(name)
	return err
}

// rename tries again, because Windows renames over no file that another process has open.
func rename(from, to string) (err error) {
	for range 10 {
		if err = os.Rename(from, to); err == nil || runtime.GOOS != "windows" {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}

// sweep removes what a crash has left of earlier writes.
func (d dir) sweep(name string) {
	left, _ := filepath.Glob(filepath.Join(string(d), name+".*.tmp"))
	for _, file := range left {
		if info, err := os.Stat(file); err == nil && time.Since(info.ModTime()) > time.Hour {
			os.Remove(file)
		}
	}
}

// Memory keeps the documents as long as the process runs.
func Memory() Store { return &memory{documents: map[string][]byte{}} }

type memory struct {
	mu        sync.Mutex
	documents map[string][]byte
}

func (m *memory) Load(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.documents[name], nil
}

func (m *memory) Save(name string, document []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.documents[name] = document
	return nil
}
