package main

import (
	"archive/tar"
	"archive/zip"
	"cmp"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"slices"
	"time"
)

// entry is a file in an archive.
type entry struct {
	name      string // with slashes
	from      string // the file that it is a copy of, or empty
	content   []byte // of one that is no copy
	isProgram bool
}

func (e entry) read() ([]byte, error) {
	if e.from == "" {
		return e.content, nil
	}
	return os.ReadFile(e.from)
}

func (e entry) mode() os.FileMode {
	if e.isProgram {
		return 0o755
	}
	return 0o644
}

// modified is the time of every file in an archive: the earliest one of the zip format. Archives must not differ by
// when they were made.
var modified = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// writeArchive writes a file with the entries in the order of their names.
func writeArchive(path string, entries []entry, write func(w io.Writer, entries []entry) error) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	sorted := slices.SortedFunc(slices.Values(entries), func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	return write(file, sorted)
}

func writeTarGz(path string, entries []entry) error {
	return writeArchive(path, entries, func(w io.Writer, entries []entry) error {
		compressed := gzip.NewWriter(w) // without a file name and a time in its header
		archive := tar.NewWriter(compressed)
		for _, e := range entries {
			content, err := e.read()
			if err != nil {
				return err
			}
			header := tar.Header{
				Name:    e.name,
				Mode:    int64(e.mode()),
				Size:    int64(len(content)),
				ModTime: modified,
				Format:  tar.FormatUSTAR,
			}
			if err := archive.WriteHeader(&header); err != nil {
				return err
			}
			if _, err := archive.Write(content); err != nil {
				return err
			}
		}
		return errors.Join(archive.Close(), compressed.Close())
	})
}

func writeZip(path string, entries []entry) error {
	return writeArchive(path, entries, func(w io.Writer, entries []entry) error {
		archive := zip.NewWriter(w)
		for _, e := range entries {
			content, err := e.read()
			if err != nil {
				return err
			}
			header := zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: modified}
			header.SetMode(e.mode())
			file, err := archive.CreateHeader(&header)
			if err != nil {
				return err
			}
			if _, err := file.Write(content); err != nil {
				return err
			}
		}
		return archive.Close()
	})
}
