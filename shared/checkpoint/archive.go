package checkpoint

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"openlicenser/shared/audit"
)

// Errors of an archive, to be tested with errors.Is.
var (
	ErrNone   = errors.New("there is no such object")
	ErrExists = errors.New("there is an object of this name already")
)

// Reader reads an archive. Its reads are strongly consistent.
type Reader interface {
	// Get returns the object of a name, or ErrNone, or ErrTooLarge.
	Get(ctx context.Context, name string) ([]byte, error)
}

// Archive keeps objects by name, for ever:
//
//	latest                              the latest checkpoint, signed
//	checkpoints/00000000000000000017    a checkpoint, by its number in 20 digits
//	roots/d4f5…                         the roots of all buckets, by the root over them in hexadecimal
//	pages/8a01…                         the leaves of a bucket, by their root
//	backlog                             what the trail has not recorded yet; see Reconciler
//	findings                            what the last run has found; see Statement
//	acknowledged/5f1c…                  a finding that is settled, by the hash of its Statement; see Acknowledgement
type Archive interface {
	Reader

	// Create keeps an object. If there is one of its name already, even the same one, Create returns ErrExists and
	// changes nothing. Any other error leaves the outcome unknown.
	Create(ctx context.Context, name string, content []byte) error

	// Put keeps an object in place of the one that there is. A reader sees the old one or the new one, and nothing
	// between.
	Put(ctx context.Context, name string, content []byte) error
}

// MaxObject bounds the bytes of an object. A bucket's page among 50 million licenses has 6 MB.
const MaxObject = 64 << 20

// ErrTooLarge reports an object that is larger than any that was kept.
var ErrTooLarge = errors.New("it is too large")

// ReadObject reads an object whole, or returns ErrTooLarge.
func ReadObject(r io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, MaxObject+1))
	if err == nil && len(content) > MaxObject {
		err = ErrTooLarge
	}
	return content, err
}

const latestName = "latest"

func checkpointName(number int64) string { return fmt.Sprintf("checkpoints/%020d", number) }

func rootsName(root tlog.Hash) string { return "roots/" + hex.EncodeToString(root[:]) }

func pageName(root tlog.Hash) string { return "pages/" + hex.EncodeToString(root[:]) }

// ArchiveError reports an object of the archive that is missing, or is not what the name says. Only a person can
// resolve it; docs/audit-trail.md says how.
type ArchiveError struct {
	Name string
	Why  error
}

func (e *ArchiveError) Error() string {
	return fmt.Sprintf("object %s of the archive: %v", e.Name, e.Why)
}

// Unwrap returns Why.
func (e *ArchiveError) Unwrap() error { return e.Why }

var (
	errMissing  = errors.New("it is missing")
	errReplaced = errors.New("it is not what was kept under this name")
)

// get returns an object that must be there. One that is missing is an ArchiveError, because ErrNone would tell the
// caller that there is no checkpoint yet.
func get(ctx context.Context, archive Reader, name string) ([]byte, error) {
	content, err := archive.Get(ctx, name)
	switch {
	case errors.Is(err, ErrNone):
		return nil, &ArchiveError{name, errMissing}
	case errors.Is(err, ErrTooLarge):
		return nil, &ArchiveError{name, ErrTooLarge}
	}
	return content, err
}

// create keeps an object that is named by what it is. The same one may be there already: of an earlier request whose
// response was lost, or from before. It returns ErrExists where another one is.
func create(ctx context.Context, archive Archive, name string, content []byte) error {
	err := archive.Create(ctx, name, content)
	if !errors.Is(err, ErrExists) {
		return err
	}
	if there, errGet := archive.Get(ctx, name); errGet != nil || !bytes.Equal(there, content) {
		return errors.Join(err, errGet)
	}
	return nil
}

// createTreePart keeps a page or roots. It returns an ArchiveError where something else has their name.
func createTreePart(ctx context.Context, archive Archive, name string, content []byte) error {
	err := create(ctx, archive, name, content)
	if errors.Is(err, ErrExists) {
		return &ArchiveError{name, errReplaced}
	}
	return err
}

// Roots returns the text of the bucket roots over which there is the root: a line of 64 hexadecimal digits for each
// bucket. It returns ErrNone where they are missing, and an ArchiveError where others are there.
func Roots(ctx context.Context, archive Reader, root tlog.Hash) ([]byte, error) {
	text, err := archive.Get(ctx, rootsName(root))
	if err == nil {
		_, err = OpenRoots(text, root)
	}
	return text, err
}

// Page returns the lines of the leaves whose root is that of a bucket. It returns ErrNone and an ArchiveError as Roots
// does.
func Page(ctx context.Context, archive Reader, root tlog.Hash) ([]byte, error) {
	page, err := archive.Get(ctx, pageName(root))
	if err == nil {
		first, _, _ := strings.Cut(string(page), " ")
		id, _ := url.PathUnescape(first)
		_, err = OpenPage(page, audit.BucketOf(id), root)
	}
	return page, err
}

func readRoots(ctx context.Context, archive Reader, root tlog.Hash) (*BucketRoots, error) {
	text, err := get(ctx, archive, rootsName(root))
	if err != nil {
		return nil, err
	}
	return OpenRoots(text, root)
}

// OpenRoots reads the roots of all buckets. It returns an ArchiveError unless the root is over them.
func OpenRoots(text []byte, root tlog.Hash) (*BucketRoots, error) {
	roots, err := parseRoots(text)
	if err == nil && roots.root() != root {
		err = errReplaced
	}
	if err != nil {
		return nil, &ArchiveError{rootsName(root), err}
	}
	return roots, nil
}

// readPage returns the leaves of a bucket whose root was signed, and their hashes. It returns an ArchiveError where the
// page is missing or another.
func readPage(ctx context.Context, archive Reader, bucket int, root tlog.Hash) (Leaves, []tlog.Hash, error) {
	if IsEmpty(root) {
		return nil, nil, nil
	}
	page, err := get(ctx, archive, pageName(root))
	if err != nil {
		return nil, nil, err
	}
	return openPage(page, bucket, root)
}

// MissingPage returns the error of a page that is not there.
func MissingPage(root tlog.Hash) *ArchiveError { return &ArchiveError{pageName(root), errMissing} }

// ReplacedPage returns the error of a page that is another one.
func ReplacedPage(root tlog.Hash) *ArchiveError { return &ArchiveError{pageName(root), errReplaced} }

// OpenPage reads the leaves of a bucket. It returns an ArchiveError unless the root is over them.
func OpenPage(page []byte, bucket int, root tlog.Hash) (Leaves, error) {
	ls, _, err := openPage(page, bucket, root)
	return ls, err
}

func openPage(page []byte, bucket int, root tlog.Hash) (Leaves, []tlog.Hash, error) {
	ls, err := parsePage(page, bucket)
	if err != nil {
		return nil, nil, &ArchiveError{pageName(root), err}
	}
	hashes := lineHashes(page)
	if treeHash(hashes) != root {
		return nil, nil, &ArchiveError{pageName(root), errReplaced}
	}
	return ls, hashes, nil
}

// Numbered returns the signed checkpoint of a number. It returns ErrNone where there is none, and an ArchiveError where
// what is there is another, or not of the key.
func Numbered(ctx context.Context, archive Reader, vkey string, number int64) ([]byte, error) {
	c, err := openNumbered(ctx, archive, vkey, number)
	if errors.Is(err, errMissing) {
		err = ErrNone
	}
	return c.signed, err
}

// openNumbered returns the checkpoint of a number. It returns an ArchiveError where that is missing, or is another one.
func openNumbered(ctx context.Context, archive Reader, vkey string, number int64) (kept, error) {
	name := checkpointName(number)
	signed, err := get(ctx, archive, name)
	if err != nil {
		return kept{}, err
	}
	c, err := Open(vkey, signed)
	if err == nil && c.Number != number {
		err = fmt.Errorf("it says that it is checkpoint %d", c.Number)
	}
	if err != nil {
		return kept{}, &ArchiveError{name, err}
	}
	return kept{c, signed}, nil
}

// Latest returns the latest checkpoint, as it is signed and as it reads. It returns ErrNone where there is none yet,
// and an ArchiveError where what is there is not of the key.
func Latest(ctx context.Context, archive Reader, vkey string) ([]byte, Checkpoint, error) {
	signed, err := archive.Get(ctx, latestName)
	if errors.Is(err, ErrTooLarge) {
		return nil, Checkpoint{}, &ArchiveError{latestName, ErrTooLarge}
	}
	if err != nil {
		return nil, Checkpoint{}, err
	}
	c, err := Open(vkey, signed)
	if err != nil {
		return nil, Checkpoint{}, &ArchiveError{latestName, err}
	}
	return signed, c, nil
}
