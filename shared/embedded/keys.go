package embedded

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"openlicenser/shared/token"
)

// Secrets implements token.Secrets on a file in the data folder, which it reads again when it has changed. The file
// holds what Secrets Manager holds on AWS.
type Secrets struct {
	mu       sync.Mutex
	file     keyFile[token.Ring]
	reported token.Ring // the last one with a short secret
}

var _ token.Secrets = (*Secrets)(nil)

// Ring implements token.Secrets. While the file cannot be read, the ring that was read last serves on, for a day.
func (s *Secrets) Ring(ctx context.Context) (token.Ring, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.file.look(); err != nil {
		if err := s.file.serveOn(ctx, "the license-key secret", err); err != nil {
			return token.Ring{}, err
		}
	}
	s.reportShort(ctx)
	return s.file.value, nil
}

// Refresh implements token.Secrets.
func (s *Secrets) Refresh(context.Context) (token.Ring, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.file.look(); err != nil {
		return token.Ring{}, err
	}
	return s.file.value, nil
}

// reportShort logs the short secrets of a ring, once in a process. s.mu is held.
func (s *Secrets) reportShort(ctx context.Context) {
	ring := s.file.value
	short := ring.Short(time.Now())
	if short == 0 || ring.Equal(s.reported) {
		return
	}
	s.reported = ring
	slog.WarnContext(ctx, token.ShortWarning, "secrets", short)
}

func openSecrets(path string, isNew bool) (*Secrets, error) {
	_, err := readOrMake(path, isNew, func() ([]byte, error) {
		return token.Ring{Current: token.NewSecret(), Created: time.Now().UTC().Truncate(time.Millisecond)}.Marshal()
	})
	if err != nil {
		return nil, err
	}
	secrets := &Secrets{file: keyFile[token.Ring]{path: path, parse: parseRing}}
	return secrets, secrets.file.look()
}

// The files of the token keys. A file's time of writing tells since when its key is in its state.
const (
	tokenKeyFile         = "token-key.pem"
	nextTokenKeyFile     = "token-key-next.pem"
	previousTokenKeyFile = "token-key-previous.pem"
)

// allTokenKeyFiles are read in this order because a promotion writes them in the opposite one. So no key is missed.
var allTokenKeyFiles = []string{nextTokenKeyFile, tokenKeyFile, previousTokenKeyFile}

// SigningKey implements token.SigningKey on PEM files in the data folder, which it reads again when they have changed.
type SigningKey struct {
	mu    sync.Mutex
	files map[string]*keyFile[*rsa.PrivateKey] // all of them, by name; where a file is absent, its key is nil
}

var _ token.SigningKey = (*SigningKey)(nil)

// PublicKey implements token.SigningKey.
func (k *SigningKey) PublicKey(ctx context.Context) (*rsa.PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.lookAt(ctx, tokenKeyFile); err != nil {
		return nil, err
	}
	return &k.files[tokenKeyFile].value.PublicKey, nil
}

// Published implements token.SigningKey.
func (k *SigningKey) Published(ctx context.Context) (published []token.PublishedKey, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.lookAt(ctx, allTokenKeyFiles...); err != nil {
		return nil, err
	}
	for _, name := range []string{tokenKeyFile, nextTokenKeyFile, previousTokenKeyFile} {
		key := k.files[name].value
		isThere := func(p token.PublishedKey) bool { return p.Public.Equal(key.Public()) }
		if key == nil || slices.ContainsFunc(published, isThere) {
			continue
		}
		published = append(published, token.PublishedKey{Public: &key.PublicKey, Signs: name != nextTokenKeyFile})
	}
	return published, nil
}

// SignDigest implements token.SigningKey. It does not look at the files: PublicKey and Published have done so.
func (k *SigningKey) SignDigest(_ context.Context, by *rsa.PublicKey, digest [sha256.Size]byte) ([]byte, error) {
	key := k.find(by)
	if key == nil {
		return nil, token.ErrKeyMoved
	}
	return rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
}

// find returns the private half of a key that may sign, or nil.
func (k *SigningKey) find(by *rsa.PublicKey) *rsa.PrivateKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range []string{tokenKeyFile, previousTokenKeyFile} {
		if key := k.files[name].value; key != nil && key.PublicKey.Equal(by) {
			return key
		}
	}
	return nil
}

// lookAt reads those of the named files that have changed. While one cannot be read, the key that was read last serves
// on, for a day. k.mu is held.
func (k *SigningKey) lookAt(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := k.look(name); err != nil {
			if err := k.files[name].serveOn(ctx, "the token key", err); err != nil {
				return err
			}
		}
	}
	return nil
}

// look reads a file if it has changed. Only the file of the current key has to exist. k.mu is held.
func (k *SigningKey) look(name string) error {
	err := k.files[name].look()
	if errors.Is(err, fs.ErrNotExist) && name != tokenKeyFile {
		k.files[name].forget()
		return nil
	}
	return err
}

const tokenKeyBits = 2048

func openSigningKey(folder string, isNew bool) (*SigningKey, error) {
	if _, err := readOrMake(filepath.Join(folder, tokenKeyFile), isNew, makeTokenKey); err != nil {
		return nil, err
	}
	return readTokenKeys(folder)
}

func readTokenKeys(folder string) (*SigningKey, error) {
	k := &SigningKey{files: map[string]*keyFile[*rsa.PrivateKey]{}}
	for _, name := range allTokenKeyFiles {
		k.files[name] = &keyFile[*rsa.PrivateKey]{path: filepath.Join(folder, name), parse: parseTokenKey}
		if err := k.look(name); err != nil {
			return nil, err
		}
	}
	return k, nil
}

func parseTokenKey(path string, text []byte) (*rsa.PrivateKey, error) {
	key, err := parseKey(path, text)
	if err != nil {
		return nil, err
	}
	rsaKey, isRSA := key.(*rsa.PrivateKey)
	if !isRSA || rsaKey.N.BitLen() < tokenKeyBits {
		return nil, fmt.Errorf("file %s: not an RSA key of at least %d bits", path, tokenKeyBits)
	}
	return rsaKey, nil
}

// parseKey reads what marshalKey wrote. The path is for errors.
func parseKey(path string, text []byte) (any, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("file %s: not a PEM file", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", path, err)
	}
	return key, nil
}

func makeTokenKey() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, tokenKeyBits)
	if err != nil {
		return nil, err
	}
	return marshalKey(key)
}

// marshalKey returns a private key as PEM of PKCS #8 (RFC 5958).
func marshalKey(key any) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// readOrMake returns the content of a file. Where the folder is new, it makes the file if there is none. Only its owner
// may read it. It appears whole or not at all, so a crash leaves nothing that a later start would take for a key.
func readOrMake(path string, isNew bool, content func() ([]byte, error)) ([]byte, error) {
	text, err := os.ReadFile(path)
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return text, err
	case !isNew:
		const text = "file %s is missing, and the licenses in the folder depend on it: restore it from a copy"
		return nil, fmt.Errorf(text, path)
	}
	if text, err = content(); err != nil {
		return nil, err
	}
	// Link, unlike Rename, lets the first of two processes win.
	if err := writeWhole(path, text, os.Link); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(path)
}

// WriteFile writes a file that only its owner may read, as all files of a data folder are. It replaces one that is
// there.
func WriteFile(path string, content []byte) error { return writeWhole(path, content, os.Rename) }

// writeWhole writes a file that appears whole or not at all, and is on disk when it returns. A crash may leave a
// temporary file beside it, which nobody reads.
func writeWhole(path string, content []byte, appear func(temporary, path string) error) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".new-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, errWrite := temporary.Write(content)
	if err := errors.Join(errWrite, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := appear(temporary.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes the names in a folder durable. Systems that cannot sync a folder have no need of it.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	_ = folder.Sync()
	return folder.Close()
}
