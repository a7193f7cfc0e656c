package embedded

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"
)

// servesFor is how long what a file last held serves on while the file cannot be read, exclusive. It is as long as on
// AWS, for the same reasons; see awskeys.
const servesFor = 24 * time.Hour

// keyFile is a file that is read again when it has changed. It may be used by one goroutine at a time.
type keyFile[T any] struct {
	path  string
	parse func(path string, text []byte) (T, error)

	value T
	info  fs.FileInfo // of the file that value was read from; nil: there is no value
	seen  time.Time   // when the file was last found as value says
}

// look reads the file, unless it is as it was. After an error the value is the one from before.
func (f *keyFile[T]) look() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	if f.info == nil || !sameFile(info, f.info) {
		text, err := os.ReadFile(f.path)
		if err != nil {
			return err
		}
		value, err := f.parse(f.path, text)
		if err != nil {
			return err
		}
		f.value, f.info = value, info
	}
	f.seen = wallTime()
	return nil
}

// forget is for a file that need not be there.
func (f *keyFile[T]) forget() {
	f.value, f.info, f.seen = *new(T), nil, wallTime()
}

// serveOn logs why the file could not be read anew. It returns an error when the value is too old to serve.
func (f *keyFile[T]) serveOn(ctx context.Context, what string, why error) error {
	if wallTime().Sub(f.seen) >= servesFor {
		read := f.seen.UTC().Format(time.RFC3339)
		return fmt.Errorf("%s: last read at %s, too long ago to serve on: %w", what, read, why)
	}
	slog.ErrorContext(ctx, what+" could not be read anew, the last one serves on", "error", why, "lastread", f.seen)
	return nil
}

// wallTime goes on while the computer sleeps, as the monotonic clock may not.
func wallTime() time.Time { return time.Now().Round(0) }

// sameFile tells whether a file is as it was.
func sameFile(now, before fs.FileInfo) bool {
	return os.SameFile(now, before) && now.ModTime().Equal(before.ModTime()) && now.Size() == before.Size()
}
