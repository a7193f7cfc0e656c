package embedded

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"openlicenser/shared/token"
)

// keyFile is the parsed content of a file, which is read again when it has changed. One goroutine at a time may use it.
type keyFile[T any] struct {
	path  string
	parse func(path string, text []byte) (T, error)

	value     T
	info      fs.FileInfo // of the file when value was read; nil: there is no value
	seen      time.Time   // when value was last known to be the file's
	downSince time.Time   // of the first failure since then; zero: there was none
}

// look reads the file if it has changed. An error leaves the value as it was.
func (f *keyFile[T]) look() error {
	err := f.read()
	switch now := wallTime(); {
	case err == nil:
		f.seen, f.downSince = now, time.Time{}
	case f.downSince.IsZero():
		f.downSince = now
	}
	return err
}

func (f *keyFile[T]) read() error {
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
	return nil
}

// forget drops the value of a file that is not there any more.
func (f *keyFile[T]) forget() {
	f.value, f.info, f.seen, f.downSince = *new(T), nil, wallTime(), time.Time{}
}

// serveOn logs why the file could not be read. It returns an error when the value is too old to serve on.
func (f *keyFile[T]) serveOn(ctx context.Context, what string, why error) error {
	now := wallTime()
	if now.Sub(f.seen) >= token.ServesFor {
		read := f.seen.UTC().Format(time.RFC3339)
		return fmt.Errorf("%s: last read at %s, too long ago to serve on: %w", what, read, why)
	}
	level := slog.LevelWarn
	if now.Sub(f.downSince) >= token.StaleAfter {
		level = slog.LevelError
	}
	slog.Log(ctx, level, what+" could not be read anew, the last one serves on", "error", why, "lastread", f.seen)
	return nil
}

// wallTime returns the time without its monotonic reading, which may stand still while the computer sleeps.
func wallTime() time.Time { return time.Now().Round(0) }

// sameFile reports whether a file is as it was.
func sameFile(now, before fs.FileInfo) bool {
	return os.SameFile(now, before) && now.ModTime().Equal(before.ModTime()) && now.Size() == before.Size()
}
